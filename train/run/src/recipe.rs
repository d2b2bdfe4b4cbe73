//! Recipes: one experiment per TOML file; shipped recipes are embedded in the program.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::module::Module;
use seqzoo_datasets::catalog::{self, Dataset, Origin};
use seqzoo_datasets::classification::Split;
use seqzoo_models::init::all_uniform;
use seqzoo_random::{Key, Purpose};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::did_you_mean;

mod model_spec;
mod per_model;
pub(crate) mod renamed;
mod sections;

pub use model_spec::{Backbone, ModelSpec};
pub(crate) use sections::MAX_BATCH_TOKENS;
pub use sections::{
    BpttSettings, CharacterSettings, CheckpointSettings, DistributionKind, DropoutSettings, Expected, NetworkSettings,
    OptimizerKind, OptimizerSettings, ScheduleKind, ScheduleSettings, SeriesSettings, StoppingSettings, TextSettings,
    TrainingSettings,
};
pub use seqzoo_datasets::scores::Metric;

/// Embeds files of `train/recipes`.
macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        /// Shipped recipes: name and text, in the order of listings.
        pub const SHIPPED: [(&str, &str); [$($name),*].len()] =
            [$(($name, include_str!(concat!("../../recipes/", $name, ".toml")))),*];
    };
}

shipped![
    "agreement",
    "recall",
    "names",
    "imdb",
    "pos",
    "sentences",
    "shakespeare",
    "ptb",
    "execute",
    "temperatures",
    "forecast"
];

/// A recipe: dataset, models and hyperparameters of one experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// One-sentence summary.
    pub summary: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Models to train and compare, see [`ModelSpec`]; the first is the main one.
    pub models: Vec<String>,
    /// Encoding of text as token ids.
    #[serde(default)]
    pub text: TextSettings,
    /// Architecture of the network.
    pub network: NetworkSettings,
    /// Character encoder of a tagger.
    #[serde(default)]
    pub characters: CharacterSettings,
    /// Columns, windows and forecast distribution of a series.
    #[serde(default)]
    pub series: SeriesSettings,
    /// Dropout and zoneout.
    #[serde(default)]
    pub dropout: DropoutSettings,
    /// Training: seed, epochs, batches, learning rate, clipping.
    pub training: TrainingSettings,
    /// Optimizer.
    #[serde(default)]
    pub optimizer: OptimizerSettings,
    /// Learning rate schedule.
    #[serde(default)]
    pub schedule: ScheduleSettings,
    /// Truncated backpropagation through time, for running text.
    #[serde(default)]
    pub bptt: BpttSettings,
    /// Checkpoint intervals.
    #[serde(default)]
    pub checkpoints: CheckpointSettings,
    /// Early stopping and the choice of the best checkpoint.
    #[serde(default)]
    pub stopping: StoppingSettings,
    /// Per-model values that replace the common ones, by model name: `[model.rnn.training]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model: BTreeMap<String, Table>,
    /// Metric that the first model is expected to reach.
    pub expected: Expected,
}

/// An invalid value of a recipe field.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} = {value}: {expected}")]
pub struct InvalidValue {
    /// The field, `section.field`.
    pub field: Cow<'static, str>,
    /// The value.
    pub value: String,
    /// Valid values.
    pub expected: String,
}

impl Recipe {
    /// The dataset.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn dataset(&self) -> Result<&'static Dataset, InvalidValue> {
        let known = || catalog::all().iter().map(|dataset| dataset.name).collect::<Vec<_>>();
        Dataset::named(&self.dataset)
            .ok_or_else(|| invalid("dataset", &self.dataset, unknown_name(&self.dataset, &known())))
    }

    /// The models, the main one first.
    ///
    /// # Errors
    /// If the list is empty, or a model is invalid or listed twice.
    pub fn specs(&self) -> Result<Vec<ModelSpec>, InvalidValue> {
        let mut found: Vec<ModelSpec> = Vec::new();
        for name in &self.models {
            if found.iter().any(|spec| spec.name == *name) {
                return Err(invalid("models", name, "each model can be listed only once".to_owned()));
            }
            found.push(self.spec(name)?);
        }
        match found.is_empty() {
            true => Err(invalid("models", "[]", "at least one model, such as [\"lstm\"]".to_owned())),
            false => Ok(found),
        }
    }

    /// The reported split.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn reported_split(&self) -> Result<Split, InvalidValue> {
        let split = &self.expected.split;
        let known = || Split::ALL.map(Split::name);
        Split::named(split).ok_or_else(|| invalid("expected.split", split, unknown_name(split, &known())))
    }

    /// Whether a run of this recipe can be resumed with `other`: they differ only in limits and checkpoint intervals.
    pub fn same_run(&self, other: &Recipe) -> bool {
        let epochs = if self.schedule.kind.needs_end() { other.training.epochs } else { self.training.epochs };
        let training = TrainingSettings { epochs, ..other.training };
        *self == Recipe { training, checkpoints: self.checkpoints, ..other.clone() }
    }

    /// Checks all values.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        let kind = self.dataset()?.kind;
        self.specs()?;
        self.reported_split()?;
        for (field, metric) in [("stopping.metric", self.stopping.metric), ("expected.metric", self.expected.metric)] {
            if !kind.metrics().contains(&metric) {
                let known: Vec<&str> = kind.metrics().iter().map(|metric| metric.name()).collect();
                let expected = format!("{} has metrics {}", self.dataset, known.join(", "));
                return Err(invalid(field, metric.name(), expected));
            }
        }
        let training = self.training;
        let TrainingSettings { epochs, batch_size, accumulate, learning_rate, clip_norm, clip_value, .. } = training;
        let positive = [
            ("text.min_count", self.text.min_count),
            ("text.max_vocabulary", self.text.max_vocabulary),
            ("text.max_tokens", self.text.max_tokens),
            ("network.embedding_size", self.network.embedding_size),
            ("training.epochs", epochs),
            ("training.batch_size", batch_size),
            ("training.max_batch_tokens", training.max_batch_tokens),
            ("training.accumulate", accumulate),
            ("stopping.patience", self.stopping.patience),
            ("optimizer.averaging_patience", self.optimizer.averaging_patience),
            ("schedule.step_epochs", usize::try_from(self.schedule.step_epochs).unwrap_or(usize::MAX)),
            ("schedule.patience", usize::try_from(self.schedule.patience).unwrap_or(usize::MAX)),
            ("checkpoints.keep", self.checkpoints.keep),
        ];
        if let Some((field, value)) = positive.into_iter().find(|&(_, value)| value == 0 || value > 1 << 24) {
            return Err(invalid(field, value, "a whole number from 1 to 16,777,216".to_owned()));
        }
        let largest = f64::from(f32::MAX);
        if !(learning_rate > 0.0 && learning_rate <= largest) {
            let expected = "a number above 0 in the range of f32".to_owned();
            return Err(invalid("training.learning_rate", learning_rate, expected));
        }
        let none_or_more = [
            ("training.clip_norm", clip_norm),
            ("training.clip_value", clip_value),
            ("network.init_range", self.network.init_range),
            ("optimizer.weight_decay", self.optimizer.weight_decay),
            ("optimizer.epsilon", self.optimizer.epsilon),
        ];
        if let Some((field, value)) = none_or_more.into_iter().find(|(_, value)| !(0.0..=largest).contains(value)) {
            return Err(invalid(field, value, "a non-negative number in the range of f32".to_owned()));
        }
        let unit = [
            ("schedule.factor", self.schedule.factor),
            ("schedule.final_fraction", self.schedule.final_fraction),
            ("schedule.initial_fraction", self.schedule.initial_fraction),
        ];
        if let Some((field, value)) = unit.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(invalid(field, value, "a number in [0, 1]".to_owned()));
        }
        if let Some(size) = self.network.hidden_sizes.iter().find(|size| !(1..=MAX_HIDDEN).contains(*size)) {
            return Err(invalid("network.hidden_sizes", size, format!("whole numbers from 1 to {MAX_HIDDEN}")));
        }
        if self.network.embedding_size > 1 << 16 {
            let value = self.network.embedding_size;
            return Err(invalid("network.embedding_size", value, "a whole number from 1 to 65,536".to_owned()));
        }
        let BpttSettings { k1, k2 } = self.bptt;
        if let Some((field, value)) = [("bptt.k1", k1), ("bptt.k2", k2)].into_iter().find(|&(_, k)| k > 1 << 24) {
            return Err(invalid(field, value, "a whole number from 0 to 16,777,216".to_owned()));
        }
        if k1 == 0 && k2 > 0 {
            return Err(invalid("bptt.k2", k2, "requires bptt.k1, the number of steps between updates".to_owned()));
        }
        if let Some(value) = self.expected.value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
            return Err(invalid("expected.value", value, "a non-negative number".to_owned()));
        }
        let DropoutSettings { embedding, layers, locked, recurrent, output, zoneout } = self.dropout;
        let OptimizerSettings { beta_1, beta_2, alpha, momentum, .. } = self.optimizer;
        let rates = [
            ("dropout.embedding", embedding),
            ("dropout.layers", layers),
            ("dropout.locked", locked),
            ("dropout.recurrent", recurrent),
            ("dropout.output", output),
            ("dropout.zoneout", zoneout),
            ("optimizer.beta_1", beta_1),
            ("optimizer.beta_2", beta_2),
            ("optimizer.alpha", alpha),
            ("optimizer.momentum", momentum),
            ("schedule.rise_fraction", self.schedule.rise_fraction),
        ];
        if let Some((field, value)) = rates.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            return Err(invalid(field, value, "a number in [0, 1)".to_owned()));
        }
        self.series.validate()?;
        let SeriesSettings { time, target, features, .. } = &self.series;
        let columns = [
            ("series.time", time.clone()),
            ("series.target", target.clone()),
            ("series.features", (!features.is_empty()).then(|| features.join(", "))),
        ];
        let named = columns.into_iter().find_map(|(field, value)| Some((field, value?)));
        if !matches!(self.dataset()?.origin, Origin::Table)
            && let Some((field, value)) = named
        {
            return Err(invalid(field, value, format!("{} has no choice of columns", self.dataset)));
        }
        for spec in self.specs()? {
            spec.validate(kind)?;
        }
        self.validate_per_model()
    }

    /// Reinitializes a network according to `network.init_range`; unchanged if that is 0.
    pub fn begin<M: Module>(&self, network: M) -> M {
        let key = Key::new(self.training.seed, Purpose::Weights).at(u64::MAX);
        if self.network.init_range == 0.0 { network } else { all_uniform(network, self.network.init_range, key) }
    }
}

/// Maximum hidden size of a layer: orthogonal initialization takes time cubic in the size.
const MAX_HIDDEN: usize = 4_096;

fn invalid(field: impl Into<Cow<'static, str>>, value: impl ToString, expected: String) -> InvalidValue {
    InvalidValue { field: field.into(), value: value.to_string(), expected }
}

fn unknown_name(name: &str, known: &[&str]) -> String {
    format!("unknown name{}; available: {}", did_you_mean(name, known.iter().copied()), known.join(", "))
}
