//! Training throughput of a recipe.

use std::time::{Duration, Instant};

use burn::tensor::Device;
use seqzoo_run::recipe::Recipe;
use seqzoo_run::tasks::Task;

use crate::learner::TrainError;
use crate::step::{self, Setting, State};

/// Training throughput.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Number of timed batches.
    pub batches: u32,
    /// Number of tokens in them, padding excluded.
    pub tokens: usize,
    /// Duration of their training steps.
    pub seconds: f64,
}

/// Measures training throughput over `batches` batches, from initial weights and after a warm_up-up of a tenth as many batches. Runs
/// the learner's training steps, without checkpoints and validation.
///
/// # Errors
/// If there are no batches, or a training step fails because a value is not finite.
pub fn speed<T: Task>(task: &T, recipe: &Recipe, batches: u32, device: &Device) -> Result<Speed, TrainError> {
    let setting = Setting { task, recipe, device };
    let mut stream = step::batches(task)?;
    let mut state = State::fresh(&setting);
    let warm_up = u64::from(batches.div_ceil(10));
    let (mut tokens, mut elapsed) = (0, Duration::ZERO);
    for _ in 0..warm_up + u64::from(batches) {
        let batch = stream.next().ok_or(TrainError::NoBatches)?;
        if batch.place == 0 {
            state.recurrent_state = None;
        }
        let started = Instant::now();
        let taken = state.read(&setting, &batch, 0).map_err(|anomaly| TrainError::Unmeasurable {
            anomaly,
            batch: batch.place + 1,
            epoch: batch.global_batch / batch.batches_per_epoch + 1,
        })?;
        state = taken.state;
        if batch.global_batch >= warm_up {
            tokens += taken.tokens;
            elapsed += started.elapsed();
        }
    }
    Ok(Speed { batches, tokens, seconds: elapsed.as_secs_f64() })
}
