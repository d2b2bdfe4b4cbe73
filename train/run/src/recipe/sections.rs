//! The sections of a recipe, with their defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use burn::tensor::Device;
use schemars::JsonSchema;
use seqzoo_datasets::batch::BatchLimits;
use seqzoo_models::networks::name_in_member;
use seqzoo_tasks::{DynTrainingTask, InvalidValue, MAX_BATCH_TOKENS, MAX_COUNT};
use serde::{Deserialize, Serialize};

/// Sections without which there is no recipe.
pub(super) const REQUIRED: [&str; 3] = ["task", "network", "training"];

/// Training: seed, epochs, batches, learning rate, clipping.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Random seed of the initial weights, the order of examples and the dropout masks.
    #[serde(default)]
    pub seed: u64,
    /// Maximum number of epochs.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub epochs: usize,
    /// Number of sequences per batch; for language models, number of parallel rows into which the training text is split.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub batch_size: usize,
    /// Maximum number of tokens per batch, padding included: batches of long sequences have fewer rows, and a single sequence that exceeds
    /// the maximum is a batch of its own. No effect on language models and forecasters, whose windows have a fixed length.
    #[serde(default = "max_batch_tokens")]
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_batch_tokens: usize,
    /// Number of batches per update (gradient accumulation); the gradient is the mean over all their predictions.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub accumulate: usize,
    /// Base learning rate, scaled by the schedule and reduced by rollbacks after divergence.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: f64,
    /// Clipping threshold of the gradient norm over all parameters; 0 disables clipping. Results are not very sensitive to the threshold
    /// (Pascanu et al. 2013); 1 is customary for classifiers, and `--suggest-clip` suggests one.
    #[serde(default = "unit")]
    #[schemars(range(min = 0.0))]
    pub clip_norm: f64,
    /// Clipping threshold of each element of the gradient, applied before its norm is computed; 0 disables it.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub clip_value: f64,
    /// Whether the backward pass recomputes the gates of recurrent layers instead of storing them, which saves memory and takes about a third
    /// more time; results are bit-identical. No effect on layers without a fused kernel.
    #[serde(default)]
    pub recompute: bool,
}

impl TrainingSettings {
    /// Upper bounds on the size of a batch.
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

/// Initial weights from word vectors or another run, and learning rates per layer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InitSettings {
    /// Run whose weights replace the random ones: a path, a name or a unique prefix of it, or `last`. Copied are the embeddings of common
    /// tokens, and all layers with the same names and shapes except output layers; the forward direction of a bidirectional layer starts
    /// from a unidirectional one (semi-supervised sequence learning, Dai and Le 2015).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Model of that run; by default, the model of the same name, else the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// File of word vectors in the text format of GloVe, fastText or word2vec, optionally compressed; they replace the random embeddings of
    /// their words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vectors: Option<PathBuf>,
    /// Factors of the learning rate by layer, given by the first parts of the names of its parameters: `{ embedding = 0.1, "stack.layers.0" = 0
    /// }`; the longest name that matches applies. 0 freezes a layer.
    pub learning_rates: BTreeMap<String, f64>,
}

impl InitSettings {
    /// Whether initial weights come from a file or a run.
    pub fn is_set(&self) -> bool {
        self.from.is_some() || self.vectors.is_some()
    }

    /// Checks values that do not depend on a network.
    pub(crate) fn check(&self) -> Result<(), InvalidValue> {
        let invalid = self.learning_rates.iter().find(|(_, factor)| !factor.is_finite() || **factor < 0.0);
        if let Some((name, factor)) = invalid {
            return Err(InvalidValue::new(format!("init.learning_rates.{name}"), factor, "a number of at least 0"));
        }
        match &self.model {
            Some(model) if self.from.is_none() => {
                Err(InvalidValue::new("init.model", model, "no model without init.from, the run that has it"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that every learning rate is for a parameter of a network.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_layers(&self, training: &dyn DynTrainingTask, device: &Device) -> Result<(), InvalidValue> {
        if self.learning_rates.is_empty() {
            return Ok(());
        }
        let mut names = Vec::new();
        training.network(device).visit_parameters(&mut |name, _, _| names.push(name.to_owned()));
        self.check_names(names.iter().map(String::as_str))
    }

    /// Checks that every learning rate is for one of these parameters.
    pub(crate) fn check_names<'a>(
        &self,
        parameters: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), InvalidValue> {
        let is_unknown = |name: &&String| !parameters.clone().any(|parameter| is_within(parameter, name));
        let Some(name) = self.learning_rates.keys().find(is_unknown) else { return Ok(()) };
        let layers = parameters.map(|name| name_in_member(name).split('.').next().unwrap_or(name));
        let known: BTreeSet<&str> = layers.collect();
        let expected = format!(
            "expected the beginning of a parameter's name; the layers are {}",
            known.into_iter().collect::<Vec<_>>().join(", ")
        );
        Err(InvalidValue::new(format!("init.learning_rates.{name}"), self.learning_rates[name], expected))
    }
}

/// Whether a parameter belongs to a layer: whether its name starts with the parts of the layer's name.
fn is_within(parameter: &str, layer: &str) -> bool {
    name_in_member(parameter).strip_prefix(layer).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The factor of a parameter's learning rate.
pub fn learning_rate_factor(factors: &BTreeMap<String, f64>, parameter: &str) -> f64 {
    let matching = factors.iter().filter(|(layer, _)| is_within(parameter, layer));
    matching.max_by_key(|(layer, _)| layer.len()).map_or(1.0, |(_, factor)| *factor)
}

/// Optimizer. Each kind uses `kind`, `weight_decay` and the fields that name it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Optimizer.
    pub kind: OptimizerKind,
    /// Adam, AdamW: exponential decay rate β₁ of the first-moment estimate.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_1: f64,
    /// Adam, AdamW: exponential decay rate β₂ of the second-moment estimate.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub beta_2: f64,
    /// RMSprop: smoothing constant α of the mean squared gradient.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub alpha: f64,
    /// Adam, AdamW, RMSprop: ε, added to the denominator for numerical stability.
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    /// SGD, ASGD, RMSprop: momentum factor.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub momentum: f64,
    /// Weight decay of matrices; biases and gains are not decayed. Decoupled from the gradient in AdamW, an L2 penalty in all others.
    #[schemars(range(min = 0.0))]
    pub weight_decay: f64,
    /// ASGD: number of epochs without improvement of the stopping metric after which averaging of the weights begins.
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
    /// Stochastic gradient descent, optionally with momentum.
    Sgd,
    /// Adam; Kingma and Ba 2015.
    Adam,
    /// Adam with decoupled weight decay; Loshchilov and Hutter 2019.
    AdamW,
    /// RMSprop; Tieleman and Hinton 2012.
    RmsProp,
    /// SGD whose weights are averaged once validation stops improving (NT-ASGD); Merity et al. 2018.
    Asgd,
}

/// Learning rate schedule. Each kind uses `kind`, `warmup_steps` and the fields that name it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Learning rate schedule.
    pub kind: ScheduleKind,
    /// Number of updates of linear warm-up; combines with any schedule.
    pub warmup_steps: u64,
    /// step, plateau: factor by which each reduction multiplies the learning rate.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub factor: f64,
    /// step: number of epochs before the first reduction; 0: the value of `step_epochs`.
    pub start_epoch: u64,
    /// step: number of epochs between reductions.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub step_epochs: u64,
    /// plateau: number of epochs without improvement of the stopping metric before each reduction.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub patience: u64,
    /// linear, cosine, one-cycle: final learning rate, as a fraction of `training.learning_rate`.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub final_fraction: f64,
    /// one-cycle: fraction of all updates during which the learning rate increases.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub rise_fraction: f64,
    /// one-cycle: initial learning rate, as a fraction of `training.learning_rate`.
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
    /// Constant learning rate.
    Constant,
    /// Multiplication by `factor` every `step_epochs` epochs.
    Step,
    /// Linear decay to `final_fraction` over all epochs.
    Linear,
    /// Cosine decay to `final_fraction` over all epochs, without restarts; Loshchilov and Hutter 2017.
    Cosine,
    /// One cycle: cosine increase from `initial_fraction`, then cosine decay to `final_fraction`; Smith and Topin 2018.
    OneCycle,
    /// Multiplication by `factor` whenever the stopping metric has not improved for `patience` epochs.
    Plateau,
}

impl ScheduleKind {
    /// Whether the schedule depends on the total number of epochs.
    pub fn needs_end(self) -> bool {
        matches!(self, Self::Linear | Self::Cosine | Self::OneCycle)
    }
}

/// When checkpoints are saved, in addition to the end of each epoch, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Number of updates between checkpoints; 0: no checkpoints by number of updates.
    pub every_steps: u64,
    /// Number of seconds between checkpoints; 0: no checkpoints by time.
    pub every_seconds: u64,
    /// Number of latest checkpoints to keep, in addition to the best one.
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
    /// Validation metric for early stopping and the choice of the best checkpoint; by default, the first metric of the task. Equal values are
    /// decided by the validation loss, then by the earlier epoch.
    pub metric: Option<String>,
    /// Number of epochs without improvement of the metric after which training stops early.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub patience: usize,
    /// Whether the best checkpoint by the metric is evaluated and used; otherwise the last one, which suits datasets with too few validation
    /// examples to select a checkpoint.
    pub restore_best: bool,
}

impl Default for StoppingSettings {
    fn default() -> Self {
        Self { metric: None, patience: 3, restore_best: true }
    }
}

/// The value that a shipped recipe's first model is expected to reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Split on which the metric is reported: `train`, `validation` or `test`.
    pub split: String,
    /// Name of the metric.
    pub metric: String,
    /// Expected value of the metric: a lower bound if higher values are better, else an upper bound.
    pub value: f64,
}
