//! Messages after the training of a model.

use seqzoo_inference::Model;
use seqzoo_run::progress::EndReason;
use seqzoo_run::recipe::Recipe;
use seqzoo_train::{Outcome, Stopped};

use crate::say::say;

/// Prints why training ended, unless it completed its epochs or was stopped by a signal.
pub fn print_end(name: &str, outcome: &Outcome, recipe: &Recipe, resume: &str) {
    let (done, all) = (outcome.epochs, recipe.training.epochs);
    match (outcome.ended, outcome.stopped) {
        (Some(ended @ EndReason::Epochs(_)), _) if outcome.already_complete => {
            let more = if recipe.schedule.kind.needs_end() { "" } else { "; increase --epochs to train further" };
            say(format_args!("{name}: nothing left to do: {ended}{more}"));
        }
        (Some(ended), _) if outcome.already_complete => say(format_args!("{name}: nothing left to do: {ended}")),
        (Some(ended @ EndReason::Early { .. }), _) => say(format_args!("{name}: {ended}")),
        (None, Stopped::Limit) => {
            say(format_args!("{name}: stopped at a limit after {done} of {all} epochs; resume with `{resume}`"));
        }
        _ => {}
    }
}

/// Prints that training of a model ended with an error, which is printed at the end, if other models follow.
pub fn print_failed(name: &str, recipe: &Recipe) {
    if recipe.models.last().is_some_and(|last| last != name) {
        say(format_args!("{name}: training ended with an error, see below; continuing with the next model"));
    }
}

/// Prints the time spent on saving checkpoints.
pub fn print_saving_time(name: &str, outcome: &Outcome) {
    let (saving, all) = (outcome.saving.as_secs_f64(), outcome.elapsed.as_secs_f64());
    if all >= 1.0 {
        let share = 100.0 * saving / all;
        say(format_args!("{name}: saving checkpoints took {saving:.2} s of {all:.1} s ({share:.2} %)"));
    }
}

/// Prints a suggested clipping threshold: Pascanu et al. 2013 recommend half to ten times the average norm.
pub fn suggest_clip(name: &str, model: &Model) {
    let norms = &model.progress.norms;
    if norms.count == 0 {
        say(format_args!("{name}: no update yet, so no clipping threshold can be suggested"));
        return;
    }
    let (mean, largest, clipped) =
        (norms.mean(), norms.largest, 100.0 * norms.clipped as f64 / norms.count.max(1) as f64);
    say(format_args!(
        "{name}: gradient norms of {} updates: mean {mean:.3}, largest {largest:.3}, {clipped:.1} % clipped; \
         suggested training.clip_norm={:.3} (half to ten times the mean: {:.3} to {:.3})",
        norms.count,
        2.0 * mean,
        mean / 2.0,
        10.0 * mean,
    ));
}
