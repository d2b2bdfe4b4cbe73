//! Conversion of typed errors to messages and exit codes.

use std::io;
use std::process::ExitCode;

use seqzoo_datasets::DataError;
use seqzoo_inference::PredictError;
use seqzoo_models::invalid_shape::InvalidShape;
use seqzoo_run::BackendError;
use seqzoo_run::checkpoint::CheckpointError;
use seqzoo_run::folder::FolderError;
use seqzoo_run::recipe::InvalidValue;
use seqzoo_run::settings::SettingsError;
use seqzoo_train::TrainError;

use crate::say::say;

/// Error message and exit code of a failed command.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
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
        Self { code, message: message.to_string() }
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
        Self::new(CONFIGURATION, error)
    }
}

impl From<InvalidValue> for Failure {
    fn from(error: InvalidValue) -> Self {
        Self::new(CONFIGURATION, error)
    }
}

impl From<InvalidShape> for Failure {
    fn from(error: InvalidShape) -> Self {
        Self::new(CONFIGURATION, format!("the recipe's sizes do not fit the data: {error}; change [network]"))
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let code = if matches!(error, DataError::Setting { .. }) { CONFIGURATION } else { DATA };
        Self::new(code, format!("{error}{}", way_out(&error)))
    }
}

/// The commands and flags that help, in addition to the message of a library.
fn way_out(error: &DataError) -> String {
    match error {
        DataError::Missing { dataset, .. } => format!(
            "; `seqzoo data fetch {dataset} --data-dir DIR` downloads it, and --data-dir or SEQZOO_DATA_DIR names another \
             folder; see `seqzoo data show {dataset}`"
        ),
        DataError::NoFile { format } if format == "csv" => "; name it with --csv FILE".to_owned(),
        DataError::NoFile { .. } => "; name it with --text FILE".to_owned(),
        DataError::Column { role: role @ ("time" | "target" | "features"), .. } => format!(" (--{role})"),
        _ => String::new(),
    }
}

impl From<PredictError> for Failure {
    fn from(error: PredictError) -> Self {
        let is_usage = matches!(
            error,
            PredictError::NoLabels | PredictError::NoWriter | PredictError::NoForecaster | PredictError::Unseen { .. }
        );
        let code = if is_usage { USAGE } else { DATA };
        Self::new(code, error)
    }
}

impl From<BackendError> for Failure {
    fn from(error: BackendError) -> Self {
        Self::new(BACKEND, error)
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
        Self::new(code, error)
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        match error {
            TrainError::Diverged { .. } => Self::new(DIVERGED, error),
            TrainError::BadData { .. } | TrainError::NoBatches | TrainError::Unmeasurable { .. } => {
                Self::new(DATA, error)
            }
            TrainError::NotDeterministic { .. } => Self::new(NOT_DETERMINISTIC, error),
            TrainError::Foreign { .. } => Self::new(CONFIGURATION, error),
            TrainError::Checkpoint(error) => error.into(),
            TrainError::Folder(error) => error.into(),
            TrainError::Unfit { .. } | TrainError::Lost { .. } => Self::new(STORAGE, error),
        }
    }
}
