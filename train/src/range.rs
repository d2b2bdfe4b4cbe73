//! Learning-rate range test.

use burn::tensor::Device;
use seqzoo_models::parameters::Arrays;
use seqzoo_run::recipe::{Recipe, ScheduleKind};
use seqzoo_tasks::DynTrainingTask;

use crate::error::TrainError;
use crate::step::{self, Context, State};

/// Lowest and highest learning rate of the test.
const RATES: [f64; 2] = [1e-6, 10.0];

/// The plateau consists of the losses at learning rates up to this multiple of the lowest one, which hardly change the weights.
const PLATEAU: f64 = 30.0;

/// Minimum number of losses in the plateau for an estimate of their variance.
const MIN_LOSSES: usize = 5;

/// Weight of the previous value in the exponentially smoothed loss.
const SMOOTHING: f64 = 0.9;

/// The smoothed loss has decreased once it is this many standard errors, and this fraction of the plateau, below the plateau.
const ERRORS: f64 = 5.0;
const FRACTION: f64 = 0.01;

/// The smoothed loss has exploded once it exceeds the plateau by this multiple of the plateau plus `ERRORS` standard errors.
const EXPLODED: f64 = 3.0;

/// Loss at one learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RangePoint {
    /// Learning rate of the update before the loss was measured.
    pub learning_rate: f64,
    /// Mean loss of the batch.
    pub loss: f64,
}

/// Trains from initial weights, those of the seed unless `initial` is given, while the learning rate grows exponentially from 10⁻⁶ to 10, and returns the loss after each
/// update. Ends early if the loss explodes or is not finite. Nothing is saved.
///
/// Smith, "Cyclical learning rates for training neural networks", WACV 2017.
///
/// # Errors
/// If there are no batches, or the first training step fails because a value is not finite.
pub fn range_test(
    task: &dyn DynTrainingTask,
    recipe: &Recipe,
    initial: Option<&Arrays>,
    updates: u32,
    device: &Device,
) -> Result<Vec<RangePoint>, TrainError> {
    let mut recipe = recipe.clone();
    (recipe.schedule.kind, recipe.schedule.warmup_steps, recipe.training.accumulate) = (ScheduleKind::Constant, 0, 1);
    let mut state = State::initial(Context { task, recipe: &recipe, device }, initial);
    let mut tried: Vec<RangePoint> = Vec::new();
    let mut previous = None;
    for (update, batch) in (0..=updates).zip(step::batches(task)?) {
        let fraction = f64::from(update) / f64::from(updates.max(2) - 1);
        recipe.training.learning_rate = RATES[0] * (RATES[1] / RATES[0]).powf(fraction);
        if batch.index == 0 {
            state.recurrent_state = None;
        }
        let taken = match state.step(Context { task, recipe: &recipe, device }, &batch, 0) {
            Ok(taken) => taken,
            Err(anomaly) if previous.is_none() => {
                return Err(TrainError::Unmeasurable { anomaly, batch: batch.index + 1, epoch: 1 });
            }
            Err(_) => break,
        };
        state = taken.state;
        tried.extend(previous.map(|learning_rate| RangePoint { learning_rate, loss: taken.loss }));
        previous = Some(recipe.training.learning_rate);
        if has_exploded(&tried) {
            break;
        }
    }
    Ok(tried)
}

/// Exponentially smoothed losses, with bias correction.
pub fn smoothed(tried: &[RangePoint]) -> Vec<RangePoint> {
    let (mut mean, mut weight) = (0.0, 0.0);
    let smooth = |&RangePoint { learning_rate, loss }: &RangePoint| {
        mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss;
        weight = SMOOTHING * weight + (1.0 - SMOOTHING);
        RangePoint { learning_rate, loss: mean / weight }
    };
    tried.iter().map(smooth).collect()
}

/// Mean and noise of the losses at the smallest learning rates.
struct Plateau {
    mean: f64,
    /// Standard error of the difference between the mean and a smoothed loss of the same distribution.
    error: f64,
}

impl Plateau {
    fn of(tried: &[RangePoint]) -> Option<Self> {
        let lowest = tried.first()?.learning_rate;
        let losses: Vec<f64> =
            tried.iter().take_while(|tried| tried.learning_rate <= PLATEAU * lowest).map(|tried| tried.loss).collect();
        if losses.len() < MIN_LOSSES {
            return None;
        }
        let count = losses.len() as f64;
        let mean = losses.iter().sum::<f64>() / count;
        let variance = losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // The variance of an exponential mean of independent values is (1 − a) / (1 + a) times their variance.
        let error = (variance * ((1.0 - SMOOTHING) / (1.0 + SMOOTHING) + 1.0 / count)).sqrt();
        Some(Self { mean, error })
    }
}

fn has_exploded(tried: &[RangePoint]) -> bool {
    let Some((Plateau { mean, error }, last)) = Plateau::of(tried).zip(smoothed(tried).pop()) else { return false };
    last.loss > mean + EXPLODED * mean.abs() + ERRORS * error
}

/// Suggested learning rate: a tenth of the one with the smallest smoothed loss, but at most the one at which half of the decrease is
/// reached (a small training split is memorized, and then any learning rate keeps the loss low), and at least the first one at which
/// it has decreased; `None` if it never falls below the noise of the plateau.
pub fn suggestion(tried: &[RangePoint]) -> Option<f64> {
    let Plateau { mean, error } = Plateau::of(tried)?;
    // Means over the few losses within the plateau are as noisy as the losses.
    let mut smooth = smoothed(tried);
    let lowest = tried.first()?.learning_rate;
    smooth.retain(|tried| tried.learning_rate > PLATEAU * lowest);
    let limit = mean - (ERRORS * error).max(FRACTION * mean.abs());
    let first = smooth.iter().find(|tried| tried.loss < limit)?;
    let smallest = smooth.iter().min_by(|a, b| a.loss.total_cmp(&b.loss))?;
    let half = smooth.iter().find(|tried| tried.loss <= (mean + smallest.loss) / 2.0)?;
    Some((smallest.learning_rate / 10.0).min(half.learning_rate).max(first.learning_rate))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A range test of 100 updates: a curve over the learning rate plus pseudorandom noise of this amplitude.
    fn tried(amplitude: f64, salt: u64, curve: impl Fn(f64) -> f64) -> Vec<RangePoint> {
        let noise = |k: u64| (((k + salt * 1_000).wrapping_mul(2_654_435_769) % 1_000_003) as f64 / 500_001.5) - 1.0;
        let rate = |k: u64| RATES[0] * (RATES[1] / RATES[0]).powf(k as f64 / 99.0);
        (0..100).map(|k| RangePoint { learning_rate: rate(k), loss: curve(rate(k)) + amplitude * noise(k) }).collect()
    }

    #[test]
    fn noise_alone_gives_no_suggestion() {
        for salt in 0..300 {
            assert_eq!(suggestion(&tried(0.05, salt, |_| 0.69)), None, "{salt}");
            assert_eq!(suggestion(&tried(1.0, salt, |_| 0.0)), None, "{salt}");
            // Noise, then an explosion.
            assert_eq!(suggestion(&tried(0.05, salt, |rate| 0.69 + 50.0 * rate)), None, "{salt}");
        }
    }

    #[test]
    fn a_decrease_after_noise_gives_a_learning_rate_within_it() {
        // Decreases from 10⁻³ on, is lowest at 10⁻¹, and explodes above.
        let curve = |rate: f64| {
            let decrease = (rate / 1e-3).log10().clamp(0.0, 2.0);
            0.69 - 0.2 * decrease + 30.0 * (rate - 0.1).max(0.0)
        };
        for salt in 0..300 {
            let rate = suggestion(&tried(0.05, salt, curve)).unwrap();
            assert!((1e-3..=0.1).contains(&rate), "{salt}: {rate}");
        }
        // The same with a loss that can be negative.
        let rate = suggestion(&tried(0.05, 0, |rate| curve(rate) - 0.69)).unwrap();
        assert!((1e-3..=0.1).contains(&rate), "{rate}");
    }

    #[test]
    fn a_loss_that_stays_low_gives_the_learning_rate_at_which_it_falls() {
        // Memorized between 10⁻³ and 10⁻², and low at every higher learning rate.
        let curve = |rate: f64| 0.69 * (1.0 - (rate / 1e-3).log10().clamp(0.0, 1.0));
        for salt in 0..300 {
            let rate = suggestion(&tried(0.001, salt, curve)).unwrap();
            assert!((1e-3..=1.1e-2).contains(&rate), "{salt}: {rate}");
        }
    }

    #[test]
    fn immediate_divergence_gives_no_suggestion() {
        let exploding = tried(0.01, 0, |rate| 0.7 * (rate / 1e-6).powi(3));
        assert_eq!(suggestion(&exploding), None);
        assert_eq!(suggestion(&exploding[..3]), None);
        assert_eq!(suggestion(&[]), None);
        assert!(has_exploded(&exploding) && !has_exploded(&tried(0.05, 0, |_| 0.69)));
    }
}
