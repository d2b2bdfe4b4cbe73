//! Training: one loop for every task, with exact resume and recovery from values that are not finite.
//!
//! - [`learner`]: the training loop
//! - `step`: one training step, atomic
//! - [`gradients`], [`optimizer`], [`schedule`]: gradient norm and clipping, updates, learning rate
//! - [`recovery`]: retries, skipped batches and rollbacks
//! - [`range`], [`speed`]: learning-rate range test, training throughput
//!
//! Recipes, run folders and checkpoints live in `seqzoo_run`. Progress is reported to an [`Observer`]; nothing is printed.

mod error;
pub mod gradients;
mod job;
pub mod learner;
pub mod optimizer;
pub mod range;
pub mod recovery;
pub mod schedule;
pub mod speed;
mod step;

pub use error::TrainError;
pub use job::{Job, Limits, Observer, Outcome, StepReport, Stopped};
pub use learner::{check_stopping_metric, train};
pub use step::REFERENCE_BATCHES;
