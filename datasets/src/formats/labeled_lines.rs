//! Labeled texts, one per line: the label, whitespace, the text.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "labeled-lines",
    summary: "one text per line after its label and whitespace; blank lines are skipped",
    columns: "text, label, sublabel",
    options: &[
        ("sublabel", "the character that separates a label from a finer one, such as \":\""),
        ("classes", "labels by their name in the file, if they differ from it: { 0 = \"negative\", 1 = \"positive\" }"),
    ],
    suffixes: &[],
    together: Together::File,
    roles: &[],
    sample: &[("questions.txt", "LOC Where is Rome ?\nNUM How far is it to Rome ?\n")],
    is_first_line: |_| false,
    read,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    sublabel: Option<char>,
    classes: BTreeMap<String, String>,
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { sublabel, classes } = request.options()?;
    let name = request.input.name();
    let [mut texts, mut labels, mut sublabels] = [(); 3].map(|()| Vec::new());
    let mut lines = Vec::new();
    for line in request.input.lines()? {
        let line = line?;
        if is_blank(&line.text) {
            continue;
        }
        let (label, text) = line.text.trim().split_once(char::is_whitespace).ok_or_else(|| {
            DataError::line(name, line.number, "expected a label, a space and a text, as in `positive What a story!`")
        })?;
        let (label, fine) = sublabel.and_then(|mark| label.split_once(mark)).unwrap_or((label, ""));
        texts.push(text.trim_start().to_owned());
        let label = match classes.get(label) {
            Some(label) => label,
            None if classes.is_empty() => label,
            None => {
                let all = classes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let detail = format!("label `{label}` is not among those of data.options.classes, {all}");
                return Err(DataError::line(name, line.number, detail));
            }
        };
        labels.push(label.to_owned());
        sublabels.push(fine.to_owned());
        lines.push(line.number);
    }
    if texts.is_empty() {
        return Err(DataError::invalid(name, "empty; expected a label and a text per line"));
    }
    let columns = [("text", texts), ("label", labels), ("sublabel", sublabels)];
    Ok(Records::of_file(name, columns.map(|(name, texts)| (name, Column::text(texts))), lines))
}
