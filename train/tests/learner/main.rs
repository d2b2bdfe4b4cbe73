//! Training on small tasks: exact resume, limits, recovery, fault injection.

mod bptt; // truncated backpropagation through time against a direct computation of the gradients
mod exact; // exact resume after any step, for every cell, optimizer and schedule
mod faults; // injected faults: values that are not finite at every site, failing operations and disks
mod initial; // initial weights from word vectors and other runs; learning rates per layer
mod recovery; // skips, rollbacks, quarantined checkpoints and diagnoses
mod series; // a stateful task with a recurrent network
mod shaken; // a task with one parameter

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use burn::tensor::Device;
use seqzoo_run::checkpoint::Files;
use seqzoo_run::disk::{Disk, RealDisk};
use seqzoo_run::folder::ModelFolder;
use seqzoo_run::progress::{Epoch, Metadata, Snapshot};
use seqzoo_run::settings::{Override, Settings};
use seqzoo_tasks::DynTrainingTask;
use seqzoo_train::{Job, Limits, Observer, Outcome, StepReport, Stopped, TrainError, train};
use serde_json::Value;

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

/// The agreement recipe with four epochs, and the given values.
fn settings(values: &[(&str, &str)]) -> Settings {
    let small = [
        ("training.epochs", "4"),
        ("training.learning_rate", "0.05"),
        ("stopping.patience", "99"),
        ("checkpoints.every_seconds", "0"),
    ];
    let set = |(field, value): &(&str, &str)| Override {
        origin: "--set".into(),
        field: (*field).into(),
        value: (*value).into(),
    };
    let overrides: Vec<Override> = small.iter().chain(values).map(set).collect();
    Settings::resolve("agreement", &overrides).unwrap()
}

/// A run in a temporary folder.
struct Trial {
    dir: tempfile::TempDir,
    settings: Settings,
    digest: &'static str,
}

impl Trial {
    fn new(values: &[(&str, &str)]) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), settings: settings(values), digest: "data" }
    }

    fn folder(&self) -> ModelFolder {
        ModelFolder { path: self.dir.path().to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn train(
        &self,
        task: &dyn DynTrainingTask,
        disk: &impl Disk,
        limits: Limits,
    ) -> (Result<Stopped, TrainError>, Vec<String>) {
        let (outcome, notes) = self.trained(task, disk, limits);
        (outcome.map(|outcome| outcome.stopped), notes)
    }

    fn outcome_of(&self, task: &dyn DynTrainingTask) -> Outcome {
        self.trained(task, &RealDisk, NO_LIMITS).0.unwrap()
    }

    fn trained(
        &self,
        task: &dyn DynTrainingTask,
        disk: &impl Disk,
        limits: Limits,
    ) -> (Result<Outcome, TrainError>, Vec<String>) {
        let (folder, about) =
            (self.folder(), Metadata::now(self.settings.of_model("lstm").unwrap(), "lstm", self.digest));
        let device = Device::flex(); // resume is exact on the CPU backend
        let mut notes = Notes::default();
        let job = Job { task, about: &about, folder: &folder, disk, device: &device, limits };
        (train(&job, &mut notes), notes.0)
    }

    fn until(&self, task: &dyn DynTrainingTask, step: u64) {
        let paused = Limits { max_steps: Some(step), ..NO_LIMITS };
        assert_eq!(self.train(task, &RealDisk, paused).0.unwrap(), Stopped::Limit);
    }

    fn to_the_end(&self, task: &dyn DynTrainingTask) -> Vec<String> {
        let (result, notes) = self.train(task, &RealDisk, NO_LIMITS);
        assert_eq!(result.unwrap(), Stopped::Finished);
        notes
    }

    fn latest(&self) -> Snapshot {
        Snapshot::of(&self.folder().checkpoints().latest().unwrap().0).unwrap()
    }

    /// The files that must not depend on interruptions: those of the latest checkpoint, and the metrics.
    fn outcome(&self) -> Files {
        let mut files = self.folder().checkpoints().latest().unwrap().0.files;
        files.insert("metrics.jsonl".to_owned(), fs::read(self.path("metrics.jsonl")).unwrap());
        files
    }

    fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("events.jsonl")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The kinds of events, in order.
    fn decisions(&self) -> Vec<String> {
        self.events().iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    }

    /// Asserts that every checkpoint is valid and finite.
    fn assert_sound(&self) {
        for (_, path) in self.folder().checkpoints().list().unwrap() {
            let snapshot = Snapshot::of(&seqzoo_run::checkpoint::open(&path).unwrap()).unwrap();
            assert_eq!(snapshot.not_finite(), None, "{}", path.display());
        }
        let metrics = fs::read_to_string(self.path("metrics.jsonl")).unwrap_or_default();
        assert!(!metrics.contains("null") && !metrics.contains("NaN"), "{metrics}");
    }
}
