//! Settings of sequence tagging.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::MAX_HIDDEN;
use crate::spec::{MAX_COUNT, MAX_EMBEDDING};

/// The `[task]` section of a tagging recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Minimum count of a word in the training split; rarer words are unknown.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub min_count: usize,
    /// Maximum size of the vocabularies of words and of characters, most frequent first.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_vocabulary: usize,
    /// Maximum number of tokens per training sentence; longer ones are truncated.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_tokens: usize,
    /// Size of word embeddings.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Size of character embeddings.
    #[schemars(range(min = 1, max = MAX_HIDDEN))]
    pub character_embedding_size: usize,
    /// Hidden size of the character encoder, per direction: a recurrent layer of the model's own architecture over the
    /// characters of each word. 0: no character encoder.
    #[schemars(range(max = MAX_HIDDEN))]
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
