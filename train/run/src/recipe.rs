//! Recipes: one experiment per TOML file, the shipped ones linked into the program.

use seqzoo_datasets::catalog::Dataset;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::text::Keep;
use seqzoo_models::Architecture;
use seqzoo_models::layers::stack::StackRates;
use seqzoo_models::layers::{Pooling, Skip, StackShape};
use serde::{Deserialize, Serialize};

use crate::did_you_mean;

/// The shipped recipes, by name.
pub const SHIPPED: [(&str, &str); 3] = [
    ("agreement", include_str!("../../recipes/agreement.toml")),
    ("imdb", include_str!("../../recipes/imdb.toml")),
    ("imdb-birnn", include_str!("../../recipes/imdb-birnn.toml")),
];

/// One experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// What it shows, in a sentence.
    pub summary: String,
    /// The data set.
    pub dataset: String,
    /// The architectures that are trained side by side; the first is the main one.
    pub models: Vec<String>,
    /// How text becomes token numbers.
    #[serde(default)]
    pub text: TextSettings,
    /// Sizes of the network.
    pub network: NetworkSettings,
    /// What disturbs training.
    #[serde(default)]
    pub dropout: DropoutSettings,
    /// How it is trained.
    pub training: TrainingSettings,
    /// When training ends early, and which checkpoint is best.
    #[serde(default)]
    pub stopping: StoppingSettings,
    /// The figure that the recipe is expected to reach.
    pub expected: Expected,
}

/// How text becomes token numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextSettings {
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
        Self { min_count: 1, max_vocabulary: 20_000, max_tokens: 400, keep: Keep::First }
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
    /// How outputs become one vector.
    #[serde(default)]
    pub pooling: Pooling,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// From which all random choices follow.
    #[serde(default)]
    pub seed: u64,
    /// Passes over the training part at most.
    pub epochs: usize,
    /// Sequences per update.
    pub batch_size: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Largest norm of the gradient of all parameters together.
    #[serde(default = "default_clip_norm")]
    pub clip_norm: f64,
}

/// Pascanu et al. 2013 find results insensitive to the threshold; 1 is customary for classifiers.
fn default_clip_norm() -> f64 {
    1.0
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

/// A metric of classification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Metric {
    /// Share of examples labelled rightly; more is better.
    Accuracy,
    /// Mean cross-entropy in nats; less is better.
    Loss,
}

impl Metric {
    /// The name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::Loss => "loss",
        }
    }
}

/// The figure that a recipe is expected to reach with its main model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The part of the data that is reported on.
    pub split: String,
    /// Accuracy on it.
    pub accuracy: f64,
}

/// A value that no run can have.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{field} = {value}: {expected}")]
pub struct InvalidValue {
    /// The field, as `section.field`.
    pub field: &'static str,
    /// The value given.
    pub value: String,
    /// What it should have been.
    pub expected: String,
}

impl Recipe {
    /// The data set.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn dataset(&self) -> Result<Dataset, InvalidValue> {
        let known = || Dataset::ALL.map(Dataset::name);
        Dataset::named(&self.dataset)
            .ok_or_else(|| invalid("dataset", &self.dataset, unknown_name(&self.dataset, &known())))
    }

    /// The architectures, the main one first.
    ///
    /// # Errors
    /// If one does not exist, is named twice, or none is named.
    pub fn architectures(&self) -> Result<Vec<Architecture>, InvalidValue> {
        let known = || Architecture::ALL.map(Architecture::name);
        let mut found = Vec::new();
        for name in &self.models {
            let architecture =
                Architecture::named(name).ok_or_else(|| invalid("models", name, unknown_name(name, &known())))?;
            if found.contains(&architecture) {
                return Err(invalid("models", name, "each model can be named once".to_owned()));
            }
            found.push(architecture);
        }
        match found.is_empty() {
            true => Err(invalid("models", "[]", format!("at least one of {}", known().join(", ")))),
            false => Ok(found),
        }
    }

    /// The part of the data that is reported on.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn reported_split(&self) -> Result<Split, InvalidValue> {
        let split = &self.expected.split;
        let known = || Split::ALL.map(Split::name);
        Split::named(split).ok_or_else(|| invalid("expected.split", split, unknown_name(split, &known())))
    }

    /// Whether a run of this recipe may go on under `other`: they differ in limits alone.
    pub fn same_run(&self, other: &Recipe) -> bool {
        let training = TrainingSettings { epochs: self.training.epochs, ..other.training.clone() };
        *self == Recipe { training, ..other.clone() }
    }

    /// Refuses every value that no run can have.
    ///
    /// # Errors
    /// The first such value, by its field.
    pub fn validate(&self) -> Result<(), InvalidValue> {
        self.dataset()?;
        self.architectures()?;
        self.reported_split()?;
        let positive = [
            ("text.min_count", self.text.min_count),
            ("text.max_vocabulary", self.text.max_vocabulary),
            ("text.max_tokens", self.text.max_tokens),
            ("network.embedding_size", self.network.embedding_size),
            ("training.epochs", self.training.epochs),
            ("training.batch_size", self.training.batch_size),
            ("stopping.patience", self.stopping.patience),
        ];
        if let Some((field, value)) = positive.into_iter().find(|&(_, value)| value == 0 || value > 1 << 24) {
            return Err(invalid(field, value, "a whole number from 1 to 16,777,216".to_owned()));
        }
        let finite =
            [("training.learning_rate", self.training.learning_rate), ("training.clip_norm", self.training.clip_norm)];
        let largest = f64::from(f32::MAX);
        if let Some((field, value)) = finite.into_iter().find(|&(_, value)| !(value > 0.0 && value <= largest)) {
            return Err(invalid(field, value, "a number above 0 that 32 bits can hold".to_owned()));
        }
        if let Some(size) = self.network.hidden_sizes.iter().find(|size| !(1..=MAX_HIDDEN).contains(*size)) {
            return Err(invalid("network.hidden_sizes", size, format!("whole numbers from 1 to {MAX_HIDDEN}")));
        }
        if self.network.embedding_size > 1 << 16 {
            let value = self.network.embedding_size;
            return Err(invalid("network.embedding_size", value, "a whole number from 1 to 65,536".to_owned()));
        }
        if !(0.0..=1.0).contains(&self.expected.accuracy) {
            return Err(invalid("expected.accuracy", self.expected.accuracy, "a number in [0, 1]".to_owned()));
        }
        let DropoutSettings { embedding, layers, locked, recurrent, output, zoneout } = self.dropout;
        let rates = [
            ("dropout.embedding", embedding),
            ("dropout.layers", layers),
            ("dropout.locked", locked),
            ("dropout.recurrent", recurrent),
            ("dropout.output", output),
            ("dropout.zoneout", zoneout),
        ];
        if let Some((field, value)) = rates.into_iter().find(|(_, value)| !(0.0..1.0).contains(value)) {
            return Err(invalid(field, value, "a number in [0, 1)".to_owned()));
        }
        for architecture in self.architectures()? {
            let name = format!("{:?}", self.network.hidden_sizes);
            let stack = self.stack(architecture);
            stack.check().map_err(|misfit| invalid("network.hidden_sizes", &name, misfit.reason))?;
            if stack.parameters() > MAX_PARAMETERS {
                let expected = format!("{} would have more than 10⁹ parameters", architecture.name());
                return Err(invalid("network.hidden_sizes", name, expected));
            }
        }
        Ok(())
    }

    /// The recurrent layers of one of the recipe's architectures.
    pub fn stack(&self, architecture: Architecture) -> StackShape {
        let DropoutSettings { layers: dropout, locked, recurrent, zoneout, .. } = self.dropout;
        StackShape {
            architecture,
            input_size: self.network.embedding_size,
            hidden_sizes: self.network.hidden_sizes.clone(),
            skip: self.network.skip,
            projection: self.network.projection,
            rates: StackRates { dropout, locked, recurrent, zoneout },
        }
    }
}

/// Of a layer; orthogonal matrices take time that grows with the cube of their size.
const MAX_HIDDEN: usize = 4_096;

/// Of a recurrent stack; with gradients and moments, 16 GB.
const MAX_PARAMETERS: u128 = 1_000_000_000;

fn invalid(field: &'static str, value: impl ToString, expected: String) -> InvalidValue {
    InvalidValue { field, value: value.to_string(), expected }
}

fn unknown_name(name: &str, known: &[&str]) -> String {
    format!("no such name{}; there are {}", did_you_mean(name, known.iter().copied()), known.join(", "))
}
