//! `seqzoo train`; longer than other commands because of its options.

mod folds;
mod messages;
mod range;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use burn::tensor::Device;
use clap::Args;
use seqzoo_datasets::classification::Split;
use seqzoo_inference::{Examples, Model};
use seqzoo_run::disk::RealDisk;
use seqzoo_run::folder::{DataPaths, Environment, Run};
use seqzoo_run::initial::Initial;
use seqzoo_run::progress::Metadata;
use seqzoo_run::settings::Settings;
use seqzoo_train::{Job, Limits, Observer, Stopped, TrainError, train};

use super::evaluate::evaluate_run;
use crate::arguments::{BackendArgs, DataArgs, Loaded, Overrides, check_split, initial, reported_split, runs};
use crate::failure::Failure;
use crate::observer::Progress;
use crate::say::{quoted, say};
use crate::signals::Signals;

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
    #[arg(long, conflicts_with_all = ["resume", "out", "max_steps", "max_time", "suggest_clip"])]
    find_learning_rate: bool,
    /// Cross-validate: divide the training files into N parts, train once for each part as the test split, and print means and standard
    /// deviations. A tenth of the other rows, or --validation, is the validation split. With --out, an interrupted cross-validation is resumed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(2..),
          conflicts_with_all = ["resume", "max_steps", "max_time", "find_learning_rate", "suggest_clip", "test"])]
    folds: Option<u16>,
    /// Repeat the cross-validation with other random parts.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000), requires = "folds")]
    repeats: u64,
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
    /// Number of models whose training ended with a diagnosis, and their errors.
    pub failed: Option<(usize, Failure)>,
    data: Box<dyn Examples>,
    device: Device,
}

/// The record of a run that is trained with these settings and files. Digests that it has already remain, so that later commands see what
/// has changed since the run was started.
fn record_of(settings: &Settings, files: &DataArgs, test_digest: Option<String>, run: Environment) -> Environment {
    let paths = files.paths(&settings.recipe);
    let digests = files.digests(&settings.recipe, &run.data.digests);
    let test_digest = run.test_digest.clone().filter(|_| paths.test == run.data.test).or(test_digest);
    Environment { settings: settings.clone(), test_digest, data: DataPaths { digests, ..paths }, ..run }
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
            folds: None,
            repeats: 1,
            suggest_clip: false,
            resume: None,
            out,
            data,
            backend,
        }
    }

    pub fn run(&self) -> Result<(), Failure> {
        if self.find_learning_rate {
            let recipe = self.recipe.as_deref().expect("--find-learning-rate conflicts with --resume");
            return range::run(recipe, &self.overrides, &self.data, &self.backend);
        }
        if let Some(folds) = self.folds {
            return folds::run(self, folds.into());
        }
        let Trained { run, failed, data, device } = self.train()?;
        let recipe = &run.environment.settings.recipe;
        if let Some((count, failure)) = failed {
            if count < recipe.models.len() {
                self.report(&run, &*data, &device)?;
            }
            return Err(failure);
        }
        self.report(&run, &*data, &device)
    }

    fn report(&self, run: &Run, data: &dyn Examples, device: &Device) -> Result<(), Failure> {
        let recipe = &run.environment.settings.recipe;
        let report = evaluate_run(
            run,
            reported_split(recipe, &self.data.for_run(run), data)?,
            recipe.reported_metric(),
            data,
            device,
        )?;
        let report = report.resumed_by(self.resume_command(run));
        report.print_table()?;
        report.print_next(Some(""))
    }

    /// Trains a new run or resumes one. If training of a model ends with a diagnosis, it continues with the next model.
    pub fn train(&self) -> Result<Trained, Failure> {
        let (existing, settings) = self.settings()?;
        let recorded = existing.as_ref().map(|run| run.environment.backend.as_str());
        let (backend, device) = self.backend.open(recorded)?;
        let recipe = &settings.recipe;
        let files = existing.as_ref().map_or_else(|| self.data.clone(), |run| self.data.for_run(run));
        let Loaded { examples: data, test_digest, .. } = match &existing {
            Some(run) => self.data.load_for_resume(run)?,
            None => self.data.load_new(recipe)?,
        };
        for split in [Split::Train, Split::Validation, reported_split(recipe, &files, &*data)?] {
            check_split(&*data, split, recipe)?;
        }
        let digest = existing.as_ref().map_or_else(|| data.digest(), |run| run.environment.data_digest.clone());
        let mut starts = BTreeMap::new();
        let run = match existing {
            Some(run) => run,
            None => {
                // Check the models first: a rejected recipe leaves no folder behind.
                for spec in recipe.specs()? {
                    let initial = initial(&recipe.of_model(&spec.name)?, &spec, &*data.training(&spec)?, &device)?;
                    starts.extend(initial.map(|initial| (spec.name.clone(), initial)));
                }
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
        let run = Run { environment: record_of(&settings, &files, test_digest, run.environment), ..run };
        run.record()?;
        say(format_args!("run {} on {}, seed {}", run.path.display(), backend.name(), recipe.training.seed));

        let signals = Signals::listen()?;
        let limits = Limits { stop: signals.raised(), max_steps: self.max_steps, max_time: self.max_time };
        let resume = self.resume_command(&run);
        let mut failed = Vec::new();
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
            let own = &about.settings.recipe;
            if own.init.is_set() && folder.checkpoints().list()?.is_empty() && !Initial::is_saved(&folder)? {
                let start =
                    starts.remove(name).map_or_else(|| initial(own, &spec, &*task, &device), |it| Ok(Some(it)))?;
                start.map_or(Ok(()), |start| start.save(&folder, &RealDisk))?;
            }
            let job = Job { task: &*task, about: &about, folder: &folder, disk: &RealDisk, device: &device, limits };
            let outcome = train(&job, &mut progress);
            progress.finish();
            let outcome = match outcome {
                Err(error @ TrainError::Diagnosed { .. }) => {
                    messages::print_failed(name, recipe);
                    failed.push(Failure::from(error).of(format_args!("model {name} of run {}", run.path.display())));
                    continue;
                }
                outcome => outcome?,
            };
            messages::print_saving_time(name, &outcome);
            messages::print_end(name, &outcome, &about.settings.recipe, &resume);
            if outcome.stopped == Stopped::Requested {
                return Err(signals.failure(&resume));
            }
        }

        if signals.is_raised() {
            return Err(signals.failure(&resume));
        }
        if self.suggest_clip {
            for name in &recipe.models {
                messages::suggest_clip(name, &Model::open(&run.model(name), &device)?);
            }
        }
        let count = failed.len();
        let failed = failed.into_iter().reduce(|first, next| first.followed_by(&format!("\n{next}")));
        let failed = failed.map(|failure| (count, failure));
        Ok(Trained { run, failed, data, device })
    }

    /// The command that resumes the run with the same data and backend flags.
    fn resume_command(&self, run: &Run) -> String {
        format!("seqzoo train --resume {}{}{}", quoted(&run.path), self.data.flag(), self.backend.flag())
    }

    /// The run to resume, if any, and the settings to train with.
    fn settings(&self) -> Result<(Option<Run>, Settings), Failure> {
        let Some(name) = &self.resume else {
            let recipe = self.recipe.as_deref().expect("clap requires it without --resume");
            return Ok((None, self.overrides.settings(recipe, &self.data)?));
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
