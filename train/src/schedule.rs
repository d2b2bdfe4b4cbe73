//! Learning rate schedules: a pure function of the progress of a run.

use std::f64::consts::PI;

use seqzoo_run::progress::Progress;
use seqzoo_run::recipe::{Recipe, ScheduleKind, ScheduleSettings};

/// Minimum number of warm-up updates after a rollback; a longer warm-up of the recipe takes precedence.
const REWARM_STEPS: u64 = 20;

/// Learning rate of the next update, recovery included; `batches_per_epoch` is the number of updates per epoch.
///
/// ```text
/// step       factor^⌊1 + (epoch − start_epoch) / step_epochs⌋ from `start_epoch` on, 1 before
/// linear     1 + (final − 1) t                      t: fraction of all updates done
/// cosine     final + (1 − final) (1 + cos πt) / 2
/// one-cycle  from `initial` up to 1 while t < rise, then down to `final`, each along half a cosine
/// plateau    factor^n, n: number of times that `patience` epochs passed without improvement
/// ```
pub fn learning_rate(recipe: &Recipe, progress: &Progress, batches_per_epoch: u64) -> f64 {
    let ScheduleSettings { kind, warmup_steps, factor, start_epoch, step_epochs, patience, .. } = recipe.schedule;
    let ScheduleSettings { initial_fraction: initial, rise_fraction: rise, final_fraction: last, .. } = recipe.schedule;
    let all = (batches_per_epoch * recipe.training.epochs as u64).max(1);
    let t = (progress.step as f64 / all as f64).min(1.0);
    let wave = |from: f64, to: f64, fraction: f64| to + (from - to) * (1.0 + (PI * fraction).cos()) / 2.0;
    let power = |times: u64| factor.powi(i32::try_from(times).unwrap_or(i32::MAX));
    let scale = match kind {
        ScheduleKind::Constant => 1.0,
        ScheduleKind::Step => {
            let start = if start_epoch == 0 { step_epochs } else { start_epoch };
            power(progress.epoch.checked_sub(start).map_or(0, |passed| 1 + passed / step_epochs))
        }
        ScheduleKind::Linear => 1.0 + (last - 1.0) * t,
        ScheduleKind::Cosine => wave(1.0, last, t),
        ScheduleKind::OneCycle if t < rise => wave(initial, 1.0, t / rise),
        ScheduleKind::OneCycle => wave(1.0, last, (t - rise) / (1.0 - rise)),
        ScheduleKind::Plateau => power(reductions(recipe, progress, patience)),
    };
    let ramp = |done: u64, steps: u64| if steps == 0 { 1.0 } else { ((done + 1) as f64 / steps as f64).min(1.0) };
    let rewarm = progress
        .recovery
        .warm_up_from
        .map_or(1.0, |from| ramp(progress.step.saturating_sub(from), warmup_steps.max(REWARM_STEPS)));
    recipe.training.learning_rate
        * scale
        * ramp(progress.step, warmup_steps)
        * rewarm
        * progress.recovery.learning_rate_factor
}

/// Number of times that the validation metric has not improved for `patience` epochs.
fn reductions(recipe: &Recipe, progress: &Progress, patience: u64) -> u64 {
    let metric = recipe.stopping_metric();
    let (mut best, mut waited, mut reductions) = (None, 0, 0);
    for epoch in &progress.history {
        let scores = &epoch.validation;
        if best.is_none_or(|best| scores.is_better(best, metric)) {
            (best, waited) = (Some(scores), 0);
        } else {
            waited += 1;
        }
        if waited == patience {
            (reductions, waited) = (reductions + 1, 0);
        }
    }
    reductions
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqzoo_datasets::scores::{Metric, Scores};
    use seqzoo_run::progress::Epoch;
    use seqzoo_run::settings::{Override, Settings};

    /// The agreement recipe with a learning rate of 1, 10 epochs, and the given values.
    fn recipe(values: &[(&str, &str)]) -> Recipe {
        let values = [("training.learning_rate", "1"), ("training.epochs", "10")].iter().chain(values);
        let set = |(field, value): &(&str, &str)| Override {
            origin: "--set".to_owned(),
            field: (*field).to_owned(),
            value: (*value).to_owned(),
        };
        Settings::resolve("agreement", &values.map(set).collect::<Vec<_>>()).unwrap().recipe
    }

    /// Learning rates at the start of each epoch of 100 updates.
    fn rates(recipe: &Recipe) -> Vec<f64> {
        let at = |epoch: u64| Progress { step: epoch * 100, epoch, ..Progress::start() };
        (0..=10).map(|epoch| learning_rate(recipe, &at(epoch), 100)).collect()
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, not {expected:?}");
    }

    #[test]
    fn each_schedule_follows_its_equation() {
        close(&rates(&recipe(&[])), &[1.0; 11]);
        let step = recipe(&[("schedule.kind", "step"), ("schedule.start_epoch", "4")]);
        close(&rates(&step), &[1.0, 1.0, 1.0, 1.0, 0.5, 0.25, 0.125]);
        let step = recipe(&[("schedule.kind", "step"), ("schedule.step_epochs", "3"), ("schedule.factor", "0.1")]);
        close(&rates(&step), &[1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01]);
        let linear = recipe(&[("schedule.kind", "linear"), ("schedule.final_fraction", "0.2")]);
        close(&rates(&linear)[8..], &[0.36, 0.28, 0.2]);
        let cosine = rates(&recipe(&[("schedule.kind", "cosine")]));
        close(&[cosine[0], cosine[5], cosine[10]], &[1.0, 0.5, 0.0]);
        let cycle = rates(&recipe(&[("schedule.kind", "one-cycle"), ("schedule.rise_fraction", "0.3")]));
        close(&[cycle[0], cycle[3], cycle[10]], &[0.04, 1.0, 0.0]);
        assert!(cycle[..4].is_sorted() && cycle[3..].iter().rev().is_sorted());
    }

    #[test]
    fn warm_up_is_linear_and_recovery_scales_the_learning_rate() {
        let warm = recipe(&[("schedule.warmup_steps", "200")]);
        close(&rates(&warm)[..3], &[1.0 / 200.0, 101.0 / 200.0, 1.0]);
        let mut progress = Progress { step: 1_000, ..Progress::start() };
        progress.recovery.learning_rate_factor = 0.5;
        close(&[learning_rate(&warm, &progress, 100)], &[0.5]);
        progress.recovery.warm_up_from = Some(1_000);
        close(&[learning_rate(&warm, &progress, 100)], &[0.5 / 200.0]);
    }

    #[test]
    fn plateau_reduces_the_learning_rate_after_patience_epochs_without_improvement() {
        let recipe = recipe(&[("schedule.kind", "plateau"), ("schedule.patience", "2")]);
        let mut progress = Progress::start();
        let accuracies = [0.5, 0.6, 0.6, 0.55, 0.6, 0.7, 0.6, 0.6];
        let found: Vec<f64> = (1..)
            .zip(accuracies)
            .map(|(epoch, accuracy)| {
                let validation = Scores::new(1, [(Metric::ACCURACY, accuracy)]);
                progress.history.push(Epoch { step: epoch, epoch, train_loss: 1.0, validation });
                learning_rate(&recipe, &progress, 100)
            })
            .collect();
        close(&found, &[1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.25]);
    }
}
