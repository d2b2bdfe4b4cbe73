//! End-to-end tests of the program, on built-in datasets and small generated fixtures.

mod architecture; // ARCHITECTURE.md against the code
mod captions; // captions of images: PNG files in and out
mod changed_data; // data that change after training, and cross-validation of data that are difficult to divide
mod detect;
mod drawings; // models of pen drawings: training, evaluation, sheets of samples
mod errors; // bad input: message, exit code, nothing overwritten
mod initial; // initial weights from word vectors and other runs
mod inputs; // input texts, files and runs
mod lab; // experiments on built-in problems
mod labels; // labels and tags, relations, series, cross-validation
mod listings; // list, describe, help
mod music; // models of music: MIDI files in and out
mod own_data; // recipes with a [data] section of the user's own
mod recommend; // recommendation, as a user runs it
mod resume; // signals, limits, damaged checkpoints
mod tables; // CSV files as series: columns, timestamps; recorded data paths; the printed next command
mod tasks; // taggers, sequence-to-sequence models, forecasters; verify, data
mod training; // train, evaluate, predict

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Labels of the dataset names.
const LANGUAGES: [&str; 18] = [
    "Arabic",
    "Chinese",
    "Czech",
    "Dutch",
    "English",
    "French",
    "German",
    "Greek",
    "Irish",
    "Italian",
    "Japanese",
    "Korean",
    "Polish",
    "Portuguese",
    "Russian",
    "Scottish",
    "Spanish",
    "Vietnamese",
];

/// A temporary working directory for the program.
pub(crate) struct TestDir {
    dir: tempfile::TempDir,
}

/// Exit code and output of the program.
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl TestDir {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seqzoo"));
        let inherited = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SEQZOO_"));
        for (name, _) in inherited {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs in a folder of this directory.
    pub(crate) fn run_in(&self, folder: &str, arguments: &[&str]) -> Finished {
        self.command(arguments).current_dir(self.path(folder)).output().unwrap().into()
    }

    /// Runs and asserts success.
    pub(crate) fn ok(&self, arguments: &[&str]) -> Finished {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        ran
    }

    /// Runs, asserts success and parses one JSON object.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(arguments).out).unwrap()
    }

    pub(crate) fn with_input(&self, arguments: &[&str], input: &[u8]) -> Finished {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Trains an LSTM on built-in data for some updates, into `run`.
    pub(crate) fn trained(&self, steps: &str) {
        self.ok(&["train", "agreement", "--max-steps", steps, "--set", "models=[\"lstm\"]", "--out", "run"]);
    }

    /// Path of a checkpoint file of that run.
    pub(crate) fn checkpoint(&self, step: u64, file: &str) -> PathBuf {
        self.path(&format!("run/lstm/checkpoints/step-{step:08}")).join(file)
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Flips one bit in the middle of a file.
pub(crate) fn damage(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(path, bytes).unwrap();
}
