//! Tasks: kinds of sequence prediction.
//!
//! A [`Task`] converts records to examples, computes the loss of a network on them, and decodes and evaluates its predictions. Each task
//! is a module with settings, examples, training and prediction, and a static `TASK`; [`ALL`] lists them. Training
//! ([`TrainingTask`]) and prediction ([`Predictor`]) are separate interfaces, so that inference needs no loss.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;

use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_datasets::DataError;
use seqzoo_datasets::batch::{self, BatchLimits, Padded};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::columns::Columns;
use seqzoo_datasets::data_spec::DataSpec;
use seqzoo_datasets::nearest::did_you_mean;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::Vocabulary;
use seqzoo_models::InvalidShape;
use seqzoo_models::parameters::Arrays;
use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};
use toml::{Table, Value};

mod batches;
mod classes;
pub mod fields;
mod inspection;
mod invalid_value;
mod prediction;
mod skipped;
mod spec;
mod targets;
mod texts;
mod trained;
mod training;

pub use classes::{ClassWeights, LabelPredictor, Prediction, most_probable};
use fields::Field;
pub use inspection::Item;
pub use invalid_value::InvalidValue;
pub use prediction::{Command, Output, PredictError, Predictor, TextOptions};
pub use spec::{Backbone, DropoutSettings, MAX_COUNT, MAX_HIDDEN, ModelName, ModelSpec, NetworkSettings};
pub use texts::{Target, TextTraining};
pub use trained::{Codec, LoadError, TrainedModel};
pub use training::{BatchLoss, DynTrainingTask, RecurrentState, StepKeys, TrainingTask};

/// Declares the modules of the tasks and collects the `TASK` of each.
macro_rules! tasks {
    ($($module:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// Every task, in listing order.
        pub static ALL: [&Task; [$(stringify!($module)),*].len()] = [$(&$module::TASK),*];
    };
}

tasks![
    classification,
    multi_label,
    regression,
    relations,
    series_classification,
    tagging,
    language_model,
    seq2seq,
    captions,
    memory,
    music,
    forecasting,
    anomaly,
    recommendation,
    strokes
];

/// The key of a recipe's `[task]` section whose value is the name of the task.
pub const KIND: &str = "kind";

/// Contents of files by name, such as those of a checkpoint.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Vocabularies by the name of the embedding's parameter.
pub type Vocabularies = Vec<(&'static str, Vocabulary)>;

/// Opens a trained model, see [`Task::open`].
type Open = fn(&ModelSpec, &Files, &Arrays, &Device) -> Result<Box<dyn Predictor>, LoadError>;

/// A kind of sequence prediction.
#[derive(Debug)]
pub struct Task {
    /// What the task reads of its data: columns by role, fields of `[data]`, split rules; and the name of the task.
    pub data: &'static DataSpec,
    /// One line for listings.
    pub summary: &'static str,
    /// The metrics that the task computes, the main one first.
    pub metrics: &'static [Metric],
    /// The command that uses a trained model.
    pub command: Command,
    /// Settings on which the examples depend, so that all models of a run share them.
    pub shared: &'static [&'static str],
    /// Whether predictions of several networks can be averaged (`network.members`).
    pub averages: bool,
    resolve: fn(Table) -> Result<Table, toml::de::Error>,
    fields: fn() -> Vec<Field>,
    check: fn(&ModelSpec) -> Result<(), InvalidValue>,
    examples: fn(&Splits, &Table) -> Result<Prepared, DataError>,
    vocabularies: fn(&Files) -> Result<Vocabularies, LoadError>,
    open: Open,
}

impl Task {
    /// Name in recipes.
    pub fn name(&self) -> &'static str {
        self.data.task
    }

    /// The vocabulary of each embedding of a model, by the name of its parameter, from the task's files in a checkpoint.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn vocabularies(&self, files: &Files) -> Result<Vocabularies, LoadError> {
        (self.vocabularies)(files)
    }

    /// The settings with defaults filled in.
    ///
    /// # Errors
    /// If a key is unknown or a value has the wrong type.
    pub fn resolve(&self, given: Table) -> Result<Table, toml::de::Error> {
        (self.resolve)(given)
    }

    /// Meaning, default and valid values of each setting.
    pub fn fields(&self) -> Vec<Field> {
        (self.fields)()
    }

    /// Checks the settings of a model as far as possible without data. The caller checks the bounds of single
    /// [fields](Task::fields).
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self, spec: &ModelSpec) -> Result<(), InvalidValue> {
        if spec.network.members > 1 && !self.averages {
            let expected = format!("expected 1: task {:?} does not average predictions", self.name());
            return Err(InvalidValue::new("network.members", spec.network.members, expected));
        }
        (self.check)(spec)
    }

    /// Converts the records of a dataset to examples; examples without a token are skipped.
    ///
    /// # Errors
    /// If a column that the task needs is missing, or a value is invalid.
    pub fn examples(&self, data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
        (self.examples)(data, settings)
    }

    /// Creates the predictor of a trained model from its checkpoint: the files of the task and the weights.
    ///
    /// # Errors
    /// If a file or weight is missing, damaged or inconsistent.
    pub fn open(
        &self,
        spec: &ModelSpec,
        files: &Files,
        weights: &Arrays,
        device: &Device,
    ) -> Result<Box<dyn Predictor>, LoadError> {
        (self.open)(spec, files, weights, device)
    }
}

/// The examples of all splits of a dataset, in the form that a task uses.
pub trait Examples: Any + Debug {
    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    fn digest(&self) -> String;

    /// Whether a run with this recorded digest was trained on the training and validation splits; versions may differ in what it covers.
    fn matches(&self, recorded: &str) -> bool {
        self.digest() == recorded
    }

    /// Size of a split and its unit, such as `(120, "texts")`.
    fn size(&self, split: Split) -> (usize, &'static str);

    /// The examples of a split as they are read; none if they are not texts.
    fn items(&self, _split: Split, _settings: &Table) -> Vec<Item> {
        Vec::new()
    }

    /// Further facts for `data inspect`, by name.
    fn facts(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Note on the training split that concerns training alone, such as on imbalanced labels.
    fn training_note(&self, _settings: &Table) -> Option<String> {
        None
    }

    /// Checks that a split, unless it is empty, is large enough to predict from.
    ///
    /// # Errors
    /// A message with the problem and the fix.
    fn check(&self, _split: Split, _settings: &Table) -> Result<(), String> {
        Ok(())
    }

    /// Creates the training of a model on these examples.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape>;

    /// Text from which to suggest a prompt: the training split of a language model, else `None`.
    fn prompt_source(&self) -> Option<&str> {
        None
    }

    /// Flag of `generate` that writes what the model generates to a file, with the name of one; `None` if it prints text.
    fn output_flag(&self) -> Option<&'static str> {
        None
    }
}

/// Examples, and a note on skipped ones.
#[derive(Debug)]
pub struct Prepared {
    /// The examples.
    pub examples: Box<dyn Examples>,
    /// Note for the user on skipped examples, if any.
    pub note: Option<String>,
}

/// The task with this name; `None` if there is none.
pub fn named(name: &str) -> Option<&'static Task> {
    ALL.into_iter().find(|task| task.name() == name)
}

/// The task for which a dataset has the columns; `None` if there is none.
pub fn of_columns(columns: &Columns) -> Option<&'static Task> {
    ALL.into_iter().find(|task| task.data.fits(columns))
}

/// The task of a recipe's `[task]` section.
///
/// # Errors
/// If its `kind` is missing or unknown.
pub fn of(section: &Table) -> Result<&'static Task, InvalidValue> {
    let known = ALL.map(Task::name);
    match section.get(KIND).map(|kind| (kind, kind.as_str())) {
        Some((_, Some(name))) => named(name).ok_or_else(|| InvalidValue::unknown("task.kind", name, &known)),
        Some((kind, None)) => Err(InvalidValue::new("task.kind", kind, format!("one of {}", known.join(", ")))),
        None => Err(InvalidValue::new("task.kind", "unset", format!("one of {}", known.join(", ")))),
    }
}

/// Deserializes a `[task]` section, with defaults filled in and `kind` first.
///
/// # Errors
/// If the task or a key is unknown, or a value has the wrong type.
pub fn deserialize_section<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Table, D::Error> {
    let given = <Table as serde::Deserialize>::deserialize(deserializer)?;
    let task = of(&given).map_err(D::Error::custom)?;
    let values = task.resolve(spec::own(&given)).map_err(|error| D::Error::custom(error.message()))?;
    let kind = (KIND.to_owned(), Value::String(task.name().to_owned()));
    Ok(std::iter::once(kind).chain(values).collect())
}

/// The vocabularies of a codec of type `C`, see [`Task::vocabularies`].
fn vocabularies<C: Codec>(files: &Files) -> Result<Vocabularies, LoadError> {
    let codec = C::read(files)?;
    Ok(codec.vocabularies().into_iter().map(|(name, vocabulary)| (name, vocabulary.clone())).collect())
}

/// Opens a model with a codec of type `C`, see [`Task::open`].
fn open<C: Codec + 'static>(
    spec: &ModelSpec,
    files: &Files,
    weights: &Arrays,
    device: &Device,
) -> Result<Box<dyn Predictor>, LoadError>
where
    TrainedModel<C>: Predictor,
{
    Ok(Box::new(TrainedModel::<C>::open(spec, files, weights, device)?))
}

/// Fills in the defaults of settings of type `S`.
fn resolve<S: Serialize + DeserializeOwned>(given: Table) -> Result<Table, toml::de::Error> {
    let settings: S = given.try_into()?;
    Ok(Table::try_from(&settings).expect("settings can be serialized to TOML"))
}

/// The metric of a task with this name; `field` is the recipe field that contains the name.
///
/// # Errors
/// If the task has no such metric.
pub fn metric(task: &Task, field: &'static str, name: &str) -> Result<Metric, InvalidValue> {
    let found = task.metrics.iter().find(|metric| metric.name == name).copied();
    found.ok_or_else(|| {
        let known: Vec<&str> = task.metrics.iter().map(|metric| metric.name).collect();
        let hint = did_you_mean(name, known.iter().copied());
        let expected = format!("task {:?} has the metrics {}{hint}", task.name(), known.join(", "));
        InvalidValue::new(field, name, expected)
    })
}

/// Limits of a batch in evaluation and prediction, with at most `rows` rows.
const fn evaluation_limits(rows: usize) -> BatchLimits {
    BatchLimits { rows, tokens: MAX_BATCH_TOKENS }
}

/// Maximum number of tokens per batch, padding included: the default for training, and fixed for evaluation and prediction. For
/// sequences of 400 tokens, 163 rows.
pub const MAX_BATCH_TOKENS: usize = 1 << 16;

/// Pads rows of token ids to a tensor `[rows, time]`; also returns the length of each row.
fn pad_rows<'a>(rows: impl Iterator<Item = &'a [u32]> + Clone, device: &Device) -> (Tensor<2, Int>, Vec<usize>) {
    let Padded { tokens, lengths, time } = batch::pad(rows);
    (Tensor::from_data(TensorData::new(tokens, [lengths.len(), time]), device), lengths)
}

/// Downcasts examples to the type that a task uses.
fn examples_as<T: 'static>(examples: &dyn Examples) -> Result<&T, PredictError> {
    let examples: &dyn Any = examples;
    examples.downcast_ref().ok_or(PredictError::KindMismatch)
}

/// A model of a task with these settings, as TOML, for tests.
#[cfg(test)]
fn test_spec(task: &str, settings: &str, model: &str) -> ModelSpec {
    ModelSpec::new(model, named(task).unwrap(), settings.parse().unwrap()).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_the_task_does_not_read_is_refused_and_defaults_are_filled_in() {
        for task in ALL {
            let resolved = task.resolve(Table::new()).unwrap();
            assert_eq!(task.resolve(resolved.clone()).unwrap(), resolved, "{}", task.name());
            let error = task.resolve("keys = 1".parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains("unknown field `keys`, expected"), "{error}");
            let is_field = |key: &&str| task.fields().iter().any(|field| field.name == **key);
            assert!(task.shared.iter().all(is_field), "{}", task.name());
            assert!(!task.metrics.is_empty() && !task.summary.is_empty());
        }
        let names: std::collections::BTreeSet<&str> = ALL.iter().map(|task| task.name()).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
