//! Settings of language models.

use seqzoo_datasets::text::Tokenization;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::InvalidValue;
use crate::spec::{MAX_COUNT, MAX_EMBEDDING};

/// The `[task]` section of a language model's recipe.
///
/// Training uses truncated backpropagation through time, TBPTT(k1, k2). Every `k1` steps there is one update: from the stored
/// state `k2` steps back, those steps are recomputed with the current weights, and the losses of the last `k1` of them (of all,
/// where `k2` < `k1`) are backpropagated. Williams and Peng 1990.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Unit of tokenization.
    pub level: Tokenization,
    /// Minimum count of a token in the training split; rarer tokens are unknown.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub min_count: usize,
    /// Maximum size of the vocabulary, most frequent tokens first.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_vocabulary: usize,
    /// Size of token embeddings.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Whether the output layer shares its weights with the embedding.
    pub tied: bool,
    /// Time steps between updates, k1 of TBPTT(k1, k2); 0: the whole text.
    #[schemars(range(max = MAX_COUNT))]
    pub k1: usize,
    /// Time steps of backpropagation per update, k2 of TBPTT(k1, k2); 0: `k1`.
    #[schemars(range(max = MAX_COUNT))]
    pub k2: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Tokenization::Words,
            min_count: 1,
            max_vocabulary: 20_000,
            embedding_size: 64,
            tied: false,
            k1: 0,
            k2: 0,
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        match (self.k1, self.k2) {
            (0, 1..) => {
                Err(InvalidValue::new("task.k2", self.k2, "requires task.k1, the number of steps between updates"))
            }
            _ => Ok(()),
        }
    }
}
