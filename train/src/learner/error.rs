//! Why training fails, for people.

use std::path::PathBuf;

use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::folder::FolderError;
use seqzoo_run::parameters::ParameterError;

use crate::recovery::{ATTEMPTS_IN_A_REGION, ATTEMPTS_IN_A_RUN, Anomaly};

/// Why training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Rollbacks did not help, and other batches are well.
    #[error(
        "the recipe is unstable: {anomaly} at step {step}, and no rollback helped (at most {ATTEMPTS_IN_A_REGION} about one \
         stretch, {ATTEMPTS_IN_A_RUN} in a run); try a smaller training.learning_rate, a smaller training.clip_norm or \
         a warm-up; events.jsonl tells what was tried"
    )]
    Diverged {
        /// What was found last.
        anomaly: Anomaly,
        /// Updates before it.
        step: u64,
    },
    /// The task has no batches.
    #[error(
        "the training split has no batches: it is empty, or shorter than what one batch reads; use more training data, or a \
         recipe that reads less at once (training.batch_size, series.window, series.horizon)"
    )]
    NoBatches,
    /// A batch on which nothing can be measured.
    #[error(
        "nothing can be measured: {anomaly} in batch {batch} of epoch {epoch}; try a smaller training.learning_rate, or look \
         at what that batch holds"
    )]
    Unmeasurable {
        /// What was found.
        anomaly: Anomaly,
        /// The batch, counted from 1.
        batch: u64,
        /// The epoch, counted from 1.
        epoch: u64,
    },
    /// A batch goes wrong whatever the weights.
    #[error(
        "the data are bad: {anomaly} in batch {batch} of pass {pass}, with fresh weights too; look at what that batch \
         holds; events.jsonl tells what was tried"
    )]
    BadData {
        /// What was found last.
        anomaly: Anomaly,
        /// The batch, counted from 1.
        batch: u64,
        /// The pass, counted from 1.
        pass: u64,
    },
    /// The same batch from the same state gave two results, twice.
    #[error(
        "the machine is not deterministic: a batch read again from the same state gave another result, for the second \
         time, at step {step} ({anomaly}); suspect memory, overclocking or a driver before trusting any result"
    )]
    NotDeterministic {
        /// What was found the first time.
        anomaly: Anomaly,
        /// Updates before it.
        step: u64,
    },
    /// A checkpoint could not be saved or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A journal could not be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A checkpoint does not fit the recipe's network.
    #[error("checkpoint {}: {source}", path.display())]
    Unfit {
        /// The checkpoint.
        path: PathBuf,
        /// What does not fit.
        source: ParameterError,
    },
    /// A model that was trained has no checkpoint left.
    #[error(
        "{} has metrics but no checkpoint: it is not begun anew over them; bring its checkpoints back, or start another run",
        path.display()
    )]
    Lost {
        /// The model's folder.
        path: PathBuf,
    },
    /// A checkpoint belongs to another run.
    #[error("checkpoint {} was made by another run: its {what} differs", path.display())]
    Foreign {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
}
