//! Settings of captioning models.

use schemars::JsonSchema;
use seqzoo_models::layers::AttentionScore;
use serde::{Deserialize, Serialize};

use crate::spec::{MAX_COUNT, MAX_EMBEDDING};

/// The `[task]` section of a recipe for captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The order in which the encoder reads the pixels.
    pub read: Reading,
    /// Height and width of the patches that `read = "patches"` divides an image into, in pixels.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub patch_size: usize,
    /// Whether the network sees the image. Without it, the model is a language model of the captions: a baseline.
    pub image: bool,
    /// Minimum number of occurrences of a word in the captions of the training split; rarer words are mapped to the unknown token.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub min_count: usize,
    /// Maximum number of words in the vocabulary; the most frequent ones are kept.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_vocabulary: usize,
    /// Size of the word embeddings, and of the projection of the pixels of a row or patch.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Score function of the decoder's attention over the encoder's outputs.
    pub attention: AttentionScore,
    /// Label smoothing: probability that the training loss divides among all words (Szegedy et al. 2016). Losses of other splits are not smoothed.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub label_smoothing: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read: Reading::Rows,
            patch_size: 4,
            image: true,
            min_count: 1,
            max_vocabulary: 20_000,
            embedding_size: 64,
            attention: AttentionScore::default(),
            label_smoothing: 0.0,
        }
    }
}

/// The order in which an encoder reads the pixels of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Reading {
    /// Row by row, from top to bottom.
    Rows,
    /// Row by row, then column by column, from left to right: twice as many steps.
    RowsAndColumns,
    /// In square patches: one network reads each row of patches, and a second one each column of its outputs (ReNet, Visin et al. 2015).
    Patches,
}
