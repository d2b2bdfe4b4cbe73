//! Training errors.

use std::path::PathBuf;

use seqzoo_models::parameters;
use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::folder::FolderError;

use crate::recovery::{ATTEMPTS_IN_A_REGION, ATTEMPTS_IN_A_RUN, Anomaly};

/// Error that ends training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Training diverged, and rollbacks did not help.
    #[error(
        "training diverged: {anomaly} at step {step}, and no rollback helped (at most {ATTEMPTS_IN_A_REGION} per \
         region, {ATTEMPTS_IN_A_RUN} per run); try a smaller training.learning_rate, a smaller training.clip_norm \
         or a warm-up (schedule.warmup_steps); see events.jsonl for what was tried"
    )]
    Diverged {
        /// The last anomaly.
        anomaly: Anomaly,
        /// Number of updates before it.
        step: u64,
    },
    /// The training split has no batches.
    #[error(
        "the training split has no batches: it is empty or too short for one batch; use more training data, or reduce \
         training.batch_size, task.window or task.horizon"
    )]
    NoBatches,
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
    /// A batch causes an anomaly even with freshly initialized weights.
    #[error(
        "invalid data: {anomaly} in batch {batch} of epoch {epoch}, even with freshly initialized weights; inspect the \
         examples of that batch; see events.jsonl for what was tried"
    )]
    InvalidData {
        /// The last anomaly.
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
