//! `seqzoo train`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args;
use seqzoo_inference::Model;
use seqzoo_run::disk::RealDisk;
use seqzoo_run::folder::{Environment, Run};
use seqzoo_run::progress::About;
use seqzoo_run::recipe::SHIPPED;
use seqzoo_run::settings::{Override, Settings};
use seqzoo_run::tasks::classification::ClassificationTask;
use seqzoo_train::{Job, Limits, Stopped, train};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::{BackendChoice, DataFolder};
use crate::failure::{Failure, STORAGE};
use crate::observer::Progress;
use crate::report::Report;

/// Train a recipe, or go on with a run.
///
/// Examples: `seqzoo train agreement`, `seqzoo train imdb --data-dir data --set training.epochs=3`,
/// `seqzoo train agreement --resume last`
#[derive(Debug, Args)]
pub struct Train {
    /// A shipped recipe (`seqzoo list recipes`) or a file ending in .toml.
    #[arg(required_unless_present = "resume")]
    recipe: Option<String>,
    /// Change a value of the recipe: section.field=value, as `seqzoo describe RECIPE` shows them.
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = assignment)]
    sets: Vec<(String, String)>,
    /// Short for --set training.seed=N
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Short for --set training.epochs=N
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Pause each model after this many updates.
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Pause each model after this long, in seconds.
    #[arg(long, value_name = "SECONDS")]
    max_time: Option<u64>,
    /// Go on with a run from its newest checkpoint that verifies; `last` unless named.
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "last", conflicts_with = "out")]
    resume: Option<String>,
    /// Folder of the new run, which must not exist; ./runs/RECIPE-NUMBER unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    backend: BackendChoice,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("expected FIELD=VALUE, such as training.epochs=3")?;
    Ok((field.trim().to_owned(), value.trim().to_owned()))
}

impl Train {
    pub fn run(&self) -> Result<(), Failure> {
        let (backend, device) = self.backend.open()?;
        let (existing, settings) = self.settings()?;
        let recipe = &settings.recipe;
        let data = self.data.load(recipe)?;
        let split = recipe.reported_split()?;
        let digest = data.digest();
        let run = match existing {
            Some(run) => run,
            None => {
                let environment = Environment::now(settings.clone(), backend.name(), digest.clone());
                Run::create(self.out.as_deref(), environment)?
            }
        };
        let _lock = run.lock()?;
        let run = Run { environment: Environment { settings: settings.clone(), ..run.environment }, ..run };
        run.record()?;
        eprintln!("run {} on {}, seed {}", run.path.display(), backend.name(), recipe.training.seed);

        let signals = Signals::listen()?;
        let limits = Limits {
            stop: &signals.raised,
            max_steps: self.max_steps,
            max_time: self.max_time.map(Duration::from_secs),
        };
        let resume = format!("seqzoo train {} --resume {}", self.recipe_argument(&settings), run.path.display());
        for architecture in recipe.architectures()? {
            let task = ClassificationTask::new(recipe, architecture, &data);
            let about = About::now(settings.clone(), architecture.name(), &digest);
            let folder = run.model(architecture.name());
            let job = Job { task: &task, about: &about, folder: &folder, disk: &RealDisk, device: &device, limits };
            eprintln!("training {}: {}", architecture.name(), architecture.card().summary);
            let mut progress = Progress::new(architecture.name(), recipe);
            let stopped = train(&job, &mut progress)?;
            progress.finish();
            match stopped {
                Stopped::Finished => {}
                Stopped::Limit => eprintln!("{}: paused at a limit; go on with `{resume}`", architecture.name()),
                Stopped::Asked => {
                    return Err(Failure::new(signals.exit_code(), format!("saved; go on with `{resume}`")));
                }
            }
        }

        let mut report = Report::new(&run, split, &data);
        for architecture in recipe.architectures()? {
            let model = Model::open(&run.model(architecture.name()), &device)?;
            report.add(architecture.name(), &model, data.split(split));
        }
        report.print_table()
    }

    /// The settings to train under, and the run to go on with, if any.
    fn settings(&self) -> Result<(Option<Run>, Settings), Failure> {
        let Some(name) = &self.resume else {
            let settings = Settings::read(self.recipe.as_deref().expect("clap requires it without --resume"))?;
            let overrides = self.overrides(&settings);
            return Ok((None, settings.under(&overrides)?));
        };
        let run = Run::find(name)?;
        let recorded = run.environment.settings.clone();
        let is_shipped = SHIPPED.iter().any(|(name, _)| *name == recorded.name);
        let current = match &self.recipe {
            Some(recipe) => Settings::read(recipe)?,
            None if is_shipped => Settings::read(&recorded.name)?,
            None => recorded.clone(),
        };
        let overrides = self.overrides(&recorded);
        let settings = recorded.resumed(&current, &overrides)?;
        Ok((Some(run), settings))
    }

    fn overrides(&self, settings: &Settings) -> Vec<Override> {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut overrides = settings.from_environment(variables);
        let mut flag = |origin: &str, field: &str, value: String| {
            overrides.push(Override { origin: origin.to_owned(), field: field.to_owned(), value });
        };
        self.sets.iter().for_each(|(field, value)| flag("--set", field, value.clone()));
        if let Some(seed) = self.seed {
            flag("--seed", "training.seed", seed.to_string());
        }
        if let Some(epochs) = self.epochs {
            flag("--epochs", "training.epochs", epochs.to_string());
        }
        overrides
    }

    fn recipe_argument<'a>(&'a self, settings: &'a Settings) -> &'a str {
        self.recipe.as_deref().unwrap_or(&settings.name)
    }
}

/// SIGINT and SIGTERM, which end training within one step, saved.
struct Signals {
    raised: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let signals = Self { raised: Arc::default(), which: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            let listen = || {
                signal_hook::flag::register_usize(signal, signals.which.clone(), signal as usize)?;
                signal_hook::flag::register(signal, signals.raised.clone())
            };
            listen().map_err(|error| Failure::new(STORAGE, format!("cannot listen for signals: {error}")))?;
        }
        Ok(signals)
    }

    /// 128 plus the signal's number, as shells have it.
    fn exit_code(&self) -> u8 {
        128 + u8::try_from(self.which.load(Ordering::Relaxed)).unwrap_or(0)
    }
}
