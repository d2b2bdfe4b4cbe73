//! Model specifications: architecture, sizes, regularization, batches, and the task's settings.

use burn::module::Module;
use schemars::JsonSchema;
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::text::Tokenization;
use seqzoo_models::Architecture;
use seqzoo_models::init::reinitialize_uniform;
use seqzoo_models::layers::stack::RegularizationRates;
use seqzoo_models::layers::{Skip, StackShape};
use seqzoo_models::networks::{Ensemble, Network};
use seqzoo_random::{Key, Purpose};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::{InvalidValue, KIND, MAX_BATCH_TOKENS, Task, fields};

/// Maximum of counts and sizes without a more specific limit.
pub const MAX_COUNT: usize = 1 << 24;

/// Maximum size of an embedding.
pub(crate) const MAX_EMBEDDING: usize = 1 << 16;

/// Maximum hidden size of a layer: orthogonal initialization takes time cubic in the size.
pub const MAX_HIDDEN: usize = 4_096;

/// Maximum number of members of an ensemble.
const MAX_MEMBERS: usize = 32;

/// Maximum number of parameters of a recurrent stack: 16 GB with gradients and Adam's moment estimates.
const MAX_PARAMETERS: u128 = 1_000_000_000;

/// Checks that a task can use the unit of tokenization in a field.
///
/// # Errors
/// If it is not among those that the task can use.
pub(crate) fn expect_level(
    field: &'static str,
    level: Tokenization,
    usable: &[Tokenization],
) -> Result<(), InvalidValue> {
    if usable.contains(&level) {
        return Ok(());
    }
    let names: Vec<&str> = usable.iter().map(|level| level.name()).collect();
    Err(InvalidValue::new(field, level.name(), format!("one of {}, for this task", names.join(", "))))
}

/// The batches of an epoch over examples that all have `length` steps.
pub(crate) fn equal_batches(spec: &ModelSpec, count: usize, length: usize, epoch: u64) -> Vec<Vec<usize>> {
    let lengths = vec![length; count];
    let limits = BatchLimits { tokens: usize::MAX, ..spec.batch };
    batch::shuffled(&lengths, &lengths, limits, spec.order(epoch))
}

/// Units of tokenization without positions.
pub(crate) const LEVELS: &[Tokenization] =
    &[Tokenization::Words, Tokenization::Characters, Tokenization::Tokens, Tokenization::Subwords];

/// Layers of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkSettings {
    /// Hidden size of each recurrent layer, per direction, first layer first; of each hidden layer, for a perceptron.
    #[schemars(inner(range(min = 1, max = MAX_HIDDEN)))]
    pub hidden_sizes: Vec<usize>,
    /// Skip connection around each recurrent layer, from its input x and its output h.
    #[serde(default)]
    pub skip: Skip,
    /// Whether residual and highway connections project their input linearly where its size differs from that of the output; otherwise
    /// such sizes are an error.
    #[serde(default)]
    pub projection: bool,
    /// Initialization range: all parameters, biases included, are drawn uniformly from ±`init_range`. 0: each layer's default
    /// initialization.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub init_range: f64,
    /// Number of networks with different initial weights and dropout masks whose predictions are averaged (Lakshminarayanan et al. 2017);
    /// for tasks that predict labels or a number per example. Each learns from its own loss; training takes that many times as long. With
    /// `init.from`, they differ in their output layers and dropout masks only.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = MAX_MEMBERS))]
    pub members: usize,
}

fn one() -> usize {
    1
}

/// Dropout and zoneout rates, in [0, 1).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DropoutSettings {
    /// Rate of embedding dropout: drops tokens of the vocabulary, each at all of its positions in the batch (Merity et al. 2018).
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub embedding: f64,
    /// Rate of locked (variational) dropout on the input of the first recurrent layer, with the same mask at all time steps.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub input: f64,
    /// Rate of dropout between recurrent layers, with a new mask at each time step.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub layers: f64,
    /// Rate of locked (variational) dropout between recurrent layers, with the same mask at all time steps (Gal and Ghahramani 2016).
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub locked: f64,
    /// Rate of recurrent dropout: drops recurrent weights (DropConnect, Merity et al. 2018).
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub recurrent: f64,
    /// Rate of dropout on the input of the output layer.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub output: f64,
    /// Zoneout rate: probability that a unit of the recurrent state keeps its previous value (Krueger et al. 2017).
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub zoneout: f64,
}

/// The sequence model of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backbone {
    /// A recurrent architecture.
    Recurrent(Architecture),
    /// Multilayer perceptron over a window of fixed length.
    Perceptron,
}

/// The name of [`Backbone::Perceptron`].
const PERCEPTRON: &str = "perceptron";

impl Backbone {
    /// One-line description.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Recurrent(architecture) => architecture.info().summary,
            Self::Perceptron => "multilayer perceptron with ReLU over a window of fixed length",
        }
    }
}

/// A model's name: a backbone, optionally followed by the hidden size of each layer and by Boolean settings of the task.
///
/// ```text
/// lstm      lstm-50      birnn-20      gru-64-32      bilstm+crf      perceptron-64
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelName<'a> {
    /// The sequence model.
    pub backbone: Backbone,
    /// Hidden size of each layer; empty: those of the recipe.
    pub hidden_sizes: Vec<usize>,
    /// Boolean settings of the task that the name enables.
    pub options: Vec<&'a str>,
}

impl<'a> ModelName<'a> {
    /// Parses a name.
    ///
    /// # Errors
    /// If the backbone is unknown or a hidden size is invalid.
    pub fn parse(name: &'a str) -> Result<Self, InvalidValue> {
        let mut parts = name.split('+');
        let plain = parts.next().unwrap_or_default();
        let recurrent = Architecture::ALL.map(|architecture| (architecture.name(), Backbone::Recurrent(architecture)));
        let backbones = || recurrent.into_iter().chain([(PERCEPTRON, Backbone::Perceptron)]);
        let found = backbones().find_map(|(name, kind)| Some((kind, hidden_sizes(plain.strip_prefix(name)?)?)));
        let known: Vec<&str> = backbones().map(|(name, _)| name).collect();
        let (backbone, hidden_sizes) = found.ok_or_else(|| InvalidValue::unknown("models", name, &known))?;
        Ok(Self { backbone, hidden_sizes, options: parts.collect() })
    }

    /// Enables the options in a task's settings.
    ///
    /// # Errors
    /// If an option is not a Boolean setting of the task.
    pub fn set_options(&self, name: &str, settings: &mut Table) -> Result<(), InvalidValue> {
        for option in &self.options {
            let known = || settings.iter().filter(|(_, value)| value.is_bool()).map(|(key, _)| key.as_str());
            if !known().any(|key| key == *option) {
                let known = match known().next() {
                    None => "none".to_owned(),
                    Some(_) => known().map(|key| format!("+{key}")).collect::<Vec<_>>().join(", "),
                };
                let expected = format!("`+{option}` is not an option of this task; its options: {known}");
                return Err(InvalidValue::new("models", name, expected));
            }
            settings.insert((*option).to_owned(), Value::Boolean(true));
        }
        Ok(())
    }
}

/// Parses the hidden sizes of a suffix such as `-64-32`; empty if there is no suffix.
fn hidden_sizes(text: &str) -> Option<Vec<usize>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let size = |size: &str| size.parse().ok().filter(|size| (1..=MAX_HIDDEN).contains(size));
    text.strip_prefix('-')?.split('-').map(size).collect()
}

/// Specification of a model: all values of a recipe that its task uses.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelSpec {
    /// The name in recipes, reports and folders.
    pub name: String,
    /// The sequence model.
    pub backbone: Backbone,
    /// Layers of the network.
    pub network: NetworkSettings,
    /// Dropout and zoneout.
    pub dropout: DropoutSettings,
    /// The task's settings, with every default filled in.
    pub task: Table,
    /// Limits of training batches.
    pub batch: BatchLimits,
    /// Random seed of weights, order of examples and dropout masks.
    pub seed: u64,
}

impl ModelSpec {
    /// A model without regularization, whose name has the hidden sizes, with batches of 32 and seed 0.
    ///
    /// ```
    /// use seqzoo_tasks::{ModelSpec, tagging};
    ///
    /// let spec = ModelSpec::new("bilstm-64+crf", &tagging::TASK, "min_count = 2".parse().unwrap()).unwrap();
    /// assert_eq!(spec.network.hidden_sizes, [64]);
    /// assert!(spec.settings::<tagging::Settings>().crf);
    /// ```
    ///
    /// # Errors
    /// If the name or a setting is invalid.
    pub fn new(name: &str, task: &Task, settings: Table) -> Result<Self, InvalidValue> {
        let parsed = ModelName::parse(name)?;
        let invalid = |error: toml::de::Error| InvalidValue::new("task", task.name(), error.message());
        let mut settings = task.resolve(settings).map_err(invalid)?;
        parsed.set_options(name, &mut settings)?;
        fields::check("task", &task.fields(), &settings)?;
        let network = NetworkSettings {
            hidden_sizes: parsed.hidden_sizes,
            skip: Skip::None,
            projection: false,
            init_range: 0.0,
            members: 1,
        };
        let spec = Self {
            name: name.to_owned(),
            backbone: parsed.backbone,
            network,
            dropout: DropoutSettings::default(),
            task: settings,
            batch: BatchLimits { rows: 32, tokens: MAX_BATCH_TOKENS },
            seed: 0,
        };
        task.check(&spec)?;
        Ok(spec)
    }

    /// The task's settings in their own type.
    ///
    /// # Panics
    /// If they are those of another task.
    pub fn settings<S: DeserializeOwned>(&self) -> S {
        settings(&self.task)
    }

    /// Shape of the recurrent layers for inputs of `input_size` features.
    ///
    /// # Panics
    /// If the backbone is a perceptron, which validation refuses.
    pub fn stack(&self, input_size: usize) -> StackShape {
        let Backbone::Recurrent(architecture) = self.backbone else { panic!("a perceptron has no recurrent layers") };
        let DropoutSettings { input, layers: dropout, locked, recurrent, zoneout, .. } = self.dropout;
        StackShape {
            architecture,
            input_size,
            hidden_sizes: self.network.hidden_sizes.clone(),
            skip: self.network.skip,
            projection: self.network.projection,
            rates: RegularizationRates {
                input_dropout: input,
                dropout,
                locked_dropout: locked,
                recurrent_dropout: recurrent,
                zoneout,
            },
        }
    }

    /// Checks that the model has valid recurrent layers, and returns their shape. `input_size` is `None` if it depends on the data; skip
    /// connections are then checked later.
    pub(crate) fn check_recurrent(&self, input_size: Option<usize>) -> Result<StackShape, InvalidValue> {
        if self.backbone == Backbone::Perceptron {
            return Err(InvalidValue::new("models", &self.name, "only forecasting supports a perceptron"));
        }
        let sizes = || format!("{:?}", self.network.hidden_sizes);
        let stack = match input_size {
            Some(size) => self.stack(size),
            None => StackShape { skip: Skip::None, ..self.stack(1) },
        };
        stack.check().map_err(|invalid| InvalidValue::new("network.hidden_sizes", sizes(), invalid.reason))?;
        if stack.parameters() > MAX_PARAMETERS {
            let expected = format!("{} would have more than 10⁹ parameters", self.name);
            return Err(InvalidValue::new("network.hidden_sizes", sizes(), expected));
        }
        Ok(stack)
    }

    /// An ensemble of `network.members` networks, each created from its own seed.
    pub(crate) fn ensemble<N: Network>(&self, create: impl Fn(u64) -> N) -> Ensemble<N> {
        Ensemble::new(self.network.members, self.seed, create)
    }

    /// Reinitializes a network according to `network.init_range`; unchanged if that is 0.
    pub(crate) fn initialize<M: Module>(&self, network: M) -> M {
        let range = self.network.init_range;
        let key = Key::new(self.seed, Purpose::Weights).with_first(u64::MAX);
        if range == 0.0 { network } else { reinitialize_uniform(network, range, key) }
    }

    /// Random key of the order of examples in an epoch.
    pub(crate) fn order(&self, epoch: u64) -> Key {
        Key::new(self.seed, Purpose::Order).with_first(epoch)
    }
}

/// A task's settings in their own type.
pub(crate) fn settings<S: DeserializeOwned>(table: &Table) -> S {
    own(table).try_into().expect("settings were resolved by their task")
}

/// The settings without the `kind` key.
pub(crate) fn own(table: &Table) -> Table {
    let mut own = table.clone();
    own.remove(KIND);
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_encodes_architecture_sizes_and_options_or_is_refused() {
        let sizes = |name| ModelName::parse(name).map(|found| found.hidden_sizes);
        assert_eq!(sizes("bilstm"), Ok(vec![]));
        assert_eq!(sizes("bilstm-50"), Ok(vec![50]));
        assert_eq!(sizes("gru-reset-after-64-32"), Ok(vec![64, 32]));
        let crf = ModelName::parse("bilstm-7+crf").unwrap();
        assert_eq!((crf.options.as_slice(), crf.hidden_sizes.as_slice()), (&["crf"][..], &[7][..]));
        for name in ["lstm-", "lstm-0", "lstm-x", "lstm50", "-50", "", "+crf", "lstm-5000"] {
            assert!(sizes(name).is_err(), "{name}");
        }
        let mut settings: Table = "crf = false\nmin_count = 2".parse().unwrap();
        crf.set_options("bilstm-7+crf", &mut settings).unwrap();
        assert_eq!(settings["crf"], Value::Boolean(true));
        for name in ["lstm+tanh", "lstm+min_count", "lstm+"] {
            let error = ModelName::parse(name).unwrap().set_options(name, &mut settings).unwrap_err();
            assert!(error.expected.contains("its options: +crf"), "{error}");
        }
    }
}
