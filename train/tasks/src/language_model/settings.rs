//! Settings of language models.

use seqzoo_datasets::text::Tokenization;
use serde::{Deserialize, Serialize};

use crate::InvalidValue;
use crate::spec::{MAX_COUNT, MAX_EMBEDDING, check_sizes};

/// The `[task]` section of a language model's recipe.
///
/// Training uses truncated backpropagation through time, TBPTT(k1, k2). Every `k1` steps there is one update: from the stored
/// state `k2` steps back, those steps are recomputed with the current weights, and the losses of the last `k1` of them (of all,
/// where `k2` < `k1`) are backpropagated. Williams and Peng 1990.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Unit of tokenization.
    pub level: Tokenization,
    /// Minimum count of a token in the training split; rarer tokens are unknown.
    pub min_count: usize,
    /// Maximum size of the vocabulary, most frequent tokens first.
    pub max_vocabulary: usize,
    /// Size of token embeddings.
    pub embedding_size: usize,
    /// Whether the output layer shares its weights with the embedding.
    pub tied: bool,
    /// Time steps between updates, k1 of TBPTT(k1, k2); 0: the whole text.
    pub k1: usize,
    /// Time steps of backpropagation per update, k2 of TBPTT(k1, k2); 0: `k1`.
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
        let Self { min_count, max_vocabulary, embedding_size, k1, k2, .. } = *self;
        check_sizes([("task.min_count", min_count), ("task.max_vocabulary", max_vocabulary)], MAX_COUNT)?;
        check_sizes([("task.embedding_size", embedding_size)], MAX_EMBEDDING)?;
        if let Some((field, value)) = [("task.k1", k1), ("task.k2", k2)].into_iter().find(|&(_, k)| k > MAX_COUNT) {
            return Err(InvalidValue::new(field, value, format!("a whole number from 0 to {MAX_COUNT}")));
        }
        if k1 == 0 && k2 > 0 {
            return Err(InvalidValue::new("task.k2", k2, "requires task.k1, the number of steps between updates"));
        }
        Ok(())
    }
}
