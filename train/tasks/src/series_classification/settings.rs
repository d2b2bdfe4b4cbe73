//! Settings of the classification of series.

use schemars::JsonSchema;
use seqzoo_models::layers::Pooling;
use serde::{Deserialize, Serialize};

use crate::ClassWeights;

/// The `[task]` section of a recipe for the classification of series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Standardization of the values, fitted on the training split.
    pub standardize: Standardize,
    /// Pooling of the recurrent outputs over time into one vector.
    pub pooling: Pooling,
    /// Weights of the labels in the training loss.
    pub class_weights: ClassWeights,
}

impl Default for Settings {
    fn default() -> Self {
        Self { standardize: Standardize::Channels, pooling: Pooling::Last, class_weights: ClassWeights::None }
    }
}

/// Standardization to mean 0 and standard deviation 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standardize {
    /// Each channel by its own mean and standard deviation.
    Channels,
    /// All channels by their common mean and standard deviation, as for the pixels of images.
    Together,
    /// None.
    None,
}
