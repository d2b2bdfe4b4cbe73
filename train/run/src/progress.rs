//! How far a run has come: all that a checkpoint holds beside arrays.

use burn::module::Module;
use seqzoo_datasets::scores::{Metric, Scores};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointError, FORMAT, Files, Opened, check_format};
use crate::parameters::{self, Arrays};
use crate::recipe::{ModelSpec, Recipe, StoppingSettings};
use crate::record::{Divergence, Norms, Recovery};
use crate::settings::Settings;

const ABOUT: &str = "about.json";
const PROGRESS: &str = "progress.json";
const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const RECURRENT_STATE: &str = "recurrent_state.safetensors";
const ACCUMULATED: &str = "accumulated.safetensors";

/// What a checkpoint is a checkpoint of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Format of the checkpoint.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// The settings that its model was trained under, see [`Settings::of_model`].
    pub settings: Settings,
    /// Name of the architecture.
    pub model: String,
    /// SHA-256 of the data it was trained on.
    pub data_digest: String,
}

impl About {
    /// About a checkpoint that is written now.
    pub fn now(settings: Settings, model: &str, data_digest: &str) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings,
            model: model.to_owned(),
            data_digest: data_digest.to_owned(),
        }
    }

    /// What an opened checkpoint says of itself.
    ///
    /// # Errors
    /// If it is missing, malformed, or of another format.
    pub fn of(opened: &Opened) -> Result<Self, CheckpointError> {
        check_format(&opened.path.join(ABOUT), opened.file(ABOUT)?)?;
        opened.json(ABOUT)
    }
}

/// The position in a run: everything that the next step depends on, beside weights and optimizer.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Updates so far.
    pub step: u64,
    /// Full passes over the training part so far.
    pub epoch: u64,
    /// Batches taken of the current pass.
    pub batch: u64,
    /// Batches whose gradients wait to be part of the next update.
    pub accumulated_batches: u64,
    /// Predictions of those batches.
    pub accumulated_weight: f64,
    /// Of the current pass: losses summed over predictions.
    pub loss_sum: f64,
    /// Of the current pass: predictions made.
    pub predictions: f64,
    /// Gradient norms, before clipping.
    pub norms: Norms,
    /// Whether the loss diverges.
    #[serde(default)]
    pub divergence: Divergence,
    /// What went wrong so far and what was done about it.
    pub recovery: Recovery,
    /// Length of `metrics.jsonl`.
    pub metrics_bytes: u64,
    /// Measured after each full pass.
    pub history: Vec<Epoch>,
}

/// What was measured after a full pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Updates so far.
    pub step: u64,
    /// Full passes so far.
    pub epoch: u64,
    /// Mean loss over the pass, in nats.
    pub train_loss: f64,
    /// On the validation part.
    pub validation: Scores,
}

impl Progress {
    /// Before the first step.
    pub fn start() -> Self {
        Self::default()
    }

    /// The best pass so far by a metric; of equal ones the first.
    pub fn best(&self, metric: Metric) -> Option<&Epoch> {
        let better = |best: &Epoch, next: &Epoch| next.validation.better(&best.validation, metric);
        self.history.iter().reduce(|best, next| if better(best, next) { next } else { best })
    }

    /// Passes since the best validation by a metric; 0 before the first.
    pub fn epochs_since_best(&self, metric: Metric) -> u64 {
        self.best(metric).map_or(0, |best| self.epoch.saturating_sub(best.epoch))
    }

    /// Why training has come to its end, if it has.
    pub fn ended(&self, recipe: &Recipe) -> Option<Ended> {
        let StoppingSettings { metric, patience } = recipe.stopping;
        let epochs = recipe.training.epochs as u64;
        if self.epoch >= epochs {
            return Some(Ended::Epochs(self.epoch));
        }
        let best = self.best(metric).map_or(0, |epoch| epoch.epoch);
        let is_early = self.epoch.saturating_sub(best) >= patience as u64;
        is_early.then_some(Ended::Early { epoch: self.epoch, epochs, metric, best })
    }
}

/// Why training has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All epochs are done.
    Epochs(u64),
    /// Early stopping: validation has not improved for as many epochs as the recipe's patience.
    Early {
        /// Number of epochs done.
        epoch: u64,
        /// Number of epochs that the recipe allows.
        epochs: u64,
        /// The metric of validation.
        metric: Metric,
        /// The epoch with its best value.
        best: u64,
    },
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Epochs(epochs) => write!(f, "{epochs} epochs done"),
            Self::Early { epoch, epochs, metric, best } => write!(
                f,
                "stopped early after epoch {epoch} of {epochs}: validation {} has not improved since epoch {best}",
                metric.name()
            ),
        }
    }
}

impl Snapshot {
    /// The model of the recipe that a network must be built by.
    ///
    /// # Errors
    /// If the recipe's values make no sense or the model is unknown.
    pub fn spec(&self, opened: &Opened) -> Result<ModelSpec, CheckpointError> {
        let About { settings, model, .. } = &self.about;
        let damaged = |error| CheckpointError::damaged(&opened.path, error);
        settings.recipe.validate().map_err(damaged)?;
        settings.recipe.spec(model).map_err(damaged)
    }

    /// The network with this checkpoint's weights.
    ///
    /// # Errors
    /// If they do not fit it or are not finite.
    pub fn into_network<M: Module>(&self, opened: &Opened, network: M) -> Result<M, CheckpointError> {
        let file = || opened.path.join(WEIGHTS);
        let bad = self.weights.iter().find(|(_, array)| array.values.iter().any(|value| !value.is_finite()));
        if let Some((name, _)) = bad {
            return Err(CheckpointError::damaged(file(), format!("{name} holds values that are not finite")));
        }
        parameters::write(network, &self.weights).map_err(|error| CheckpointError::damaged(file(), error))
    }

    /// The first tensor that holds a value that is not finite, and that value.
    pub fn not_finite(&self) -> Option<(String, f32)> {
        let parts = [
            ("", &self.weights),
            ("", &self.optimizer),
            ("recurrent_state ", &self.recurrent_state),
            ("accumulated ", &self.accumulated),
        ];
        parts.into_iter().find_map(|(part, arrays)| {
            arrays.iter().find_map(|(name, array)| {
                let bad = array.values.iter().find(|value| !value.is_finite())?;
                Some((format!("{part}{name}"), *bad))
            })
        })
    }
}

/// A checkpoint's contents.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// What it is a checkpoint of.
    pub about: About,
    /// How far the run had come.
    pub progress: Progress,
    /// Parameters by name.
    pub weights: Arrays,
    /// The optimizer's arrays by name.
    pub optimizer: Arrays,
    /// The state that the next window starts from, by name; empty where none is recurrent_state.
    pub recurrent_state: Arrays,
    /// Gradients that wait to be part of the next update, by parameter.
    pub accumulated: Arrays,
    /// The task's own files, such as the encoder.
    pub task: Files,
}

impl Snapshot {
    /// The files of a checkpoint.
    pub fn to_files(&self) -> Files {
        let mut files = self.task.clone();
        files.insert(ABOUT.to_owned(), json(&self.about));
        files.insert(PROGRESS.to_owned(), json(&self.progress));
        files.insert(WEIGHTS.to_owned(), parameters::to_safetensors(&self.weights));
        files.insert(OPTIMIZER.to_owned(), parameters::to_safetensors(&self.optimizer));
        for (name, arrays) in [(RECURRENT_STATE, &self.recurrent_state), (ACCUMULATED, &self.accumulated)] {
            if !arrays.is_empty() {
                files.insert(name.to_owned(), parameters::to_safetensors(arrays));
            }
        }
        files
    }

    /// The contents of a checkpoint.
    ///
    /// # Errors
    /// If a file is missing, malformed, or of another format.
    pub fn of(opened: &Opened) -> Result<Self, CheckpointError> {
        let about = About::of(opened)?;
        let arrays = |name: &str| {
            let arrays = parameters::from_safetensors(opened.file(name)?);
            arrays.map_err(|error| CheckpointError::damaged(opened.path.join(name), error))
        };
        let some = |name: &str| if opened.files.contains_key(name) { arrays(name) } else { Ok(Arrays::new()) };
        let own = [ABOUT, PROGRESS, WEIGHTS, OPTIMIZER, RECURRENT_STATE, ACCUMULATED];
        let is_task = |(name, _): &(&String, &Vec<u8>)| !own.contains(&name.as_str());
        Ok(Self {
            about,
            progress: opened.json(PROGRESS)?,
            weights: arrays(WEIGHTS)?,
            optimizer: arrays(OPTIMIZER)?,
            recurrent_state: some(RECURRENT_STATE)?,
            accumulated: some(ACCUMULATED)?,
            task: opened.files.iter().filter(is_task).map(|(name, bytes)| (name.clone(), bytes.clone())).collect(),
        })
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("made of strings, numbers and lists");
    bytes.push(b'\n');
    bytes
}
