//! The learner: one loop for every task, with exact resume and a restart when a value is not finite.
//!
//! [`learner`] owns the loop, [`gradients`] measures and clips, [`optimizer`] updates. What a run is made of lives in
//! `seqzoo_run`; the learner draws no progress bar but tells an [`Observer`].

pub mod gradients;
pub mod learner;
pub mod optimizer;

pub use learner::{Job, Limits, Observer, StepReport, Stopped, TrainError, train};
