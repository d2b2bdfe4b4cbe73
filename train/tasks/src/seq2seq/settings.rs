//! Settings of sequence-to-sequence models.

use schemars::JsonSchema;
use seqzoo_datasets::text::Tokenization;
use seqzoo_models::layers::AttentionScore;
use serde::{Deserialize, Serialize};

use crate::spec::{MAX_COUNT, MAX_EMBEDDING};

/// The `[task]` section of a sequence-to-sequence recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Unit of tokenization of sources and targets.
    pub level: Tokenization,
    /// Minimum number of occurrences of a token in the sources, or targets, of the training split; rarer tokens are mapped to the unknown
    /// token.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub min_count: usize,
    /// Maximum number of tokens in the source vocabulary and in the target vocabulary; the most frequent ones are kept.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_vocabulary: usize,
    /// Size of the token embeddings.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Score function of the decoder's attention over the encoder's outputs.
    pub attention: AttentionScore,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Tokenization::Words,
            min_count: 1,
            max_vocabulary: 20_000,
            embedding_size: 64,
            attention: AttentionScore::default(),
        }
    }
}
