//! The sections of a recipe, with their defaults.

use schemars::JsonSchema;
use seqzoo_datasets::batch::BatchLimits;
use seqzoo_tasks::{MAX_BATCH_TOKENS, MAX_COUNT};
use serde::{Deserialize, Serialize};

/// How the network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Random seed: weights, order of examples, dropout masks.
    #[serde(default)]
    pub seed: u64,
    /// Maximum number of epochs.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub epochs: usize,
    /// Sequences per batch; for running text, the number of parallel streams.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub batch_size: usize,
    /// Padded tokens per batch at most, rows times the longest: long sequences make smaller batches, one that is longer
    /// still a batch of its own. Running text and series have windows of one length, so batches of them are not cut.
    #[serde(default = "max_batch_tokens")]
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_batch_tokens: usize,
    /// Number of batches per update (gradient accumulation), weighted by their predictions.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub accumulate: usize,
    /// Learning rate, before schedule and recovery.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// Largest norm of the gradient of all parameters together; 0 leaves it as it is. Pascanu et al. 2013 find results
    /// insensitive to the threshold; 1 is customary for classifiers.
    #[serde(default = "unit")]
    #[schemars(range(min = 0.0))]
    pub clip_norm: f64,
    /// Largest magnitude of each element of the gradient, before its norm is measured; 0 leaves it as it is.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
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

/// The optimizer; each kind reads the fields that its equations name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// The optimizer's name.
    pub kind: OptimizerKind,
    /// Adam, AdamW: decay rate of the first moment, β₁.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_1: f64,
    /// Adam, AdamW: decay rate of the second moment, β₂.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_2: f64,
    /// RMSprop: smoothing constant α.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub alpha: f64,
    /// Adam, AdamW, RMSprop: ε, added to the denominator.
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    /// SGD, RMSprop: momentum.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub momentum: f64,
    /// Weight decay of matrices; biases and gains are not decayed. Decoupled from the gradient in AdamW only.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// ASGD: epochs without improvement after which averaging begins (NT-ASGD; Merity et al. 2018).
    #[schemars(range(min = 1, max = MAX_COUNT))]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// The schedule's name.
    pub kind: ScheduleKind,
    /// Number of updates of linear warm-up, with any schedule.
    pub warmup_steps: u64,
    /// step, plateau: factor of each reduction.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub factor: f64,
    /// step: epochs before the first reduction; 0: `step_epochs`.
    pub start_epoch: u64,
    /// step: epochs between reductions.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub step_epochs: u64,
    /// plateau: epochs without improvement before each reduction.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub patience: u64,
    /// linear, cosine, one-cycle: final learning rate, as a fraction of the peak.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub final_fraction: f64,
    /// one-cycle: fraction of all updates with a rising learning rate.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub rise_fraction: f64,
    /// one-cycle: initial learning rate, as a fraction of the peak.
    #[schemars(range(min = 0.0, max = 1.0))]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// When checkpoints are saved, in addition to the end of each epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Updates between checkpoints; 0: only by time.
    pub every_steps: u64,
    /// Seconds between checkpoints; 0: only by updates.
    pub every_seconds: u64,
    /// Number of checkpoints to keep in addition to the best one.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub keep: usize,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { every_steps: 0, every_seconds: 60, keep: 3 }
    }
}

/// Early stopping and the choice of the best checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoppingSettings {
    /// The validation metric by which checkpoints are compared; if not set, the task's main metric.
    pub metric: Option<String>,
    /// Epochs without a better value after which training ends.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub patience: usize,
}

impl Default for StoppingSettings {
    fn default() -> Self {
        Self { metric: None, patience: 3 }
    }
}

/// The value that a shipped recipe's first model is expected to reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The reported split.
    pub split: String,
    /// The metric.
    pub metric: String,
    /// Its expected value: a minimum if higher values are better, else a maximum.
    pub value: f64,
}
