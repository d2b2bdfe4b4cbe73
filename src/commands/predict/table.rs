//! The rows of a file with more than the texts to predict from.

use std::io::{self, BufRead};
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

/// Number of bytes of standard input that are examined at most, those that it buffers.
const BUFFERED: usize = 8 * 1024;

/// Number of lines examined to recognize columns.
const SAMPLE: usize = 100;

/// Whether the first lines are CoNLL columns with tags of the model, which has no other sign than these.
fn has_tags(path: &Path, model: &Model) -> bool {
    let Ok(tagger) = model.tagger() else { return false };
    let lines: Vec<String> = match path == Path::new(STANDARD_INPUT) {
        true => buffered_lines(),
        false => {
            let lines = Lines::open(path).into_iter().flatten().filter_map(Result::ok);
            lines.map(|line| line.text).take(SAMPLE).collect()
        }
    };
    let number = model.recipe.data.columns.get("tags").and_then(|name| name.parse().ok());
    are_tagged(&lines, number, |tag| tagger.tags().iter().any(|known| known == tag))
}

/// The first lines of standard input, as far as they have arrived, without reading them.
fn buffered_lines() -> Vec<String> {
    let mut stdin = io::stdin().lock();
    let Ok(start) = stdin.fill_buf() else { return Vec::new() };
    let text = String::from_utf8_lossy(start);
    // The last line may continue beyond the buffer.
    let end = if start.len() < BUFFERED { text.len() } else { text.rfind('\n').unwrap_or(0) };
    text[..end].lines().take(SAMPLE).map(str::to_owned).collect()
}

/// Whether lines have equally many columns, at least two, and most of them a tag: in the column with this number, from 1, else in the last one.
fn are_tagged(lines: &[String], number: Option<usize>, is_tag: impl Fn(&str) -> bool) -> bool {
    let columns = |line: &str| -> Vec<String> {
        let separator = if line.contains('\t') { '\t' } else { ' ' };
        line.split(separator).map(str::trim).filter(|field| !field.is_empty()).map(str::to_owned).collect()
    };
    let is_row = |line: &&str| !line.is_empty() && !line.starts_with("-DOCSTART-");
    let rows: Vec<Vec<String>> = lines.iter().map(|line| line.trim()).filter(is_row).map(columns).collect();
    let has_tag = |row: &&Vec<String>| {
        let tag = number.map_or(row.last(), |number| row.get(number.wrapping_sub(1)));
        tag.is_some_and(|tag| is_tag(tag))
    };
    let width = rows.first().map_or(0, Vec::len);
    rows.len() > 1
        && width > 1
        && rows.iter().all(|row| row.len() == width)
        && 2 * rows.iter().filter(has_tag).count() > rows.len()
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
                let found = format_of(path, role).or(series);
                match found {
                    None if has_tags(path, model) => Some(DataFormat::named("conll")?),
                    found => found,
                }
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

#[cfg(test)]
mod tests {
    use super::are_tagged;

    #[test]
    fn columns_are_known_by_tags_of_the_model() {
        let tagged = |text: &str, number: Option<usize>| {
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            are_tagged(&lines, number, |tag| ["B-LOC", "O"].contains(&tag))
        };
        assert!(tagged("-DOCSTART- -X- O\n\nin IN O\nParis NNP B-LOC\n\nis VBZ O\n", None));
        assert!(tagged("in\tO\nNew York\tB-LOC\nso\tB-NEW\n", None));
        assert!(tagged("O in\nB-LOC Paris\n", Some(1)) && !tagged("O in\nB-LOC Paris\n", None));
        assert!(!tagged("vitamin O\n", None), "a single line may be a text");
        assert!(!tagged("vitamin O\nanother text\n", None) && !tagged("type O\nblood of type O\n", None));
        assert!(!tagged("in\nParis\n", None) && !tagged("", None));
    }
}
