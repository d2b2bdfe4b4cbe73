//! What a data set of sequences to be turned into others consists of.

use std::sync::Arc;

use crate::classification::Split;
use crate::digest::Digest;
use crate::scores::Group;

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

/// A data set for turning sequences into others, loaded.
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

#[cfg(test)]
mod tests {
    use super::*;

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
