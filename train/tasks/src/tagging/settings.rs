//! Settings of sequence tagging.

use schemars::JsonSchema;
use seqzoo_models::layers::Pooling;
use serde::{Deserialize, Serialize};

use crate::MAX_HIDDEN;
use crate::spec::{MAX_COUNT, MAX_EMBEDDING};

/// The `[task]` section of a tagging recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Minimum number of occurrences of a word in the training split, ignoring case; rarer words are mapped to the unknown word.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub min_count: usize,
    /// Maximum number of words in the word vocabulary and of characters in the character vocabulary; the most frequent ones are kept.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_vocabulary: usize,
    /// Maximum number of tokens per training sentence; longer sentences are truncated.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_tokens: usize,
    /// Size of the word embeddings.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Size of the character embeddings, if there is a character encoder.
    #[schemars(range(min = 1, max = MAX_HIDDEN))]
    pub character_embedding_size: usize,
    /// Hidden size, per direction, of the character encoder: a recurrent layer with the model's architecture over the characters of each
    /// word, whose final state is concatenated with the word embedding. 0: no character encoder.
    #[schemars(range(max = MAX_HIDDEN))]
    pub character_hidden_size: usize,
    /// Whether the output layer is a linear-chain conditional random field (CRF) instead of a softmax; `+crf` in a model's name sets it.
    pub crf: bool,
    /// Pooling of the recurrent outputs over time for the label of the sentence, if the data have one (`data.columns.label`).
    pub pooling: Pooling,
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
            pooling: Pooling::Max,
        }
    }
}
