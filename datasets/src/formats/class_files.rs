//! Labeled texts in one file per class, with one text per line; the name of the file is the label.

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::{BYTE_ORDER_MARK, is_blank};
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "class-files",
    summary: "one file per class, named by its label, with one text per line; blank lines are skipped",
    columns: "text, label",
    options: &[
        ("max_characters", "maximum length of a text; a longer line is an error"),
        ("no_digits", "whether a digit or a control character in a text is an error"),
    ],
    suffixes: &[],
    together: Together::File,
    roles: &[],
    sample: &[("Polish.txt", "Kowalczyk\nNowak\n"), ("Irish.txt", "Murphy\n")],
    is_first_line: |_| false,
    read,
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    max_characters: usize,
    no_digits: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_characters: usize::MAX, no_digits: false }
    }
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { max_characters, no_digits } = request.options()?;
    let name = request.input.name();
    let (_, file) = request.input.folder_and_file();
    let file = [".gz", ".zip"].iter().find_map(|end| file.strip_suffix(end)).unwrap_or(file);
    let label = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let (mut texts, mut lines) = (Vec::new(), Vec::new());
    for line in request.input.lines()? {
        let line = line?;
        if is_blank(&line.text) {
            continue;
        }
        let wrong = |detail: String| DataError::line(name, line.number, detail + "; expected one text per line");
        let text = line.text.trim_matches(|c: char| c.is_whitespace() || c == BYTE_ORDER_MARK);
        if let Some(found) = text.chars().find(|c| no_digits && (c.is_control() || c.is_numeric())) {
            return Err(wrong(format!("invalid character {found:?}")));
        }
        let characters = text.chars().count();
        if characters > max_characters {
            return Err(wrong(format!("{characters} characters exceed the maximum of {max_characters}")));
        }
        texts.push(line.text);
        lines.push(line.number);
    }
    if texts.is_empty() {
        return Err(DataError::invalid(name, "empty; expected one text per line"));
    }
    let label: std::sync::Arc<str> = label.into();
    let labels = Column::text(vec![label; texts.len()]);
    Ok(Records::of_file(name, [("text", Column::text(texts)), ("label", labels)], lines))
}
