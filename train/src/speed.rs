//! How fast a recipe trains.

use std::time::{Duration, Instant};

use burn::tensor::Device;
use seqzoo_run::recipe::Recipe;
use seqzoo_run::tasks::Task;

use crate::learner::TrainError;
use crate::step::{self, Setting, State};

/// Tokens read and learned from in a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Batches that were timed.
    pub batches: u32,
    /// True tokens in them, padding not counted.
    pub tokens: usize,
    /// What they took.
    pub seconds: f64,
}

/// Trains untrained weights as the learner does, in the same steps, and times `batches` after a tenth as many that are not
/// counted. Nothing is saved, and nothing validated.
///
/// # Errors
/// If there are no batches, or one of them has a loss or gradient that is not finite.
pub fn speed<T: Task>(task: &T, recipe: &Recipe, batches: u32, device: &Device) -> Result<Speed, TrainError> {
    let setting = Setting { task, recipe, device };
    let mut stream = step::batches(task)?;
    let mut state = State::fresh(&setting);
    let warm = u64::from(batches.div_ceil(10));
    let (mut tokens, mut elapsed) = (0, Duration::ZERO);
    for _ in 0..warm + u64::from(batches) {
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
        if batch.global_batch >= warm {
            tokens += taken.tokens;
            elapsed += started.elapsed();
        }
    }
    Ok(Speed { batches, tokens, seconds: elapsed.as_secs_f64() })
}
