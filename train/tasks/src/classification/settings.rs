//! Settings of text classification.

use schemars::JsonSchema;
use seqzoo_datasets::text::{Tokenization, Truncation};
use seqzoo_models::layers::Pooling;
use serde::{Deserialize, Serialize};

use crate::ClassWeights;
use crate::spec::{MAX_COUNT, MAX_EMBEDDING};

/// The `[task]` section of a classification recipe.
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
    /// Maximum number of tokens per text; longer texts are truncated.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_tokens: usize,
    /// Which tokens of a truncated text are kept.
    pub keep: Truncation,
    /// Size of the token embeddings.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Pooling of the recurrent outputs over time into one vector.
    pub pooling: Pooling,
    /// Weights of the labels in the training loss.
    pub class_weights: ClassWeights,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Tokenization::Words,
            min_count: 1,
            max_vocabulary: 20_000,
            max_tokens: 400,
            keep: Truncation::First,
            embedding_size: 64,
            pooling: Pooling::default(),
            class_weights: ClassWeights::None,
        }
    }
}
