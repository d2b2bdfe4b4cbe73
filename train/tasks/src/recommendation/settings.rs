//! Settings of recommenders.

use schemars::JsonSchema;
use seqzoo_models::networks::RankingLoss;
use serde::{Deserialize, Serialize};

use crate::spec::{MAX_COUNT, MAX_EMBEDDING};

/// The `[task]` section of a recipe for recommendation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Size of the item embeddings.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Maximum number of items of a history, the most recent ones, in training and prediction.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_history: usize,
    /// Training loss.
    pub loss: Loss,
    /// Number of random items with which the sampled losses compare the actual ones; all predictions of a batch share them.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub negatives: usize,
    /// Exponent of the popularity of an item in the probability that it is drawn. 0: all items are drawn equally often; 1: in proportion to
    /// their interactions.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub negatives_power: f64,
    /// Whether scores are products with the input embedding of each item (weight tying), rather than with an output embedding.
    pub tied: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            embedding_size: 64,
            max_history: 50,
            loss: Loss::CrossEntropy,
            negatives: 512,
            negatives_power: 0.0,
            tied: true,
        }
    }
}

/// Training loss of recommenders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy over all items.
    CrossEntropy,
    /// Cross-entropy over the actual item and the random ones, corrected for their probabilities to be drawn (Bengio and Senécal 2008).
    SampledSoftmax,
    /// Bayesian personalized ranking: the actual item scores higher than each random one (Rendle et al. 2009).
    Bpr,
    /// TOP1: as `bpr`, with scores of random items close to 0 (Hidasi et al. 2016).
    Top1,
}

impl Loss {
    /// The loss over sampled items; `None` for cross-entropy over all of them.
    pub(super) fn sampled(self) -> Option<RankingLoss> {
        match self {
            Self::CrossEntropy => None,
            Self::SampledSoftmax => Some(RankingLoss::Softmax),
            Self::Bpr => Some(RankingLoss::Bpr),
            Self::Top1 => Some(RankingLoss::Top1),
        }
    }

    /// Whether scores are logarithms of probabilities, up to a constant.
    pub(super) fn has_probabilities(self) -> bool {
        matches!(self, Self::CrossEntropy | Self::SampledSoftmax)
    }
}
