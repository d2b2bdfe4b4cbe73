//! Contents of a checkpoint: progress of the run, metadata and arrays.

use burn::tensor::Device;
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_models::parameters::Arrays;
use seqzoo_tasks::{Files, LoadError, Predictor};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, CheckpointError, Checkpoints, FORMAT, Opened, check_format};
use crate::recipe::{ModelSpec, Recipe};
use crate::record::{Divergence, GradientNorms, Recovery};
use crate::settings::Settings;
use crate::weights;

const ABOUT: &str = "about.json";
const PROGRESS: &str = "progress.json";
const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const RECURRENT_STATE: &str = "recurrent_state.safetensors";
const ACCUMULATED: &str = "accumulated.safetensors";

/// Metadata of a checkpoint: settings, model and dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Format of the checkpoint.
    pub format: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// Settings of the model, see [`Settings::of_model`].
    pub settings: Settings,
    /// Name of the model.
    pub model: String,
    /// SHA-256 of the dataset.
    pub data_digest: String,
}

impl Metadata {
    /// Metadata of a checkpoint written by this version.
    pub fn now(settings: Settings, model: &str, data_digest: &str) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings,
            model: model.to_owned(),
            data_digest: data_digest.to_owned(),
        }
    }

    /// Metadata of an opened checkpoint.
    ///
    /// # Errors
    /// If it is missing, malformed, or has another format.
    pub fn of(opened: &Opened) -> Result<Self, CheckpointError> {
        check_format(&opened.path.join(ABOUT), opened.file(ABOUT)?)?;
        opened.json(ABOUT)
    }
}

/// Progress of a run: everything that the next training step depends on, apart from arrays.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Number of updates so far.
    pub step: u64,
    /// Number of completed epochs.
    pub epoch: u64,
    /// Number of batches processed in the current epoch.
    pub batch: u64,
    /// Number of batches in the accumulated gradients.
    pub accumulated_batches: u64,
    /// Number of predictions of those batches.
    pub accumulated_weight: f64,
    /// Sum of the losses of all predictions in the current epoch.
    pub loss_sum: f64,
    /// Number of predictions in the current epoch.
    pub predictions: f64,
    /// Statistics of gradient norms, before clipping.
    pub norms: GradientNorms,
    /// Divergence detector.
    #[serde(default)]
    pub divergence: Divergence,
    /// Recoveries so far.
    pub recovery: Recovery,
    /// Length of `metrics.jsonl`, in bytes.
    pub metrics_bytes: u64,
    /// Metrics of each epoch.
    pub history: Vec<Epoch>,
    /// Number of epochs at the start of the run whose equal metrics are not decided by the validation loss. `None` in checkpoints of older
    /// versions, which always chose the first of equal epochs and removed the checkpoints of the others.
    #[serde(default)]
    pub ties_by_loss_after: Option<u64>,
}

/// Metrics of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of updates so far.
    pub step: u64,
    /// Number of completed epochs.
    pub epoch: u64,
    /// Mean training loss over the epoch, in nats.
    pub train_loss: f64,
    /// Metrics on the validation split.
    pub validation: Scores,
}

impl Progress {
    /// Progress at the start of a run.
    pub fn start() -> Self {
        Self { ties_by_loss_after: Some(0), ..Self::default() }
    }

    /// The best epoch so far by a metric; among equal ones, that with the lowest validation loss, then the first.
    pub fn best(&self, metric: Metric) -> Option<&Epoch> {
        let is_better = |next: &Epoch, best: &Epoch| {
            let by_loss = self.ties_by_loss_after.is_some_and(|epochs| next.epoch > epochs);
            let is_equal = next.validation.get(metric) == best.validation.get(metric);
            next.validation.is_better(&best.validation, metric)
                || (by_loss && is_equal && next.validation.is_better(&best.validation, Metric::LOSS))
        };
        self.history.iter().reduce(|best, next| if is_better(next, best) { next } else { best })
    }

    /// Number of epochs since the [best](Self::best); 0 before the first.
    pub fn epochs_since_best(&self, metric: Metric) -> u64 {
        self.best(metric).map_or(0, |best| self.epoch.saturating_sub(best.epoch))
    }

    /// Why training has ended, if it has.
    pub fn ended(&self, recipe: &Recipe) -> Option<EndReason> {
        let metric = recipe.stopping_metric();
        let patience = recipe.stopping.patience;
        let epochs = recipe.training.epochs as u64;
        if self.epoch >= epochs {
            return Some(EndReason::Epochs(self.epoch));
        }
        let best = self.best(metric).map_or(0, |epoch| epoch.epoch);
        let is_early = self.epoch.saturating_sub(best) >= patience as u64;
        is_early.then_some(EndReason::Early { epoch: self.epoch, epochs, metric, best })
    }
}

/// Why training has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EndReason {
    /// All epochs are done.
    Epochs(u64),
    /// Early stopping: validation has not improved for as many epochs as the recipe's patience.
    Early {
        /// Number of epochs done.
        epoch: u64,
        /// Number of epochs that the recipe allows.
        epochs: u64,
        /// The validation metric.
        metric: Metric,
        /// Epoch with its best value.
        best: u64,
    },
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Epochs(epochs) => write!(f, "{epochs} epochs done"),
            Self::Early { epoch, epochs, metric, best } => write!(
                f,
                "stopped early after epoch {epoch} of {epochs}: validation {} has not improved since epoch {best}",
                metric.name
            ),
        }
    }
}

impl Snapshot {
    /// The model spec from which to build the network.
    ///
    /// # Errors
    /// If the recipe is invalid or the model is unknown.
    pub fn spec(&self, opened: &Opened) -> Result<ModelSpec, CheckpointError> {
        let Metadata { settings, model, .. } = &self.about;
        let damaged = |error| CheckpointError::damaged(&opened.path, error);
        settings.recipe.validate().map_err(damaged)?;
        settings.recipe.spec(model).map_err(damaged)
    }

    /// Opens the trained model.
    ///
    /// # Errors
    /// If the recipe, a file of the task or a tensor is invalid, or a weight is not finite.
    pub fn predictor(&self, opened: &Opened, device: &Device) -> Result<Box<dyn Predictor>, CheckpointError> {
        let spec = self.spec(opened)?;
        let damaged = |file: &str, detail: String| CheckpointError::damaged(opened.path.join(file), detail);
        let bad = self.weights.iter().find(|(_, array)| array.values.iter().any(|value| !value.is_finite()));
        if let Some((name, _)) = bad {
            return Err(damaged(WEIGHTS, format!("{name} has values that are not finite")));
        }
        let task = self.about.settings.recipe.task().map_err(|error| damaged(ABOUT, error.to_string()))?;
        task.open(&spec, &self.task, &self.weights, device).map_err(|error| match error {
            LoadError::File { file, detail } => damaged(&file, detail),
            LoadError::Weights(mismatch) => damaged(WEIGHTS, mismatch.to_string()),
        })
    }

    /// Name and value of the first tensor element that is not finite.
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

/// The checkpoint with the best validation metric.
#[derive(Debug)]
pub struct Best {
    /// The opened checkpoint.
    pub opened: Opened,
    /// Its contents.
    pub snapshot: Snapshot,
    /// The recipe at the latest checkpoint.
    pub recipe: Recipe,
    /// Training progress at the latest checkpoint.
    pub progress: Progress,
}

/// Contents of a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Metadata.
    pub about: Metadata,
    /// Progress of the run.
    pub progress: Progress,
    /// Parameters by name.
    pub weights: Arrays,
    /// Optimizer state by name.
    pub optimizer: Arrays,
    /// Recurrent state for the next window, by name; empty if the task is not stateful.
    pub recurrent_state: Arrays,
    /// Accumulated gradients by parameter.
    pub accumulated: Arrays,
    /// Files of the task, such as the encoder.
    pub task: Files,
}

impl Snapshot {
    /// The checkpoint with the best validation metric; before the first validation, or without `stopping.restore_best`, the latest.
    ///
    /// # Errors
    /// If it, or the latest one, which records the best, is missing or damaged.
    pub fn best(checkpoints: &Checkpoints) -> Result<Best, CheckpointError> {
        let none = || CheckpointError::NoneUsable { dir: checkpoints.dir().to_owned(), skipped: Vec::new() };
        let (_, latest) = checkpoints.list()?.pop().ok_or_else(none)?;
        let mut opened = checkpoint::open(&latest)?;
        let mut snapshot = Self::of(&opened)?;
        let (recipe, progress) = (snapshot.about.settings.recipe.clone(), snapshot.progress.clone());
        let best = progress.best(recipe.stopping_metric()).filter(|_| recipe.stopping.restore_best);
        if let Some(best) = best.filter(|best| best.step != opened.step) {
            let path = checkpoints.of_step(best.step)?.unwrap_or_else(|| checkpoints.path(best.step));
            opened = checkpoint::open(&path)?;
            snapshot = Self::of(&opened)?;
        }
        Ok(Best { opened, snapshot, recipe, progress })
    }

    /// Serializes the checkpoint to files.
    pub fn to_files(&self) -> Files {
        let mut files = self.task.clone();
        files.insert(ABOUT.to_owned(), json(&self.about));
        files.insert(PROGRESS.to_owned(), json(&self.progress));
        files.insert(WEIGHTS.to_owned(), weights::to_safetensors(&self.weights));
        files.insert(OPTIMIZER.to_owned(), weights::to_safetensors(&self.optimizer));
        for (name, arrays) in [(RECURRENT_STATE, &self.recurrent_state), (ACCUMULATED, &self.accumulated)] {
            if !arrays.is_empty() {
                files.insert(name.to_owned(), weights::to_safetensors(arrays));
            }
        }
        files
    }

    /// Deserializes an opened checkpoint.
    ///
    /// # Errors
    /// If a file is missing, malformed, or has another format.
    pub fn of(opened: &Opened) -> Result<Self, CheckpointError> {
        let about = Metadata::of(opened)?;
        let arrays = |name: &str| {
            let arrays = weights::from_safetensors(opened.file(name)?);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Progress after epochs with these accuracies and losses.
    fn progress(epochs: &[(f64, f64)]) -> Progress {
        let epoch = |(number, &(accuracy, loss)): (u64, &(f64, f64))| {
            let validation = Scores::new(10, [(Metric::ACCURACY, accuracy), (Metric::LOSS, loss)]);
            Epoch { step: number, epoch: number, train_loss: 1.0, validation }
        };
        Progress { epoch: epochs.len() as u64, history: (1..).zip(epochs).map(epoch).collect(), ..Progress::start() }
    }

    fn best(progress: &Progress) -> u64 {
        progress.best(Metric::ACCURACY).unwrap().epoch
    }

    #[test]
    fn equal_metrics_are_decided_by_the_loss_and_then_by_the_first_epoch() {
        let zero = progress(&[(0.0, 3.0), (0.0, 2.0), (0.0, 1.0), (0.0, 1.0), (0.0, 1.5)]);
        assert_eq!((best(&zero), zero.epochs_since_best(Metric::ACCURACY)), (3, 2));
        assert_eq!(best(&progress(&[(0.5, 3.0), (0.6, 4.0), (0.5, 1.0)])), 2);
    }

    #[test]
    fn epochs_of_older_versions_keep_their_best_one() {
        let mut old = serde_json::to_value(progress(&[(0.0, 3.0), (0.0, 2.0)])).unwrap();
        old.as_object_mut().unwrap().remove("ties_by_loss_after");
        let mut old: Progress = serde_json::from_value(old).unwrap();
        assert_eq!(best(&old), 1);
        // After resuming, new epochs compete with the best one.
        old.ties_by_loss_after = Some(2);
        assert_eq!(best(&old), 1);
        old.history.extend(progress(&[(0.0, 9.0), (0.0, 9.0), (0.0, 2.5)]).history.into_iter().skip(2));
        assert_eq!(best(&old), 3);
    }
}
