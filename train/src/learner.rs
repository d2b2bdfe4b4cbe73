//! The loop: batch, loss, gradient, clip, update; validation and checkpoint after each pass.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use seqzoo_random::{Key, Purpose};
use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::disk::Disk;
use seqzoo_run::folder::{FolderError, Journal, ModelFolder};
use seqzoo_run::parameters::{self, ParameterError};
use seqzoo_run::progress::{About, Epoch, Progress, Snapshot};
use seqzoo_run::recipe::Recipe;
use seqzoo_run::tasks::{BatchLoss, Task};
use serde_json::json;

use crate::gradients;
use crate::optimizer::{Adam, Update};

/// Restarts after a value that is not finite, before training gives up.
pub const MAX_RESTARTS: u32 = 4;

/// Each restart multiplies the learning rate by this.
const RESTART_FACTOR: f64 = 0.5;

/// Updates between two lines of `metrics.jsonl`, after a line for each of the first ones.
const METRICS_EVERY: u64 = 50;
const METRICS_FIRST: u64 = 10;

/// Checkpoints that are kept beside the best.
const KEPT: usize = 2;

/// One model to be trained.
pub struct Job<'a, T: Task, D: Disk> {
    /// What is learnt.
    pub task: &'a T,
    /// What its checkpoints say of themselves, the recipe included.
    pub about: &'a About,
    /// Where its checkpoints and journals go.
    pub folder: &'a ModelFolder,
    /// How they are written.
    pub disk: &'a D,
    /// Where it is computed; without gradients.
    pub device: &'a Device,
    /// When to pause.
    pub limits: Limits<'a>,
}

/// When training pauses before its end.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Raised from outside, for instance by a signal.
    pub stop: &'a AtomicBool,
    /// Updates altogether.
    pub max_steps: Option<u64>,
    /// Time of this call.
    pub max_time: Option<Duration>,
}

/// Why training stopped without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It came to its end.
    Finished,
    /// A limit on steps or time was reached; it can be resumed.
    Limit,
    /// It was asked to stop; it can be resumed.
    Asked,
}

/// Why training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Restarts did not help.
    #[error(
        "{what} at step {step} is {value}, and so it stayed through {MAX_RESTARTS} restarts at smaller learning rates: \
         the recipe is unstable (try a smaller training.learning_rate) or the data hold something that is not a number"
    )]
    Diverged {
        /// "loss", "gradient norm", "validation loss", "a weight" or "a moment".
        what: &'static str,
        /// Updates before it.
        step: u64,
        /// What it was.
        value: f64,
    },
    /// A checkpoint could not be saved or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A journal could not be written.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A checkpoint does not fit the recipe's network.
    #[error("checkpoint {}: {source}", path.display())]
    Unfit {
        /// The checkpoint.
        path: std::path::PathBuf,
        /// What does not fit.
        source: ParameterError,
    },
    /// A model that was trained has no checkpoint left.
    #[error(
        "{} has metrics but no checkpoint: it is not begun anew over them; bring its checkpoints back, or start another run",
        path.display()
    )]
    Lost {
        /// The model's folder.
        path: std::path::PathBuf,
    },
    /// A checkpoint belongs to another run.
    #[error("checkpoint {} was made by another run: its {what} differs", path.display())]
    Foreign {
        /// The checkpoint.
        path: std::path::PathBuf,
        /// What differs.
        what: &'static str,
    },
}

/// Is told how training goes.
pub trait Observer {
    /// An update was made.
    fn step(&mut self, report: StepReport);
    /// A pass was finished and validated.
    fn epoch(&mut self, epoch: &Epoch, elapsed: Duration);
    /// Something happened that people should know.
    fn note(&mut self, text: &str);
}

/// One update.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// Updates so far.
    pub step: u64,
    /// Full passes so far.
    pub epoch: u64,
    /// Batches taken of this pass.
    pub batch: u64,
    /// Batches of a pass.
    pub batches: u64,
    /// Loss of the batch, in nats.
    pub loss: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// True tokens read.
    pub tokens: usize,
}

/// A value that is not finite, before anything was updated with it.
struct NotFinite {
    what: &'static str,
    value: f64,
}

enum Failure {
    NotFinite(NotFinite),
    Error(TrainError),
}

impl Failure {
    /// What a value that is not finite means where there is no checkpoint to go back to.
    fn into_error(self) -> TrainError {
        match self {
            Failure::NotFinite(NotFinite { what, value }) => TrainError::Diverged { what, step: 0, value },
            Failure::Error(error) => error,
        }
    }
}

impl<E: Into<TrainError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure::Error(error.into())
    }
}

/// Trains a model from its newest checkpoint that verifies, or from the beginning if it has none yet.
///
/// # Errors
/// [`TrainError`]; whatever was saved before is intact.
pub fn train<T: Task, D: Disk>(job: &Job<T, D>, observer: &mut dyn Observer) -> Result<Stopped, TrainError> {
    let started = Instant::now();
    let mut learner = Learner::begin(job, observer)?;
    loop {
        match learner.run(observer, started) {
            Ok(stopped) => return Ok(stopped),
            Err(Failure::Error(error)) => return Err(error),
            Err(Failure::NotFinite(found)) => learner = learner.restart(&found, observer)?,
        }
    }
}

struct Learner<'a, T: Task, D: Disk> {
    job: &'a Job<'a, T, D>,
    network: T::Network,
    adam: Adam,
    progress: Progress,
}

impl<'a, T: Task, D: Disk> Learner<'a, T, D> {
    fn begin(job: &'a Job<'a, T, D>, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        if job.folder.checkpoints().list()?.is_empty() {
            if job.folder.has(Journal::Metrics) {
                return Err(TrainError::Lost { path: job.folder.path.clone() });
            }
            let network = job.task.network(&job.device.clone().autodiff());
            let learner = Self { job, network, adam: Adam::default(), progress: Progress::start() };
            learner.save().map_err(Failure::into_error)?;
            return Ok(learner);
        }
        Self::from_newest(job, observer)
    }

    /// Goes on from the newest checkpoint that verifies.
    fn from_newest(job: &'a Job<'a, T, D>, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        let (opened, skipped) = job.folder.checkpoints().newest()?;
        for (path, error) in skipped {
            let (checkpoint, why) = (path.display().to_string(), error.to_string());
            let event = json!({"step": opened.step, "event": "set aside", "checkpoint": checkpoint, "why": why});
            job.folder.append(Journal::Events, &event)?;
            job.folder.checkpoints().set_aside(&path)?;
            observer.note(&format!("{error}; it is set aside, and the checkpoint before it is used"));
        }
        let snapshot = Snapshot::of(&opened)?;
        let differs = [
            (snapshot.about.model != job.about.model, "model"),
            (snapshot.about.data_digest != job.about.data_digest, "data"),
            (!snapshot.about.settings.recipe.same_run(&job.about.settings.recipe), "recipe"),
            (snapshot.task != job.task.files(), "vocabulary"),
        ];
        if let Some((_, what)) = differs.into_iter().find(|&(differs, _)| differs) {
            return Err(TrainError::Foreign { path: opened.path, what });
        }
        let network = job.task.network(&job.device.clone().autodiff());
        let network = parameters::write(network, &snapshot.weights)
            .map_err(|source| TrainError::Unfit { path: opened.path, source })?;
        job.folder.cut_metrics(snapshot.progress.step)?;
        let adam = Adam::from_arrays(&snapshot.optimizer, job.device);
        Ok(Self { job, network, adam, progress: snapshot.progress })
    }

    /// Goes back to the newest checkpoint, with a smaller learning rate from there on.
    fn restart(self, found: &NotFinite, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        let NotFinite { what, value } = *found;
        let Progress { step, restarts, rate_factor, .. } = self.progress;
        if restarts == MAX_RESTARTS {
            return Err(TrainError::Diverged { what, step, value });
        }
        let mut learner = Self::from_newest(self.job, observer)?;
        learner.progress.restarts = restarts + 1;
        learner.progress.rate_factor = rate_factor * RESTART_FACTOR;
        let back_at = learner.progress.step;
        let event = json!({
            "step": step, "event": "restart", "what": what, "value": value.to_string(), "back_at": back_at,
            "rate_factor": learner.progress.rate_factor, "restarts": restarts + 1,
        });
        self.job.folder.append(Journal::Events, &event)?;
        observer.note(&format!(
            "{what} at step {step} is {value}: restarting from step {back_at} with the learning rate times {} \
             (restart {} of at most {MAX_RESTARTS})",
            learner.progress.rate_factor,
            restarts + 1,
        ));
        Ok(learner)
    }

    fn run(&mut self, observer: &mut dyn Observer, started: Instant) -> Result<Stopped, Failure> {
        while self.progress.ended(self.recipe()).is_none() {
            let pass_started = Instant::now();
            let batches = self.job.task.batches(self.progress.epoch);
            let first = usize::try_from(self.progress.batch).unwrap_or(usize::MAX).min(batches.len());
            let mut tokens = 0;
            for batch in &batches[first..] {
                if let Some(stopped) = self.limit_reached(started) {
                    self.save()?;
                    return Ok(stopped);
                }
                let report = self.step(batch, batches.len() as u64)?;
                tokens += report.tokens;
                observer.step(report);
            }
            self.end_epoch()?;
            let epoch = self.progress.history.last().expect("a pass was just recorded");
            let seconds = pass_started.elapsed().as_secs_f64();
            let timing = json!({"step": epoch.step, "epoch": epoch.epoch, "seconds": seconds, "tokens": tokens});
            self.job.folder.append(Journal::Timing, &timing)?;
            observer.epoch(epoch, started.elapsed());
        }
        Ok(Stopped::Finished)
    }

    fn recipe(&self) -> &'a Recipe {
        &self.job.about.settings.recipe
    }

    fn limit_reached(&self, started: Instant) -> Option<Stopped> {
        let Limits { stop, max_steps, max_time } = self.job.limits;
        if stop.load(Ordering::Relaxed) {
            return Some(Stopped::Asked);
        }
        let too_many = max_steps.is_some_and(|most| self.progress.step >= most);
        let too_long = max_time.is_some_and(|most| started.elapsed() >= most);
        (too_many || too_long).then_some(Stopped::Limit)
    }

    /// One update; nothing changes if loss or gradient are not finite.
    fn step(&mut self, batch: &[usize], batches: u64) -> Result<StepReport, Failure> {
        let training = &self.recipe().training;
        let noise = Key::new(training.seed, Purpose::Dropout).at(self.progress.step);
        let device = self.job.device.clone().autodiff();
        let BatchLoss { loss, tokens } = self.job.task.loss(&self.network, batch, noise, &device);
        let value = f64::from(loss.clone().into_scalar::<f32>());
        finite("loss", value)?;
        let gradients = gradients::of(&self.network, &loss.backward());
        let gradient_norm = gradients::global_norm(&gradients);
        finite("gradient norm", gradient_norm)?;

        let update = Update {
            step: self.progress.step + 1,
            learning_rate: training.learning_rate * self.progress.rate_factor,
            clip_factor: gradients::clip_factor(gradient_norm, training.clip_norm),
        };
        self.network = self.adam.update(self.network.clone(), gradients, update);
        self.progress.step += 1;
        self.progress.batch += 1;
        self.progress.loss_sum += value * batch.len() as f64;
        self.progress.examples += batch.len() as u64;
        let Progress { step, epoch, batch, .. } = self.progress;
        if step <= METRICS_FIRST || step.is_multiple_of(METRICS_EVERY) {
            let line = json!({"step": step, "epoch": epoch, "loss": value, "gradient_norm": gradient_norm});
            self.job.folder.append(Journal::Metrics, &line)?;
        }
        Ok(StepReport { step, epoch, batch, batches, loss: value, gradient_norm, tokens })
    }

    /// Validates, records, saves, and removes checkpoints that are neither best nor among the newest.
    fn end_epoch(&mut self) -> Result<(), Failure> {
        let validation = self.job.task.validate(&self.network.valid(), self.job.device);
        finite("validation loss", validation.loss)?;
        let done = &mut self.progress;
        let train_loss = done.loss_sum / done.examples.max(1) as f64;
        let epoch = Epoch { step: done.step, epoch: done.epoch + 1, train_loss, validation };
        done.history.push(epoch);
        (done.epoch, done.batch, done.loss_sum, done.examples) = (epoch.epoch, 0, 0.0, 0);
        self.job.folder.append(Journal::Metrics, &serde_json::to_value(epoch).expect("made of numbers"))?;
        self.save()?;
        self.prune()?;
        Ok(())
    }

    /// Saves, unless a weight or moment is not finite: nothing could go on from those.
    fn save(&self) -> Result<(), Failure> {
        let snapshot = Snapshot {
            about: self.job.about.clone(),
            progress: self.progress.clone(),
            weights: parameters::read(&self.network),
            optimizer: self.adam.to_arrays(),
            task: self.job.task.files(),
        };
        for (what, arrays) in [("a weight", &snapshot.weights), ("a moment", &snapshot.optimizer)] {
            let mut values = arrays.values().flat_map(|array| &array.values);
            if let Some(&value) = values.find(|value| !value.is_finite()) {
                return Err(Failure::NotFinite(NotFinite { what, value: f64::from(value) }));
            }
        }
        self.job.folder.checkpoints().save(self.progress.step, &snapshot.to_files(), self.job.disk)?;
        Ok(())
    }

    fn prune(&self) -> Result<(), TrainError> {
        let checkpoints = self.job.folder.checkpoints();
        let mut keep: Vec<u64> = checkpoints.list()?.into_iter().rev().map(|(step, _)| step).take(KEPT).collect();
        keep.extend(self.progress.best(self.recipe().stopping.metric).map(|epoch| epoch.step));
        Ok(checkpoints.prune(&keep)?)
    }
}

fn finite(what: &'static str, value: f64) -> Result<(), Failure> {
    if value.is_finite() { Ok(()) } else { Err(Failure::NotFinite(NotFinite { what, value })) }
}
