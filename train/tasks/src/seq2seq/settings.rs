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
    /// Unit of tokenization of sources, and of targets without `target_level`.
    pub level: Tokenization,
    /// Unit of tokenization of targets; by default, `level`. Targets of words and subwords are evaluated by BLEU and chrF, those of words
    /// by ROUGE, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_level: Option<Tokenization>,
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
    /// Whether the decoder may copy tokens of the source, so that it can write names and numbers outside the target vocabulary
    /// (pointer-generator, See et al. 2017). A model's name may end in `+copy`. Needs `label_smoothing = 0` and equal levels of source and target.
    pub copy: bool,
    /// Label smoothing: probability that the training loss divides among all target tokens (Szegedy et al. 2016). Losses of other splits
    /// are not smoothed. 0 with `copy`.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub label_smoothing: f64,
    /// Scheduled sampling: probability, after `scheduled_sampling_epochs`, that an input of the decoder in training is the model's own
    /// prediction instead of the target token (Bengio et al. 2015). 0: teacher forcing, always the target token.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub scheduled_sampling: f64,
    /// Number of epochs over which the probability of `scheduled_sampling` grows linearly from 0, its value in the first epoch.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub scheduled_sampling_epochs: usize,
    /// Length normalization of beam search: the exponent α of ((5 + n) / 6)^α, by which the log-probability of n tokens is divided to rank
    /// hypotheses (Wu et al. 2016). 0: by probability, which favors short ones.
    #[schemars(range(min = 0.0))]
    pub length_penalty: f64,
}

impl Settings {
    /// Unit of tokenization of targets.
    pub(crate) fn target_level(&self) -> Tokenization {
        self.target_level.unwrap_or(self.level)
    }

    /// Probability of scheduled sampling in an epoch, counted from 0.
    pub(super) fn sampling(&self, epoch: u64) -> f64 {
        self.scheduled_sampling * (epoch as f64 / self.scheduled_sampling_epochs as f64).min(1.0)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Tokenization::Words,
            target_level: None,
            min_count: 1,
            max_vocabulary: 20_000,
            embedding_size: 64,
            attention: AttentionScore::default(),
            copy: false,
            label_smoothing: 0.0,
            scheduled_sampling: 0.0,
            scheduled_sampling_epochs: 1,
            length_penalty: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_grows_linearly_from_zero() {
        let settings = Settings { scheduled_sampling: 0.5, scheduled_sampling_epochs: 4, ..Settings::default() };
        assert_eq!([0, 1, 2, 4, 9].map(|epoch| settings.sampling(epoch)), [0.0, 0.125, 0.25, 0.5, 0.5]);
        assert_eq!([0, 1].map(|epoch| Settings::default().sampling(epoch)), [0.0, 0.0]);
    }
}
