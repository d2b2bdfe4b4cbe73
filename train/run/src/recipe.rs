//! Recipes: one experiment per TOML file; shipped recipes are embedded in the program.

use std::borrow::Cow;
use std::collections::BTreeMap;

use seqzoo_datasets::catalog::{self, Dataset, Origin};
use seqzoo_datasets::classification::Split;
use seqzoo_tasks::{self as tasks, MAX_HIDDEN, ModelName, Task};
use serde::{Deserialize, Serialize};
use toml::Table;

mod per_model;
pub(crate) mod renamed;
mod sections;

pub use sections::{
    CheckpointSettings, DataSettings, Expected, OptimizerKind, OptimizerSettings, ScheduleKind, ScheduleSettings,
    StoppingSettings, TrainingSettings,
};
pub use seqzoo_datasets::scores::Metric;
pub use seqzoo_tasks::{DropoutSettings, InvalidValue, ModelSpec, NetworkSettings};

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

/// A recipe: data, task, models and hyperparameters of one experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// One-sentence summary.
    pub summary: String,
    /// Models to train and compare, see [`ModelName`]; the first is the main one.
    pub models: Vec<String>,
    /// The data to train on.
    pub data: DataSettings,
    /// The task and its settings, with every default filled in, see [`Task::resolve`].
    #[serde(deserialize_with = "tasks::deserialize_section")]
    pub task: Table,
    /// Layers of the network.
    pub network: NetworkSettings,
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
    /// Checkpoint intervals.
    #[serde(default)]
    pub checkpoints: CheckpointSettings,
    /// Early stopping and the choice of the best checkpoint.
    #[serde(default)]
    pub stopping: StoppingSettings,
    /// Per-model values that replace the common ones, by model name: `[model.rnn.training]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub model: BTreeMap<String, Table>,
    /// Value that the first model is expected to reach, for `verify`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
}

impl Recipe {
    /// The dataset.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn dataset(&self) -> Result<&'static Dataset, InvalidValue> {
        let known = catalog::ALL.map(|dataset| dataset.name);
        let name = &self.data.dataset;
        Dataset::named(name).ok_or_else(|| InvalidValue::unknown("data.dataset", name, &known))
    }

    /// The task.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn task(&self) -> Result<&'static dyn Task, InvalidValue> {
        tasks::of(&self.task)
    }

    /// The validation metric by which checkpoints are compared; of an invalid recipe, the loss.
    pub fn stopping_metric(&self) -> Metric {
        self.check_stopping_metric().unwrap_or(Metric::LOSS)
    }

    fn check_stopping_metric(&self) -> Result<Metric, InvalidValue> {
        let task = self.task()?;
        match self.stopping.metric.as_str() {
            "" => Ok(task.metrics()[0]),
            name => tasks::metric(task, "stopping.metric", name),
        }
    }

    /// The reported metric: the expected one, else that by which checkpoints are compared.
    pub fn reported_metric(&self) -> Metric {
        self.check_expected_metric().ok().flatten().unwrap_or_else(|| self.stopping_metric())
    }

    fn check_expected_metric(&self) -> Result<Option<Metric>, InvalidValue> {
        let Some(expected) = &self.expected else { return Ok(None) };
        tasks::metric(self.task()?, "expected.metric", &expected.metric).map(Some)
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

    /// The split that the recipe expects a value on; `None` without such a value.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn expected_split(&self) -> Result<Option<Split>, InvalidValue> {
        let Some(Expected { split, .. }) = &self.expected else { return Ok(None) };
        let known = Split::ALL.map(Split::name);
        Split::named(split).map(Some).ok_or_else(|| InvalidValue::unknown("expected.split", split, &known))
    }

    /// Parses a model name: the model with its own values.
    ///
    /// # Errors
    /// If the name is not valid.
    pub fn spec(&self, name: &str) -> Result<ModelSpec, InvalidValue> {
        let parsed = ModelName::parse(name)?;
        let Recipe { network, dropout, task, training, .. } = self.of_model(name)?;
        Ok(ModelSpec {
            name: name.to_owned(),
            backbone: parsed.backbone,
            network,
            dropout,
            task,
            batch: training.limits(),
            seed: training.seed,
        })
    }

    /// Names the metric by which checkpoints are compared, if the recipe leaves it to the task.
    pub(crate) fn fill_in_metric(&mut self) {
        if let Ok(metric) = self.check_stopping_metric() {
            self.stopping.metric = metric.name.to_owned();
        }
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
        let task = self.task()?;
        let dataset = self.dataset()?;
        self.specs()?;
        self.expected_split()?;
        self.check_stopping_metric()?;
        self.check_expected_metric()?;
        let training = self.training;
        let TrainingSettings { epochs, batch_size, accumulate, learning_rate, clip_norm, clip_value, .. } = training;
        let positive = [
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
        if let Some(value) = self.expected.as_ref().map(|expected| expected.value).filter(|value| !value.is_finite()) {
            return Err(invalid("expected.value", value, "a finite number".to_owned()));
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
        let named = self.data.columns().next();
        if let Some((field, value)) = named.filter(|_| !matches!(dataset.origin, Origin::Table)) {
            return Err(invalid(field, value, format!("{} has no choice of columns", dataset.name)));
        }
        for spec in self.specs()? {
            task.check(&spec)?;
        }
        self.validate_per_model()
    }
}

fn invalid(field: impl Into<Cow<'static, str>>, value: impl ToString, expected: String) -> InvalidValue {
    InvalidValue::new(field, value, expected)
}
