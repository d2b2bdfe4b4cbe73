//! Inputs, limits and progress reports of training.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use burn::tensor::Device;
use seqzoo_run::disk::Disk;
use seqzoo_run::folder::ModelFolder;
use seqzoo_run::progress::{EndReason, Epoch, Metadata};
use seqzoo_tasks::DynTrainingTask;

use crate::step::Context;

/// A training job: one model of a run.
pub struct Job<'a, D: Disk> {
    /// The task.
    pub task: &'a dyn DynTrainingTask,
    /// Metadata of its checkpoints, including the recipe.
    pub about: &'a Metadata,
    /// Folder of its checkpoints and journals.
    pub folder: &'a ModelFolder,
    /// File system for checkpoints.
    pub disk: &'a D,
    /// Device, without autodiff.
    pub device: &'a Device,
    /// When training pauses.
    pub limits: Limits<'a>,
}

impl<D: Disk> Job<'_, D> {
    pub(crate) fn context(&self) -> Context<'_> {
        Context { task: self.task, recipe: &self.about.settings.recipe, device: self.device }
    }
}

/// Limits at which training pauses before its end.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Set from outside to stop training, for instance by a signal handler.
    pub stop: &'a AtomicBool,
    /// Maximum number of updates, counted from the start of the run.
    pub max_steps: Option<u64>,
    /// Maximum duration of this call.
    pub max_time: Option<Duration>,
}

/// Why training stopped without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// All epochs are done, or early stopping applied.
    Finished,
    /// A limit on steps or time was reached; training can be resumed.
    Limit,
    /// [`Limits::stop`] was set; training can be resumed.
    Requested,
}

/// Receives progress reports during training.
pub trait Observer {
    /// Called after each batch.
    fn step(&mut self, report: StepReport);
    /// Called after each epoch and its validation.
    fn epoch(&mut self, epoch: &Epoch, elapsed: Duration);
    /// Called with a message for the user.
    fn note(&mut self, text: &str);
}

/// Progress after one batch.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// Number of updates so far.
    pub step: u64,
    /// Number of completed epochs.
    pub epoch: u64,
    /// Number of batches processed in this epoch.
    pub batch: u64,
    /// Number of batches per epoch.
    pub batches: u64,
    /// Loss of the batch, in nats; NaN if the batch was skipped.
    pub loss: f64,
    /// Norm of the gradient of the last update, before clipping.
    pub gradient_norm: f64,
    /// Number of tokens in the batch, padding excluded.
    pub tokens: usize,
}

/// Result of a call of [`train`](crate::train).
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Why training stopped.
    pub stopped: Stopped,
    /// Why the run has ended, if it has.
    pub ended: Option<EndReason>,
    /// Whether the run had already ended, so that this call trained nothing.
    pub already_complete: bool,
    /// Number of completed epochs, earlier calls included.
    pub epochs: u64,
    /// Duration of this call.
    pub elapsed: Duration,
    /// Time spent saving checkpoints.
    pub saving: Duration,
}
