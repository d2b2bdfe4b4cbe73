//! A run's folder: made once, locked while a process trains in it, found again by name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checkpoint::Checkpoints;
use crate::record::Recovery;
use crate::settings::Settings;
use crate::{did_you_mean, disk, faults};

/// Where runs are kept unless told otherwise.
pub const RUNS: &str = "runs";

const RECIPE: &str = "recipe.toml";
const ENVIRONMENT: &str = "env.json";
const LOCK: &str = "lock";
const ROLLBACK: &str = "rollback.json";

/// Why a run's folder cannot be made or found.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder is there already.
    #[error("--out {}: it exists already, and nothing is overwritten; name another folder, or go on with --resume {}", .0.display(), .0.display())]
    Exists(PathBuf),
    /// Another process trains in it.
    #[error("run {} is locked: another process is training in it; wait for it, or stop it", .0.display())]
    Locked(PathBuf),
    /// No run answers to the name.
    #[error("no run `{name}`{hint}; {advice}")]
    NotFound {
        /// The name given.
        name: String,
        /// The nearest name.
        hint: String,
        /// What to do instead.
        advice: String,
    },
    /// Several runs answer to a prefix.
    #[error("`{name}` could be {}; write one of them", found.join(" or "))]
    Ambiguous {
        /// The name given.
        name: String,
        /// The names of the runs that begin with it.
        found: Vec<String>,
    },
    /// Reading or writing failed.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is not what was written there.
    #[error("{} is damaged: {detail}; name another run, or remove its folder", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// Under what circumstances a run was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of this program.
    pub version: String,
    /// Milliseconds since 1970, UTC.
    pub started: u64,
    /// Backend that trained.
    pub backend: String,
    /// Threads that the machine offers.
    pub threads: usize,
    /// The settings, origins included.
    pub settings: Settings,
    /// SHA-256 of the data.
    pub data_digest: String,
    /// Where they were read from.
    #[serde(default)]
    pub data: DataPaths,
}

/// The files or the folder that a run's data were read from, as absolute paths; none where they are built in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DataPaths {
    /// A text file that takes the place of a corpus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<PathBuf>,
    /// A table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<PathBuf>,
    /// The folder of data sets as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
}

impl Environment {
    /// The circumstances now, of data that are built in.
    pub fn now(settings: Settings, backend: &str, data_digest: String) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64);
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            backend: backend.to_owned(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            settings,
            data_digest,
            data: DataPaths::default(),
        }
    }
}

/// A run that exists.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its folder.
    pub path: PathBuf,
    /// How it was started.
    pub environment: Environment,
}

/// Held while a process trains; the operating system releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Run {
    /// Makes a new run at `out`, or at the first free `runs/<recipe>-<number>`.
    ///
    /// # Errors
    /// [`FolderError::Exists`] if `out` is there already.
    pub fn create(out: Option<&Path>, environment: Environment) -> Result<Self, FolderError> {
        let path = match out {
            Some(path) => make(path)?.then(|| path.to_owned()).ok_or_else(|| FolderError::Exists(path.to_owned()))?,
            None => numbered(&environment.settings.name)?,
        };
        let run = Self { path, environment };
        run.record()?;
        Ok(run)
    }

    /// Opens the run in a folder.
    ///
    /// # Errors
    /// If there is none, or its `env.json` is damaged.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let file = path.join(ENVIRONMENT);
        let bytes = fs::read(&file).map_err(|source| FolderError::Io { path: file.clone(), source })?;
        let damaged = |detail: String| FolderError::Damaged { path: file.clone(), detail };
        let environment: Environment = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        environment.settings.recipe.validate().map_err(|invalid| damaged(invalid.to_string()))?;
        Ok(Self { path: path.to_owned(), environment })
    }

    /// Finds a run: a path, `last`, or the name under `runs` or the beginning of one.
    ///
    /// # Errors
    /// If none answers to it, or several do.
    pub fn find(name: &str) -> Result<Self, FolderError> {
        if Path::new(name).join(ENVIRONMENT).is_file() {
            return Self::open(Path::new(name));
        }
        let (runs, damaged) = Self::all()?;
        let not_found = |known: Vec<String>| FolderError::NotFound {
            name: name.to_owned(),
            hint: did_you_mean(name, known.iter().map(String::as_str)),
            advice: match known.is_empty() {
                true => format!("there are none under ./{RUNS}; `seqzoo train agreement` makes one"),
                false => format!("there are {}", known.join(", ")),
            },
        };
        if name == "last" {
            // A damaged run may have been the last one: nothing else may answer in its place.
            if let Some(damaged) = damaged.into_iter().next() {
                return Err(damaged);
            }
            let last = runs.into_iter().max_by_key(|run| (run.environment.started, run.path.clone()));
            return last.ok_or_else(|| not_found(Vec::new()));
        }
        let path = Path::new(RUNS).join(name);
        if !name.is_empty() && path.join(ENVIRONMENT).is_file() {
            return Self::open(&path);
        }
        let begins = |run: &&Run| !name.is_empty() && run.name().starts_with(name);
        let mut fitting: Vec<Run> = runs.iter().filter(begins).cloned().collect();
        match fitting.len() {
            0 => Err(not_found(runs.iter().map(Run::name).collect())),
            1 => Ok(fitting.remove(0)),
            _ => Err(FolderError::Ambiguous { name: name.to_owned(), found: fitting.iter().map(Run::name).collect() }),
        }
    }

    /// Every run under `runs`, by name, and what is wrong with those that cannot be opened.
    ///
    /// # Errors
    /// If the folder cannot be read; that it is not there is no error.
    pub fn all() -> Result<(Vec<Self>, Vec<FolderError>), FolderError> {
        let unreadable = |source| FolderError::Io { path: RUNS.into(), source };
        let entries = match fs::read_dir(RUNS) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
            entries => entries.map_err(unreadable)?,
        };
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(unreadable)?;
        paths.sort();
        let (mut runs, mut damaged) = (Vec::new(), Vec::new());
        for path in paths.iter().filter(|path| path.join(ENVIRONMENT).is_file()) {
            match Self::open(path) {
                Ok(run) => runs.push(run),
                Err(error) => damaged.push(error),
            }
        }
        Ok((runs, damaged))
    }

    /// The folder's last part.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// Locks the run for this process.
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

    /// Writes `recipe.toml` and `env.json` anew, for instance when a run goes on under other limits.
    ///
    /// # Errors
    /// If writing fails.
    pub fn record(&self) -> Result<(), FolderError> {
        let json = serde_json::to_string_pretty(&self.environment).expect("made of strings and numbers");
        self.write(RECIPE, &self.environment.settings.to_toml())?;
        self.write(ENVIRONMENT, &(json + "\n"))
    }

    /// The part of the run that belongs to a model.
    pub fn model(&self, name: &str) -> ModelFolder {
        ModelFolder { path: self.path.join(name) }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), FolderError> {
        let path = self.path.join(name);
        disk::replace(&path, text.as_bytes()).map_err(|source| FolderError::Io { path, source })
    }
}

/// Makes a folder and says whether it is new.
fn make(path: &Path) -> Result<bool, FolderError> {
    let failed = |source| FolderError::Io { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(failed(source)),
    }
}

fn numbered(recipe: &str) -> Result<PathBuf, FolderError> {
    for number in 1u32.. {
        let path = Path::new(RUNS).join(format!("{recipe}-{number}"));
        if make(&path)? {
            return Ok(path);
        }
    }
    unreachable!("fewer than 2^32 folders fit beside each other")
}

/// The part of a run that belongs to one model.
#[derive(Debug, Clone)]
pub struct ModelFolder {
    /// `RUN/<model>`.
    pub path: PathBuf,
}

impl ModelFolder {
    /// Its checkpoints.
    pub fn checkpoints(&self) -> Checkpoints {
        Checkpoints::new(self.path.join("checkpoints"))
    }

    /// Whether a journal has been begun.
    pub fn has(&self, journal: Journal) -> bool {
        self.path.join(journal.file()).exists()
    }

    /// Appends a line to one of its journals and gives its length in bytes; an event is on the device when this returns.
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

    /// Waits until the metrics are on the device, if there are any.
    ///
    /// # Errors
    /// If the operating system fails to do so.
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

    /// Records a rollback before it is acted on; on the device when this returns.
    ///
    /// # Errors
    /// If writing fails.
    pub fn record_rollback(&self, recovery: &Recovery) -> Result<(), FolderError> {
        let path = self.path.join(ROLLBACK);
        let json = serde_json::to_vec_pretty(recovery).expect("made of numbers");
        let write = faults::point("rollback-record").and_then(|()| disk::replace(&path, &json));
        write.map_err(|source| FolderError::Io { path, source })
    }

    /// The last rollback, if there was one.
    ///
    /// # Errors
    /// If its record cannot be read.
    pub fn rollback(&self) -> Result<Option<Recovery>, FolderError> {
        let path = self.path.join(ROLLBACK);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(FolderError::Io { path, source }),
            Ok(bytes) => bytes,
        };
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Some).map_err(|error| FolderError::Damaged { path, detail: error.to_string() })
    }

    /// Cuts the metrics back to the length that they had at a checkpoint, so that a resumed run writes each line once.
    ///
    /// # Errors
    /// If reading or writing fails.
    pub fn cut_metrics(&self, bytes: u64) -> Result<(), FolderError> {
        self.with_metrics(|file| {
            if file.metadata()?.len() <= bytes {
                return Ok(());
            }
            faults::point("metrics-cut")?;
            file.set_len(bytes)?;
            file.sync_all()
        })
    }
}

/// A file to which lines are appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// What was measured, by step; the same for the same run.
    Metrics,
    /// What was decided, by step.
    Events,
    /// What the clock said.
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
