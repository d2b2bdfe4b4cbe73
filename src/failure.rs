//! Conversion of typed errors to messages and exit codes.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use seqzoo_datasets::DataError;
use seqzoo_inference::PredictError;
use seqzoo_models::invalid_shape::InvalidShape;
use seqzoo_run::BackendError;
use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::folder::{FolderError, is_run};
use seqzoo_run::initial::InitialError;
use seqzoo_run::recipe::InvalidValue;
use seqzoo_run::record::Diagnosis;
use seqzoo_run::settings::SettingsError;
use seqzoo_train::TrainError;
use serde_json::json;

use crate::say::{quoted, say};

/// Error message and exit code of a failed command; 0 and no message after a closed pipe.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
    /// The file that it is about and, if it is known, the line.
    place: Option<(PathBuf, Option<usize>)>,
}

pub const USAGE: u8 = 2;
pub const CONFIGURATION: u8 = 3;
pub const DATA: u8 = 4;
const BACKEND: u8 = 5;
const DIVERGED: u8 = 6;
pub const CHECK: u8 = 7;
pub const STORAGE: u8 = 8;
const NOT_DETERMINISTIC: u8 = 9;
const LOCKED: u8 = 10;

impl Failure {
    pub fn new(code: u8, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), place: None }
    }

    /// The file that it is about and, if it is known, the 1-based line.
    pub fn place(&self) -> Option<(&Path, Option<usize>)> {
        self.place.as_ref().map(|(file, line)| (file.as_path(), *line))
    }

    /// The failure in a file.
    pub fn at(self, file: &Path, line: Option<usize>) -> Self {
        Self { place: Some((file.to_owned(), line)), ..self }
    }

    /// The failure with text before its message.
    pub fn of(self, what: impl std::fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }

    /// The failure with text after its message.
    pub fn followed_by(self, text: &str) -> Self {
        Self { message: self.message + text, ..self }
    }

    /// Prints the message, unless it is empty (a closed pipe), and returns the exit code.
    pub fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            let label = if self.code > 128 { "stopped" } else { "error" };
            say(format_args!("{label}: {}", self.message));
        }
        ExitCode::from(self.code)
    }
}

/// Inputs that failed in a command that continues with the others: their number, and the first message.
#[derive(Debug, Default)]
pub struct Failures {
    count: usize,
    first: String,
}

impl Failures {
    /// Counts a failed input.
    pub fn add(&mut self, message: String) {
        if self.count == 0 {
            self.first = message;
        }
        self.count += 1;
    }

    /// Counts a failed input; returns the line that is printed in its place.
    pub fn line(&mut self, error: &dyn std::fmt::Display, as_json: bool) -> String {
        let message = error.to_string();
        self.add(message.clone());
        if as_json { json!({"error": message}).to_string() } else { format!("error: {message}") }
    }

    /// The first failure, if there is one.
    pub fn into_result(self) -> Result<(), Failure> {
        match self {
            Self { count: 0, .. } => Ok(()),
            Self { count: 1, first } => Err(Failure::new(DATA, first)),
            Self { count, first } => Err(Failure::new(DATA, format!("{first} (and {} more)", count - 1))),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Only writing to standard output returns an untyped error; a closed pipe ends the program quietly.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(0, ""),
            _ => Self::new(STORAGE, format!("cannot write to standard output: {error}")),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let hint = match error {
            SettingsError::UnknownRecipe { .. } => "; `seqzoo list recipes` shows all",
            _ => "",
        };
        Self::new(CONFIGURATION, format!("{error}{hint}"))
    }
}

impl From<InvalidValue> for Failure {
    fn from(error: InvalidValue) -> Self {
        Self::new(CONFIGURATION, error)
    }
}

impl From<InvalidShape> for Failure {
    fn from(error: InvalidShape) -> Self {
        Self::new(CONFIGURATION, format!("the recipe's sizes do not fit the data: {error}; change [network] or [task]"))
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let code = if matches!(error, DataError::Setting { .. }) { CONFIGURATION } else { DATA };
        let failure = Self::new(code, format!("{error}{}", hint(&error)));
        match &error {
            DataError::Line { path, line, .. } => failure.at(path, Some(*line)),
            DataError::Column { path: Some(path), line, .. } => failure.at(path, *line),
            DataError::Invalid { path, .. }
            | DataError::Empty { path, .. }
            | DataError::Damaged { path, .. }
            | DataError::Unreadable { path, .. } => failure.at(path, None),
            _ => failure,
        }
    }
}

/// Commands and flags that fix an error, appended to the message of the library.
fn hint(error: &DataError) -> String {
    match error {
        DataError::Missing { dataset, .. } => format!(
            "; `seqzoo data fetch {dataset} --data-dir DIR` downloads it, and --data-dir or SEQZOO_DATA_DIR names another \
             folder; see `seqzoo data show {dataset}`"
        ),
        DataError::NoFile => {
            ", or name them with --data FILE (a series with --csv FILE, running text with --text FILE)".to_owned()
        }
        DataError::Setting { field, .. } if field == "data.format" => {
            "; data.format of the recipe names it, as in --set data.format=csv".to_owned()
        }
        DataError::Column { role: role @ ("source" | "tokens" | "image" | "caption"), .. } => {
            format!(" (--set data.columns.{role}=COLUMN)")
        }
        DataError::Column { role: "text", .. } => " (--text-column)".to_owned(),
        DataError::Column { role: "label", .. } => " (--label-column)".to_owned(),
        DataError::Column { role: "tags", .. } => " (--column)".to_owned(),
        DataError::Column { role: role @ ("value" | "series"), .. } => format!(" (--{role}-column)"),
        DataError::Column { role: role @ ("time" | "target" | "features" | "user" | "item"), .. } => {
            format!(" (--{role})")
        }
        _ => String::new(),
    }
}

impl From<PredictError> for Failure {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::NoTextInput => Self::new(
                USAGE,
                format!(
                    "{error}; use `seqzoo generate` with a model of text, music or drawings, `seqzoo forecast` with a forecaster, \
                     `seqzoo detect` with an anomaly detector, `seqzoo recommend` with a recommender, `seqzoo caption` with a captioning model, \
                     `seqzoo evaluate` with any run"
                ),
            ),
            PredictError::NoThreshold { .. } => Self::new(USAGE, format!("--threshold: {error}")),
            PredictError::NotClassifier
            | PredictError::NotTagger
            | PredictError::NotTransducer
            | PredictError::NotLanguageModel
            | PredictError::NotMusic
            | PredictError::NotStrokesModel
            | PredictError::NotForecaster
            | PredictError::NotDetector
            | PredictError::NotRecommender
            | PredictError::NotCaptioner => Self::new(USAGE, format!("{error}; see `seqzoo list recipes`")),
            PredictError::Empty { .. }
            | PredictError::NotMarked { .. }
            | PredictError::InvalidSeries { .. }
            | PredictError::InvalidSequence { .. }
            | PredictError::ChannelMismatch { .. }
            | PredictError::ImageSize { .. }
            | PredictError::UnknownLabels { .. }
            | PredictError::ColumnMismatch { .. }
            | PredictError::StepMismatch { .. }
            | PredictError::KindMismatch => Self::new(DATA, error),
        }
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        let flag = if matches!(error, BackendError::Unknown(_)) { "--backend " } else { "" };
        Self::new(BACKEND, format!("{flag}{error}"))
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        Self::new(STORAGE, error)
    }
}

impl From<FolderError> for Failure {
    fn from(error: FolderError) -> Self {
        let code = match error {
            FolderError::Locked(_) => LOCKED,
            FolderError::Exists(_) | FolderError::NotFound { .. } | FolderError::Ambiguous { .. } => USAGE,
            FolderError::Io { .. }
            | FolderError::Damaged { .. }
            | FolderError::OtherFormat(_)
            | FolderError::Incomplete { .. } => STORAGE,
        };
        let hint = match &error {
            FolderError::Exists(path) if !is_run(path) => "; name another folder with --out".to_owned(),
            FolderError::Exists(path) => {
                format!("; name another folder with --out, or resume it with `seqzoo train --resume {}`", quoted(path))
            }
            FolderError::NotFound { known, .. } if known.is_empty() => {
                "; `seqzoo train agreement` creates one".to_owned()
            }
            _ => String::new(),
        };
        Self::new(code, format!("{error}{hint}"))
    }
}

impl From<InitialError> for Failure {
    fn from(error: InitialError) -> Self {
        match error {
            InitialError::Vectors(_) => Self::new(DATA, error),
            InitialError::Value(error) => error.into(),
            InitialError::Run(_) => Self::new(USAGE, error),
            InitialError::Checkpoint(error) => error.into(),
            InitialError::Load(_) => Self::new(STORAGE, error),
        }
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Diagnosed { diagnosis: Diagnosis::Diverged { .. }, .. } => Self::new(DIVERGED, error),
            TrainError::Diagnosed { diagnosis: Diagnosis::InvalidData { .. }, .. }
            | TrainError::NoBatches
            | TrainError::Unmeasurable { .. } => Self::new(DATA, error),
            TrainError::NotDeterministic { .. } => Self::new(NOT_DETERMINISTIC, error),
            TrainError::OtherRun { .. } | TrainError::NoMetric { .. } => Self::new(CONFIGURATION, error),
            TrainError::Checkpoint(error) => error.into(),
            TrainError::Folder(error) => error.into(),
            TrainError::Mismatch { .. } | TrainError::MissingCheckpoints { .. } => Self::new(STORAGE, error),
        }
    }
}
