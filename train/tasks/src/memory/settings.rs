//! Settings of models of memory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The `[task]` section of a recipe for memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Whether the training examples of a generated problem are drawn anew in each epoch, with the same lengths; otherwise they are the same in
    /// all epochs.
    pub fresh: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fresh: true }
    }
}
