//! What a run remembers of its health: norms, losses, and every recovery.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Healthy losses by which a spike is told.
const REMEMBERED: usize = 128;

/// Healthy losses before their median means anything.
const ENOUGH: usize = 16;

/// Flagged losses in a row that are no accident.
const DIVERGED: u32 = 10;

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

/// The last healthy losses, and how many in a row were flagged as spikes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Losses {
    healthy: Vec<f64>,
    flagged: u32,
}

impl Losses {
    /// Takes in a finite loss and says whether it is a spike: beyond median + 6 · MAD of the last 128 healthy ones (MAD at
    /// least a twentieth of the median), and 16 of them or fewer, a hundred times the largest. Spikes never enter the window.
    pub fn add(&mut self, loss: f64) -> bool {
        let spike = self.limit().is_some_and(|limit| loss > limit);
        if spike {
            self.flagged += 1;
        } else {
            self.flagged = 0;
            self.healthy.push(loss);
            let surplus = self.healthy.len().saturating_sub(REMEMBERED);
            self.healthy.drain(..surplus);
        }
        spike
    }

    /// Whether so many losses in a row were spikes that training has diverged.
    pub fn diverged(&self) -> bool {
        self.flagged >= DIVERGED
    }

    /// What a loss must not exceed; `None` before the first.
    pub fn limit(&self) -> Option<f64> {
        let largest = self.healthy.iter().copied().reduce(f64::max)?;
        if self.healthy.len() < ENOUGH {
            return Some(100.0 * largest.abs().max(f64::MIN_POSITIVE));
        }
        let middle = median(self.healthy.clone());
        let spread = median(self.healthy.iter().map(|loss| (loss - middle).abs()).collect());
        Some(middle + 6.0 * spread.max(middle.abs() / 20.0))
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
                "{} gave another result when read again",
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
            parts.push(format!("learning rate × {}", self.rate_factor));
        }
        if self.clip_factor < 1.0 {
            parts.push(format!("clipping threshold × {}", self.clip_factor));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_is_told_from_the_median_and_never_moves_it() {
        let mut losses = Losses::default();
        (0..200).for_each(|step| assert!(!losses.add(1.0 + f64::from(step % 5) * 0.01)));
        let limit = losses.limit().unwrap();
        assert!((1.2..1.5).contains(&limit), "{limit}");
        for spikes in 1..=10 {
            assert!(losses.add(9.0));
            assert_eq!((losses.limit(), losses.diverged()), (Some(limit), spikes == 10));
        }
        assert!(!losses.add(1.1) && !losses.diverged());
    }

    #[test]
    fn the_first_losses_may_vary_and_an_explosion_shows_all_the_same() {
        let mut losses = Losses::default();
        assert!([0.7, 3.0, 0.1, 20.0].into_iter().all(|loss| !losses.add(loss)));
        assert!(losses.add(1e6));
    }

    #[test]
    fn a_run_that_recovered_says_what_changed() {
        assert_eq!(Recovery::default().summary(), None);
        let recovery = Recovery { generation: 2, rate_factor: 0.9, skips: 1, ..Recovery::default() };
        assert_eq!(recovery.summary().unwrap(), "1 batch skipped, rolled back 2 times, learning rate × 0.9");
    }
}
