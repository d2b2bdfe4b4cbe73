//! Settings of sequence-to-sequence models.

use seqzoo_datasets::text::Tokenization;
use seqzoo_models::layers::AttentionScore;
use serde::{Deserialize, Serialize};

use crate::InvalidValue;
use crate::spec::{MAX_COUNT, MAX_EMBEDDING, check_sizes};

/// The `[task]` section of a sequence-to-sequence recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Unit of tokenization, of sources and targets.
    pub level: Tokenization,
    /// Minimum count of a token in the training split, on its side; rarer tokens are unknown.
    pub min_count: usize,
    /// Maximum size of each vocabulary, most frequent tokens first.
    pub max_vocabulary: usize,
    /// Size of token embeddings.
    pub embedding_size: usize,
    /// Attention score.
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

impl Settings {
    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        check_sizes([("task.min_count", self.min_count), ("task.max_vocabulary", self.max_vocabulary)], MAX_COUNT)?;
        check_sizes([("task.embedding_size", self.embedding_size)], MAX_EMBEDDING)
    }
}
