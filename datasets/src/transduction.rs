//! Datasets for sequence-to-sequence models (seq2seq).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::DataError;
use crate::cleaning::Cleaning;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::records::{Records, Split};
use crate::scores::{Evaluation, Group, Metric, Scores};
use crate::split_rule::SplitRule;
use crate::splits::Splits;

/// Data for sequence-to-sequence models.
pub static DATA: DataSpec = DataSpec {
    task: "seq2seq",
    roles: &[
        Role::required("source", Content::Text, "Column of the source texts."),
        Role::required("target", Content::Text, "Column of the target texts."),
        Role::GROUPS,
    ],
    fields: &[],
    default_format: Some("pairs"),
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole pairs are assigned to splits",
};

/// A source text and its target.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Source text.
    pub source: String,
    /// Target text.
    pub target: String,
    /// Groups for per-group metrics.
    pub groups: Arc<[Group]>,
}

/// A loaded dataset for sequence-to-sequence models.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transduction {
    /// Training split.
    pub train: Vec<Pair>,
    /// Validation split.
    pub validation: Vec<Pair>,
    /// Test split; empty if its file is missing.
    pub test: Vec<Pair>,
    /// Cleaning applied to these texts; a model needs it for new texts too.
    pub cleaning: Cleaning,
}

impl Transduction {
    /// Converts records, using the columns `source`, `target` and `groups`.
    ///
    /// # Errors
    /// If a column is missing.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let (source, target) = (splits.columns.need("source")?, splits.columns.need("target")?);
        let pairs = |records: &Records| {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let (sources, targets) = (records.texts("source", source)?, records.texts("target", target)?);
            let groups = records.groups(splits.columns.several("groups"))?;
            let pair = |row: usize| Pair {
                source: (*sources[row]).to_owned(),
                target: (*targets[row]).to_owned(),
                groups: groups[row].clone(),
            };
            Ok((0..records.len()).map(pair).collect())
        };
        let [train, validation, test] = [&splits.train, &splits.validation, &splits.test].map(pairs);
        let cleaning = splits.cleaning.clone();
        Ok(Self { train: train?, validation: validation?, test: test?, cleaning })
    }

    /// The pairs of a split.
    pub fn split(&self, split: Split) -> &[Pair] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// Evaluates the baseline that always predicts the most frequent target of the training split.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.train.iter().for_each(|pair| *counts.entry(&pair.target).or_default() += 1);
        let Some((target, _)) = counts.into_iter().max_by_key(|&(_, count)| count) else { return Vec::new() };
        let correct: Vec<bool> = self.split(split).iter().map(|pair| pair.target == target).collect();
        let groups = self.split(split).iter().map(|pair| &*pair.groups);
        vec![("most frequent target", Evaluation::by_group(groups, |indices| exact_match(&correct, indices)))]
    }

    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        for split in [&self.train, &self.validation] {
            digest.number(split.len() as u64);
            split.iter().flat_map(|pair| [&pair.source, &pair.target]).for_each(|text| digest.text(text));
        }
        digest.finish()
    }
}

/// Exact-match accuracy of the pairs at the given indices.
pub fn exact_match(correct: &[bool], indices: &mut dyn Iterator<Item = usize>) -> Scores {
    let indices: Vec<usize> = indices.collect();
    let hits = indices.iter().filter(|&&index| correct[index]).count();
    Scores::new(indices.len(), [(Metric::ACCURACY, hits as f64 / indices.len().max(1) as f64)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::group;

    #[test]
    fn exact_match_accuracy_is_computed_per_group() {
        let pair = |digits: &str, nesting: &str, target: &str| Pair {
            source: String::new(),
            target: target.to_owned(),
            groups: Arc::new([group("digits", digits), group("nesting", nesting)]),
        };
        let test = [("1", "0", "7"), ("1", "1", "-3"), ("2", "0", "7"), ("2", "1", "7"), ("2", "1", "70")];
        let data = Transduction {
            train: ["7", "12", "7", "-3"].map(|target| pair("1", "0", target)).to_vec(),
            test: test.map(|(digits, nesting, target)| pair(digits, nesting, target)).to_vec(),
            ..Transduction::default()
        };
        let (name, found) = data.baselines(Split::Test).remove(0);
        let accuracy = |scores: &Scores| (scores.examples, scores.get(Metric::ACCURACY).unwrap());
        assert_eq!((name, accuracy(&found.all)), ("most frequent target", (5, 0.6)));
        let of_groups: Vec<_> =
            found.groups.iter().map(|((kind, value), scores)| (&**kind, value.as_str(), accuracy(scores))).collect();
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
    fn the_digest_covers_everything_but_the_test_split() {
        let pair = |source: &str, target: &str| Pair {
            source: source.to_owned(),
            target: target.to_owned(),
            groups: Arc::default(),
        };
        let split = |pairs: &[&Pair]| pairs.iter().map(|&pair| pair.clone()).collect();
        let digest = |train: &[&Pair], validation: &[&Pair], test: &[&Pair]| {
            Transduction {
                train: split(train),
                validation: split(validation),
                test: split(test),
                ..Transduction::default()
            }
            .digest()
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
