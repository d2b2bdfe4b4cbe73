//! Training progress: a progress bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use seqzoo_run::progress::Epoch;
use seqzoo_run::recipe::{Metric, Recipe};
use seqzoo_train::{Observer, StepReport};

use crate::say::{is_muted, number, say};

/// Minimum interval between plain lines within an epoch.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Training progress of one model.
pub struct Progress {
    model: String,
    epochs: u64,
    bar: Option<ProgressBar>,
    pace: Pace,
    last_line: Instant,
    watched: Metric,
    metric: String,
}

/// Optimizer updates and tokens since training started or resumed.
struct Pace {
    started: Instant,
    steps: u64,
    tokens: usize,
}

impl Progress {
    pub fn new(model: &str, recipe: &Recipe) -> Self {
        let style =
            ProgressStyle::with_template("{prefix} [{bar:12}] {wide_msg}").expect("a template that a test renders");
        let is_shown = std::io::stderr().is_terminal() && !is_muted();
        let bar = is_shown.then(|| ProgressBar::new(0).with_style(style).with_prefix(model.to_owned()));
        let pace = Pace { started: Instant::now(), steps: 0, tokens: 0 };
        let epochs = recipe.training.epochs as u64;
        let model = model.to_owned();
        let watched = recipe.stopping_metric();
        Self { model, epochs, bar, pace, last_line: Instant::now(), watched, metric: String::new() }
    }

    /// Clears the progress bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say(text),
        }
    }

    fn describe(&self, report: &StepReport) -> String {
        let StepReport { epoch, batch, batches, loss, gradient_norm, .. } = *report;
        let elapsed = self.pace.started.elapsed().as_secs_f64().max(1e-9);
        let steps_per_second = self.pace.steps as f64 / elapsed;
        let left = (self.epochs * batches).saturating_sub(epoch * batches + batch);
        format!(
            "epoch {}/{} batch {batch}/{batches}  loss {}  |g| {gradient_norm:.3}{}  {steps_per_second:.1} steps/s  \
             {:.0} tokens/s  at most {} left",
            epoch + 1,
            self.epochs,
            number(loss),
            self.metric,
            self.pace.tokens as f64 / elapsed,
            duration(left as f64 / steps_per_second),
        )
    }
}

impl Observer for Progress {
    fn step(&mut self, report: StepReport) {
        self.pace.steps += 1;
        self.pace.tokens += report.tokens;
        if let Some(bar) = &self.bar {
            bar.set_length(self.epochs * report.batches);
            bar.set_position(report.epoch * report.batches + report.batch);
            bar.set_message(self.describe(&report));
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            say(format_args!("{}  {}", self.model, self.describe(&report)));
        }
    }

    fn epoch(&mut self, epoch: &Epoch, elapsed: Duration) {
        let Epoch { epoch, train_loss, validation, .. } = epoch;
        let tokens_per_second = self.pace.tokens as f64 / self.pace.started.elapsed().as_secs_f64().max(1e-9);
        let described = |(name, value): (&str, f64)| format!("  validation {name} {}", number(value));
        let watched = validation.iter().find(|(name, _)| *name == self.watched.name);
        self.metric = watched.map(described).unwrap_or_default();
        self.last_line = Instant::now();
        self.line(&format!(
            "{}  epoch {epoch}/{}  train loss {}{}  {tokens_per_second:.0} tokens/s  {}",
            self.model,
            self.epochs,
            number(*train_loss),
            validation.iter().map(described).collect::<String>(),
            duration(elapsed.as_secs_f64()),
        ));
    }

    fn note(&mut self, text: &str) {
        self.line(&format!("{}  note: {text}", self.model));
    }
}

/// 72 seconds as "1m 12s".
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round().clamp(0.0, 1e9) as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {seconds:02}s"),
        _ => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_in_their_largest_units() {
        let printed = [0.4, 59.6, 72.0, 3_600.0, 7_380.0].map(duration);
        assert_eq!(printed, ["0s", "1m 00s", "1m 12s", "1h 00m", "2h 03m"]);
    }

    #[test]
    fn the_progress_bar_renders() {
        let recipe = seqzoo_run::settings::Settings::read("agreement").unwrap().recipe;
        let mut progress = Progress::new("lstm", &recipe);
        let report = StepReport { step: 3, epoch: 0, batch: 3, batches: 9, loss: 0.5, gradient_norm: 2.0, tokens: 80 };
        progress.step(report);
        let expected = format!("epoch 1/{} batch 3/9  loss 0.5000  |g| 2.000", recipe.training.epochs);
        assert!(progress.describe(&report).starts_with(&expected));
    }
}
