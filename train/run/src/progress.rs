//! How far a run has come: all that a checkpoint holds beside arrays.

use serde::{Deserialize, Serialize};

use crate::checkpoint::{CheckpointError, Files, Opened};
use crate::parameters::{self, Arrays};
use crate::recipe::{Metric, Recipe, StoppingSettings};
use crate::settings::Settings;

const ABOUT: &str = "about.json";
const PROGRESS: &str = "progress.json";
const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

/// The format that this version writes, and the only one that it reads.
const FORMAT: u32 = 1;

/// What a checkpoint is a checkpoint of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Format of the checkpoint.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// The settings it was trained under.
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
}

/// The position in a run: everything that the next step depends on, beside weights and optimiser.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Updates so far.
    pub step: u64,
    /// Full passes over the training part so far.
    pub epoch: u64,
    /// Batches taken of the current pass.
    pub batch: u64,
    /// Of the current pass: losses summed over examples.
    pub loss_sum: f64,
    /// Of the current pass: examples seen.
    pub examples: u64,
    /// The recipe's learning rate is multiplied by this; restarts make it smaller.
    pub rate_factor: f64,
    /// Restarts after a value that was not finite.
    pub restarts: u32,
    /// Measured after each full pass.
    pub history: Vec<Epoch>,
}

/// What was measured after a full pass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
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

/// How well examples are labelled.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// Share of examples labelled rightly.
    pub accuracy: f64,
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// How many examples.
    pub examples: usize,
}

impl Scores {
    /// The value of a metric.
    pub fn metric(&self, metric: Metric) -> f64 {
        match metric {
            Metric::Accuracy => self.accuracy,
            Metric::Loss => self.loss,
        }
    }

    /// Whether these scores are better by a metric; what is not a number never is.
    pub fn better(&self, other: &Scores, metric: Metric) -> bool {
        let (new, old) = (self.metric(metric), other.metric(metric));
        match metric {
            Metric::Accuracy => new > old,
            Metric::Loss => new < old,
        }
    }
}

impl Progress {
    /// Before the first step.
    pub fn start() -> Self {
        Self { rate_factor: 1.0, ..Self::default() }
    }

    /// The best pass so far by a metric; of equal ones the first.
    pub fn best(&self, metric: Metric) -> Option<&Epoch> {
        let better = |best: &Epoch, next: &Epoch| next.validation.better(&best.validation, metric);
        self.history.iter().reduce(|best, next| if better(best, next) { next } else { best })
    }

    /// Why training has come to its end, if it has.
    pub fn ended(&self, recipe: &Recipe) -> Option<String> {
        let StoppingSettings { metric, patience } = recipe.stopping;
        let best = self.best(metric).map_or(0, |epoch| epoch.epoch);
        if self.epoch >= recipe.training.epochs as u64 {
            return Some(format!("{} epochs done", self.epoch));
        }
        let waited = self.epoch - best;
        (waited >= patience as u64).then(|| format!("no better validation {} for {waited} epochs", metric.name()))
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
    /// The optimiser's arrays by name.
    pub optimizer: Arrays,
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
        files
    }

    /// The contents of a checkpoint.
    ///
    /// # Errors
    /// If a file is missing, malformed, or of another format.
    pub fn of(opened: &Opened) -> Result<Self, CheckpointError> {
        let version: FormatOnly = opened.json(ABOUT)?;
        if version.format != FORMAT {
            let detail = format!("format {} (this version reads {FORMAT})", version.format);
            return Err(CheckpointError::damaged(opened.path.join(ABOUT), detail));
        }
        let arrays = |name: &str| {
            let arrays = parameters::from_safetensors(opened.file(name)?);
            arrays.map_err(|error| CheckpointError::damaged(opened.path.join(name), error))
        };
        let own = [ABOUT, PROGRESS, WEIGHTS, OPTIMIZER];
        let is_task = |(name, _): &(&String, &Vec<u8>)| !own.contains(&name.as_str());
        Ok(Self {
            about: opened.json(ABOUT)?,
            progress: opened.json(PROGRESS)?,
            weights: arrays(WEIGHTS)?,
            optimizer: arrays(OPTIMIZER)?,
            task: opened.files.iter().filter(is_task).map(|(name, bytes)| (name.clone(), bytes.clone())).collect(),
        })
    }
}

#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

fn json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("made of strings, numbers and lists");
    bytes.push(b'\n');
    bytes
}
