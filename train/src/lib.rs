//! The learner: one loop for every task, with exact resume, and recovery from values that are not finite.
//!
//! [`learner`] owns the loop, `step` makes one batch an update or nothing, [`recovery`] says what is done when something goes
//! wrong; [`gradients`] measures and clips, [`optimizer`] updates, [`schedule`] gives the rate,
//! [`range`] finds which rates a recipe can bear, [`speed`] how fast it trains. What a run is made of lives in
//! `seqzoo_run`; the learner draws no progress bar but tells an [`Observer`].

pub mod gradients;
pub mod learner;
pub mod optimizer;
pub mod range;
pub mod recovery;
pub mod schedule;
pub mod speed;
mod step;

pub use learner::{Job, Limits, Observer, Outcome, StepReport, Stopped, TrainError, train};
pub use step::REFERENCE_BATCHES;
