//! Health of a run: gradient norms, divergence detection, recoveries.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Statistics of gradient norms, before clipping.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GradientNorms {
    /// Number of updates.
    pub count: u64,
    /// Sum of their gradient norms.
    pub sum: f64,
    /// Largest gradient norm.
    pub largest: f64,
    /// Number of clipped gradients.
    pub clipped: u64,
}

impl GradientNorms {
    /// Adds the gradient norm of an update.
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

/// Divergence detector: a CUSUM test of training losses against the loss of the untrained model.
///
/// ```text
/// u     median loss of the untrained model over the first batches of the training split
/// s     = max(min(|u|, 1), spread, 0.01)         margin above u: |u|, but at most one nat and at least the spread
/// z_t   = clamp(log₂((x_t − u) / s), −1, 4)      −1 where the loss x_t of batch t is at most u, 0 at u + s, 1 at u + 2 s
/// S_t   = max(0, S_{t−1} + z_t)                  S_0 = 0
/// ```
///
/// Training has diverged once S_t ≥ h, half the number of batches of the run, at least 8 and at most 32. The onset of divergence
/// is the batch at which S last left 0. The spread is the median absolute deviation of the untrained losses.
///
/// - A loss at or below u decreases S, regardless of previous losses: small fluctuations of a converged model are not divergence, and
///   losses may be negative.
/// - A batch adds at most 4, so short spikes are not divergence, nor are recurring hard batches, up to one in five. Losses that
///   stay far above u are: after a jump (8 batches), after a slow rise, or from the start.
/// - Losses are compared with u only, never with each other, so the order of batches does not matter (consecutive windows of
///   running text differ in difficulty).
///
/// Page, "Continuous inspection schemes", Biometrika 1954; optimal for a change at an unknown time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Divergence {
    /// Loss of the untrained model; `None` if it is not finite on any of the first batches.
    untrained: Option<Untrained>,
    /// S of the equations.
    excess: f64,
    /// Where S last left 0; `None` while it is 0.
    onset: Option<Onset>,
}

/// Bounds of z and of h, and the minimum of s.
const LOWEST: f64 = -1.0;
const HIGHEST: f64 = 4.0;
const THRESHOLD: f64 = 32.0;
const SMALLEST_THRESHOLD: f64 = 8.0;
const SMALLEST: f64 = 0.01;

/// The loss of the untrained model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Untrained {
    /// Median over batches, u of [`Divergence`].
    pub loss: f64,
    /// Margin above it, s of [`Divergence`].
    pub margin: f64,
}

impl Untrained {
    /// From losses on several batches, ignoring those that are not finite; `None` if none is finite.
    pub fn of(losses: &[f64]) -> Option<Self> {
        let finite: Vec<f64> = losses.iter().copied().filter(|loss| loss.is_finite()).collect();
        let loss = median(finite.clone())?;
        let spread = median(finite.iter().map(|other| (other - loss).abs()).collect())?;
        Some(Self { loss, margin: loss.abs().min(1.0).max(spread).max(SMALLEST) })
    }

    /// The loss above which a model is considered far worse than an untrained one.
    pub fn limit(&self) -> f64 {
        self.loss + self.margin
    }
}

/// Onset of divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onset {
    /// Number of updates before it.
    pub step: u64,
    /// Index of the batch, counted from the start of the run.
    pub global_batch: u64,
}

impl Divergence {
    /// Creates a detector.
    pub fn new(untrained: Option<Untrained>) -> Self {
        Self { untrained, ..Self::default() }
    }

    /// The loss of the untrained model.
    pub fn untrained(&self) -> Option<Untrained> {
        self.untrained
    }

    /// Updates the detector with the loss of a batch.
    pub fn add(&mut self, loss: f64, at: Onset) {
        let Some(Untrained { loss: untrained, margin }) = self.untrained else { return };
        let doublings = ((loss - untrained).max(0.0) / margin).log2().clamp(LOWEST, HIGHEST);
        self.excess = (self.excess + doublings).max(0.0);
        self.onset = if self.excess > 0.0 { self.onset.or(Some(at)) } else { None };
    }

    /// Whether training has diverged; `batches` is the number of batches of the whole run.
    pub fn diverged(&self, batches: u64) -> bool {
        self.excess > 0.0 && self.excess >= (batches as f64 / 2.0).clamp(SMALLEST_THRESHOLD, THRESHOLD)
    }

    /// Onset of divergence, if losses are currently above the reference.
    pub fn onset(&self) -> Option<Onset> {
        self.onset
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Why training of a model ended with an error. Saved with the run: recovery is deterministic, so a resumed run would repeat it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "diagnosis", rename_all = "kebab-case")]
pub enum Diagnosis {
    /// Training diverged, and no rollback helped.
    Diverged {
        /// The last anomaly.
        anomaly: String,
        /// Number of updates before it.
        step: u64,
    },
    /// A batch causes an anomaly even with freshly initialized weights.
    InvalidData {
        /// The last anomaly.
        anomaly: String,
        /// Index of the batch in its epoch, counted from 1.
        batch: u64,
        /// Index of the epoch, counted from 1.
        epoch: u64,
    },
}

impl Diagnosis {
    /// Name for people and in `events.jsonl`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Diverged { .. } => "diverged",
            Self::InvalidData { .. } => "invalid data",
        }
    }
}

impl std::fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Diverged { anomaly, step } => {
                write!(f, "training diverged: {anomaly} at step {step}, and no rollback helped")
            }
            Self::InvalidData { anomaly, batch, epoch } => write!(
                f,
                "invalid data: {anomaly} in batch {batch} of epoch {epoch}, even with freshly initialized weights"
            ),
        }
    }
}

/// Recoveries of a run. Saved in each checkpoint, and separately before each rollback takes effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Number of rollbacks so far. A checkpoint of an older generation after step `target` was rolled back.
    pub generation: u32,
    /// Step to which the last rollback returned; `None`: the start of training.
    pub target: Option<u64>,
    /// Region of the last rollbacks.
    pub region: Option<Region>,
    /// Factor of the scheduled learning rate.
    #[serde(alias = "rate_factor")]
    pub learning_rate_factor: f64,
    /// Factor of the recipe's clipping threshold.
    pub clip_factor: f64,
    /// Step from which the learning rate warms up again.
    pub warm_up_from: Option<u64>,
    /// Indices in the run of postponed batches, which are moved to the end of their epoch; stateful tasks skip them.
    pub postponed: BTreeSet<u64>,
    /// Steps of the batches skipped within the last thousand steps.
    pub recent_skips: Vec<u64>,
    /// Number of consecutive skipped batches.
    pub skips_in_a_row: u32,
    /// Total number of skipped batches.
    pub skips: u64,
    /// Number of batches with a different result on retry.
    pub nondeterministic_retries: u32,
}

/// Region of updates with anomalies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Step of its first anomaly.
    pub first: u64,
    /// Number of rollbacks in this region.
    pub attempts: u32,
}

impl Default for Recovery {
    fn default() -> Self {
        Self {
            generation: 0,
            target: None,
            region: None,
            learning_rate_factor: 1.0,
            clip_factor: 1.0,
            warm_up_from: None,
            postponed: BTreeSet::new(),
            recent_skips: Vec::new(),
            skips_in_a_row: 0,
            skips: 0,
            nondeterministic_retries: 0,
        }
    }
}

impl Recovery {
    /// One-line summary of what happened and what it changed; `None` if nothing happened.
    pub fn summary(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.skips > 0 {
            parts.push(format!("{} skipped", count(self.skips, "batch", "batches")));
        }
        if self.nondeterministic_retries > 0 {
            parts.push(format!(
                "{} gave a different result on retry",
                count(self.nondeterministic_retries.into(), "batch", "batches")
            ));
        }
        if self.generation > 0 {
            parts.push(format!("rolled back {}", count(self.generation.into(), "time", "times")));
        }
        if !self.postponed.is_empty() {
            parts.push(format!("{} postponed", count(self.postponed.len() as u64, "batch", "batches")));
        }
        if self.learning_rate_factor < 1.0 {
            parts.push(format!("learning rate × {}", rounded(self.learning_rate_factor)));
        }
        if self.clip_factor < 1.0 {
            parts.push(format!("clipping threshold × {}", rounded(self.clip_factor)));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Rounds to four decimal places.
fn rounded(factor: f64) -> f64 {
    (factor * 1e4).round() / 1e4
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A detector with untrained loss u after some losses, and the index of the loss at which it detected divergence.
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

    /// Pseudorandom numbers in [0, 1).
    fn noise(k: u64) -> f64 {
        (k.wrapping_mul(2_654_435_769) % 1_000_003) as f64 / 1_000_003.0
    }

    #[test]
    fn fluctuations_below_the_untrained_loss_are_not_divergence() {
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
    fn a_hard_passage_of_running_text_is_not_divergence() {
        // A different chapter: near the untrained loss for hundreds of windows.
        let text =
            (0..2_000).map(|k| if (600..900).contains(&k) { 3.2 + 0.2 * noise(k) } else { 1.0 + 0.1 * noise(k) });
        assert_eq!(detect(3.3, text).1, None);
    }

    #[test]
    fn a_jump_a_slow_rise_a_bad_start_and_a_high_plateau_are_divergence() {
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
    fn a_short_spike_is_not_divergence_and_leaves_no_onset() {
        let spikes = (0..5_000).map(|k| if k % 50 < 7 { 1e30 } else { 0.1 });
        let (divergence, found) = detect(0.69, spikes);
        assert_eq!((found, divergence.onset()), (None, None));
    }

    #[test]
    fn the_threshold_of_a_short_run_is_half_its_number_of_batches() {
        let mut divergence = Divergence::new(Untrained::of(&[1.0]));
        divergence.add(50.0, Onset { step: 0, global_batch: 0 });
        assert!(!divergence.diverged(2), "a single batch is not divergence, however short the run");
        for global_batch in 1..3 {
            divergence.add(50.0, Onset { step: global_batch, global_batch });
        }
        // Three times 4.
        assert!(divergence.diverged(24) && !divergence.diverged(25) && !Divergence::default().diverged(0));
    }

    #[test]
    fn the_reference_is_the_median_of_finite_losses_and_its_margin_is_bounded() {
        let of = |losses: &[f64]| Untrained::of(losses).map(|Untrained { loss, margin }| (loss, margin));
        assert_eq!(of(&[f64::NAN, 0.5, f64::INFINITY, 0.5, 1e20]), Some((0.5, 0.5)));
        assert_eq!(of(&[3.0, 4.0, 5.0]), Some((4.0, 1.0)));
        assert_eq!(of(&[-2.0, 0.0, 3.0]), Some((0.0, 2.0)));
        assert_eq!((of(&[]), of(&[f64::NAN])), (None, None));
        // Without a reference, divergence is never detected.
        let mut without_reference = Divergence::new(None);
        (0..100).for_each(|global_batch| without_reference.add(1e30, Onset { step: global_batch, global_batch }));
        assert!(!without_reference.diverged(100));
    }

    #[test]
    fn the_summary_lists_what_changed() {
        assert_eq!(Recovery::default().summary(), None);
        let recovery = Recovery { generation: 2, learning_rate_factor: 0.9000000001, skips: 1, ..Recovery::default() };
        assert_eq!(recovery.summary().unwrap(), "1 batch skipped, rolled back 2 times, learning rate × 0.9");
    }
}
