//! Settings of language models.

use schemars::JsonSchema;
use seqzoo_datasets::text::Tokenization;
use serde::{Deserialize, Serialize};

use crate::InvalidValue;
use crate::spec::{MAX_COUNT, MAX_EMBEDDING};

/// The `[task]` section of a language model's recipe.
///
/// Training uses truncated backpropagation through time, TBPTT(k1, k2): there is one update every `k1` time steps. It recomputes the
/// last `k2` steps with the current weights, from the stored state before them, and backpropagates the losses of the last `k1` steps
/// (of `k2` steps if `k2` < `k1`). Williams and Peng 1990.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Unit of tokenization.
    pub level: Tokenization,
    /// Minimum number of occurrences of a token in the training split; rarer tokens are mapped to the unknown token.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub min_count: usize,
    /// Maximum number of tokens in the vocabulary; the most frequent ones are kept.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_vocabulary: usize,
    /// Share of the tokens of the training split that the vocabulary covers: the most frequent ones are kept until they make up this share, at
    /// most `max_vocabulary`. Not for subwords.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub coverage: f64,
    /// Size of the token embeddings.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Whether the output layer shares its weights with the token embedding (weight tying); requires `embedding_size` to equal the last
    /// hidden size.
    pub tied: bool,
    /// Number of time steps between updates: k1 of truncated backpropagation through time, TBPTT(k1, k2). 0: one update per epoch, over
    /// the whole text.
    #[schemars(range(max = MAX_COUNT))]
    pub k1: usize,
    /// Number of time steps that each update backpropagates through: k2 of TBPTT(k1, k2). 0: the value of `k1`.
    #[schemars(range(max = MAX_COUNT))]
    pub k2: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Tokenization::Words,
            min_count: 1,
            max_vocabulary: 20_000,
            coverage: 1.0,
            embedding_size: 64,
            tied: false,
            k1: 0,
            k2: 0,
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        if self.coverage < 1.0 && self.level == Tokenization::Subwords {
            let expected = "subwords have as many pieces as task.max_vocabulary says; leave it at 1";
            return Err(InvalidValue::new("task.coverage", self.coverage, expected));
        }
        match (self.k1, self.k2) {
            (0, 1..) => {
                Err(InvalidValue::new("task.k2", self.k2, "requires task.k1, the number of steps between updates"))
            }
            _ => Ok(()),
        }
    }
}
