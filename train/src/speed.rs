//! Training throughput of a recipe, and a rehearsal of what needs the most memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use seqzoo_models::parameters;
use seqzoo_run::recipe::Recipe;
use seqzoo_run::weights::to_safetensors;
use seqzoo_tasks::DynTrainingTask;

use crate::error::TrainError;
use crate::recovery::Anomaly;
use crate::step::{self, Batch, Context, State};

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
        let taken = state.step(context, &batch, 0).map_err(|anomaly| unmeasurable(anomaly, &batch))?;
        state = taken.state;
        if batch.global_batch >= warm_up {
            tokens += taken.tokens;
            elapsed += started.elapsed();
        }
    }
    Ok(Speed { batches, tokens, seconds: elapsed.as_secs_f64() })
}

/// Maximum duration of the validation of a [`rehearsal`].
const VALIDATION: Duration = Duration::from_secs(3);

/// Runs what needs the most memory in training, so that its peak can be measured: from initial weights, two training steps on the largest
/// batch, of which the second has an optimizer state, then the contents of a checkpoint, and a validation. Returns the duration of the
/// validation; `None` if only its beginning was run, since it takes long.
///
/// # Errors
/// If there are no batches, or a training step fails because a value is not finite.
pub fn rehearsal(task: &dyn DynTrainingTask, recipe: &Recipe, device: &Device) -> Result<Option<Duration>, TrainError> {
    let context = Context { task, recipe, device };
    // Gradients are not accumulated beyond this batch.
    let batch = Batch { is_last: true, ..largest(task)? };
    let mut state = State::initial(context, None);
    for _ in 0..2 {
        state = state.step(context, &batch, 0).map_err(|anomaly| unmeasurable(anomaly, &batch))?.state;
    }
    let evaluated = state.optimizer.evaluation_network(&*state.network);
    let arrays = [parameters::read(&*evaluated), state.optimizer.to_arrays(&*state.network)];
    drop(black_box(arrays.each_ref().map(to_safetensors)));
    drop(arrays);
    let started = Instant::now();
    let scores = task.validate(&*evaluated.boxed_valid(), device, &|| started.elapsed() > VALIDATION);
    Ok(scores.map(|_| started.elapsed()))
}

/// The batch of an epoch with the most time steps, padding included; one in the middle if all are alike.
fn largest(task: &dyn DynTrainingTask) -> Result<Batch, TrainError> {
    let lengths = task.lengths();
    let steps = |batch: &Batch| {
        let longest = batch.examples.iter().filter_map(|&index| lengths.get(index)).max();
        batch.examples.len() * longest.copied().unwrap_or(1)
    };
    let epoch: Vec<Batch> =
        step::batches(task)?.take_while(|batch| batch.global_batch < batch.batches_per_epoch).collect();
    let middle = epoch.get(epoch.len() / 2).cloned();
    let found = if lengths.is_empty() { middle } else { epoch.into_iter().max_by_key(steps) };
    found.ok_or(TrainError::NoBatches)
}

fn unmeasurable(anomaly: Anomaly, batch: &Batch) -> TrainError {
    TrainError::Unmeasurable {
        anomaly,
        batch: batch.index + 1,
        epoch: batch.global_batch / batch.batches_per_epoch + 1,
    }
}
