//! Training errors.

use std::path::{Path, PathBuf};

use seqzoo_models::parameters;
use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::folder::FolderError;
use seqzoo_run::recipe::Recipe;
use seqzoo_run::record::Diagnosis;

use crate::recovery::Anomaly;

/// Error that ends training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Training diverged, or the data are invalid; recorded in the model's folder.
    #[error("{diagnosis}; {advice}")]
    Diagnosed {
        /// What is wrong.
        diagnosis: Diagnosis,
        /// What to try.
        advice: String,
    },
    /// The training split has no batches.
    #[error(
        "the training split has no batches: it is empty or too short for one batch; use more training data, or reduce \
         training.batch_size, task.window or task.horizon"
    )]
    NoBatches,
    /// Validation does not report the metric that selects the best epoch.
    #[error(
        "stopping.metric = {metric}: models with these settings and data report {}; start again with one of these metrics",
        known.join(", ")
    )]
    NoMetric {
        /// The metric.
        metric: &'static str,
        /// Those that are reported.
        known: Vec<String>,
    },
    /// An anomaly occurred in a range test or speed measurement.
    #[error(
        "measurement failed: {anomaly} in batch {batch} of epoch {epoch}; try a smaller training.learning_rate, or \
         inspect the examples of that batch"
    )]
    Unmeasurable {
        /// The anomaly.
        anomaly: Anomaly,
        /// Index of the batch in its epoch, counted from 1.
        batch: u64,
        /// Index of the epoch, counted from 1.
        epoch: u64,
    },
    /// Twice, retrying a batch from the same state gave a different result.
    #[error(
        "the machine is not deterministic: retrying a batch from the same state gave a different result, for the \
         second time, at step {step} ({anomaly}); check memory, overclocking and drivers before trusting any result"
    )]
    NotDeterministic {
        /// The anomaly of the first attempt.
        anomaly: Anomaly,
        /// Number of updates before it.
        step: u64,
    },
    /// A checkpoint could not be saved or loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A file in the run folder could not be read or written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The tensors of a checkpoint do not match the recipe's network.
    #[error("checkpoint {}: {source}", path.display())]
    Mismatch {
        /// The checkpoint.
        path: PathBuf,
        /// The mismatch.
        source: parameters::Mismatch,
    },
    /// A model has metrics but no checkpoint.
    #[error(
        "{} has metrics but no checkpoint, and they are not overwritten; restore its checkpoints, or start a new run",
        path.display()
    )]
    MissingCheckpoints {
        /// The model's folder.
        path: PathBuf,
    },
    /// A checkpoint belongs to another run.
    #[error("checkpoint {} belongs to another run: its {what} differs", path.display())]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
        /// What differs, such as the recipe.
        what: &'static str,
    },
}

impl TrainError {
    /// The error for a diagnosis, with advice that follows from the recipe.
    pub(crate) fn diagnosed(diagnosis: Diagnosis, recipe: &Recipe, folder: &Path) -> Self {
        let events = folder.join("events.jsonl");
        let advice = match diagnosis {
            Diagnosis::Diverged { .. } => {
                let training = &recipe.training;
                let clipping = match training.clip_norm > 0.0 {
                    true => format!("a smaller training.clip_norm (this run: {})", training.clip_norm),
                    false => "gradient clipping (training.clip_norm; this run: none)".to_owned(),
                };
                format!(
                    "start a new run with a smaller training.learning_rate (this run: {:e}), {clipping} or a warm-up \
                     (schedule.warmup_steps)",
                    training.learning_rate
                )
            }
            Diagnosis::InvalidData { .. } => {
                "inspect the examples of that batch, correct the data and start a new run".to_owned()
            }
        };
        Self::Diagnosed { diagnosis, advice: format!("{advice}; {} lists what was tried", events.display()) }
    }
}
