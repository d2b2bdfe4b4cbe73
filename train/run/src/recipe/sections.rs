//! The sections of a recipe, with their defaults.

use seqzoo_datasets::batch::BatchLimits;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::series::RollingOrigin;
use seqzoo_datasets::text::{Tokenization, Truncation};
use seqzoo_models::layers::{AttentionScore, Pooling, Skip};
use seqzoo_models::networks::ForecastHead;
use serde::{Deserialize, Serialize};

use super::{InvalidValue, invalid};

/// How text is encoded as token ids.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextSettings {
    /// The unit of tokenization.
    pub level: Tokenization,
    /// Minimum count of a token in the training split; rarer tokens are unknown.
    pub min_count: usize,
    /// Maximum size of the vocabulary, most frequent tokens first.
    pub max_vocabulary: usize,
    /// Maximum number of tokens per text; longer texts are truncated.
    pub max_tokens: usize,
    /// Which end of a text is kept when it is truncated.
    pub keep: Truncation,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self {
            level: Tokenization::Words,
            min_count: 1,
            max_vocabulary: 20_000,
            max_tokens: 400,
            keep: Truncation::First,
        }
    }
}

/// Architecture of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Size of token embeddings.
    pub embedding_size: usize,
    /// Hidden size of each recurrent layer, per direction, first layer first.
    pub hidden_sizes: Vec<usize>,
    /// Skip connections between layers.
    #[serde(default)]
    pub skip: Skip,
    /// Whether residual and highway connections use a linear projection where sizes differ.
    #[serde(default)]
    pub projection: bool,
    /// Pooling of the outputs over time into one vector (classification, relations).
    #[serde(default)]
    pub pooling: Pooling,
    /// Whether a language model ties the weights of its output layer to the embedding.
    #[serde(default)]
    pub tied: bool,
    /// Attention score of an encoder-decoder.
    #[serde(default)]
    pub attention: AttentionScore,
    /// Whether a tagger has a conditional random field (CRF) as its output layer.
    #[serde(default)]
    pub crf: bool,
    /// All weights are initialized uniformly in ±`init_range`; 0: each layer's own initialization.
    #[serde(default)]
    pub init_range: f64,
}

/// A tagger's character encoder: a recurrent layer of the model's own architecture over the characters of each word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CharacterSettings {
    /// Size of character embeddings.
    pub embedding_size: usize,
    /// Hidden size, per direction; 0: no character encoder.
    pub hidden_size: usize,
}

/// Columns, windows and forecast distribution of a series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeriesSettings {
    /// Column of timestamps of a CSV file; without one, rows are numbered. An empty name is that of the column without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Column of a CSV file to forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Columns of a CSV file used as features; their values are known up to the forecast origin.
    pub features: Vec<String>,
    /// Number of past rows that the model reads.
    pub window: usize,
    /// Forecast horizon, in rows.
    pub horizon: usize,
    /// Forecast distribution of each future value.
    pub distribution: DistributionKind,
    /// Probabilities of the forecast quantiles, increasing; 0.5 is the point forecast.
    pub quantiles: Vec<f64>,
    /// Seasonal period in rows; 0: that of the dataset or of its time step.
    pub season: usize,
    /// Whether the seasonal phase (as sine and cosine) is an input.
    pub calendar: bool,
    /// Whether inputs and forecasts of the target are differences from its last known value, which makes the model
    /// independent of the level; Zeng et al., "Are transformers effective for time series forecasting?", AAAI 2023.
    pub difference: bool,
    /// Number of consecutive periods of equal length for which errors are reported separately.
    pub folds: usize,
}

impl Default for SeriesSettings {
    fn default() -> Self {
        Self {
            time: None,
            target: None,
            features: Vec::new(),
            window: 30,
            horizon: 1,
            distribution: DistributionKind::Gaussian,
            quantiles: vec![0.05, 0.25, 0.5, 0.75, 0.95],
            season: 0,
            calendar: false,
            difference: false,
            folds: 4,
        }
    }
}

impl SeriesSettings {
    /// Window, horizon and folds.
    pub fn framing(&self) -> RollingOrigin {
        RollingOrigin { window: self.window, horizon: self.horizon, folds: self.folds }
    }

    /// The forecast head for the chosen distribution.
    pub fn head(&self) -> ForecastHead {
        match self.distribution {
            DistributionKind::Point => ForecastHead::Point,
            DistributionKind::Gaussian => ForecastHead::Gaussian,
            DistributionKind::Quantiles => ForecastHead::Quantiles(self.quantiles.clone()),
        }
    }

    /// Refuses what no forecaster can have.
    pub(super) fn validate(&self) -> Result<(), InvalidValue> {
        let sizes = [
            ("series.window", self.window),
            ("series.horizon", self.horizon),
            ("series.folds", self.folds),
            ("series.season", self.season.max(1)),
        ];
        if let Some((field, value)) = sizes.into_iter().find(|&(_, value)| value == 0 || value > MAX_STEPS) {
            return Err(invalid(field, value, format!("a whole number from 1 to {MAX_STEPS}")));
        }
        let rising = self.quantiles.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = self.quantiles.iter().all(|&probability| probability > 0.0 && probability < 1.0);
        if !rising || !inside || !self.quantiles.contains(&0.5) {
            let expected = "increasing probabilities between 0 and 1, including 0.5, the point forecast";
            let expected = expected.to_owned();
            return Err(invalid("series.quantiles", format!("{:?}", self.quantiles), expected));
        }
        Ok(())
    }
}

/// Rows of a window or a horizon at most.
const MAX_STEPS: usize = 1 << 20;

/// A forecast distribution, see [`ForecastHead`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DistributionKind {
    /// One value.
    Point,
    /// Mean and standard deviation.
    Gaussian,
    /// The values at some probabilities.
    Quantiles,
}

/// Dropout and zoneout rates, in [0, 1).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropoutSettings {
    /// Embedding dropout: drops token types, each at all of its occurrences in the batch.
    pub embedding: f64,
    /// Dropout between layers, with a new mask at each step.
    pub layers: f64,
    /// Locked (variational) dropout between layers: the same mask at each step.
    pub locked: f64,
    /// Recurrent dropout: drops recurrent weights (DropConnect).
    pub recurrent: f64,
    /// Dropout on the input of the output layer.
    pub output: f64,
    /// Zoneout: probability that a unit of the state keeps its previous value.
    pub zoneout: f64,
}

/// How the network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Random seed: weights, order of examples, dropout masks.
    #[serde(default)]
    pub seed: u64,
    /// Maximum number of epochs.
    pub epochs: usize,
    /// Sequences per batch; for running text, the number of parallel streams.
    pub batch_size: usize,
    /// Padded tokens per batch at most, rows times the longest: long sequences make smaller batches, one that is longer
    /// still a batch of its own. Running text and series have windows of one length, so batches of them are not cut.
    #[serde(default = "max_batch_tokens")]
    pub max_batch_tokens: usize,
    /// Number of batches per update (gradient accumulation), weighted by their predictions.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Learning rate, before schedule and recovery.
    pub learning_rate: f64,
    /// Largest norm of the gradient of all parameters together; 0 leaves it as it is. Pascanu et al. 2013 find results
    /// insensitive to the threshold; 1 is customary for classifiers.
    #[serde(default = "unit")]
    pub clip_norm: f64,
    /// Largest magnitude of each element of the gradient, before its norm is measured; 0 leaves it as it is.
    #[serde(default)]
    pub clip_value: f64,
    /// Whether the backward pass recomputes the gates of recurrent layers instead of keeping them: less memory for long
    /// sequences, more time, the same result to the bit. Ignored where no kernel is used.
    #[serde(default)]
    pub recompute: bool,
}

impl TrainingSettings {
    /// The most that a batch holds.
    pub fn limits(&self) -> BatchLimits {
        BatchLimits { rows: self.batch_size, tokens: self.max_batch_tokens }
    }
}

fn one() -> usize {
    1
}

fn max_batch_tokens() -> usize {
    MAX_BATCH_TOKENS
}

fn unit() -> f64 {
    1.0
}

/// Padded tokens of a batch at most, in training by default and in evaluation always: with 400 tokens a sequence, 163 of them.
pub(crate) const MAX_BATCH_TOKENS: usize = 1 << 16;

/// The optimizer; each kind reads the fields that its equations name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// The optimizer's name.
    pub kind: OptimizerKind,
    /// Adam, AdamW: decay rate of the first moment, β₁.
    pub beta_1: f64,
    /// Adam, AdamW: decay rate of the second moment, β₂.
    pub beta_2: f64,
    /// RMSprop: smoothing constant α.
    pub alpha: f64,
    /// Adam, AdamW, RMSprop: ε, added to the denominator.
    pub epsilon: f64,
    /// SGD, RMSprop: momentum.
    pub momentum: f64,
    /// Weight decay of matrices; biases and gains are not decayed. Decoupled from the gradient in AdamW only.
    pub weight_decay: f64,
    /// ASGD: epochs without improvement after which averaging begins (NT-ASGD; Merity et al. 2018).
    pub averaging_patience: usize,
}

impl Default for OptimizerSettings {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Adam,
            beta_1: 0.9,
            beta_2: 0.999,
            alpha: 0.99,
            epsilon: 1e-8,
            momentum: 0.0,
            weight_decay: 0.0,
            averaging_patience: 5,
        }
    }
}

/// The name of an optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent, with momentum if given.
    Sgd,
    /// Kingma and Ba 2015.
    Adam,
    /// Adam with decoupled weight decay, Loshchilov and Hutter 2019.
    AdamW,
    /// Tieleman and Hinton 2012.
    RmsProp,
    /// Averaged SGD, triggered by validation (NT-ASGD); Merity et al. 2018.
    Asgd,
}

/// The learning rate schedule; each kind reads the fields that its equation names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// The schedule's name.
    pub kind: ScheduleKind,
    /// Number of updates of linear warm-up, with any schedule.
    pub warmup_steps: u64,
    /// step, plateau: factor of each reduction.
    pub factor: f64,
    /// step: epochs before the first reduction; 0: `step_epochs`.
    pub start_epoch: u64,
    /// step: epochs between reductions.
    pub step_epochs: u64,
    /// plateau: epochs without improvement before each reduction.
    pub patience: u64,
    /// linear, cosine, one-cycle: final learning rate, as a fraction of the peak.
    pub final_fraction: f64,
    /// one-cycle: fraction of all updates with a rising learning rate.
    pub rise_fraction: f64,
    /// one-cycle: initial learning rate, as a fraction of the peak.
    pub initial_fraction: f64,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Constant,
            warmup_steps: 0,
            factor: 0.5,
            start_epoch: 0,
            step_epochs: 1,
            patience: 1,
            final_fraction: 0.0,
            rise_fraction: 0.3,
            initial_fraction: 0.04,
        }
    }
}

/// The name of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// Constant.
    Constant,
    /// Multiplied by `factor` every `step_epochs` epochs.
    Step,
    /// Linear decay to `final_fraction`.
    Linear,
    /// Cosine decay to `final_fraction`; Loshchilov and Hutter 2017, without restarts.
    Cosine,
    /// One cycle: up along half a cosine, then down along another; Smith and Topin 2018.
    OneCycle,
    /// Multiplied by `factor` whenever the validation metric stops improving.
    Plateau,
}

impl ScheduleKind {
    /// Whether the learning rate depends on the number of epochs.
    pub fn needs_end(self) -> bool {
        matches!(self, Self::Linear | Self::Cosine | Self::OneCycle)
    }
}

/// Truncated backpropagation through time, TBPTT(k1, k2), for running text.
///
/// Every `k1` steps there is one update: from the stored state `k2` steps back, those steps are recomputed with the current
/// weights, and the losses of the last `k1` of them (of all, where `k2` < `k1`) are backpropagated. Williams and Peng 1990.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BpttSettings {
    /// Steps between updates; 0: the whole text.
    pub k1: usize,
    /// Steps of backpropagation per update; 0: `k1`.
    pub k2: usize,
}

/// When checkpoints are saved, in addition to the end of each epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Updates between checkpoints; 0: only by time.
    pub every_steps: u64,
    /// Seconds between checkpoints; 0: only by updates.
    pub every_seconds: u64,
    /// Number of checkpoints to keep in addition to the best one.
    pub keep: usize,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { every_steps: 0, every_seconds: 60, keep: 3 }
    }
}

/// Early stopping and the choice of the best checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoppingSettings {
    /// The validation metric by which checkpoints are compared.
    pub metric: Metric,
    /// Epochs without a better value after which training ends.
    pub patience: usize,
}

impl Default for StoppingSettings {
    fn default() -> Self {
        Self { metric: Metric::Accuracy, patience: 3 }
    }
}

/// The metric that a recipe's first model is expected to reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The reported split.
    pub split: String,
    /// The metric.
    pub metric: Metric,
    /// Its expected value: a minimum for accuracy and macro-f1, a maximum for loss and rmse; none for a user's own data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}
