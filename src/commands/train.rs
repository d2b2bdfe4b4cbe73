//! `seqzoo train`

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use burn::tensor::Device;
use clap::Args;
use seqzoo_datasets::classification::Split;
use seqzoo_inference::{Examples, Model};
use seqzoo_run::disk::RealDisk;
use seqzoo_run::folder::{Environment, Run};
use seqzoo_run::progress::{EndReason, Metadata};
use seqzoo_run::recipe::Recipe;
use seqzoo_run::settings::Settings;
use seqzoo_train::range::{RangePoint, range_test, smoothed, suggestion};
use seqzoo_train::{Job, Limits, Observer, Outcome, Stopped, train};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::evaluate::evaluate_run;
use super::{BackendArgs, DataArgs, Overrides, check_split, reported_split, runs};
use crate::failure::{Failure, STORAGE};
use crate::observer::Progress;
use crate::say::{quoted, say};

/// Train a recipe, or resume a run.
///
/// Examples: `seqzoo train agreement`, `seqzoo train imdb --data-dir data --set training.epochs=3`,
/// `seqzoo train --resume last`
#[derive(Debug, Args)]
pub struct Train {
    /// Name of a recipe (`seqzoo list recipes`), or a .toml file.
    #[arg(required_unless_present = "resume")]
    recipe: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
    /// Pause each model at this number of optimizer updates.
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Pause each model after this time, such as 90s, 30m or 2h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    max_time: Option<Duration>,
    /// Run a learning-rate range test instead of training: print the loss while the learning rate grows, and suggest a
    /// learning rate for each model.
    #[arg(long, alias = "find-rate", conflicts_with_all = ["resume", "out"])]
    find_learning_rate: bool,
    /// After training, suggest a clipping threshold from the gradient norms that occurred.
    #[arg(long)]
    suggest_clip: bool,
    /// Resume a run from its latest valid checkpoint; without RUN, the last run.
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "last", conflicts_with = "out")]
    resume: Option<String>,
    /// Folder to create for the run [default: ./runs/RECIPE-NUMBER]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

/// A run after training, finished or stopped at a limit.
pub struct Trained {
    pub run: Run,
    data: Box<dyn Examples>,
    device: Device,
}

impl Train {
    /// Arguments to train a recipe from scratch, without limits.
    pub fn of(
        recipe: String,
        out: Option<PathBuf>,
        overrides: Overrides,
        data: DataArgs,
        backend: BackendArgs,
    ) -> Self {
        Self {
            recipe: Some(recipe),
            overrides,
            max_steps: None,
            max_time: None,
            find_learning_rate: false,
            suggest_clip: false,
            resume: None,
            out,
            data,
            backend,
        }
    }

    pub fn run(&self) -> Result<(), Failure> {
        if self.find_learning_rate {
            return self.find_learning_rate();
        }
        let Trained { run, data, device } = self.train()?;
        let recipe = &run.environment.settings.recipe;
        let report = evaluate_run(&run, reported_split(recipe, &*data)?, recipe.reported_metric(), &*data, &device)?;
        report.resumed_by(self.resume_command(&run)).print_table()
    }

    /// Trains a new run or resumes one.
    pub fn train(&self) -> Result<Trained, Failure> {
        let (existing, settings) = self.settings()?;
        let recorded = existing.as_ref().map(|run| run.environment.backend.as_str());
        let (backend, device) = self.backend.open(recorded)?;
        let recipe = &settings.recipe;
        let (data, paths) = match &existing {
            Some(run) => (self.data.load_for_resume(run)?, self.data.for_run(run).paths(recipe)?),
            None => (self.data.load(recipe)?, self.data.paths(recipe)?),
        };
        for split in [Split::Train, Split::Validation, reported_split(recipe, &*data)?] {
            check_split(&*data, split, recipe)?;
        }
        let digest = data.digest();
        let run = match existing {
            Some(run) => run,
            None => {
                // Check the models first: a rejected recipe leaves no folder behind.
                recipe.specs()?.iter().try_for_each(|spec| data.training(spec).map(drop))?;
                let environment = Environment::now(settings.clone(), backend.name(), digest.clone());
                let run = runs().create(self.out.as_deref(), environment)?;
                runs().register_external(&run);
                run
            }
        };
        let _lock = run.lock()?;
        if run.environment.backend != backend.name() {
            let recorded = &run.environment.backend;
            say(format_args!("note: the run started on {recorded}; resuming on another backend is not bit-exact"));
        }
        let environment = Environment { settings: settings.clone(), data: paths, ..run.environment };
        let run = Run { environment, ..run };
        run.record()?;
        say(format_args!("run {} on {}, seed {}", run.path.display(), backend.name(), recipe.training.seed));

        let signals = Signals::listen()?;
        let limits = Limits { stop: &signals.raised, max_steps: self.max_steps, max_time: self.max_time };
        let resume = self.resume_command(&run);
        for spec in recipe.specs()? {
            let name = &spec.name;
            let about = Metadata::now(settings.of_model(name)?, name, &digest);
            say(format_args!("training {name}: {}", spec.backbone.summary()));
            let task = data.training(&spec)?;
            let mut progress = Progress::new(name, &about.settings.recipe);
            if let Some(note) = task.note() {
                progress.note(&note);
            }
            let folder = run.model(name);
            let job = Job { task: &*task, about: &about, folder: &folder, disk: &RealDisk, device: &device, limits };
            let outcome = train(&job, &mut progress);
            progress.finish();
            let outcome = outcome?;
            print_saving_time(name, &outcome);
            print_end(name, &outcome, &about.settings.recipe, &resume);
            if outcome.stopped == Stopped::Requested {
                return Err(signals.failure(&resume));
            }
        }

        if signals.raised.load(Ordering::Relaxed) {
            return Err(signals.failure(&resume));
        }
        if self.suggest_clip {
            for name in &recipe.models {
                suggest_clip(name, &Model::open(&run.model(name), &device)?);
            }
        }
        Ok(Trained { run, data, device })
    }

    /// Runs a learning-rate range test for each model; prints losses and a suggested learning rate.
    fn find_learning_rate(&self) -> Result<(), Failure> {
        let (_, settings) = self.settings()?;
        let (_, device) = self.backend.open(None)?;
        let recipe = &settings.recipe;
        let data = self.data.load(recipe)?;
        check_split(&*data, Split::Train, recipe)?;
        let recipe_name = self.recipe.as_deref().map_or_else(String::new, quoted);
        let given = format!("{recipe_name}{}{}{}", self.overrides.flag(), self.data.flag(), self.backend.flag());
        let specs = recipe.specs()?;
        for spec in &specs {
            let name = &spec.name;
            say(format_args!("running a learning-rate range test on {name} …"));
            let own = recipe.of_model(name)?;
            let tried = range_test(&*data.training(spec)?, &own, RANGE_UPDATES, &device)?;
            let mut out = std::io::stdout().lock();
            writeln!(out, "{name}: smoothed loss by learning rate (seed {})", recipe.training.seed)?;
            let mut shown = smoothed(&tried).into_iter().step_by(RANGE_UPDATES as usize / RANGE_LINES);
            shown
                .try_for_each(|RangePoint { learning_rate, loss }| writeln!(out, "  {learning_rate:.1e}  {loss:.4}"))?;
            let model = if specs.len() > 1 { format!("model.{name}.") } else { String::new() };
            match suggestion(&tried) {
                Some(suggested) => {
                    let value = quoted(format!("{model}training.learning_rate={suggested:.1e}"));
                    writeln!(out, "next: seqzoo train {given} --set {value}")?;
                }
                None => writeln!(
                    out,
                    "no suggestion for {name}: in {RANGE_UPDATES} updates the loss does not fall below its noise at \
                     any learning rate; the recipe uses {:e}",
                    own.training.learning_rate
                )?,
            }
        }
        Ok(())
    }

    /// The command that resumes the run with the same data and backend flags.
    fn resume_command(&self, run: &Run) -> String {
        format!("seqzoo train --resume {}{}{}", quoted(&run.path), self.data.flag(), self.backend.flag())
    }

    /// The run to resume, if any, and the settings to train with.
    fn settings(&self) -> Result<(Option<Run>, Settings), Failure> {
        let Some(name) = &self.resume else {
            let recipe = self.recipe.as_deref().expect("clap requires it without --resume");
            return Ok((None, self.overrides.settings(recipe, self.data.table())?));
        };
        let run = runs().find(name)?;
        let recorded = run.environment.settings.clone();
        // Without a recipe argument, the run's recorded settings apply.
        let current = self.recipe.as_deref().map_or_else(|| Ok(recorded.clone()), Settings::read)?;
        let overrides = self.overrides.of(&recorded, self.data.for_run(&run).table())?;
        let settings = recorded.resumed(&current, &overrides)?;
        Ok((Some(run), settings))
    }
}

/// Number of updates of a learning-rate range test, and of printed lines.
const RANGE_UPDATES: u32 = 300;
const RANGE_LINES: usize = 20;

/// Prints why training ended, unless it completed its epochs or was stopped by a signal.
fn print_end(name: &str, outcome: &Outcome, recipe: &Recipe, resume: &str) {
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

/// Prints the time spent on saving checkpoints.
fn print_saving_time(name: &str, outcome: &Outcome) {
    let (saving, all) = (outcome.saving.as_secs_f64(), outcome.elapsed.as_secs_f64());
    if all >= 1.0 {
        let share = 100.0 * saving / all;
        say(format_args!("{name}: saving checkpoints took {saving:.2} s of {all:.1} s ({share:.2} %)"));
    }
}

/// Prints a suggested clipping threshold: Pascanu et al. 2013 recommend half to ten times the average norm.
fn suggest_clip(name: &str, model: &Model) {
    let norms = &model.progress.norms;
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

/// SIGINT, SIGTERM and SIGHUP: the first one saves and stops training within one step; a second one ends the program at
/// once, and loses nothing that was saved.
struct Signals {
    raised: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let signals = Self { raised: Arc::default(), which: Arc::default() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let listen = || {
                // The order matters: the first signal must find `raised` unset, the second must find it set.
                flag::register_conditional_shutdown(signal, 128 + signal, signals.raised.clone())?;
                flag::register_usize(signal, signals.which.clone(), signal as usize)?;
                flag::register(signal, signals.raised.clone())
            };
            listen().map_err(|error| Failure::new(STORAGE, format!("cannot listen for signals: {error}")))?;
        }
        Ok(signals)
    }

    /// Exit code 128 plus the signal's number, as in shells, with the command that resumes.
    fn failure(&self, resume: &str) -> Failure {
        let code = 128 + u8::try_from(self.which.load(Ordering::Relaxed)).unwrap_or(0);
        Failure::new(code, format!("saved; resume with `{resume}`"))
    }
}
