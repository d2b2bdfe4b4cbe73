//! What is done about values that are not finite, and about losses that explode: bounded, and the same every time.
//!
//! 1. A batch that goes wrong is read again from the state before it. Another result is a fault of the machine: once is
//!    recorded, twice ends training.
//! 2. The same result: nothing was updated, so the batch is skipped, 3 in a row or 10 in 1,000 updates at most.
//! 3. Else training goes back to a checkpoint at least R updates before the first anomaly (R = 2 % of all, at least 10, at most
//!    100), and each attempt changes more: the batches around the anomaly come later; the rate and the clipping threshold
//!    shrink; the checkpoint is an older one and the rate warms up anew; the optimizer forgets. Where no checkpoint is old
//!    enough, training starts over at half the rate.
//! 4. After 4 attempts about one stretch of updates or 8 in a run, training ends with a diagnosis.

use seqzoo_run::record::{Recovery, Region};

/// Rollbacks about one stretch of updates.
pub const ATTEMPTS_IN_A_REGION: u32 = 4;
/// Rollbacks in a run.
pub const ATTEMPTS_IN_A_RUN: u32 = 8;
/// Batches skipped in a row.
const SKIPS_IN_A_ROW: u32 = 3;
/// Batches skipped within the last updates.
const SKIPS: usize = 10;
const SKIPS_WITHIN: u64 = 1_000;
/// An anomaly so soon after a load rejects the checkpoint that was loaded.
const SOON: u64 = 10;

/// Factors of the learning rate and the clipping threshold at each attempt, relative to the first.
const LADDER: [(f64, f64); ATTEMPTS_IN_A_REGION as usize] = [(1.0, 1.0), (0.9, 0.67), (0.67, 0.5), (0.5, 0.25)];
/// The rate's factor of a start from the beginning.
const START_OVER: f64 = 0.5;

/// Something that must not be learned from.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    /// What kind of number it is.
    pub site: Site,
    /// Which one, where there are several: a tensor's name.
    pub name: Option<String>,
    /// What it is.
    pub value: f64,
}

/// Where an anomaly shows, in the order in which it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// A batch's own numbers.
    Data,
    /// The loss, before anything is propagated back.
    Loss,
    /// The gradient, before clipping.
    Gradient,
    /// A weight after an update.
    Weight,
    /// What the optimizer remembers, after an update.
    Moment,
    /// The state that is recurrent_state on.
    RecurrentState,
    /// Losses that stay far above the untrained model's, see [`seqzoo_run::record::Divergence`].
    Exploded,
    /// A metric of validation.
    Validation,
}

impl std::fmt::Display for Anomaly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.site {
            Site::Data => "an input",
            Site::Loss => "the loss",
            Site::Gradient => "the gradient",
            Site::Weight => "a weight",
            Site::Moment => "the optimizer state",
            Site::RecurrentState => "the recurrent state",
            Site::Exploded => "the loss, persistently far above that of the untrained model,",
            Site::Validation => "the validation loss",
        };
        let of = self.name.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
        write!(f, "{what}{of} is {}", self.value)
    }
}

impl Site {
    /// Whether reading the batch again can tell anything.
    pub fn is_of_a_batch(self) -> bool {
        !matches!(self, Site::Exploded | Site::Validation)
    }
}

/// Records that a batch was skipped at a step; `false`, and nothing changed, if that was one too many.
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

/// Where a run stands when it must go back.
#[derive(Debug, Clone, Copy)]
pub struct RollbackContext<'a> {
    /// Updates before the anomaly; before its onset, where it was found later.
    pub step: u64,
    /// The anomaly's batch, counted from the run's beginning.
    pub global_batch: u64,
    /// Updates that the whole run will make.
    pub all_steps: u64,
    /// The step of the checkpoint that this process loaded last.
    pub loaded_at: Option<u64>,
    /// Steps of checkpoints that verify, oldest first.
    pub checkpoints: &'a [u64],
}

/// The record after one more rollback, and the checkpoint that the anomaly rejects; `None` if the budget is spent.
pub fn roll_back(recovery: &Recovery, standing: RollbackContext) -> Option<(Recovery, Option<u64>)> {
    let RollbackContext { step, global_batch, all_steps, loaded_at, checkpoints } = standing;
    let distance = (all_steps / 50).clamp(10, 100);
    let same = recovery.region.filter(|region| step <= region.first + distance);
    let region = match same {
        Some(Region { first, attempts }) => Region { first: first.min(step), attempts: attempts + 1 },
        None => Region { first: step, attempts: 1 },
    };
    if region.attempts > ATTEMPTS_IN_A_REGION || recovery.generation >= ATTEMPTS_IN_A_RUN {
        return None;
    }
    let rejected = loaded_at.filter(|&at| at > 0 && step < at + SOON);
    let mut targets = checkpoints.iter().copied().filter(|&at| at + distance <= region.first && Some(at) != rejected);
    let mut target = targets.next_back();
    if region.attempts >= 3 {
        target = targets.next_back().or(target);
    }
    let mut next = Recovery { generation: recovery.generation + 1, target, region: Some(region), ..recovery.clone() };
    let attempt = region.attempts as usize - 1;
    let before = if attempt == 0 { (1.0, 1.0) } else { LADDER[attempt - 1] };
    next.rate_factor *= LADDER[attempt].0 / before.0;
    next.clip_factor *= LADDER[attempt].1 / before.1;
    if target.is_none() {
        next.rate_factor *= START_OVER;
    }
    if region.attempts >= 3 {
        next.warm_up_from = Some(target.unwrap_or(0));
    }
    next.postponed.extend([global_batch.saturating_sub(1), global_batch, global_batch + 1]);
    next.skips_in_a_row = 0;
    next.recent_skips.clear();
    Some((next, rejected))
}

/// Whether the optimizer starts afresh at the rollback that a record tells of.
pub fn forgets(recovery: &Recovery) -> bool {
    recovery.region.is_some_and(|region| region.attempts >= ATTEMPTS_IN_A_REGION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(step: u64, checkpoints: &[u64]) -> RollbackContext<'_> {
        RollbackContext { step, global_batch: step, all_steps: 1_000, loaded_at: None, checkpoints }
    }

    #[test]
    fn each_attempt_about_one_stretch_changes_more_until_the_budget_is_spent() {
        let checkpoints = [0, 100, 200, 290];
        let mut recovery = Recovery::default();
        let mut found = Vec::new();
        while let Some((next, _)) = roll_back(&recovery, standing(300, &checkpoints)) {
            found.push((next.target, next.rate_factor, next.clip_factor, next.warm_up_from, forgets(&next)));
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
    fn a_run_has_a_budget_of_its_own_and_always_ends() {
        let checkpoints: Vec<u64> = (0..100).map(|pass| pass * 100).collect();
        let (mut recovery, mut rollbacks) = (Recovery::default(), 0);
        while let Some((next, _)) = roll_back(&recovery, standing(500 + 1_000 * rollbacks, &checkpoints)) {
            recovery = next;
            rollbacks += 1;
        }
        assert_eq!(rollbacks, u64::from(ATTEMPTS_IN_A_RUN));
    }

    #[test]
    fn an_anomaly_soon_after_a_load_condemns_the_checkpoint_and_without_one_training_starts_over() {
        let soon = RollbackContext { loaded_at: Some(200), ..standing(203, &[100, 200]) };
        let (next, rejected) = roll_back(&Recovery::default(), soon).unwrap();
        assert_eq!((next.target, rejected), (Some(100), Some(200)));
        let early = RollbackContext { loaded_at: Some(0), ..standing(3, &[0]) };
        let (next, rejected) = roll_back(&Recovery::default(), early).unwrap();
        assert_eq!((next.target, rejected, next.rate_factor), (None, None, 0.5));
    }

    #[test]
    fn skips_are_few_in_a_row_and_few_among_many() {
        let mut recovery = Recovery::default();
        assert!((0..3).all(|_| skip(&mut recovery, 5)) && !skip(&mut recovery, 5));
        let mut recovery = Recovery::default();
        let skipped = (0..20).filter(|step| {
            recovery.skips_in_a_row = 0;
            skip(&mut recovery, *step)
        });
        assert_eq!(skipped.count(), 10);
        recovery.skips_in_a_row = 0;
        assert!(skip(&mut recovery, 1_005), "long ago is forgotten");
    }
}
