//! Run folders: created atomically, locked during training, found by name.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::{CheckpointError, Checkpoints, FORMAT, OtherFormat, check_format};
use crate::progress::Metadata;
use crate::recipe::Recipe;
use crate::record::{Diagnosis, Recovery};
use crate::settings::Settings;
use crate::{did_you_mean, disk, faults};

const RECIPE: &str = "recipe.toml";
pub(crate) const ENVIRONMENT: &str = "env.json";
const LOCK: &str = "lock";
const ROLLBACK: &str = "rollback.json";
const DIAGNOSIS: &str = "diagnosis.json";
const CHECKPOINTS: &str = "checkpoints";

/// Backend of a run whose `env.json` is missing.
const UNKNOWN_BACKEND: &str = "an unknown backend";

/// Error of creating, finding or using a run folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder already exists.
    #[error("{} exists already and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// Another process trains in it.
    #[error("run {} is locked: another process is training in it; wait for it to finish, or stop it", .0.display())]
    Locked(PathBuf),
    /// No run has this name.
    #[error("no run `{name}`{}", available(name, root, known))]
    NotFound {
        /// The name given.
        name: String,
        /// Parent folder of the runs.
        root: PathBuf,
        /// Available runs.
        known: Vec<String>,
    },
    /// Several runs have names with this prefix.
    #[error("`{name}` is ambiguous: {}; give the full name", found.join(", "))]
    Ambiguous {
        /// The name given.
        name: String,
        /// Names of the matching runs.
        found: Vec<String>,
    },
    /// The folder is not a run, or an incomplete one.
    #[error("{} {lacks}", path.display())]
    Incomplete {
        /// The folder.
        path: PathBuf,
        /// What is missing, and what to do.
        lacks: String,
    },
    /// Reading or writing failed.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The I/O error.
        source: io::Error,
    },
    /// The run was created by another version of the program.
    #[error(transparent)]
    OtherFormat(#[from] OtherFormat),
    /// A file is damaged.
    #[error("{} is damaged: {detail}; use another run, or delete its folder", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// The nearest and all available runs, for a message.
fn available(name: &str, root: &Path, known: &[String]) -> String {
    match known.is_empty() {
        true => format!("; there are no runs under {}", root.display()),
        false => {
            let hint = did_you_mean(name, known.iter().map(String::as_str));
            format!("{hint}; available runs: {}", known.join(", "))
        }
    }
}

/// Environment in which a run was started: the contents of `env.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Format of the run folder.
    pub format: u32,
    /// Version of this program.
    pub version: String,
    /// Start time, in milliseconds since 1970, UTC.
    pub started: u64,
    /// Name of the backend.
    pub backend: String,
    /// Number of available threads.
    pub threads: usize,
    /// The settings, with the origin of each value.
    pub settings: Settings,
    /// SHA-256 of the training and validation splits.
    pub data_digest: String,
    /// SHA-256 of the test split; none without one, and in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_digest: Option<String>,
    /// Location of the dataset.
    #[serde(default)]
    pub data: DataPaths,
}

/// What the user's own files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// Data of any format.
    #[default]
    Data,
    /// Running text.
    Text,
    /// A CSV file.
    Csv,
}

/// Absolute paths of the dataset; none if it is built in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DataPaths {
    /// What the files are: running text, a table, or any data.
    #[serde(default)]
    pub kind: FileKind,
    /// Files or folders of all splits, or of the training split if the others have their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
    /// Files or folders of the validation split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<PathBuf>,
    /// Files or folders of the test split.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<PathBuf>,
    /// Folder of published datasets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// SHA-256 of each of the user's own files, folders and archives, by its path, to name those that change; none in runs of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digests: BTreeMap<PathBuf, String>,
}

impl Environment {
    /// The current environment, for a built-in dataset.
    pub fn now(settings: Settings, backend: &str, data_digest: String) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64);
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            backend: backend.to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            settings,
            data_digest,
            test_digest: None,
            data: DataPaths::default(),
        }
    }
}

/// An existing run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its folder.
    pub path: PathBuf,
    /// Environment in which it was started.
    pub environment: Environment,
}

/// Exclusive lock of a run during training. The operating system releases it when the process ends, for whatever reason.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Run {
    /// Opens the run in a folder. If `env.json` is missing, it is recovered from a checkpoint.
    ///
    /// # Errors
    /// If the folder is not a run, or its `env.json` is damaged or cannot be recovered.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let file = path.join(ENVIRONMENT);
        let damaged = |detail: String| FolderError::Damaged { path: file.clone(), detail };
        let environment: Environment = match fs::read(&file) {
            Ok(bytes) => {
                check_format(&file, &bytes)?;
                serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => recovered(path)?,
            Err(source) => return Err(FolderError::Io { path: file, source }),
        };
        environment.settings.recipe.validate().map_err(|invalid| damaged(invalid.to_string()))?;
        Ok(Self { path: path.to_owned(), environment })
    }

    /// Name of the folder.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Locks the run for training by this process.
    ///
    /// # Errors
    /// [`FolderError::Locked`] if another process holds the lock.
    pub fn lock(&self) -> Result<Lock, FolderError> {
        let path = self.path.join(LOCK);
        let failed = |source| FolderError::Io { path: path.clone(), source };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Locked(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Whether a process is training in it now; false if that cannot be known.
    pub fn is_training(&self) -> bool {
        let locked = File::open(self.path.join(LOCK)).map(|file| file.try_lock_shared());
        matches!(locked, Ok(Err(TryLockError::WouldBlock)))
    }

    /// Writes `recipe.toml` and `env.json`, for instance after limits have changed on resume.
    ///
    /// # Errors
    /// If writing fails.
    pub fn record(&self) -> Result<(), FolderError> {
        let json = serde_json::to_string_pretty(&self.environment).expect("made of strings and numbers");
        self.write(RECIPE, &self.environment.settings.to_toml())?;
        self.write(ENVIRONMENT, &(json + "\n"))
    }

    /// The folder of a model.
    pub fn model(&self, name: &str) -> ModelFolder {
        ModelFolder { path: self.path.join(name) }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        disk::replace(&path, text.as_bytes()).map_err(|source| FolderError::Io { path, source })
    }
}

/// Whether a folder is a run, complete or not.
pub fn is_run(path: &Path) -> bool {
    [ENVIRONMENT, RECIPE].iter().any(|file| path.join(file).is_file()) || !trained(path).is_empty()
}

/// The models of a run that have checkpoints, sorted by name.
pub(crate) fn trained(run: &Path) -> Vec<ModelFolder> {
    let entries = fs::read_dir(run).into_iter().flatten().flatten();
    let models = entries.map(|entry| ModelFolder { path: entry.path() });
    let mut models: Vec<ModelFolder> = models.filter(|model| model.path.join(CHECKPOINTS).is_dir()).collect();
    models.sort_by(|one, other| one.path.cmp(&other.path));
    models
}

/// Settings of a whole run, given those of one of its models: from `recipe.toml` if it can be read, else with the list of trained
/// models.
fn with_models(run: &Path, settings: Settings, trained: &[ModelFolder]) -> Settings {
    let recorded = run.join(RECIPE).to_str().and_then(|path| Settings::read(path).ok());
    let named = trained.iter().filter_map(|model| Some(model.path.file_name()?.to_string_lossy().into_owned()));
    let recipe = match recorded {
        Some(recorded) => recorded.recipe,
        None => Recipe { models: named.collect(), ..settings.recipe },
    };
    Settings { recipe, ..settings }
}

/// The first run in a folder, such as one of the folds of a cross-validation.
fn first_inside(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.filter(|path| path.join(ENVIRONMENT).is_file()).min()
}

/// Recovers a missing `env.json` from the latest readable checkpoint of a model.
fn recovered(run: &Path) -> Result<Environment, FolderError> {
    let lacks = |lacks: String| FolderError::Incomplete { path: run.to_owned(), lacks };
    let models = trained(run);
    if models.is_empty() {
        return Err(lacks(match run.join(RECIPE).is_file() {
            true => format!(
                "has no {ENVIRONMENT} and no checkpoint: it ended before training began; delete it and train again"
            ),
            false => match first_inside(run) {
                Some(inside) => format!("is not a run, but contains runs: name one, such as {}", inside.display()),
                None => format!("is not a run: it has neither {ENVIRONMENT} nor a folder MODEL/{CHECKPOINTS}"),
            },
        }));
    }
    let about =
        |model: &ModelFolder| -> Result<Metadata, CheckpointError> { Metadata::of(&model.checkpoints().latest()?.0) };
    let mut errors = Vec::new();
    for model in &models {
        match about(model) {
            Ok(Metadata { version, settings, data_digest, .. }) => {
                let written = fs::metadata(&model.path).and_then(|data| data.modified()).ok();
                let written = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                return Ok(Environment {
                    format: FORMAT,
                    version,
                    started: written.map_or(0, |elapsed| elapsed.as_millis() as u64),
                    backend: UNKNOWN_BACKEND.to_owned(),
                    threads: 0,
                    settings: with_models(run, settings, &models),
                    data_digest,
                    test_digest: None,
                    data: DataPaths::default(),
                });
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    Err(lacks(format!("has no {ENVIRONMENT}, and no checkpoint to recover it from: {}", errors.join("; "))))
}

/// Folder of one model in a run.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    /// `RUN/<model>`.
    pub path: PathBuf,
}

impl ModelFolder {
    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.path.join(CHECKPOINTS))
    }

    /// Whether the journal file exists.
    pub fn has(&self, journal: Journal) -> bool {
        self.path.join(journal.file()).exists()
    }

    /// Appends a line to a journal and returns its length in bytes; events are flushed to disk.
    ///
    /// # Errors
    /// If writing fails.
    pub fn append(&self, journal: Journal, line: &Value) -> Result<u64, FolderError> {
        let path = self.path.join(journal.file());
        let line = format!("{line}\n");
        let write = || {
            faults::point("journal-append")?;
            disk::folder(&self.path)?;
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(line.as_bytes())?;
            if journal == Journal::Events { file.sync_data() } else { Ok(()) }
        };
        write().map(|()| line.len() as u64).map_err(|source| FolderError::Io { path: path.clone(), source })
    }

    /// Flushes the metrics to disk, if there are any.
    ///
    /// # Errors
    /// If flushing fails.
    pub fn sync_metrics(&self) -> Result<(), FolderError> {
        self.with_metrics(|file| file.sync_data())
    }

    fn with_metrics(&self, act: impl FnOnce(&File) -> io::Result<()>) -> Result<(), FolderError> {
        let path = self.path.join(Journal::Metrics.file());
        let opened = OpenOptions::new().write(true).open(&path);
        let done = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            opened => opened.and_then(|file| act(&file)),
        };
        done.map_err(|source| FolderError::Io { path, source })
    }

    /// Records a rollback durably, before it takes effect.
    ///
    /// # Errors
    /// If writing fails.
    pub fn record_rollback(&self, recovery: &Recovery) -> Result<(), FolderError> {
        let path = self.path.join(ROLLBACK);
        let json = serde_json::to_vec_pretty(recovery).expect("made of numbers");
        let write = faults::point("rollback-record").and_then(|()| disk::replace(&path, &json));
        write.map_err(|source| FolderError::Io { path, source })
    }

    /// Records durably that training ended with an error that a resumed run would repeat.
    ///
    /// # Errors
    /// If writing fails.
    pub fn record_diagnosis(&self, diagnosis: &Diagnosis) -> Result<(), FolderError> {
        let path = self.path.join(DIAGNOSIS);
        let json = serde_json::to_vec_pretty(diagnosis).expect("made of numbers and strings");
        disk::replace(&path, &json).map_err(|source| FolderError::Io { path, source })
    }

    /// The recorded diagnosis, if training ended with one.
    ///
    /// # Errors
    /// If its record cannot be read.
    pub fn diagnosis(&self) -> Result<Option<Diagnosis>, FolderError> {
        self.read_json(DIAGNOSIS)
    }

    /// The last rollback, if there was one.
    ///
    /// # Errors
    /// If its record cannot be read.
    pub fn rollback(&self) -> Result<Option<Recovery>, FolderError> {
        self.read_json(ROLLBACK)
    }

    /// Reads a JSON file of the folder, if it exists.
    fn read_json<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, FolderError> {
        let path = self.path.join(file);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(FolderError::Io { path, source }),
            Ok(bytes) => bytes,
        };
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|error| FolderError::Damaged { path, detail: error.to_string() })
    }

    /// Truncates the metrics to their length at a checkpoint, so that a resumed run writes each line once.
    ///
    /// # Errors
    /// If reading or writing fails.
    pub fn truncate_metrics(&self, bytes: u64) -> Result<(), FolderError> {
        self.with_metrics(|file| {
            if file.metadata()?.len() <= bytes {
                return Ok(());
            }
            faults::point("metrics-truncate")?;
            file.set_len(bytes)?;
            file.sync_all()
        })
    }
}

/// An append-only file of JSON lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// Metrics by step; deterministic.
    Metrics,
    /// Recovery decisions by step.
    Events,
    /// Durations by epoch.
    Timing,
}

impl Journal {
    fn file(self) -> &'static str {
        match self {
            Journal::Metrics => "metrics.jsonl",
            Journal::Events => "events.jsonl",
            Journal::Timing => "timing.jsonl",
        }
    }
}
