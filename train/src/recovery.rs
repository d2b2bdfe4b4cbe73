//! Recovery from values that are not finite and from divergence: bounded and deterministic.
//!
//! 1. Retry: the batch is processed again from the state before it. A different result is a hardware fault: recorded the first
//!    time, an error the second time.
//! 2. Skip: if the retry gives the same result, the batch is skipped, at most 3 in a row and 10 per 1,000 updates. No weight has
//!    changed.
//! 3. Rollback: training returns to a checkpoint at least R updates before the first anomaly (R = 2 % of all updates, at least
//!    10, at most 100). The batches around the anomaly are postponed; with each attempt in the same region, the learning rate and
//!    the clipping threshold decrease. From the third attempt on, an older checkpoint is used and the learning rate warms up
//!    again; the fourth resets the optimizer. If no checkpoint is old enough, training restarts at half the learning rate.
//! 4. After 4 rollbacks in one region or 8 in a run, training ends with a diagnosis.

use seqzoo_run::record::{Recovery, Region};

/// Maximum number of rollbacks per region of updates.
pub const ATTEMPTS_IN_A_REGION: u32 = 4;
/// Maximum number of rollbacks per run.
pub const ATTEMPTS_IN_A_RUN: u32 = 8;
/// Maximum number of consecutive skipped batches.
const SKIPS_IN_A_ROW: u32 = 3;
/// Maximum number of skipped batches within the last `SKIPS_WITHIN` updates.
const SKIPS: usize = 10;
const SKIPS_WITHIN: u64 = 1_000;
/// An anomaly within this many updates after a load rejects the loaded checkpoint.
const EARLY: u64 = 10;

/// Factors of the learning rate and of the clipping threshold, by attempt in a region.
const FACTORS: [(f64, f64); ATTEMPTS_IN_A_REGION as usize] = [(1.0, 1.0), (0.9, 0.67), (0.67, 0.5), (0.5, 0.25)];
/// Factor of the learning rate when training restarts from initial weights.
const RESTART_LEARNING_RATE_FACTOR: f64 = 0.5;

/// An anomaly of training: a value that is not finite, or divergence.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// Where it was detected.
    pub site: Site,
    /// Name of the tensor, if the site has several.
    pub name: Option<String>,
    /// The value that is not finite, or the loss that diverged.
    pub value: f64,
}

/// Where an anomaly is detected, in the order of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// The inputs of a batch.
    Data,
    /// The loss, before the backward pass.
    Loss,
    /// The gradient, before clipping.
    Gradient,
    /// A weight after an update.
    Weight,
    /// The optimizer state, after an update.
    OptimizerState,
    /// The recurrent state passed on to the next window.
    RecurrentState,
    /// Divergence: losses stay far above the untrained model's, see [`seqzoo_run::record::Divergence`].
    Divergence,
    /// A metric of validation.
    Validation,
}

impl std::fmt::Display for Anomaly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let quantity = match self.site {
            Site::Data => "an input",
            Site::Loss => "the loss",
            Site::Gradient => "the gradient",
            Site::Weight => "a weight",
            Site::OptimizerState => "the optimizer state",
            Site::RecurrentState => "the recurrent state",
            Site::Divergence => "the loss, persistently far above that of the untrained model,",
            Site::Validation => "the validation loss",
        };
        let of = self.name.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
        write!(f, "{quantity}{of} is {}", self.value)
    }
}

impl Site {
    /// Name in `events.jsonl`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Site::Data => "data",
            Site::Loss => "loss",
            Site::Gradient => "gradient",
            Site::Weight => "weight",
            Site::OptimizerState => "optimizer_state",
            Site::RecurrentState => "recurrent_state",
            Site::Divergence => "divergence",
            Site::Validation => "validation",
        }
    }

    /// Whether the anomaly belongs to a single batch, so that a retry is meaningful.
    pub fn is_of_a_batch(self) -> bool {
        !matches!(self, Site::Divergence | Site::Validation)
    }
}

/// Records a skipped batch; returns `false`, and changes nothing, if the budget of skips is exhausted.
pub fn skip(recovery: &mut Recovery, step: u64) -> bool {
    let recent = |at: &u64| *at + SKIPS_WITHIN > step;
    let within = recovery.recent_skips.iter().filter(|at| recent(at)).count();
    if recovery.skips_in_a_row >= SKIPS_IN_A_ROW || within >= SKIPS {
        return false;
    }
    recovery.recent_skips.retain(recent);
    recovery.recent_skips.push(step);
    recovery.skips_in_a_row += 1;
    recovery.skips += 1;
    true
}

/// State of a run when a rollback is needed.
#[derive(Debug, Clone, Copy)]
pub struct RollbackContext<'a> {
    /// Number of updates before the anomaly, or before its onset if it was detected later.
    pub step: u64,
    /// Index of its batch, counted from the start of the run.
    pub global_batch: u64,
    /// Number of updates of the whole run.
    pub all_steps: u64,
    /// Step of the checkpoint that was loaded last.
    pub loaded_at: Option<u64>,
    /// Steps of the valid checkpoints, in increasing order.
    pub checkpoints: &'a [u64],
}

/// The recovery record after one more rollback, and the step of the checkpoint to reject, if any; `None` if the budget of rollbacks
/// is exhausted.
pub fn roll_back(recovery: &Recovery, context: RollbackContext) -> Option<(Recovery, Option<u64>)> {
    let RollbackContext { step, global_batch, all_steps, loaded_at, checkpoints } = context;
    let distance = (all_steps / 50).clamp(10, 100);
    let same = recovery.region.filter(|region| step <= region.first + distance);
    let region = match same {
        Some(Region { first, attempts }) => Region { first: first.min(step), attempts: attempts + 1 },
        None => Region { first: step, attempts: 1 },
    };
    if region.attempts > ATTEMPTS_IN_A_REGION || recovery.generation >= ATTEMPTS_IN_A_RUN {
        return None;
    }
    let rejected = loaded_at.filter(|&at| at > 0 && step < at + EARLY);
    let mut targets = checkpoints.iter().copied().filter(|&at| at + distance <= region.first && Some(at) != rejected);
    let mut target = targets.next_back();
    if region.attempts >= 3 {
        target = targets.next_back().or(target);
    }
    let mut next = Recovery { generation: recovery.generation + 1, target, region: Some(region), ..recovery.clone() };
    let attempt = region.attempts as usize - 1;
    let before = if attempt == 0 { (1.0, 1.0) } else { FACTORS[attempt - 1] };
    next.learning_rate_factor *= FACTORS[attempt].0 / before.0;
    next.clip_factor *= FACTORS[attempt].1 / before.1;
    if target.is_none() {
        next.learning_rate_factor *= RESTART_LEARNING_RATE_FACTOR;
    }
    if region.attempts >= 3 {
        next.warm_up_from = Some(target.unwrap_or(0));
    }
    next.postponed.extend([global_batch.saturating_sub(1), global_batch, global_batch + 1]);
    next.skips_in_a_row = 0;
    next.recent_skips.clear();
    Some((next, rejected))
}

/// Whether the rollback resets the optimizer state.
pub fn resets_optimizer(recovery: &Recovery) -> bool {
    recovery.region.is_some_and(|region| region.attempts >= ATTEMPTS_IN_A_REGION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(step: u64, checkpoints: &[u64]) -> RollbackContext<'_> {
        RollbackContext { step, global_batch: step, all_steps: 1_000, loaded_at: None, checkpoints }
    }

    #[test]
    fn each_attempt_in_a_region_changes_more_until_the_budget_is_spent() {
        let checkpoints = [0, 100, 200, 290];
        let mut recovery = Recovery::default();
        let mut found = Vec::new();
        while let Some((next, _)) = roll_back(&recovery, context(300, &checkpoints)) {
            found.push((
                next.target,
                next.learning_rate_factor,
                next.clip_factor,
                next.warm_up_from,
                resets_optimizer(&next),
            ));
            recovery = next;
        }
        let round = |value: f64| (value * 1e6).round() / 1e6;
        let found: Vec<_> = found.into_iter().map(|(t, r, c, w, f)| (t, round(r), round(c), w, f)).collect();
        assert_eq!(
            found,
            [
                (Some(200), 1.0, 1.0, None, false),
                (Some(200), 0.9, 0.67, None, false),
                (Some(100), 0.67, 0.5, Some(100), false),
                (Some(100), 0.5, 0.25, Some(100), true),
            ]
        );
        assert!(recovery.postponed.into_iter().eq([299, 300, 301]));
    }

    #[test]
    fn rollbacks_per_run_are_bounded() {
        let checkpoints: Vec<u64> = (0..100).map(|epoch| epoch * 100).collect();
        let (mut recovery, mut rollbacks) = (Recovery::default(), 0);
        while let Some((next, _)) = roll_back(&recovery, context(500 + 1_000 * rollbacks, &checkpoints)) {
            recovery = next;
            rollbacks += 1;
        }
        assert_eq!(rollbacks, u64::from(ATTEMPTS_IN_A_RUN));
    }

    #[test]
    fn an_anomaly_soon_after_a_load_rejects_the_checkpoint_and_without_another_training_restarts() {
        let soon = RollbackContext { loaded_at: Some(200), ..context(203, &[100, 200]) };
        let (next, rejected) = roll_back(&Recovery::default(), soon).unwrap();
        assert_eq!((next.target, rejected), (Some(100), Some(200)));
        let early = RollbackContext { loaded_at: Some(0), ..context(3, &[0]) };
        let (next, rejected) = roll_back(&Recovery::default(), early).unwrap();
        assert_eq!((next.target, rejected, next.learning_rate_factor), (None, None, 0.5));
    }

    #[test]
    fn skips_are_bounded_in_a_row_and_per_thousand_updates() {
        let mut recovery = Recovery::default();
        assert!((0..3).all(|_| skip(&mut recovery, 5)) && !skip(&mut recovery, 5));
        let mut recovery = Recovery::default();
        let skipped = (0..20).filter(|step| {
            recovery.skips_in_a_row = 0;
            skip(&mut recovery, *step)
        });
        assert_eq!(skipped.count(), 10);
        recovery.skips_in_a_row = 0;
        assert!(skip(&mut recovery, 1_005), "old skips do not count");
    }
}
