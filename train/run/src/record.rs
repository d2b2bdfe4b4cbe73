//! Health of a run: gradient norms, divergence of the loss, and every recovery.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Norms of gradients, before clipping.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Norms {
    /// Updates measured.
    pub count: u64,
    /// Their norms, added up.
    pub sum: f64,
    /// The largest.
    pub largest: f64,
    /// How many were clipped.
    pub clipped: u64,
}

impl Norms {
    /// Takes in a norm.
    pub fn add(&mut self, norm: f64, clipped: bool) {
        self.count += 1;
        self.sum += norm;
        self.largest = self.largest.max(norm);
        self.clipped += u64::from(clipped);
    }

    /// Mean norm; 0 before the first.
    pub fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }
}

/// Detector of divergence: a cumulative sum of how far training losses lie above the loss of the untrained model.
///
/// ```text
/// u     median loss of the untrained model over the first batches of the training split
/// s     = max(min(|u|, 1), spread, 0.01)         far above u: by u itself, by one nat where u is more
/// z_t   = clamp(log₂((x_t − u) / s), −1, 4)      −1 where the loss x_t of batch t is at most u, 0 at u + s, 1 at u + 2 s
/// S_t   = max(0, S_{t−1} + z_t)                  S_0 = 0
/// ```
///
/// Training has diverged once S_t ≥ h = min(32, half the batches of the run); it began to diverge at the onset, the batch at which
/// S last left 0. The spread is the median absolute deviation of the untrained losses.
///
/// - A loss at or below u lowers S, whatever the losses before it were: converged training cannot diverge by small fluctuations,
///   and losses may be negative.
/// - A batch adds at most 4, so spikes that end within a few batches are no divergence (nor are hard batches that come again and
///   again, up to one in five). Losses that stay far above u are: 8 batches after a jump, at the end of a slow rise, and where
///   training never came below u.
/// - Losses are compared with u alone, never with each other, so nothing is assumed about the order of batches (windows of
///   running text follow each other and differ).
///
/// Page, "Continuous inspection schemes", Biometrika 1954, whose test is optimal for a change at an unknown time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Divergence {
    /// Loss of the untrained model; none where it is not finite on any of the first batches.
    untrained: Option<Untrained>,
    /// S of the equations.
    excess: f64,
    /// Where S left 0; none while it is 0.
    onset: Option<Onset>,
}

/// Bounds of z, the largest h and the smallest s.
const LOWEST: f64 = -1.0;
const HIGHEST: f64 = 4.0;
const THRESHOLD: f64 = 32.0;
const SMALLEST: f64 = 0.01;

/// The loss of the untrained model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Untrained {
    /// Median over batches, u of [`Divergence`].
    pub loss: f64,
    /// What counts as far above it, s of [`Divergence`].
    pub margin: f64,
}

impl Untrained {
    /// Of losses on some batches, those that are not finite left out; none if none is left.
    pub fn of(losses: &[f64]) -> Option<Self> {
        let finite: Vec<f64> = losses.iter().copied().filter(|loss| loss.is_finite()).collect();
        let loss = median(finite.clone())?;
        let spread = median(finite.iter().map(|other| (other - loss).abs()).collect())?;
        Some(Self { loss, margin: loss.abs().min(1.0).max(spread).max(SMALLEST) })
    }

    /// The loss above which a model is far worse than an untrained one.
    pub fn limit(&self) -> f64 {
        self.loss + self.margin
    }
}

/// The batch at which losses began to lie far above the untrained model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onset {
    /// Number of updates before it.
    pub step: u64,
    /// Number of the batch, counted from the beginning of the run.
    pub global_batch: u64,
}

impl Divergence {
    /// A detector that has seen no losses.
    pub fn new(untrained: Option<Untrained>) -> Self {
        Self { untrained, ..Self::default() }
    }

    /// The loss of the untrained model.
    pub fn untrained(&self) -> Option<Untrained> {
        self.untrained
    }

    /// Adds the loss of a batch.
    pub fn add(&mut self, loss: f64, at: Onset) {
        let Some(Untrained { loss: untrained, margin }) = self.untrained else { return };
        let doublings = ((loss - untrained).max(0.0) / margin).log2().clamp(LOWEST, HIGHEST);
        self.excess = (self.excess + doublings).max(0.0);
        self.onset = if self.excess > 0.0 { self.onset.or(Some(at)) } else { None };
    }

    /// Whether training has diverged, in a run of so many batches.
    pub fn diverged(&self, batches: u64) -> bool {
        self.excess > 0.0 && self.excess >= THRESHOLD.min(batches as f64 / 2.0)
    }

    /// Where losses began to lie far above the untrained model's, if they do.
    pub fn onset(&self) -> Option<Onset> {
        self.onset
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Every recovery of a run: saved with each checkpoint, and by itself before a rollback is acted on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Rollbacks so far. A checkpoint of an older generation that lies beyond `target` is one that was rolled back.
    pub generation: u32,
    /// The step that the last rollback went back to; `None`: to the beginning.
    pub target: Option<u64>,
    /// The stretch of steps that the last rollbacks were about.
    pub region: Option<Region>,
    /// The schedule's rate is multiplied by this.
    pub rate_factor: f64,
    /// The recipe's clipping threshold is multiplied by this.
    pub clip_factor: f64,
    /// From this step on the rate warms up anew.
    pub warm_up_from: Option<u64>,
    /// Batches, counted from the run's beginning, that come at the end of their pass; in running text, not at all.
    pub postponed: BTreeSet<u64>,
    /// Steps at which a batch was skipped, the last thousand steps.
    pub recent_skips: Vec<u64>,
    /// Batches skipped in a row.
    pub skips_in_a_row: u32,
    /// Batches skipped altogether.
    pub skips: u64,
    /// Batches that gave another result when they were read again.
    pub glitches: u32,
}

/// Steps that rollbacks were about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// The step of its first anomaly.
    pub first: u64,
    /// Rollbacks because of it.
    pub attempts: u32,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            generation: 0,
            target: None,
            region: None,
            rate_factor: 1.0,
            clip_factor: 1.0,
            warm_up_from: None,
            postponed: BTreeSet::new(),
            recent_skips: Vec::new(),
            skips_in_a_row: 0,
            skips: 0,
            glitches: 0,
        }
    }
}

impl Recovery {
    /// What happened and what it changed, in a sentence; `None` if nothing did.
    pub fn summary(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.skips > 0 {
            parts.push(format!("{} skipped", count(self.skips, "batch", "batches")));
        }
        if self.glitches > 0 {
            parts.push(format!(
                "{} gave a different result on retry",
                count(self.glitches.into(), "batch", "batches")
            ));
        }
        if self.generation > 0 {
            parts.push(format!("rolled back {}", count(self.generation.into(), "time", "times")));
        }
        if !self.postponed.is_empty() {
            parts.push(format!("{} postponed", count(self.postponed.len() as u64, "batch", "batches")));
        }
        if self.rate_factor < 1.0 {
            parts.push(format!("learning rate × {}", rounded(self.rate_factor)));
        }
        if self.clip_factor < 1.0 {
            parts.push(format!("clipping threshold × {}", rounded(self.clip_factor)));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// To four decimal places.
fn rounded(factor: f64) -> f64 {
    (factor * 1e4).round() / 1e4
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A detector whose untrained loss is u, after some losses; and at which of them it found divergence, counted from 0.
    fn detect(u: f64, losses: impl IntoIterator<Item = f64>) -> (Divergence, Option<u64>) {
        let mut divergence = Divergence::new(Untrained::of(&[u; 8]));
        for (global_batch, loss) in (0..).zip(losses) {
            divergence.add(loss, Onset { step: global_batch, global_batch });
            if divergence.diverged(1_000_000) {
                return (divergence, Some(global_batch));
            }
        }
        (divergence, None)
    }

    /// Numbers in [0, 1) without pattern.
    fn noise(k: u64) -> f64 {
        (k.wrapping_mul(2_654_435_769) % 1_000_003) as f64 / 1_000_003.0
    }

    #[test]
    fn converged_training_never_diverges_by_fluctuations_below_the_untrained_loss() {
        // Nearly zero, with spikes of a hundred times the median that stay below u.
        let converged = (0..5_000).map(|k| if noise(k) > 0.8 { 0.6 } else { 1e-3 * noise(k) });
        assert_eq!(detect(0.69, converged).1, None);
        // Standardized negative log-likelihoods, far below and around zero.
        let likelihoods = (0..5_000).map(|k| if k % 40 == 0 { 5.0 } else { -2.0 + 2.0 * noise(k) });
        assert_eq!(detect(0.9, likelihoods.clone()).1, None);
        assert_eq!(detect(0.0, likelihoods.map(|loss| loss - 1.0)).1, None);
        assert_eq!(detect(-0.5, (0..5_000).map(|k| -1.0 - noise(k))).1, None);
    }

    #[test]
    fn running_text_may_be_harder_for_a_while() {
        // A chapter of other text: near the untrained loss for hundreds of windows.
        let text =
            (0..2_000).map(|k| if (600..900).contains(&k) { 3.2 + 0.2 * noise(k) } else { 1.0 + 0.1 * noise(k) });
        assert_eq!(detect(3.3, text).1, None);
    }

    #[test]
    fn a_jump_a_slow_rise_a_bad_start_and_a_plateau_diverge() {
        // Each loss far above adds 4: S reaches 32 with the eighth.
        let jump = (0..).map(|k| if k < 100 { 0.1 } else { 187.0 });
        assert_eq!(detect(3.3, jump.take(500)).1, Some(107));
        let rise = (0..2_000).map(|k| 0.2 * 1.01f64.powi(k));
        let (divergence, found) = detect(0.69, rise);
        // 0.2 · 1.01ᵏ passes 2 · 0.69 at k = 195.
        assert_eq!(divergence.onset(), Some(Onset { step: 195, global_batch: 195 }));
        assert!((203..300).contains(&found.unwrap()), "{found:?}");
        assert_eq!(detect(0.69, (0..500).map(|_| 60.0)).1, Some(7));
        // A plateau at three times the untrained loss adds 1 with each batch.
        assert_eq!(detect(0.5, (0..500).map(|_| 1.5)).1, Some(31));
        assert_eq!(detect(0.0, (0..500).map(|_| 1e3)).1, Some(7), "the scale is never zero");
    }

    #[test]
    fn a_spike_that_ends_is_no_divergence_and_leaves_no_onset() {
        let spikes = (0..5_000).map(|k| if k % 50 < 7 { 1e30 } else { 0.1 });
        let (divergence, found) = detect(0.69, spikes);
        assert_eq!((found, divergence.onset()), (None, None));
    }

    #[test]
    fn a_short_run_diverges_by_half_of_its_batches() {
        let mut divergence = Divergence::new(Untrained::of(&[1.0]));
        for global_batch in 0..3 {
            divergence.add(50.0, Onset { step: global_batch, global_batch });
        }
        // Three times 4.
        assert!(divergence.diverged(24) && !divergence.diverged(25) && !Divergence::default().diverged(0));
    }

    #[test]
    fn the_untrained_loss_is_a_median_of_finite_losses_and_far_is_itself_one_nat_or_the_spread() {
        let of = |losses: &[f64]| Untrained::of(losses).map(|Untrained { loss, margin }| (loss, margin));
        assert_eq!(of(&[f64::NAN, 0.5, f64::INFINITY, 0.5, 1e20]), Some((0.5, 0.5)));
        assert_eq!(of(&[3.0, 4.0, 5.0]), Some((4.0, 1.0)));
        assert_eq!(of(&[-2.0, 0.0, 3.0]), Some((0.0, 2.0)));
        assert_eq!((of(&[]), of(&[f64::NAN])), (None, None));
        // Without it nothing is ever found.
        let mut blind = Divergence::new(None);
        (0..100).for_each(|global_batch| blind.add(1e30, Onset { step: global_batch, global_batch }));
        assert!(!blind.diverged(100));
    }

    #[test]
    fn a_run_that_recovered_says_what_changed() {
        assert_eq!(Recovery::default().summary(), None);
        let recovery = Recovery { generation: 2, rate_factor: 0.9000000001, skips: 1, ..Recovery::default() };
        assert_eq!(recovery.summary().unwrap(), "1 batch skipped, rolled back 2 times, learning rate × 0.9");
    }
}
