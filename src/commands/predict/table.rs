//! The rows of a file with more than the texts to predict from.

use std::path::Path;

use seqzoo_datasets::DataError;
use seqzoo_datasets::formats::{Format as DataFormat, LabelPosition};
use seqzoo_datasets::reading::{Lines, STANDARD_INPUT};
use seqzoo_datasets::records::Column;
use seqzoo_inference::Model;

use super::{InputFormat, Predict};
use crate::failure::{DATA, Failure, USAGE};
use crate::say::say;

/// Number of lines examined to detect the format: more than the leading comments of any file.
pub(super) const DETECTION_LINES: usize = 1_000;

/// The values of a column to predict from.
pub(super) struct Rows {
    pub(super) file: String,
    pub(super) column: Column,
    /// Line of each value.
    pub(super) lines: Vec<usize>,
    /// Errors of rows that cannot be read, in order.
    pub(super) bad: Vec<DataError>,
}

/// The format of a file with more than the texts to predict from: by the end of its name, else by its first line.
fn format_of(path: &Path, role: &str) -> Option<&'static DataFormat> {
    if path == Path::new(STANDARD_INPUT) {
        return None;
    }
    let of_role: &[&str] = match role {
        "tokens" => &["csv", "jsonl", "conll"],
        "series" => &["csv", "series", "ts"],
        _ => &["csv", "jsonl", "arff", "fasttext", "semeval"],
    };
    let name = path.file_name()?.to_string_lossy();
    let first_line = || {
        let mut lines = Lines::open(path).ok()?.take(DETECTION_LINES).filter_map(Result::ok);
        DataFormat::of_first_line(&lines.find(|line| !line.text.trim().is_empty())?.text)
    };
    DataFormat::of_name(&name).or_else(first_line).filter(|format| of_role.contains(&format.name))
}

/// The format of a table without names of columns, in which the task's data may be: pairs, or labeled series.
fn headerless(format: &DataFormat, role: &str) -> Option<&'static DataFormat> {
    let name = match role {
        "source" => "pairs",
        "series" => SERIES,
        _ => return None,
    };
    DataFormat::named(name).ok().filter(|_| format.name == "csv")
}

/// The format of series without names of columns.
const SERIES: &str = "series";

impl Predict {
    /// The rows of a file that is not plain text; `None` if it has one text per line.
    pub(super) fn table(&self, model: &Model, path: &Path) -> Result<Option<Rows>, Failure> {
        // The task predicts from the first role.
        let role = model.recipe.task()?.data.roles[0].name;
        if self.label_position.is_some() && role != "series" {
            let message = "--label-position is for classifiers of series; --column names the column of the texts";
            return Err(Failure::new(USAGE, message));
        }
        let format = match self.input_format {
            None => {
                let series = self.label_position.map(|_| DataFormat::named(SERIES)).transpose()?;
                format_of(path, role).or(series)
            }
            Some(InputFormat::Conll) => Some(DataFormat::named("conll")?),
            Some(InputFormat::Text | InputFormat::Conllu) => None,
        };
        let Some(format) = format else { return Ok(None) };
        let name = self.column.as_deref().or(model.recipe.data.columns.get(role));
        let read = format.read_column(path, &self.options(model, path, format)?, role, name);
        let read = match (read, headerless(format, role)) {
            // A table without names of columns.
            (Err(DataError::Column { .. }), Some(headerless)) if self.column.is_none() => {
                match headerless.read_column(path, &self.options(model, path, headerless)?, role, None) {
                    Err(DataError::Line { .. }) => return Ok(None),
                    read => read,
                }
            }
            (read, _) => read,
        };
        let hint = "; --column names another one, and --input-format text reads one text per line";
        let (records, column, mut bad) = read.map_err(|error| match error {
            DataError::Column { .. } => Failure::new(DATA, format!("{error}{hint}")),
            other => other.into(),
        })?;
        bad.sort_by_key(|error| if let DataError::Line { line, .. } = error { *line } else { 0 });
        let lines = (0..records.len()).map(|row| records.place(row).map_or(row, |(_, line)| line)).collect();
        Ok(Some(Rows { file: path.display().to_string(), column, lines, bad }))
    }

    /// The options of the run's data, if they apply to a format; those of another format do not.
    fn options(&self, model: &Model, path: &Path, format: &DataFormat) -> Result<toml::Table, Failure> {
        let data = &model.recipe.data;
        let is_same =
            data.format.as_deref().is_none_or(|own| own == format.name) && format.check(&data.options).is_ok();
        let mut options = if is_same { data.options.clone() } else { toml::Table::new() };
        if format.name == SERIES {
            let position = self.position_of_labels(model, path, &options)?;
            options.insert("label".to_owned(), position.name().into());
        }
        Ok(options)
    }

    /// Where the label of each series is; no value is left out without a note.
    fn position_of_labels(&self, model: &Model, path: &Path, options: &toml::Table) -> Result<LabelPosition, Failure> {
        if let Some(position) = self.label_position {
            return Ok(position);
        }
        let file = path.display();
        let found = LabelPosition::of_file(path, options, model.predictor().labels())?;
        let Some(position) = found else {
            let message = format!(
                "{file}: some lines have a label of the model where labels may be, others have another number; \
                 --label-position first, last or none says where the labels are"
            );
            return Err(Failure::new(USAGE, message));
        };
        match position {
            LabelPosition::None => say(format_args!("note: {file}: no labels; every value of a line is read")),
            LabelPosition::First | LabelPosition::Last => say(format_args!(
                "note: {file}: the {} value of a line is its label, which is not read; with --label-position none, it is",
                position.name()
            )),
        }
        Ok(position)
    }
}
