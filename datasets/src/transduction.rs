//! What a dataset of sequences to be turned into others consists of.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::classification::Split;
use crate::digest::Digest;
use crate::scores::{Evaluation, Group, Metric, Scores};

/// A text and what it is to be turned into.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// What is read.
    pub source: String,
    /// What is to be written.
    pub target: String,
    /// By which accuracy is told apart.
    pub groups: Arc<[Group]>,
}

/// A dataset for turning sequences into others, loaded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transduction {
    /// Pairs to learn from.
    pub train: Vec<Pair>,
    /// Pairs that decide when to stop.
    pub validation: Vec<Pair>,
    /// Pairs to report on; empty where the publishers' part is not there.
    pub test: Vec<Pair>,
}

impl Transduction {
    /// The pairs of a part.
    pub fn split(&self, split: Split) -> &[Pair] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// How often what is written most often in the training part is right.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.train.iter().for_each(|pair| *counts.entry(&pair.target).or_default() += 1);
        let Some((answer, _)) = counts.into_iter().max_by_key(|&(_, count)| count) else { return Vec::new() };
        let right: Vec<bool> = self.split(split).iter().map(|pair| pair.target == answer).collect();
        let groups = self.split(split).iter().map(|pair| &*pair.groups);
        vec![("most frequent answer", Evaluation::by_group(groups, |places| wholly_right(&right, places)))]
    }

    /// SHA-256 over the training and validation parts: two runs with the same digest learn from the same data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::new();
        for part in [&self.train, &self.validation] {
            digest.number(part.len() as u64);
            part.iter().flat_map(|pair| [&pair.source, &pair.target]).for_each(|text| digest.text(text));
        }
        digest.finish()
    }
}

/// Share of the pairs of some places that are wholly right.
pub fn wholly_right(right: &[bool], places: &mut dyn Iterator<Item = usize>) -> Scores {
    let places: Vec<usize> = places.collect();
    let hits = places.iter().filter(|&&place| right[place]).count();
    Scores::new(places.len(), [(Metric::Accuracy, hits as f64 / places.len().max(1) as f64)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wholly_right_answers_are_counted_by_grade_as_by_hand() {
        let pair = |digits: &str, nesting: &str, target: &str| Pair {
            source: String::new(),
            target: target.to_owned(),
            groups: Arc::new([("digits", digits.to_owned()), ("nesting", nesting.to_owned())]),
        };
        let test = [("1", "0", "7"), ("1", "1", "-3"), ("2", "0", "7"), ("2", "1", "7"), ("2", "1", "70")];
        let data = Transduction {
            train: ["7", "12", "7", "-3"].map(|target| pair("1", "0", target)).to_vec(),
            test: test.map(|(digits, nesting, target)| pair(digits, nesting, target)).to_vec(),
            ..Transduction::default()
        };
        let (name, found) = data.baselines(Split::Test).remove(0);
        let accuracy = |scores: &Scores| (scores.examples, scores.get(Metric::Accuracy).unwrap());
        assert_eq!((name, accuracy(&found.all)), ("most frequent answer", (5, 0.6)));
        let of_groups: Vec<_> =
            found.groups.iter().map(|((kind, value), scores)| (*kind, value.as_str(), accuracy(scores))).collect();
        let third = 1.0 / 3.0;
        let by_hand = [
            ("digits", "1", (2, 0.5)),
            ("digits", "2", (3, 2.0 * third)),
            ("nesting", "0", (2, 1.0)),
            ("nesting", "1", (3, third)),
        ];
        assert_eq!(of_groups, by_hand);
        assert!(Transduction::default().baselines(Split::Test).is_empty());
    }

    #[test]
    fn the_digest_tells_texts_and_parts_apart_and_leaves_out_what_is_reported() {
        let pair = |source: &str, target: &str| Pair {
            source: source.to_owned(),
            target: target.to_owned(),
            groups: Arc::default(),
        };
        let part = |pairs: &[&Pair]| pairs.iter().map(|&pair| pair.clone()).collect();
        let digest = |train: &[&Pair], validation: &[&Pair], test: &[&Pair]| {
            Transduction { train: part(train), validation: part(validation), test: part(test) }.digest()
        };
        let [a, b, c] = &[pair("1+1", "2"), pair("1+", "12"), pair("1+1", "3")];
        let one = digest(&[a], &[b], &[]);
        assert_eq!(one, digest(&[a], &[b], &[c]));
        for other in
            [digest(&[a, b], &[], &[]), digest(&[b], &[b], &[]), digest(&[c], &[b], &[]), digest(&[b], &[a], &[])]
        {
            assert_ne!(one, other);
        }
    }
}
