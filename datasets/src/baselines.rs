//! Baselines declared by datasets.

use schemars::JsonSchema;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NaiveBayesFeatures {
    /// Unit of tokenization.
    pub level: Tokenization,
    /// Maximum n of the n-grams; n is tuned on the validation split, from 1 to this maximum.
    pub max_n: usize,
}

impl Default for NaiveBayesFeatures {
    fn default() -> Self {
        Self { level: Tokenization::Words, max_n: 2 }
    }
}
