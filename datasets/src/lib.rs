//! Datasets: formats, generators, splits, text encoding, batching, metrics.
//!
//! - [`settings`] is the `[data]` section of a recipe: a dataset by name, or files with a format, columns by role and a split rule.
//!   Loading it for a task, whose [`data_spec`] has the roles of its columns, yields [`Splits`](splits::Splits): the [`records`] of each
//!   split, as named columns.
//! - [`formats`] parse files into records, one module per format, on top of [`reading`], which handles containers, encodings and lines.
//!   [`generators`] generate records, one of them examples of [`problems`] of any length and difficulty. [`published`] has one manifest per
//!   published dataset; a [`split_rule`] divides
//!   records into splits; [`cleaning`] normalizes text.
//! - [`classification`], [`relations`], [`corpus`], [`tagging`], [`transduction`], [`signals`], [`drawings`], [`music`], [`anomalies`],
//!   [`interactions`], [`captions`], [`memory`] and [`series`] are the dataset types of the tasks, converted from records; [`catalog`] is the
//!   list of all datasets; [`image`] reads and writes PNG files, and [`scene`] draws and describes shapes; [`conllu`] parses and writes CoNLL-U,
//!   [`table`] reads a CSV file as a series, and [`timestamps`] finds the time step of a series.
//! - [`text`] encodes text as token ids, [`batch`] groups examples of similar length, [`scores`] computes metrics, [`spans`] those of
//!   named entities, [`uncertainty`] their intervals and tests, [`baselines`],
//!   [`naive_bayes`] and [`ngram`] are baselines, and [`nearest`] suggests corrections for misspelled names.
//!
//! This crate does not depend on models.

pub mod anomalies;
pub mod baselines;
pub mod batch;
pub mod bleu;
pub mod captions;
pub mod catalog;
mod chronology;
pub mod classification;
pub mod cleaning;
pub mod columns;
pub mod conllu;
pub mod corpus;
pub mod data_spec;
pub mod digest;
pub mod drawing;
pub mod drawings;
pub mod edit_distance;
pub mod formats;
pub mod generators;
pub mod image;
pub mod interactions;
mod loading;
pub mod memory;
pub mod midi;
pub mod multi_label;
pub mod music;
pub mod naive_bayes;
pub mod nearest;
pub mod ngram;
pub mod problems;
pub mod published;
pub mod reading;
pub mod records;
pub mod regression;
pub mod relations;
mod ridge;
pub mod rouge;
pub mod scene;
pub mod scores;
pub mod series;
pub mod settings;
pub mod signal;
pub mod signals;
pub mod spans;
pub mod split_rule;
pub mod splits;
mod splitting;
mod subwords;
pub mod table;
pub mod tagging;
pub mod text;
pub mod texts;
pub mod timestamps;
pub mod transduction;
pub mod uncertainty;
pub mod vectors;
pub mod wording;

use std::path::{Path, PathBuf};

/// Error of loading data. Each variant names the file or field, what was expected, and the fix; the program adds command-line flags.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file of a published dataset was not found.
    #[error("no {dataset} data in {}: {file} not found, published at {url}", dir.display())]
    Missing {
        /// The dataset's name.
        dataset: String,
        /// The folder that was searched.
        dir: PathBuf,
        /// The file, relative to the folder.
        file: String,
        /// URL at which it is published.
        url: String,
    },
    /// The recipe needs a file of the user, but none is specified.
    #[error("this recipe trains on your own data, but none are specified: set data.files")]
    NoFile,
    /// A value of the data settings is invalid.
    #[error("{field} = {value}: {expected}")]
    Setting {
        /// The field, such as `data.format`.
        field: String,
        /// The value.
        value: String,
        /// Valid values.
        expected: String,
    },
    /// A required column is missing, ambiguous or of the wrong type.
    #[error("{}{detail}", located(path.as_deref(), *line))]
    Column {
        /// The file.
        path: Option<PathBuf>,
        /// 1-based line number of the column names.
        line: Option<usize>,
        /// Role of the column: a field of `data.columns`.
        role: &'static str,
        /// What was found, what was expected, and the fix.
        detail: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The contents of a file are not valid data.
    #[error("{}: {detail}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The reason.
        detail: String,
    },
    /// A file has no examples.
    #[error("{}: {detail}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What it lacks.
        detail: String,
    },
    /// A line of a file is not valid data.
    #[error("{}, line {line}: {detail}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// 1-based line number.
        line: usize,
        /// What was found, what was expected, and the fix.
        detail: String,
    },
    /// A file differs from the published one.
    #[error("{} is damaged or incomplete: {detail}; fetch it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The problem.
        detail: String,
    },
}

impl DataError {
    pub(crate) fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::Unreadable { path: reading::name(path), source }
    }

    pub(crate) fn invalid(path: &Path, detail: impl std::fmt::Display) -> Self {
        Self::Invalid { path: reading::name(path), detail: detail.to_string() }
    }

    pub(crate) fn empty(path: &Path, detail: &str) -> Self {
        Self::Empty { path: reading::name(path), detail: detail.to_owned() }
    }

    pub(crate) fn line(path: &Path, line: usize, detail: impl std::fmt::Display) -> Self {
        Self::Line { path: reading::name(path), line, detail: detail.to_string() }
    }

    pub(crate) fn damaged(path: &Path, detail: impl std::fmt::Display) -> Self {
        Self::Damaged { path: reading::name(path), detail: detail.to_string() }
    }

    /// The file with invalid contents, if the error is about them.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Column { path, .. } => path.as_deref(),
            Self::Invalid { path, .. } | Self::Empty { path, .. } | Self::Line { path, .. } => Some(path),
            Self::Missing { .. }
            | Self::NoFile
            | Self::Setting { .. }
            | Self::Unreadable { .. }
            | Self::Damaged { .. } => None,
        }
    }

    /// The error with text after its detail, if it is about the contents of a file.
    pub(crate) fn followed_by(mut self, text: &str) -> Self {
        match &mut self {
            Self::Column { detail, .. }
            | Self::Invalid { detail, .. }
            | Self::Empty { detail, .. }
            | Self::Line { detail, .. } => detail.push_str(text),
            _ => {}
        }
        self
    }

    /// The error for all records of a file, or for generated ones.
    pub(crate) fn of_records(path: Option<&Path>, detail: impl std::fmt::Display) -> Self {
        Self::invalid(path.unwrap_or(Path::new("generated data")), detail)
    }

    pub(crate) fn setting(field: impl Into<String>, value: impl ToString, expected: impl Into<String>) -> Self {
        Self::Setting { field: field.into(), value: value.to_string(), expected: expected.into() }
    }
}

/// The file and line at the start of a message.
fn located(path: Option<&Path>, line: Option<usize>) -> String {
    let line = line.map_or_else(String::new, |line| format!(", line {line}"));
    path.map_or_else(String::new, |path| format!("{}{line}: ", path.display()))
}
