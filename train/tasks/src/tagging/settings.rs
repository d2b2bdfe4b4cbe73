//! Settings of sequence tagging.

use serde::{Deserialize, Serialize};

use crate::spec::{MAX_COUNT, MAX_EMBEDDING, check_sizes};
use crate::{InvalidValue, MAX_HIDDEN};

/// The `[task]` section of a tagging recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Minimum count of a word in the training split; rarer words are unknown.
    pub min_count: usize,
    /// Maximum size of the vocabularies of words and of characters, most frequent first.
    pub max_vocabulary: usize,
    /// Maximum number of tokens per training sentence; longer ones are truncated.
    pub max_tokens: usize,
    /// Size of word embeddings.
    pub embedding_size: usize,
    /// Size of character embeddings.
    pub character_embedding_size: usize,
    /// Hidden size of the character encoder, per direction: a recurrent layer of the model's own architecture over the
    /// characters of each word. 0: no character encoder.
    pub character_hidden_size: usize,
    /// Whether the output layer is a conditional random field (CRF).
    pub crf: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            min_count: 1,
            max_vocabulary: 20_000,
            max_tokens: 400,
            embedding_size: 100,
            character_embedding_size: 32,
            character_hidden_size: 0,
            crf: false,
        }
    }
}

impl Settings {
    pub(super) fn check(&self) -> Result<(), InvalidValue> {
        let Self { min_count, max_vocabulary, max_tokens, .. } = *self;
        let counts = [
            ("task.min_count", min_count),
            ("task.max_vocabulary", max_vocabulary),
            ("task.max_tokens", max_tokens),
        ];
        check_sizes(counts, MAX_COUNT)?;
        check_sizes([("task.embedding_size", self.embedding_size)], MAX_EMBEDDING)?;
        if self.character_hidden_size > 0 {
            let sizes = [
                ("task.character_embedding_size", self.character_embedding_size),
                ("task.character_hidden_size", self.character_hidden_size),
            ];
            check_sizes(sizes, MAX_HIDDEN)?;
        }
        Ok(())
    }
}
