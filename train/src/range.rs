//! Learning-rate range test: which learning rates a recipe can be trained with.

use burn::tensor::Device;
use seqzoo_run::recipe::{Recipe, ScheduleKind};
use seqzoo_run::tasks::Task;

use crate::learner::TrainError;
use crate::step::{self, Setting, State};

/// The lowest and the highest learning rate tried.
const RATES: [f64; 2] = [1e-6, 10.0];

/// Learning rates up to this many times the lowest one hardly change the weights: their losses are a plateau.
const PLATEAU: f64 = 30.0;

/// Number of losses that a plateau must have before their spread means anything.
const ENOUGH: usize = 5;

/// Share of the old value in the smoothed loss.
const SMOOTHING: f64 = 0.9;

/// A smoothed loss has fallen where it is below the plateau by so many standard errors, and by this share of the plateau.
const ERRORS: f64 = 5.0;
const SHARE: f64 = 0.01;

/// A smoothed loss has exploded where it is above the plateau by so many times the plateau, and by so many standard errors.
const EXPLODED: f64 = 3.0;

/// The loss at a learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// The learning rate of the update before it.
    pub rate: f64,
    /// Mean loss of its batch.
    pub loss: f64,
}

/// Trains untrained weights for some updates whose learning rate grows evenly on a logarithmic scale from 10⁻⁶ to 10, and gives
/// the loss after each; ends where it explodes or is not finite. Nothing is saved.
///
/// Smith, "Cyclical learning rates for training neural networks", WACV 2017.
///
/// # Errors
/// If there are no batches, or the very first one has no finite loss.
pub fn range_test<T: Task>(task: &T, recipe: &Recipe, updates: u32, device: &Device) -> Result<Vec<Tried>, TrainError> {
    let mut recipe = recipe.clone();
    (recipe.schedule.kind, recipe.schedule.warmup_steps, recipe.training.accumulate) = (ScheduleKind::Constant, 0, 1);
    let mut state = State::fresh(&Setting { task, recipe: &recipe, device });
    let mut tried: Vec<Tried> = Vec::new();
    let mut before = None;
    for (update, batch) in (0..=updates).zip(step::batches(task)?) {
        let share = f64::from(update) / f64::from(updates.max(2) - 1);
        recipe.training.learning_rate = RATES[0] * (RATES[1] / RATES[0]).powf(share);
        if batch.place == 0 {
            state.recurrent_state = None;
        }
        let taken = match state.read(&Setting { task, recipe: &recipe, device }, &batch, 0) {
            Ok(taken) => taken,
            Err(anomaly) if before.is_none() => {
                return Err(TrainError::Unmeasurable { anomaly, batch: batch.place + 1, epoch: 1 });
            }
            Err(_) => break,
        };
        state = taken.state;
        tried.extend(before.map(|rate| Tried { rate, loss: taken.loss }));
        before = Some(recipe.training.learning_rate);
        if has_exploded(&tried) {
            break;
        }
    }
    Ok(tried)
}

/// The losses as an exponential mean over those before, corrected for its start at zero.
pub fn smoothed(tried: &[Tried]) -> Vec<Tried> {
    let (mut mean, mut weight) = (0.0, 0.0);
    let smooth = |&Tried { rate, loss }: &Tried| {
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss;
        weight = SMOOTHING * weight + (1.0 - SMOOTHING);
        Tried { rate, loss: mean / weight }
    };
    tried.iter().map(smooth).collect()
}

/// Level and noise of the losses at the smallest learning rates.
struct Plateau {
    mean: f64,
    /// Standard error of the difference between the mean and a smoothed loss of the same distribution.
    error: f64,
}

impl Plateau {
    fn of(tried: &[Tried]) -> Option<Self> {
        let lowest = tried.first()?.rate;
        let losses: Vec<f64> =
            tried.iter().take_while(|tried| tried.rate <= PLATEAU * lowest).map(|tried| tried.loss).collect();
        if losses.len() < ENOUGH {
            return None;
        }
        let count = losses.len() as f64;
        let mean = losses.iter().sum::<f64>() / count;
        let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // The variance of an exponential mean of independent values is (1 − a) / (1 + a) of theirs.
        let error = (variance * ((1.0 - SMOOTHING) / (1.0 + SMOOTHING) + 1.0 / count)).sqrt();
        Some(Self { mean, error })
    }
}

fn has_exploded(tried: &[Tried]) -> bool {
    let Some((Plateau { mean, error }, last)) = Plateau::of(tried).zip(smoothed(tried).pop()) else { return false };
    last.loss > mean + EXPLODED * mean.abs() + ERRORS * error
}

/// A learning rate to begin with: a tenth of the one at which the smoothed loss is smallest, but at least the first one at which it
/// has fallen; none where it never falls below the noise of the plateau.
pub fn suggestion(tried: &[Tried]) -> Option<f64> {
    let Plateau { mean, error } = Plateau::of(tried)?;
    // Within the plateau there is nothing to find, and means over few losses are as noisy as those.
    let mut smooth = smoothed(tried);
    let lowest = tried.first()?.rate;
    smooth.retain(|tried| tried.rate > PLATEAU * lowest);
    let limit = mean - (ERRORS * error).max(SHARE * mean.abs());
    let first = smooth.iter().find(|tried| tried.loss < limit)?;
    let smallest = smooth.iter().min_by(|a, b| a.loss.total_cmp(&b.loss))?;
    Some((smallest.rate / 10.0).max(first.rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test of 100 updates: a curve over the learning rate, and noise without pattern of this amplitude.
    fn tried(amplitude: f64, salt: u64, curve: impl Fn(f64) -> f64) -> Vec<Tried> {
        let noise = |k: u64| (((k + salt * 1_000).wrapping_mul(2_654_435_769) % 1_000_003) as f64 / 500_001.5) - 1.0;
        let rate = |k: u64| RATES[0] * (RATES[1] / RATES[0]).powf(k as f64 / 99.0);
        (0..100).map(|k| Tried { rate: rate(k), loss: curve(rate(k)) + amplitude * noise(k) }).collect()
    }

    #[test]
    fn noise_alone_proposes_nothing_whatever_its_level() {
        for salt in 0..300 {
            assert_eq!(suggestion(&tried(0.05, salt, |_| 0.69)), None, "{salt}");
            assert_eq!(suggestion(&tried(1.0, salt, |_| 0.0)), None, "{salt}");
            // Noise, then an explosion.
            assert_eq!(suggestion(&tried(0.05, salt, |rate| 0.69 + 50.0 * rate)), None, "{salt}");
        }
    }

    #[test]
    fn a_decrease_after_noise_proposes_a_rate_within_it() {
        // Falls from 10⁻³ on, is lowest at 10⁻¹, and explodes after it.
        let curve = |rate: f64| {
            let fallen = (rate / 1e-3).log10().clamp(0.0, 2.0);
            0.69 - 0.2 * fallen + 30.0 * (rate - 0.1).max(0.0)
        };
        for salt in 0..300 {
            let rate = suggestion(&tried(0.05, salt, curve)).unwrap();
            assert!((1e-3..=0.1).contains(&rate), "{salt}: {rate}");
        }
        // The same of a loss that may be negative.
        let rate = suggestion(&tried(0.05, 0, |rate| curve(rate) - 0.69)).unwrap();
        assert!((1e-3..=0.1).contains(&rate), "{rate}");
    }

    #[test]
    fn immediate_divergence_proposes_nothing() {
        let exploding = tried(0.01, 0, |rate| 0.7 * (rate / 1e-6).powi(3));
        assert_eq!(suggestion(&exploding), None);
        assert_eq!(suggestion(&exploding[..3]), None);
        assert_eq!(suggestion(&[]), None);
        assert!(has_exploded(&exploding) && !has_exploded(&tried(0.05, 0, |_| 0.69)));
    }
}
