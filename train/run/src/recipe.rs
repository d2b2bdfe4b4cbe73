//! Recipes: one experiment per TOML file; shipped recipes are embedded in the program.

use std::borrow::Cow;
use std::collections::BTreeMap;

use seqzoo_datasets::DataError;
use seqzoo_datasets::catalog::Dataset;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::data_spec::{Content, Role};
use seqzoo_tasks::fields::{self, Field, Values};
use seqzoo_tasks::{self as tasks, ModelName, Task};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub(crate) mod malformed;
mod per_model;
pub(crate) mod renamed;
mod sections;
mod unused;

pub use sections::{
    CheckpointSettings, Expected, InitSettings, OptimizerKind, OptimizerSettings, ScheduleKind, ScheduleSettings,
    StoppingSettings, TrainingSettings, learning_rate_factor,
};
pub use seqzoo_datasets::columns::Columns;
pub use seqzoo_datasets::scores::Metric;
pub use seqzoo_datasets::settings::DataSettings;
pub use seqzoo_tasks::{DropoutSettings, InvalidValue, ModelSpec, NetworkSettings};

/// Shipped recipes: name and text of every file of `train/recipes`, by name.
pub const SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// A recipe: data, task, models and hyperparameters of one experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// One-sentence summary.
    pub summary: String,
    /// Models to train and compare, see [`ModelName`]; the first is the main one.
    pub models: Vec<String>,
    /// Dataset or files, columns by role, and splits; files may also be given by flags.
    #[serde(default)]
    pub data: DataSettings,
    /// The task and its settings, with every default filled in, see [`Task::resolve`].
    #[serde(deserialize_with = "tasks::deserialize_section")]
    pub task: Table,
    /// Layers of the network.
    pub network: NetworkSettings,
    /// Dropout and zoneout.
    #[serde(default)]
    pub dropout: DropoutSettings,
    /// Initial weights from word vectors or another run, and learning rates per layer.
    #[serde(default)]
    pub init: InitSettings,
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
    /// The named dataset; `None` for the user's own files.
    pub fn dataset(&self) -> Option<&'static Dataset> {
        self.data.dataset.as_deref().and_then(Dataset::named)
    }

    /// Name of the data in messages.
    pub fn data_name(&self) -> &str {
        self.data.dataset.as_deref().unwrap_or("the data")
    }

    /// The task.
    ///
    /// # Errors
    /// If there is no task of that name.
    pub fn task(&self) -> Result<&'static Task, InvalidValue> {
        tasks::of(&self.task)
    }

    /// The validation metric for early stopping and the choice of the best checkpoint; the loss if the recipe is invalid.
    pub fn stopping_metric(&self) -> Metric {
        self.check_stopping_metric().unwrap_or(Metric::LOSS)
    }

    fn check_stopping_metric(&self) -> Result<Metric, InvalidValue> {
        let task = self.task()?;
        match &self.stopping.metric {
            None => Ok(task.metrics[0]),
            Some(name) => tasks::metric(task, "stopping.metric", name),
        }
    }

    /// The reported metric: that of `[expected]`, else the stopping metric.
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

    /// The split of `[expected]`; `None` without that section.
    ///
    /// # Errors
    /// If there is no split of that name.
    pub fn expected_split(&self) -> Result<Option<Split>, InvalidValue> {
        let Some(Expected { split, .. }) = &self.expected else { return Ok(None) };
        let known = Split::ALL.map(Split::name);
        Split::named(split).map(Some).ok_or_else(|| InvalidValue::unknown("expected.split", split, &known))
    }

    /// The specification of a model, including its per-model values.
    ///
    /// # Errors
    /// If the name or a per-model value is invalid.
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

    /// Sets `stopping.metric` to the task's first metric if it is not set.
    pub(crate) fn fill_in_metric(&mut self) {
        if let Ok(metric) = self.check_stopping_metric() {
            self.stopping.metric = Some(metric.name.to_owned());
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
        self.data.check(task.data).map_err(|error| match error {
            DataError::Setting { field, value, expected } => InvalidValue::new(field, value, expected),
            other => InvalidValue::new("data", self.data_name(), other.to_string()),
        })?;
        self.specs()?;
        self.expected_split()?;
        self.check_stopping_metric()?;
        self.check_expected_metric()?;
        self.init.check()?;
        let values = Table::try_from(self).expect("a recipe can be serialized to TOML");
        for Section { name, fields, .. } in Section::all(task) {
            if let Some(values) = values.get(name).and_then(Value::as_table) {
                fields::check(name, &fields, values)?;
            }
        }
        for spec in self.specs()? {
            task.check(&spec)?;
        }
        self.validate_per_model()
    }
}

/// A section of a recipe.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Name in TOML.
    pub name: &'static str,
    /// Description.
    pub meaning: &'static str,
    /// Fields.
    pub fields: Vec<Field>,
}

impl Section {
    /// Whether a recipe for a task can have a field, given as `section.field`.
    pub(crate) fn has_field(task: &Task, field: &str) -> bool {
        let (section, name) = field.rsplit_once('.').unwrap_or(("", field));
        let fields = Self::all(task).into_iter().filter(|one| one.name == section).flat_map(|one| one.fields);
        fields.into_iter().any(|one| one.name == name)
    }

    /// The sections of a recipe for a task, in the usual order.
    pub fn all(task: &Task) -> Vec<Self> {
        let section = |name, meaning, fields| Self { name, meaning, fields };
        let is_read = |field: &Field| task.data.reads_field(&field.name);
        vec![
            section(
                "data",
                "The dataset, or the user's own files, and how they are split.",
                fields::of::<DataSettings>().into_iter().filter(is_read).collect(),
            ),
            section(
                "data.columns",
                "Column names by role. The roles depend on the task; a dataset supplies them by default.",
                task.data.roles.iter().map(column).collect(),
            ),
            section("task", "The task and its settings.", task.fields()),
            section("network", "Sizes and connections of the layers.", fields::of::<NetworkSettings>()),
            section(
                "dropout",
                "Regularization: rates of dropout and zoneout, applied in training only.",
                fields::of::<DropoutSettings>(),
            ),
            section(
                "init",
                "Initial weights from word vectors or another run, and learning rates per layer.",
                fields::of::<InitSettings>(),
            ),
            section("training", "Seed, epochs, batches, learning rate and clipping.", fields::of::<TrainingSettings>()),
            section(
                "optimizer",
                "The optimizer. Each kind uses `kind`, `weight_decay` and the fields that name it.",
                fields::of::<OptimizerSettings>(),
            ),
            section(
                "schedule",
                "The learning rate schedule. Each kind uses `kind`, `warmup_steps` and the fields that name it.",
                fields::of::<ScheduleSettings>(),
            ),
            section(
                "checkpoints",
                "When checkpoints are saved, in addition to the end of each epoch, and how many are kept.",
                fields::of::<CheckpointSettings>(),
            ),
            section(
                "stopping",
                "Early stopping and the choice of the best checkpoint.",
                fields::of::<StoppingSettings>(),
            ),
            section(
                "expected",
                "The metric value that `seqzoo verify` checks; the section is optional.",
                fields::of::<Expected>(),
            ),
        ]
    }
}

/// Splits `model.NAME.SECTION.KEY` into the model name and the common field `SECTION.KEY`.
pub(crate) fn in_model(field: &str) -> Option<(&str, &str)> {
    let (name, field) = field.strip_prefix("model.")?.split_once('.')?;
    field.contains('.').then_some((name, field))
}

/// The field of a role.
fn column(role: &Role) -> Field {
    let values = if role.content == Content::Several { Values::List(Box::new(Values::Text)) } else { Values::Text };
    let (name, meaning) = (role.name.to_owned(), role.meaning.to_owned());
    Field { name, meaning, default: None, is_optional: !role.is_required, values }
}

fn invalid(field: impl Into<Cow<'static, str>>, value: impl ToString, expected: String) -> InvalidValue {
    InvalidValue::new(field, value, expected)
}
