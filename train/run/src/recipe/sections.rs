//! The sections of a recipe, with their defaults.

use seqzoo_datasets::batch::Limits;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::series::Framing;
use seqzoo_datasets::text::{Keep, Level};
use seqzoo_models::layers::{AttentionScore, Pooling, Skip};
use seqzoo_models::networks::Outlook;
use serde::{Deserialize, Serialize};

use super::{InvalidValue, invalid};

/// How text becomes token numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextSettings {
    /// What a token is.
    pub level: Level,
    /// Tokens that occur less often in the training part are unknown.
    pub min_count: usize,
    /// Tokens known at most.
    pub max_vocabulary: usize,
    /// Tokens read of a text at most.
    pub max_tokens: usize,
    /// Which end of a longer text is read.
    pub keep: Keep,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self { level: Level::Words, min_count: 1, max_vocabulary: 20_000, max_tokens: 400, keep: Keep::First }
    }
}

/// Sizes of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Features of a token.
    pub embedding_size: usize,
    /// Features of each layer's hidden state, per direction, the lowest layer first.
    pub hidden_sizes: Vec<usize>,
    /// What a layer hands on beside its own reading.
    #[serde(default)]
    pub skip: Skip,
    /// Whether a linear map joins differing widths under residual and highway connections.
    #[serde(default)]
    pub projection: bool,
    /// How outputs become one vector, where one is needed.
    #[serde(default)]
    pub pooling: Pooling,
    /// Whether a language model's output reads with the embedding's own weights.
    #[serde(default)]
    pub tied: bool,
    /// How well what an encoder–decoder writes fits a place of what it reads.
    #[serde(default)]
    pub attention: AttentionScore,
    /// Whether a tagger's labels depend on their neighbours (a conditional random field).
    #[serde(default)]
    pub joint: bool,
    /// All initial weights are drawn uniformly from ± this; 0: as each layer has them.
    #[serde(default)]
    pub uniform: f64,
}

/// How a tagger reads the letters of words, by layers of the model's own architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpellingSettings {
    /// Features of a letter.
    pub embedding_size: usize,
    /// Features of the hidden state, per direction; 0: letters are not read.
    pub hidden_size: usize,
}

/// How a series is cut and forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SeriesSettings {
    /// Of a table: the column of timestamps; without, rows are counted. An empty name is that of a column without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Of a table: the column that is forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of a table: columns that are known up to the present.
    pub features: Vec<String>,
    /// Rows of the past that are read.
    pub window: usize,
    /// Rows that are forecast.
    pub horizon: usize,
    /// What is said of each value to come.
    pub outlook: OutlookKind,
    /// The probabilities of quantiles.
    pub quantiles: Vec<f64>,
    /// Rows of a season; 0: as the data set or the calendar has it.
    pub season: usize,
    /// Whether the phase of the season is read too.
    pub calendar: bool,
    /// Whether the target is read and forecast as its difference from the last value that is known, so that a level which
    /// was never learnt from does no harm; Zeng et al., "Are transformers effective for time series forecasting?", AAAI 2023.
    pub relative: bool,
    /// Stretches of equal length by which a report tells errors apart.
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
            outlook: OutlookKind::Gaussian,
            quantiles: vec![0.05, 0.25, 0.5, 0.75, 0.95],
            season: 0,
            calendar: false,
            relative: false,
            folds: 4,
        }
    }
}

impl SeriesSettings {
    /// How the series is cut into questions.
    pub fn framing(&self) -> Framing {
        Framing { window: self.window, horizon: self.horizon, folds: self.folds }
    }

    /// What is said of each value to come.
    pub fn outlook(&self) -> Outlook {
        match self.outlook {
            OutlookKind::Point => Outlook::Point,
            OutlookKind::Gaussian => Outlook::Gaussian,
            OutlookKind::Quantiles => Outlook::Quantiles(self.quantiles.clone()),
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
            let expected =
                "probabilities between 0 and 1, each larger than the one before; among them 0.5, which is the forecast";
            let expected = expected.to_owned();
            return Err(invalid("series.quantiles", format!("{:?}", self.quantiles), expected));
        }
        Ok(())
    }
}

/// Rows of a window or a horizon at most.
const MAX_STEPS: usize = 1 << 20;

/// What is said of each value to come, see [`Outlook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutlookKind {
    /// One value.
    Point,
    /// Mean and standard deviation.
    Gaussian,
    /// The values at some probabilities.
    Quantiles,
}

/// What disturbs training: rates in [0, 1).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropoutSettings {
    /// Of tokens, each wherever it occurs in the batch.
    pub embedding: f64,
    /// Between layers, a new mask at each step.
    pub layers: f64,
    /// Between layers, the same mask at each step.
    pub locked: f64,
    /// Of recurrent weights.
    pub recurrent: f64,
    /// Of what the output reads.
    pub output: f64,
    /// Share of the state's units that keep their old value.
    pub zoneout: f64,
}

/// How the network is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// From which all random choices follow.
    #[serde(default)]
    pub seed: u64,
    /// Passes over the training part at most.
    pub epochs: usize,
    /// Sequences per batch; for running text, rows that are read side by side.
    pub batch_size: usize,
    /// Padded tokens per batch at most, rows times the longest: long sequences make smaller batches, one that is longer
    /// still a batch of its own. Running text and series have windows of one length, so batches of them are not cut.
    #[serde(default = "max_batch_tokens")]
    pub max_batch_tokens: usize,
    /// Batches whose gradients make one update, each counted by what it predicts.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// The optimiser's step size, before schedule and recovery.
    pub learning_rate: f64,
    /// Largest norm of the gradient of all parameters together; 0 leaves it as it is. Pascanu et al. 2013 find results
    /// insensitive to the threshold; 1 is customary for classifiers.
    #[serde(default = "unit")]
    pub clip_norm: f64,
    /// Largest magnitude of each element of the gradient, before its norm is measured; 0 leaves it as it is.
    #[serde(default)]
    pub clip_value: f64,
    /// Whether the backward pass computes the gates of recurrent layers again instead of keeping them: less memory for long
    /// sequences, more time, the same result to the bit. Where a kernel serves.
    #[serde(default)]
    pub recompute: bool,
}

impl TrainingSettings {
    /// The most that a batch holds.
    pub fn limits(&self) -> Limits {
        Limits { rows: self.batch_size, tokens: self.max_batch_tokens }
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

/// What turns gradients into updates; each kind reads the values that its equations name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Which equations.
    pub kind: OptimizerKind,
    /// Adam, AdamW: share of the old mean of gradients; Kingma and Ba 2015.
    pub beta_1: f64,
    /// Adam, AdamW: share of the old mean of squares; Kingma and Ba 2015.
    pub beta_2: f64,
    /// RMSprop: share of the old mean of squares; PyTorch's `alpha`.
    pub alpha: f64,
    /// Adam, AdamW, RMSprop: added to the root; Kingma and Ba 2015.
    pub epsilon: f64,
    /// SGD, RMSprop: share of the old velocity.
    pub momentum: f64,
    /// Pull of weights towards 0; biases and gains are left alone. Decoupled from the gradient in AdamW alone.
    pub weight_decay: f64,
    /// ASGD: validations without a better value after which averaging begins; Merity et al. 2018.
    pub trigger: usize,
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
            trigger: 5,
        }
    }
}

/// The equations of an optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Gradient descent, with momentum if given.
    Sgd,
    /// Kingma and Ba 2015.
    Adam,
    /// Adam with decoupled weight decay, Loshchilov and Hutter 2019.
    AdamW,
    /// Tieleman and Hinton 2012.
    RmsProp,
    /// Gradient descent whose weights are averaged once validation stops to improve, Merity et al. 2018.
    Asgd,
}

/// How the learning rate changes; each kind reads the values that its equation names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Which equation.
    pub kind: ScheduleKind,
    /// Updates over which the rate grows linearly to its value, whatever the kind.
    pub warmup_steps: u64,
    /// step, plateau: what the rate is multiplied by each time.
    pub factor: f64,
    /// step: passes at the full rate before the first time; 0: as many as between two.
    pub after: u64,
    /// step: passes between two times.
    pub every: u64,
    /// plateau: validations without a better value before each time.
    pub patience: u64,
    /// linear, cosine, one-cycle: share of the rate that is left at the end.
    pub last: f64,
    /// one-cycle: share of the updates over which the rate rises.
    pub rise: f64,
    /// one-cycle: share of the rate at the beginning.
    pub first: f64,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Constant,
            warmup_steps: 0,
            factor: 0.5,
            after: 0,
            every: 1,
            patience: 1,
            last: 0.0,
            rise: 0.3,
            first: 0.04,
        }
    }
}

/// The equation of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// The rate as it is.
    Constant,
    /// Multiplied by a factor every so many passes.
    Step,
    /// In a straight line to its last share.
    Linear,
    /// Along half a cosine to its last share; Loshchilov and Hutter 2017, without restarts.
    Cosine,
    /// Up along half a cosine, then down along another; Smith and Topin 2018.
    OneCycle,
    /// Multiplied by a factor whenever validation stops to improve.
    Plateau,
}

impl ScheduleKind {
    /// Whether the rate depends on how many passes there will be.
    pub fn needs_end(self) -> bool {
        matches!(self, Self::Linear | Self::Cosine | Self::OneCycle)
    }
}

/// How far back gradients go in running text: truncated backpropagation through time, TBPTT(k1, k2).
///
/// Every `k1` steps, an update: from the state `k2` steps back, those steps are read again with the current weights, and the
/// losses of the last `k1` of them (of all, where `k2` < `k1`) are propagated back. Williams and Peng 1990.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BpttSettings {
    /// Steps from update to update; 0: the whole text at once.
    pub k1: usize,
    /// Steps that an update reaches back; 0: as many as `k1`.
    pub k2: usize,
}

/// When checkpoints are saved, beside the end of each pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Updates between two; 0: only by the clock.
    pub every_steps: u64,
    /// Seconds between two; 0: only by updates.
    pub every_seconds: u64,
    /// How many are kept beside the best.
    pub keep: usize,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { every_steps: 0, every_seconds: 60, keep: 3 }
    }
}

/// What validation is watched for.
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

/// The figure that a recipe is expected to reach with its main model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The part of the data that is reported on.
    pub split: String,
    /// What is measured.
    pub metric: Metric,
    /// Its value: accuracy and macro-f1 at least, loss and rmse at most; none where the data are the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}
