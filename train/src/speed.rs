//! How fast a recipe trains.

use std::time::{Duration, Instant};

use burn::tensor::Device;
use seqzoo_run::recipe::Recipe;
use seqzoo_run::tasks::Task;

use crate::step::{Batch, Setting, State};

/// Tokens read and learnt from in a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Batches that were timed.
    pub batches: u32,
    /// True tokens in them, padding not counted.
    pub tokens: usize,
    /// What they took.
    pub seconds: f64,
}

/// Trains fresh weights as the learner does, in the same steps, and times `batches` after a tenth as many that are not counted;
/// `None` if one of them has a loss or gradient that is not finite. Nothing is saved, and nothing validated.
pub fn speed<T: Task>(task: &T, recipe: &Recipe, batches: u32, device: &Device) -> Option<Speed> {
    let setting = Setting { task, recipe, device };
    let mut state = State::fresh(&setting);
    let warm = u64::from(batches.div_ceil(10));
    let (mut tokens, mut elapsed) = (0, Duration::ZERO);
    let mut epochs = (0..).flat_map(|epoch| {
        let all = task.batches(epoch);
        let per_pass = all.len() as u64;
        (0..).zip(all).map(move |(place, examples)| (per_pass, place, examples))
    });
    for tick in 0..warm + u64::from(batches) {
        let (per_pass, place, examples) = epochs.next()?;
        if place == 0 {
            state.carried = None;
        }
        let started = Instant::now();
        let batch = Batch { place, tick, examples, is_last: place + 1 == per_pass, per_pass };
        let taken = state.read(&setting, &batch, 0).ok()?;
        state = taken.state;
        if tick >= warm {
            tokens += taken.tokens;
            elapsed += started.elapsed();
        }
    }
    Some(Speed { batches, tokens, seconds: elapsed.as_secs_f64() })
}
