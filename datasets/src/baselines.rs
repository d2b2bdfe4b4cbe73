//! Baselines that a dataset declares.

use serde::{Deserialize, Serialize};

use crate::text::Tokenization;

/// A rule that predicts a label without training; `None` where it does not apply.
#[derive(Debug, Clone, Copy)]
pub struct Baseline {
    /// Name in reports.
    pub name: &'static str,
    /// Maps a text to a label.
    pub rule: fn(&str) -> Option<usize>,
}

/// Features of the naive Bayes baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NaiveBayesFeatures {
    /// Tokenization.
    pub level: Tokenization,
    /// Maximum n of the n-grams, tuned from 1 up.
    pub max_n: usize,
}

impl Default for NaiveBayesFeatures {
    fn default() -> Self {
        Self { level: Tokenization::Words, max_n: 2 }
    }
}
