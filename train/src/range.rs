//! Which learning rates a recipe can bear: the learning-rate range test.

use burn::tensor::Device;
use seqzoo_run::recipe::{Recipe, ScheduleKind};
use seqzoo_run::tasks::Task;

use crate::step::{Batch, Setting, State};

/// The lowest and the highest rate tried.
const RATES: [f64; 2] = [1e-6, 10.0];

/// Share of the old value in the smoothed loss.
const SMOOTHING: f64 = 0.9;

/// A loss so many times the smallest one ends the test.
const EXPLODED: f64 = 4.0;

/// A loss that has fallen to this share of the first one has fallen.
const CLEARLY: f64 = 0.97;

/// The loss at a learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// The rate of the update before it.
    pub rate: f64,
    /// Of its batch, in nats, smoothed over the batches before.
    pub loss: f64,
}

/// Trains fresh weights for some updates whose learning rate grows evenly on a logarithmic scale from 10⁻⁶ to 10, and gives
/// the smoothed loss at each; ends where that is four times its smallest value, or is no number. Nothing is saved.
///
/// Smith, "Cyclical learning rates for training neural networks", WACV 2017.
pub fn range_test<T: Task>(task: &T, recipe: &Recipe, updates: u32, device: &Device) -> Vec<Tried> {
    let mut recipe = recipe.clone();
    (recipe.schedule.kind, recipe.schedule.warmup_steps, recipe.training.accumulate) = (ScheduleKind::Constant, 0, 1);
    let mut state = State::fresh(&Setting { task, recipe: &recipe, device });
    let mut tried: Vec<Tried> = Vec::new();
    let batches = (0..).flat_map(|epoch| (0..).zip(task.batches(epoch)));
    let (mut smooth, mut smallest) = (0.0, f64::INFINITY);
    for (update, (place, examples)) in (0..updates).zip(batches) {
        let share = f64::from(update) / f64::from(updates.max(2) - 1);
        let rate = RATES[0] * (RATES[1] / RATES[0]).powf(share);
        recipe.training.learning_rate = rate;
        let batch = Batch { place, tick: update.into(), examples, is_last: false, per_pass: updates.into() };
        if place == 0 {
            state.carried = None;
        }
        let Ok(taken) = state.read(&Setting { task, recipe: &recipe, device }, &batch, 0) else { break };
        state = taken.state;
        smooth = SMOOTHING * smooth + (1.0 - SMOOTHING) * taken.loss;
        let loss = smooth / (1.0 - SMOOTHING.powi(i32::try_from(update).unwrap_or(i32::MAX) + 1));
        smallest = smallest.min(loss);
        tried.push(Tried { rate, loss });
        if loss > EXPLODED * smallest {
            break;
        }
    }
    tried
}

/// A rate to begin with: a tenth of the one at which the smoothed loss was smallest; `None` where it hardly fell at all, so that
/// its smallest value is chance.
pub fn suggestion(tried: &[Tried]) -> Option<f64> {
    let best = tried.iter().min_by(|a, b| a.loss.total_cmp(&b.loss))?;
    (best.loss < CLEARLY * tried[0].loss).then_some(best.rate / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_proposed_where_the_loss_has_fallen() {
        let tried = |losses: [f64; 4]| -> Vec<Tried> {
            losses.iter().zip([1e-4, 1e-3, 1e-2, 1e-1]).map(|(&loss, rate)| Tried { rate, loss }).collect()
        };
        assert_eq!(suggestion(&tried([3.0, 2.5, 1.5, 4.0])), Some(1e-3));
        assert_eq!(suggestion(&tried([0.70, 0.69, 0.69, 0.75])), None);
        assert_eq!(suggestion(&[]), None);
    }
}
