//! The learner on a task of one parameter: exact resume, restarts, limits, failing disks.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use seqzoo_random::{Key, RngExt};
use seqzoo_run::checkpoint::{CheckpointError, Files};
use seqzoo_run::devices;
use seqzoo_run::disk::{Disk, RealDisk};
use seqzoo_run::folder::{Environment, ModelFolder, Run};
use seqzoo_run::progress::{About, Epoch, Scores, Snapshot};
use seqzoo_run::settings::{Override, Settings};
use seqzoo_run::tasks::{BatchLoss, Task};
use seqzoo_train::{Job, Limits, Observer, StepReport, Stopped, TrainError, train};

/// θ, which is to reach 3 although every step's goal is shaken.
#[derive(Module, Debug)]
struct Scalar {
    theta: Param<Tensor<1>>,
}

/// Ten batches a pass; after twelve losses, the next `bad_losses` are not numbers.
#[derive(Default)]
struct Shaken {
    bad_losses: Cell<usize>,
    losses: Cell<usize>,
    stop_at: Option<(usize, &'static AtomicBool)>,
    /// Start where one more step is infinite, under a loss that is linear.
    huge: bool,
}

impl Task for Shaken {
    type Network = Scalar;

    fn network(&self, device: &Device) -> Scalar {
        Scalar { theta: Param::from_data([if self.huge { -f32::MAX } else { 0.0 }], device) }
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        (0..10).map(|batch| vec![(batch + epoch as usize) % 10]).collect()
    }

    fn loss(&self, network: &Scalar, batch: &[usize], noise: Key, device: &Device) -> BatchLoss {
        self.losses.set(self.losses.get() + 1);
        if let Some((at, stop)) = self.stop_at {
            stop.fetch_or(self.losses.get() == at, Ordering::Relaxed);
        }
        if self.huge {
            return BatchLoss { loss: network.theta.val().sum() * 1e-3, tokens: 1 };
        }
        let shake: f32 = noise.stream().random_range(-0.5..0.5) + batch[0] as f32 * 0.01;
        let bad = self.losses.get() > 12 && self.bad_losses.get() > 0;
        if bad {
            self.bad_losses.set(self.bad_losses.get() - 1);
        }
        let goal = Tensor::from_data([if bad { f32::NAN } else { 3.0 + shake }], device);
        BatchLoss { loss: (network.theta.val() - goal).square().sum(), tokens: 1 }
    }

    fn validate(&self, network: &Scalar, _: &Device) -> Scores {
        let theta = f64::from(network.theta.val().into_scalar::<f32>());
        Scores { accuracy: 1.0 / (1.0 + (theta - 3.0).abs()), loss: (theta - 3.0).powi(2), examples: 1 }
    }

    fn files(&self) -> Files {
        Files::from([("encoder.json".to_owned(), b"{}".to_vec())])
    }
}

#[derive(Default)]
struct Notes(Vec<String>);

impl Observer for Notes {
    fn step(&mut self, _: StepReport) {}
    fn epoch(&mut self, _: &Epoch, _: Duration) {}
    fn note(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

static NEVER: AtomicBool = AtomicBool::new(false);
const NO_LIMITS: Limits = Limits { stop: &NEVER, max_steps: None, max_time: None };

fn settings() -> Settings {
    let set = |field: &str, value: &str| Override { origin: "--set".into(), field: field.into(), value: value.into() };
    let overrides = [set("training.epochs", "4"), set("training.learning_rate", "0.05"), set("stopping.patience", "9")];
    Settings::resolve("agreement", &overrides).unwrap()
}

/// A run in a folder of its own.
struct Trial {
    dir: tempfile::TempDir,
}

impl Trial {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn folder(&self) -> ModelFolder {
        ModelFolder { path: self.dir.path().to_owned() }
    }

    fn train(&self, task: &Shaken, disk: &impl Disk, limits: Limits) -> (Result<Stopped, TrainError>, Vec<String>) {
        self.train_on("data", task, disk, limits)
    }

    fn train_on(
        &self,
        digest: &str,
        task: &Shaken,
        disk: &impl Disk,
        limits: Limits,
    ) -> (Result<Stopped, TrainError>, Vec<String>) {
        let (folder, about) = (self.folder(), About::now(settings(), "lstm", digest));
        let (_, device) = devices().remove(0);
        let mut notes = Notes::default();
        let job = Job { task, about: &about, folder: &folder, disk, device: &device, limits };
        (train(&job, &mut notes), notes.0)
    }

    fn to_the_end(&self) {
        let (result, _) = self.train(&Shaken::default(), &RealDisk, NO_LIMITS);
        assert_eq!(result.unwrap(), Stopped::Finished);
    }

    fn newest(&self) -> Snapshot {
        Snapshot::of(&self.folder().checkpoints().newest().unwrap().0).unwrap()
    }

    /// Every file that must be the same however often a run was interrupted: the newest checkpoint's, and the metrics.
    fn outcome(&self) -> Files {
        let mut files = self.folder().checkpoints().newest().unwrap().0.files;
        files.insert("metrics.jsonl".to_owned(), fs::read(self.dir.path().join("metrics.jsonl")).unwrap());
        files
    }
}

fn uninterrupted() -> Files {
    let trial = Trial::new();
    trial.to_the_end();
    trial.outcome()
}

#[test]
fn resuming_after_any_step_is_exact_to_the_bit() {
    let whole = uninterrupted();
    for step in 1..40 {
        let trial = Trial::new();
        let paused = Limits { max_steps: Some(step), ..NO_LIMITS };
        assert_eq!(trial.train(&Shaken::default(), &RealDisk, paused).0.unwrap(), Stopped::Limit);
        trial.to_the_end();
        assert!(trial.outcome() == whole, "paused after step {step}");
    }
}

#[test]
fn resuming_after_every_step_is_exact_to_the_bit() {
    let trial = Trial::new();
    for step in 1..=40 {
        let paused = Limits { max_steps: Some(step), ..NO_LIMITS };
        trial.train(&Shaken::default(), &RealDisk, paused).0.unwrap();
    }
    trial.to_the_end();
    assert!(trial.outcome() == uninterrupted());
}

#[test]
fn a_request_to_stop_is_met_within_one_step_and_saved() {
    static ASKED: AtomicBool = AtomicBool::new(false);
    let trial = Trial::new();
    let task = Shaken { stop_at: Some((7, &ASKED)), ..Shaken::default() };
    let (result, _) = trial.train(&task, &RealDisk, Limits { stop: &ASKED, ..NO_LIMITS });
    assert_eq!(result.unwrap(), Stopped::Asked);
    assert_eq!(trial.newest().progress.step, 7);
}

#[test]
fn the_newest_two_checkpoints_and_the_best_are_kept() {
    let trial = Trial::new();
    trial.to_the_end();
    let steps: Vec<u64> = trial.folder().checkpoints().list().unwrap().into_iter().map(|(step, _)| step).collect();
    let best = trial.newest().progress.best(settings().recipe.stopping.metric).unwrap().step;
    assert!(steps.ends_with(&[30, 40]) && steps.contains(&best) && steps.len() <= 3, "{steps:?}, best {best}");
}

#[test]
fn a_loss_that_is_not_a_number_restarts_training_at_a_smaller_rate_and_updates_nothing() {
    let trial = Trial::new();
    let task = Shaken { bad_losses: Cell::new(2), ..Shaken::default() };
    let (result, notes) = trial.train(&task, &RealDisk, NO_LIMITS);
    assert_eq!(result.unwrap(), Stopped::Finished);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("loss at step 12 is NaN") && notes[0].contains("from step 10"), "{notes:?}");
    let progress = trial.newest().progress;
    assert_eq!((progress.step, progress.restarts, progress.rate_factor), (40, 2, 0.25));
    let read = |name| fs::read_to_string(trial.dir.path().join(name)).unwrap();
    assert_eq!(read("events.jsonl").lines().count(), 2);
    assert!(!read("metrics.jsonl").contains("NaN") && !read("metrics.jsonl").contains("null"));
}

#[test]
fn training_gives_up_after_four_restarts_and_keeps_its_good_checkpoint() {
    let trial = Trial::new();
    let task = Shaken { bad_losses: Cell::new(usize::MAX), ..Shaken::default() };
    let (result, notes) = trial.train(&task, &RealDisk, NO_LIMITS);
    assert!(matches!(result, Err(TrainError::Diverged { what: "loss", step: 10, .. })), "{result:?}");
    assert_eq!(notes.len(), 4);
    assert!(trial.newest().weights["theta"].values[0].is_finite());
}

#[test]
fn a_damaged_checkpoint_is_reported_and_the_older_one_used() {
    let trial = Trial::new();
    trial.to_the_end();
    let whole = trial.outcome();
    let weights = trial.folder().checkpoints().path(40).join("weights.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let (result, notes) = trial.train(&Shaken::default(), &RealDisk, NO_LIMITS);
    assert_eq!(result.unwrap(), Stopped::Finished);
    assert!(notes[0].contains("weights.safetensors") && notes[0].contains("damaged"), "{notes:?}");
    assert!(trial.outcome() == whole, "and the lost pass is made again, to the bit");
}

#[test]
fn a_checkpoint_of_other_data_is_refused() {
    let trial = Trial::new();
    trial.to_the_end();
    let (result, _) = trial.train_on("other data", &Shaken::default(), &RealDisk, NO_LIMITS);
    assert!(matches!(result, Err(TrainError::Foreign { what: "data", .. })), "{result:?}");
}

#[test]
fn weights_that_are_not_finite_are_never_saved() {
    // A rate at which one update overflows: gradients are finite, the weight after it is not.
    let trial = Trial::new();
    let mut settings = settings();
    settings.recipe.training.learning_rate = f64::from(f32::MAX);
    let (folder, about) = (trial.folder(), About::now(settings, "lstm", "data"));
    let (_, device) = devices().remove(0);
    let task = Shaken { huge: true, ..Shaken::default() };
    let limits = Limits { max_steps: Some(2), ..NO_LIMITS };
    let job = Job { task: &task, about: &about, folder: &folder, disk: &RealDisk, device: &device, limits };
    let result = train(&job, &mut Notes::default());
    assert!(matches!(result, Err(TrainError::Diverged { .. })), "{result:?}");
    assert_eq!(trial.newest().progress.step, 0);
}

/// Has room for so many files.
struct Full(Cell<usize>);

impl Disk for Full {
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let room = self.0.get().checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        self.0.set(room);
        RealDisk.write(path, bytes)
    }

    fn commit(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.commit(from, to)
    }
}

#[test]
fn a_full_disk_ends_training_by_name_and_training_goes_on_once_there_is_room() {
    let trial = Trial::new();
    let files = 6; // of a checkpoint: about, encoder, manifest, optimiser, progress, weights
    let (result, _) = trial.train(&Shaken::default(), &Full(Cell::new(files + 3)), NO_LIMITS);
    let Err(TrainError::Checkpoint(error @ CheckpointError::Unwritable { .. })) = result else { panic!("{result:?}") };
    assert!(error.to_string().contains("00000010") && error.to_string().contains("intact"), "{error}");
    assert_eq!(trial.newest().progress.step, 0);
    trial.to_the_end();
    assert!(trial.outcome() == uninterrupted());
}

#[test]
fn a_run_is_locked_while_it_trains_and_free_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let environment = Environment::now(settings(), "flex", "0".to_owned());
    let run = Run::create(Some(&dir.path().join("run")), environment).unwrap();
    let lock = run.lock().unwrap();
    assert!(run.lock().unwrap_err().to_string().contains("is locked"));
    drop(lock);
    run.lock().unwrap();
}
