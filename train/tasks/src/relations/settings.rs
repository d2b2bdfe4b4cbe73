//! Settings of relation classification.

use schemars::JsonSchema;
use seqzoo_datasets::text::Tokenization;
use serde::{Deserialize, Serialize};

use crate::ClassWeights;
use crate::spec::{MAX_COUNT, MAX_EMBEDDING};

/// The `[task]` section of a recipe for relation classification.
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
    /// Maximum number of tokens per text; of longer texts, those around the entities are kept.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_tokens: usize,
    /// Size of the token embeddings.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Weights of the labels in the training loss.
    pub class_weights: ClassWeights,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Tokenization::Words,
            min_count: 1,
            max_vocabulary: 20_000,
            max_tokens: 100,
            embedding_size: 100,
            class_weights: ClassWeights::None,
        }
    }
}
