//! Settings of text classification.

use seqzoo_datasets::text::{Truncation, Tokenization};
use seqzoo_models::layers::Pooling;
use serde::{Deserialize, Serialize};

use crate::InvalidValue;
use crate::spec::{MAX_COUNT, MAX_EMBEDDING, check_sizes};

/// The `[task]` section of a classification recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Unit of tokenization.
    pub level: Tokenization,
    /// Minimum count of a token in the training split; rarer tokens are unknown.
    pub min_count: usize,
    /// Maximum size of the vocabulary, most frequent tokens first.
    pub max_vocabulary: usize,
    /// Maximum number of tokens per text; longer texts are truncated.
    pub max_tokens: usize,
    /// Which end of a text is kept when it is truncated.
    pub keep: Truncation,
    /// Size of token embeddings.
    pub embedding_size: usize,
    /// Pooling of the outputs over time into one vector.
    pub pooling: Pooling,
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
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        let Self { min_count, max_vocabulary, max_tokens, embedding_size, .. } = *self;
        let counts = [
            ("task.min_count", min_count),
            ("task.max_vocabulary", max_vocabulary),
            ("task.max_tokens", max_tokens),
        ];
        check_sizes(counts, MAX_COUNT)?;
        check_sizes([("task.embedding_size", embedding_size)], MAX_EMBEDDING)
    }
}
