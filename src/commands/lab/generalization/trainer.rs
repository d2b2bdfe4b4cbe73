//! Trains models of memory in a temporary folder.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::memory::Memory;
use seqzoo_datasets::problems::Parameters;
use seqzoo_datasets::scores::{Evaluation, Metric};
use seqzoo_inference::{Examples, Model};
use seqzoo_run::disk::RealDisk;
use seqzoo_run::folder::ModelFolder;
use seqzoo_run::progress::{Epoch, Metadata};
use seqzoo_run::settings::Settings;
use seqzoo_train::{Job, Limits, Observer, StepReport, Stopped, TrainError, train};

use super::curves::Curve;
use crate::failure::Failure;
use crate::observer::duration;
use crate::say::{number, say};
use crate::signals::Signals;

/// Trains models on the data of a problem.
pub struct Trainer<'a> {
    settings: &'a Settings,
    data: Memory,
    digest: String,
    /// Folder of the checkpoints.
    folder: &'a Path,
    device: &'a Device,
    signals: &'a Signals,
    pace: &'a Pace,
}

/// Number of trainings of an experiment, of those that are done, and the time they took.
pub struct Pace {
    started: Instant,
    all: usize,
    done: Cell<usize>,
}

impl Pace {
    /// The start of this number of trainings.
    pub fn start(all: usize) -> Self {
        Self { started: Instant::now(), all, done: Cell::new(0) }
    }

    /// Counts a training that is done, and returns the progress with an estimate of the time left: as long for each training as before.
    fn advance(&self) -> String {
        let (done, all) = (self.done.get() + 1, self.all);
        self.done.set(done);
        let left = self.started.elapsed().as_secs_f64() * all.saturating_sub(done) as f64 / done as f64;
        let left = if done < all { format!(", about {} left", duration(left)) } else { String::new() };
        format!("training {done} of {all}{left}")
    }
}

/// A trained model.
struct Trained {
    /// Validation accuracy and loss at the epoch with the lowest loss.
    validation: (f64, f64),
    /// Test accuracy at each length.
    accuracies: Vec<f64>,
}

impl<'a> Trainer<'a> {
    /// A trainer for the settings of a problem.
    pub fn new(
        settings: &'a Settings,
        folder: &'a Path,
        device: &'a Device,
        signals: &'a Signals,
        pace: &'a Pace,
    ) -> Result<Self, Failure> {
        let recipe = &settings.recipe;
        let data = Memory::from_records(&recipe.data.load(Path::new("."), recipe.task()?.data)?)?;
        let digest = data.digest();
        Ok(Self { settings, data, digest, folder, device, signals, pace })
    }

    /// The parameters of the problem.
    pub fn parameters(&self) -> &Parameters {
        self.data.problem.as_ref().expect("the data are generated")
    }

    /// Name of a constant prediction, the most frequent or the mean target of the training sequences, and its accuracy at each test length.
    pub fn baseline(&self) -> (&'static str, Vec<f64>) {
        let (name, baseline) = self.data.baselines(Split::Test).swap_remove(0);
        (name, self.by_length(&baseline))
    }

    /// Trains a cell with each learning rate, then with all seeds at the best one.
    pub fn curve(&self, cell: &'static str, learning_rates: &[f64], seeds: &[u32]) -> Result<Curve, Failure> {
        let first = seeds.first().copied().unwrap_or(1);
        let mut tried = Vec::new();
        for &learning_rate in learning_rates {
            tried.push((learning_rate, self.train(cell, learning_rate, first)?));
        }
        let is_better = |new: &Trained, old: &Trained| {
            let ((new, new_loss), (old, old_loss)) = (new.validation, old.validation);
            new > old || new == old && new_loss < old_loss
        };
        let best = tried.into_iter().reduce(|best, next| if is_better(&next.1, &best.1) { next } else { best });
        let (learning_rate, first) = best.expect("at least one learning rate");
        let mut all = vec![first];
        for &seed in seeds.iter().skip(1) {
            all.push(self.train(cell, learning_rate, seed)?);
        }
        let validation = all.iter().map(|trained| trained.validation.0).collect();
        let accuracies = all.into_iter().map(|trained| trained.accuracies).collect();
        Ok(Curve { cell, learning_rate, validation, accuracies })
    }

    fn train(&self, cell: &str, learning_rate: f64, seed: u32) -> Result<Trained, Failure> {
        let started = Instant::now();
        let mut settings = self.settings.of_model(cell)?;
        settings.recipe.training.learning_rate = learning_rate;
        settings.recipe.training.seed = seed.into();
        let spec = settings.recipe.spec(cell)?;
        let task = self.data.training(&spec)?;
        let problem = self.parameters().problem.name;
        let folder = ModelFolder { path: self.folder.join(format!("{problem}-{cell}-{learning_rate}-{seed}")) };
        let about = Metadata::now(settings, cell, &self.digest);
        let limits = Limits { stop: self.signals.raised(), max_steps: None, max_time: None };
        let job = Job { task: &*task, about: &about, folder: &folder, disk: &RealDisk, device: self.device, limits };
        let what = format!("{problem}: {cell}, learning rate {learning_rate:e}, seed {seed}");
        match train(&job, &mut Notes(&what)) {
            Ok(outcome) if outcome.stopped == Stopped::Requested => {
                return Err(self.signals.stopped(format_args!("while training on {what}; nothing is kept")));
            }
            // The best epoch before counts.
            Err(error @ TrainError::Diagnosed { .. }) => say(format_args!("note: {what}: {error}")),
            outcome => {
                outcome?;
            }
        }
        let model = Model::open(&folder, self.device)?;
        let accuracies = self.by_length(&model.evaluate(&self.data, Split::Test)?);
        let best = model.progress.best(model.recipe.stopping_metric()).map(|epoch| &epoch.validation);
        let of = |metric: Metric| best.and_then(|scores| scores.get(metric));
        let validation = (of(Metric::ACCURACY).unwrap_or(0.0), of(Metric::LOSS).unwrap_or(f64::INFINITY));
        say(format_args!(
            "{what}: validation accuracy {} in {}; {}",
            number(validation.0),
            duration(started.elapsed().as_secs_f64()),
            self.pace.advance()
        ));
        // Only the results are kept.
        let _ = std::fs::remove_dir_all(&folder.path);
        Ok(Trained { validation, accuracies })
    }

    /// The accuracy at each test length; NaN if there are no examples of it.
    fn by_length(&self, evaluation: &Evaluation) -> Vec<f64> {
        let accuracy = |length: &usize| {
            let length = length.to_string();
            let group = evaluation.groups.iter().find(|((_, value), _)| *value == length);
            group.and_then(|(_, scores)| scores.get(Metric::ACCURACY)).unwrap_or(f64::NAN)
        };
        self.parameters().test_lengths.iter().map(accuracy).collect()
    }
}

/// Prints the notes of a training alone.
struct Notes<'a>(&'a str);

impl Observer for Notes<'_> {
    fn step(&mut self, _: StepReport) {}

    fn epoch(&mut self, _: &Epoch, _: Duration) {}

    fn note(&mut self, text: &str) {
        say(format_args!("note: {}: {text}", self.0));
    }
}
