//! Training throughput of a recipe.

use std::time::{Duration, Instant};

use burn::tensor::Device;
use seqzoo_run::recipe::Recipe;
use seqzoo_tasks::DynTrainingTask;

use crate::error::TrainError;
use crate::step::{self, Context, State};

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

/// Measures training throughput over `batches` batches, from initial weights and after a warm-up of a tenth as many batches. Runs
/// the learner's training steps, without checkpoints and validation.
///
/// # Errors
/// If there are no batches, or a training step fails because a value is not finite.
pub fn speed(task: &dyn DynTrainingTask, recipe: &Recipe, batches: u32, device: &Device) -> Result<Speed, TrainError> {
    let context = Context { task, recipe, device };
    let mut stream = step::batches(task)?;
    let mut state = State::initial(context, None);
    let warm_up = u64::from(batches.div_ceil(10));
    let (mut tokens, mut elapsed) = (0, Duration::ZERO);
    for _ in 0..warm_up + u64::from(batches) {
        let batch = stream.next().ok_or(TrainError::NoBatches)?;
        if batch.index == 0 {
            state.recurrent_state = None;
        }
        let started = Instant::now();
        let taken = state.step(context, &batch, 0).map_err(|anomaly| TrainError::Unmeasurable {
            anomaly,
            batch: batch.index + 1,
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
