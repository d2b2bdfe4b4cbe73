//! The training loop: updates, validation after each epoch, checkpoints, and recovery from anomalies.

mod decisions;
mod latest;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_models::parameters::{self, Array, Arrays};
use seqzoo_run::checkpoint::{CheckpointError, Opened};
use seqzoo_run::disk::Disk;
use seqzoo_run::faults;
use seqzoo_run::folder::Journal;
use seqzoo_run::initial;
use seqzoo_run::progress::{Epoch, Progress, Snapshot};
use seqzoo_run::recipe::{OptimizerKind, Recipe};
use seqzoo_run::record::{Divergence, Recovery};
use seqzoo_tasks::{DynTrainingTask, RecurrentState};
use serde_json::json;

use crate::error::TrainError;
use crate::gradients::Accumulated;
use crate::job::{Job, Limits, Observer, Outcome, StepReport, Stopped};
use crate::optimizer::Optimizer;
use crate::recovery::{self, Anomaly, Site};
use crate::step::{Batch, State};

/// Number of updates between lines of `metrics.jsonl`, after one line per update for the first [`METRICS_FIRST`].
const METRICS_EVERY: u64 = 50;
const METRICS_FIRST: u64 = 10;

/// Interruption of the training loop.
enum Interrupt {
    /// An anomaly that requires a rollback.
    RollBack { anomaly: Anomaly, batch: Option<Batch> },
    /// An error that ends training.
    Error(TrainError),
}

impl<E: Into<TrainError>> From<E> for Interrupt {
    fn from(error: E) -> Self {
        Interrupt::Error(error.into())
    }
}

/// Trains a model from its latest valid checkpoint, or from the start if it has none yet. If training already ended with a
/// diagnosis, it is returned as an error.
///
/// # Errors
/// [`TrainError`]; checkpoints saved before remain intact.
pub fn train<D: Disk>(job: &Job<D>, observer: &mut dyn Observer) -> Result<Outcome, TrainError> {
    if let Some(diagnosis) = job.folder.diagnosis()? {
        return Err(TrainError::diagnosed(diagnosis, &job.about.settings.recipe, &job.folder.path));
    }
    let mut clock = Clock::start();
    let mut learner = Learner::begin(job, &mut clock, observer)?;
    let ended = |learner: &Learner<D>| learner.state.progress.ended(learner.recipe());
    let already_complete = ended(&learner).is_some();
    loop {
        match learner.run(&mut clock, observer) {
            Ok(stopped) => {
                return Ok(Outcome {
                    stopped,
                    ended: ended(&learner),
                    already_complete,
                    epochs: learner.state.progress.epoch,
                    elapsed: clock.started.elapsed(),
                    saving: clock.saving,
                });
            }
            Err(Interrupt::Error(error)) => return Err(error),
            Err(Interrupt::RollBack { anomaly, batch }) => {
                learner.roll_back(&anomaly, batch.as_ref(), observer)?;
                learner = Learner::begin(job, &mut clock, observer)?;
            }
        }
    }
}

/// Checks that validation reports the stopping metric of a recipe.
///
/// # Errors
/// If it does not, with these settings and data.
pub fn check_stopping_metric(task: &dyn DynTrainingTask, recipe: &Recipe) -> Result<(), TrainError> {
    let metric = recipe.stopping_metric();
    if task.reports(metric) {
        return Ok(());
    }
    let all = recipe.task().map_or(&[][..], |task| task.metrics);
    let known = all.iter().filter(|&&metric| task.reports(metric)).map(|metric| metric.name.to_owned()).collect();
    Err(TrainError::NoMetric { metric: metric.name, known })
}

/// Start time, total time spent saving checkpoints, and time of the last save.
struct Clock {
    started: Instant,
    saving: Duration,
    saved: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { started: Instant::now(), saving: Duration::ZERO, saved: Instant::now() }
    }
}

struct Learner<'a, D: Disk> {
    job: &'a Job<'a, D>,
    state: State,
    /// Step of the checkpoint that was loaded.
    loaded_at: Option<u64>,
    saved_step: u64,
    gradient_norm: f64,
}

impl<'a, D: Disk> Learner<'a, D> {
    /// Resumes from the latest usable checkpoint, or starts from initial weights.
    fn begin(job: &'a Job<'a, D>, clock: &mut Clock, observer: &mut dyn Observer) -> Result<Self, TrainError> {
        faults::point("rollback-load")
            .map_err(|source| CheckpointError::Unreadable { path: job.folder.path.clone(), source })?;
        let rollback = job.folder.rollback()?;
        let found = latest::latest(job.folder, rollback.as_ref(), observer)?;
        let from_start = rollback.as_ref().is_some_and(|recovery| recovery.target.is_none());
        if let Some((opened, snapshot)) = found {
            return Self::resume(job, &opened, snapshot, rollback);
        }
        if job.folder.has(Journal::Metrics) && !from_start {
            return Err(TrainError::MissingCheckpoints { path: job.folder.path.clone() });
        }
        job.folder.truncate_metrics(0)?;
        let initial = if job.about.settings.recipe.init.is_set() { Some(initial::load(job.folder)?) } else { None };
        let mut state = State::initial(job.context(), initial.as_ref());
        state.progress.recovery = rollback.unwrap_or_default();
        state.progress.divergence = Divergence::new(State::untrained(job.context()));
        let mut learner = Self { job, state, loaded_at: None, saved_step: 0, gradient_norm: 0.0 };
        learner.save(clock)?;
        Ok(learner)
    }

    fn resume(
        job: &'a Job<'a, D>,
        opened: &Opened,
        snapshot: Snapshot,
        rollback: Option<Recovery>,
    ) -> Result<Self, TrainError> {
        let about = &snapshot.about;
        let differs = [
            (about.model != job.about.model, "model"),
            (about.data_digest != job.about.data_digest, "data"),
            (!about.settings.recipe.same_run(&job.about.settings.recipe), "recipe"),
            (snapshot.task != job.task.files(), "vocabulary"),
        ];
        if let Some((_, what)) = differs.into_iter().find(|&(differs, _)| differs) {
            return Err(TrainError::OtherRun { path: opened.path.clone(), what });
        }
        let settings = job.about.settings.recipe.optimizer;
        let step = snapshot.progress.step;
        let rates = || job.about.settings.recipe.init.learning_rates.clone();
        let (optimizer, current) = Optimizer::from_arrays(settings, &snapshot.optimizer, step, job.device);
        let mut optimizer = optimizer.with_rates(rates());
        let mut network = job.task.network(&job.device.clone().autodiff());
        parameters::write(&mut *network, current.as_ref().unwrap_or(&snapshot.weights))
            .map_err(|source| TrainError::Mismatch { path: opened.path.clone(), source })?;
        let mut progress = snapshot.progress;
        progress.ties_by_loss_after.get_or_insert(progress.epoch);
        if progress.divergence.untrained().is_none() {
            // Older versions did not save it, but it is a function of the recipe and the data.
            progress.divergence = Divergence::new(State::untrained(job.context()));
        }
        if let Some(recovery) = rollback.filter(|recovery| recovery.generation > progress.recovery.generation) {
            if recovery::resets_optimizer(&recovery) {
                optimizer = Optimizer::new(settings).with_rates(rates());
            }
            progress.recovery = recovery;
        }
        let device = job.device;
        let recurrent_state: RecurrentState =
            snapshot.recurrent_state.iter().map(|(name, array)| (name.clone(), array.tensor(device))).collect();
        let recurrent_state = (!recurrent_state.is_empty()).then_some(recurrent_state);
        let accumulated = Accumulated {
            sum: snapshot.accumulated.iter().map(|(name, array)| (name.clone(), array.tensor(device))).collect(),
            weight: progress.accumulated_weight,
            count: progress.accumulated_batches,
        };
        job.folder.truncate_metrics(progress.metrics_bytes)?;
        let state = State { network, optimizer, recurrent_state, accumulated, progress };
        let learner = Self { job, state, loaded_at: Some(step), saved_step: step, gradient_norm: 0.0 };
        learner.prune()?;
        Ok(learner)
    }

    fn run(&mut self, clock: &mut Clock, observer: &mut dyn Observer) -> Result<Stopped, Interrupt> {
        while self.state.progress.ended(self.recipe()).is_none() {
            let epoch_started = Instant::now();
            let batches = self.batches();
            if batches.is_empty() {
                return Err(TrainError::NoBatches.into());
            }
            let first = usize::try_from(self.state.progress.batch).unwrap_or(usize::MAX).min(batches.len());
            let mut tokens = 0;
            for batch in &batches[first..] {
                if let Some(stopped) = self.limit_reached(clock) {
                    self.save(clock)?;
                    return Ok(stopped);
                }
                let report = self.process(batch, batches.len() as u64, observer)?;
                tokens += report.tokens;
                observer.step(report);
                self.save_if_due(clock)?;
            }
            let Some(scores) = self.validate(clock, observer)? else {
                self.save(clock)?;
                return Ok(self.limit_reached(clock).unwrap_or(Stopped::Requested));
            };
            self.end_epoch(scores, clock)?;
            let epoch = self.state.progress.history.last().expect("an epoch was just recorded");
            let seconds = epoch_started.elapsed().as_secs_f64();
            let saving = clock.saving.as_secs_f64();
            let timing = json!({"step": epoch.step, "epoch": epoch.epoch, "seconds": seconds, "tokens": tokens, "saving": saving});
            self.job.folder.append(Journal::Timing, &timing)?;
            observer.epoch(epoch, clock.started.elapsed());
            let metric = self.recipe().stopping_metric();
            if epoch.validation.get(metric).is_none() {
                let known = epoch.validation.iter().map(|(name, _)| name.to_owned()).collect();
                return Err(TrainError::NoMetric { metric: metric.name, known }.into());
            }
        }
        Ok(Stopped::Finished)
    }

    fn recipe(&self) -> &'a Recipe {
        &self.job.about.settings.recipe
    }

    /// The batches of this epoch, in order. Postponed batches come last, or are skipped in stateful tasks, whose order is fixed.
    fn batches(&self) -> Vec<Batch> {
        let Progress { epoch, recovery, .. } = &self.state.progress;
        let batches = self.job.task.batches(*epoch);
        let count = batches.len() as u64;
        let numbered = (0..).zip(batches).map(|(index, examples)| Batch {
            index,
            global_batch: epoch * count + index,
            examples,
            is_last: false,
            batches_per_epoch: count,
        });
        let (postponed, mut ordered): (Vec<_>, Vec<_>) =
            numbered.partition(|batch| recovery.postponed.contains(&batch.global_batch));
        if !self.job.task.is_stateful() || ordered.is_empty() {
            ordered.extend(postponed);
        }
        if let Some(last) = ordered.last_mut() {
            last.is_last = true;
        }
        ordered
    }

    fn limit_reached(&self, clock: &Clock) -> Option<Stopped> {
        let Limits { stop, max_steps, max_time } = self.job.limits;
        if stop.load(Ordering::Relaxed) {
            return Some(Stopped::Requested);
        }
        let too_many = max_steps.is_some_and(|most| self.state.progress.step >= most);
        let too_long = max_time.is_some_and(|most| clock.started.elapsed() >= most);
        (too_many || too_long).then_some(Stopped::Limit)
    }

    /// Processes a batch. On an anomaly, the batch is retried, then skipped, and then training rolls back.
    fn process(&mut self, batch: &Batch, batches: u64, observer: &mut dyn Observer) -> Result<StepReport, Interrupt> {
        let result = match self.state.step(self.job.context(), batch, 0) {
            Err(anomaly) if anomaly.site.is_of_a_batch() => {
                self.log_event("retry", Some(batch), &anomaly, json!({}))?;
                match self.state.step(self.job.context(), batch, 1) {
                    Ok(done) => {
                        self.report_nondeterminism(&anomaly, observer)?;
                        let mut done = done;
                        done.state.progress.recovery.nondeterministic_retries += 1;
                        Ok(done)
                    }
                    again => again,
                }
            }
            result => result,
        };
        let mut tokens = 0;
        let mut loss = f64::NAN;
        match result {
            Ok(done) => {
                let updated = done.state.progress.step > self.state.progress.step;
                self.state = done.state;
                self.state.progress.recovery.skips_in_a_row = 0;
                (tokens, loss) = (done.tokens, done.loss);
                self.gradient_norm = done.gradient_norm.unwrap_or(self.gradient_norm);
                if updated {
                    self.write_metrics(done.loss, done.learning_rate)?;
                }
            }
            Err(anomaly) if anomaly.site.is_of_a_batch() => {
                let mut state = self.state.clone();
                let is_bearable = recovery::skip(&mut state.progress.recovery, state.progress.step);
                let roll_back = |anomaly| Interrupt::RollBack { anomaly, batch: Some(batch.clone()) };
                if !is_bearable {
                    return Err(roll_back(anomaly));
                }
                let skips = state.progress.recovery.skips;
                let state = state.skip(self.job.context(), batch).map_err(roll_back)?;
                self.log_event("skip", Some(batch), &anomaly, json!({"skips": skips}))?;
                observer.note(&format!("{anomaly} at step {}: batch skipped", self.state.progress.step));
                self.state = state;
            }
            Err(anomaly) => return Err(Interrupt::RollBack { anomaly, batch: Some(batch.clone()) }),
        }
        let Progress { step, epoch, batch, .. } = self.state.progress;
        Ok(StepReport { step, epoch, batch, batches, loss, gradient_norm: self.gradient_norm, tokens })
    }

    fn write_metrics(&mut self, loss: f64, learning_rate: f64) -> Result<(), TrainError> {
        let Progress { step, epoch, .. } = self.state.progress;
        if step <= METRICS_FIRST || step.is_multiple_of(METRICS_EVERY) {
            let line = json!({
                "step": step, "epoch": epoch, "loss": loss, "gradient_norm": self.gradient_norm,
                "learning_rate": learning_rate,
            });
            self.state.progress.metrics_bytes += self.job.folder.append(Journal::Metrics, &line)?;
        }
        Ok(())
    }

    /// Metrics on the validation split, retried once if they are not finite; `None` if training was stopped.
    fn validate(&mut self, clock: &Clock, observer: &mut dyn Observer) -> Result<Option<Scores>, Interrupt> {
        let stop = || matches!(self.limit_reached(clock), Some(Stopped::Requested));
        let network = self.state.optimizer.evaluation_network(&*self.state.network).boxed_valid();
        let measured = |attempt: u32| {
            faults::set_batch(self.state.progress.step, self.state.progress.epoch, attempt);
            let mut scores = self.job.task.validate(&*network, self.job.device, &stop)?;
            if let Some(value) = faults::value("metric") {
                scores.insert(Metric::LOSS, f64::from(value));
            }
            Some(scores)
        };
        let is_sound = |scores: &Scores| scores.iter().all(|(_, value)| value.is_finite());
        let Some(scores) = measured(0) else { return Ok(None) };
        if is_sound(&scores) {
            return Ok(Some(scores));
        }
        let value = scores.iter().map(|(_, value)| value).find(|value| !value.is_finite()).unwrap_or(f64::NAN);
        let anomaly = Anomaly { site: Site::Validation, name: None, value };
        self.log_event("retry", None, &anomaly, json!({}))?;
        match measured(1) {
            None => Ok(None),
            Some(scores) if is_sound(&scores) => {
                self.report_nondeterminism(&anomaly, observer)?;
                self.state.progress.recovery.nondeterministic_retries += 1;
                Ok(Some(scores))
            }
            Some(_) => Err(Interrupt::RollBack { anomaly, batch: None }),
        }
    }

    /// Records the epoch and saves a checkpoint.
    fn end_epoch(&mut self, validation: Scores, clock: &mut Clock) -> Result<(), Interrupt> {
        let recipe = self.recipe();
        let done = &mut self.state.progress;
        let train_loss = if done.predictions > 0.0 { done.loss_sum / done.predictions } else { 0.0 };
        let epoch = Epoch { step: done.step, epoch: done.epoch + 1, train_loss, validation };
        done.history.push(epoch.clone());
        (done.epoch, done.batch, done.loss_sum, done.predictions) = (epoch.epoch, 0, 0.0, 0.0);
        self.state.recurrent_state = None;
        let waited = done.epochs_since_best(recipe.stopping_metric());
        if recipe.optimizer.kind == OptimizerKind::Asgd && waited >= recipe.optimizer.averaging_patience as u64 {
            self.state.optimizer.begin_averaging(&*self.state.network, self.job.device);
        }
        let line = serde_json::to_value(epoch).expect("made of numbers");
        self.state.progress.metrics_bytes += self.job.folder.append(Journal::Metrics, &line)?;
        self.save(clock)?;
        Ok(())
    }

    fn save_if_due(&mut self, clock: &mut Clock) -> Result<(), Interrupt> {
        let checkpoints = self.recipe().checkpoints;
        let steps = self.state.progress.step - self.saved_step;
        let by_steps = checkpoints.every_steps > 0 && steps >= checkpoints.every_steps;
        let by_clock = checkpoints.every_seconds > 0 && clock.saved.elapsed().as_secs() >= checkpoints.every_seconds;
        if steps > 0 && (by_steps || by_clock) {
            self.save(clock)?;
        }
        Ok(())
    }

    /// Saves a checkpoint, and removes those that are neither the best nor among the latest.
    fn save(&mut self, clock: &mut Clock) -> Result<(), TrainError> {
        let started = Instant::now();
        let State { network, optimizer, recurrent_state, accumulated, progress } = &self.state;
        let arrays = |tensors: Vec<(&String, Array)>| -> Arrays {
            tensors.into_iter().map(|(name, array)| (name.clone(), array)).collect()
        };
        let snapshot = Snapshot {
            about: self.job.about.clone(),
            progress: Progress {
                accumulated_batches: accumulated.count,
                accumulated_weight: accumulated.weight,
                ..progress.clone()
            },
            weights: parameters::read(&*optimizer.evaluation_network(&**network)),
            optimizer: optimizer.to_arrays(&**network),
            recurrent_state: arrays(
                recurrent_state.iter().flatten().map(|(name, tensor)| (name, Array::of(tensor.clone()))).collect(),
            ),
            accumulated: arrays(
                accumulated.sum.iter().map(|(name, tensor)| (name, Array::of(tensor.clone()))).collect(),
            ),
            task: self.job.task.files(),
        };
        self.job.folder.sync_metrics()?;
        self.job.folder.checkpoints().save(progress.step, &snapshot.to_files(), self.job.disk)?;
        self.saved_step = progress.step;
        self.prune()?;
        clock.saved = Instant::now();
        clock.saving += started.elapsed();
        Ok(())
    }

    fn prune(&self) -> Result<(), TrainError> {
        let checkpoints = self.job.folder.checkpoints();
        let mut keep: Vec<u64> = checkpoints.list()?.into_iter().rev().map(|(step, _)| step).collect();
        keep.dedup();
        keep.truncate(self.recipe().checkpoints.keep);
        keep.extend(self.state.progress.best(self.recipe().stopping_metric()).map(|epoch| epoch.step));
        Ok(checkpoints.prune(&keep)?)
    }
}
