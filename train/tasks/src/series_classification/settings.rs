//! Settings of the classification of series.

use schemars::JsonSchema;
use seqzoo_models::layers::Pooling;
use serde::{Deserialize, Serialize};

/// The `[task]` section of a recipe for the classification of series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Standardization of the values, fitted on the training split.
    pub standardize: Standardize,
    /// Pooling of the recurrent outputs over time into one vector.
    pub pooling: Pooling,
}

impl Default for Settings {
    fn default() -> Self {
        Self { standardize: Standardize::Channels, pooling: Pooling::Last }
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
