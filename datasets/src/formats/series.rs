//! Labeled series, one per line: the label, then the values, as in the UCR archive.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;
use toml::{Table, Value};

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::{Input, Line, is_blank};
use crate::records::{Column, Records};
use crate::signal::Signal;

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "series",
    summary: "one series per line: its label, then its values, separated by commas, tabs or spaces (UCR archive); series may differ in length",
    columns: "series, label",
    options: &[
        ("label", "\"first\" (default), \"last\" or \"none\": where the label is"),
        (
            "header",
            "whether the first line has names of columns, which are skipped; by default, it has if no value in it is a number",
        ),
    ],
    suffixes: &["ucr"],
    together: Together::File,
    roles: &[],
    sample: &[("steps.ucr", "walking,0.1,0.9,0.2\nstanding,0.5,0.5\n")],
    is_first_line: |_| false,
    read,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    label: LabelPosition,
    header: Option<bool>,
}

/// Where the label of each series of a file is: a value of `data.options.label`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelPosition {
    /// The first value of a line.
    #[default]
    First,
    /// The last value of a line.
    Last,
    /// Series without labels, to predict them.
    None,
}

impl LabelPosition {
    const ALL: [Self; 3] = [Self::First, Self::Last, Self::None];

    /// Name in `data.options.label`.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::None => "none",
        }
    }

    /// The value at the position.
    fn of<'a>(self, fields: &[&'a str]) -> Option<&'a str> {
        match self {
            Self::First => fields.first().copied(),
            Self::Last => fields.last().copied(),
            Self::None => None,
        }
    }

    /// Removes the value at the position.
    fn take<'a>(self, fields: &mut Vec<&'a str>) -> Option<&'a str> {
        match self {
            Self::First if !fields.is_empty() => Some(fields.remove(0)),
            Self::Last => fields.pop(),
            Self::First | Self::None => None,
        }
    }

    /// Where the labels of series to predict are, as the values of a file show; `options` are those of the training data, and `known` the
    /// labels of the model. A value that is not a number is a label, and so are values that are all labels of the model. `None` if only some
    /// of the values are.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of_file(path: &Path, options: &Table, known: &[String]) -> Result<Option<Self>, DataError> {
        let option = |name: &str| options.get(name).and_then(Value::as_str);
        let input = Input::file(path);
        let input = if option("encoding") == Some("latin-1") { input.latin_1() } else { input };
        // Where the labels of the training data are, and the other end.
        let [usual, other] =
            if option("label") == Some("last") { [Self::Last, Self::First] } else { [Self::First, Self::Last] };
        let skips_first = options.get("header").and_then(Value::as_bool);
        let lines = input.lines()?.flatten().filter(|line| !is_blank(&line.text));
        let (mut rows, mut labels, mut has_texts) = (0, 0, [false; 2]);
        for (index, Line { text, .. }) in lines.enumerate() {
            let fields = fields(&text);
            if index == 0 && skips_first.unwrap_or_else(|| !fields.iter().any(|field| is_number(field))) {
                continue;
            }
            let at = [usual, other].map(|position| position.of(&fields).unwrap_or_default());
            rows += 1;
            labels += usize::from(known.iter().any(|label| label == at[0].trim_matches('"')));
            // A table may end shorter series with empty values, but not begin them with one.
            let is_empty_label = usual == Self::First && at[0].is_empty();
            let is_text = at.map(|value| !value.is_empty() && !is_number(value));
            has_texts = [has_texts[0] || is_text[0] || is_empty_label, has_texts[1] || is_text[1]];
        }
        Ok(match has_texts {
            [true, _] => Some(usual),
            [false, true] => Some(other),
            _ if rows > 0 && labels == rows => Some(usual),
            _ if labels > 0 => None,
            _ => Some(Self::None),
        })
    }
}

impl FromStr for LabelPosition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|position| position.name() == text);
        found.ok_or_else(|| format!("expected one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// The values of a line.
fn fields(line: &str) -> Vec<&str> {
    let text = line.trim();
    match [',', '\t', ';'].into_iter().find(|&mark| text.contains(mark)) {
        Some(mark) => text.split(mark).map(str::trim).collect(),
        None => text.split_whitespace().collect(),
    }
}

fn is_number(field: &str) -> bool {
    field.parse::<f32>().is_ok()
}

/// What to do about a value of the first series that is not a number: `is_first` for that of the first line, `last` is the last value.
fn hint(is_first: bool, position: LabelPosition, last: &str) -> String {
    let header = is_first.then_some("; data.options.header = true skips a line of names");
    let is_label = position == LabelPosition::First && !last.is_empty() && !is_number(last);
    let label = is_label.then_some("; data.options.label = \"last\" reads the label from the end of each line");
    header.into_iter().chain(label).collect()
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { label: position, header } = request.options()?;
    let (mut is_first, mut has_left_out) = (true, false);
    let name = request.input.name();
    let (mut series, mut labels, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for line in request.input.lines()? {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                request.leave_out(error)?;
                has_left_out = true;
                continue;
            }
        };
        let is_first = !is_blank(&line.text) && std::mem::take(&mut is_first);
        if is_blank(&line.text) || is_first && header == Some(true) {
            continue;
        }
        let mut fields = fields(&line.text);
        let label = position.take(&mut fields);
        // Shorter series are padded in tables.
        while fields.last().is_some_and(|last| last.is_empty() || last.eq_ignore_ascii_case("nan")) {
            fields.pop();
        }
        let is_name = |field: &&str| !is_number(field) && !field.is_empty();
        if is_first && header.is_none() && !fields.is_empty() && fields.iter().all(is_name) {
            continue;
        }
        let found = match fields.is_empty() {
            true => Err("no values; expected a label and values, as in `walking,0.5,0.7`".to_owned()),
            false => Signal::parse(&fields.join(",")).map_err(|detail| {
                let is_text = series.is_empty() && detail.contains("not a finite number");
                let last = fields.last().copied().unwrap_or_default();
                if is_text { detail + &hint(is_first, position, last) } else { detail }
            }),
        };
        match found {
            Ok(signal) => {
                series.push(Arc::new(signal));
                labels.extend(label.map(|label| label.trim_matches('"').to_owned()));
                lines.push(line.number);
            }
            Err(detail) => {
                request.leave_out(DataError::line(name, line.number, detail))?;
                has_left_out = true;
            }
        }
    }
    if series.is_empty() && !has_left_out {
        return Err(DataError::invalid(name, "empty; expected a label and the values of a series per line"));
    }
    let labels = (position != LabelPosition::None).then(|| ("label", Column::text(labels)));
    let columns = [("series", Column::Series(series))].into_iter().chain(labels);
    Ok(Records::of_file(name, columns, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, options: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tsv");
        std::fs::write(&path, text).unwrap();
        let read = FORMAT.read(&Input::file(&path), &toml::from_str(options).unwrap(), &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn lines_are_a_label_and_values() {
        for (text, options) in [
            ("up\t1\t2\tNaN\r\ndown\t3\tNaN\tNaN\r\n", ""),
            ("up,1,2\n\ndown,3,,\n", ""),
            ("a,b,c\n1,2,up\n3,down\n", "label = \"last\"\nheader = true"),
            ("label,t1,t2\nup,1,2\ndown,3,\n", ""),
            ("up 1 2\ndown 3", ""),
        ] {
            let records = parse(text, options).unwrap();
            let series = records.series("series", "series").unwrap();
            assert_eq!((series[0].values(), series[1].values()), (&[1.0, 2.0][..], &[3.0][..]), "{text}");
            assert_eq!(
                records.texts("label", "label").unwrap().iter().map(|label| &**label).collect::<Vec<_>>(),
                ["up", "down"]
            );
        }
    }

    #[test]
    fn errors_name_file_line_and_what_was_expected() {
        for (text, options, part) in [
            (
                "label,a,b\nup,1,2\n",
                "header = false",
                "a.tsv, line 1: \"a\" at step 1 of channel 1 is not a finite number such as -20.7; data.options.header",
            ),
            ("up,1\ndown,,2\n", "", "line 2: the value of step 1 of channel 1 is missing"),
            (
                "0.5,0.7,up\n",
                "",
                "line 1: \"up\" at step 2 of channel 1 is not a finite number such as -20.7; data.options.header",
            ),
            (
                "a,b\n0.5,0.7,up\n",
                "",
                "line 2: \"up\" at step 2 of channel 1 is not a finite number such as -20.7; data.options.label = \"last\"",
            ),
            ("up\n", "", "line 1: no values"),
            ("\n \n", "", "a.tsv: empty"),
            ("up,1\n", "label = \"middle\"", "data.options"),
        ] {
            let error = parse(text, options).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn series_without_labels_keep_every_value() {
        let records = parse("a,b\n1,2\n3,4\n", "label = \"none\"").unwrap();
        assert_eq!(records.series("series", "series").unwrap()[1].values(), [3.0, 4.0]);
        assert!(records.texts("label", "label").unwrap_err().to_string().contains("no column `label`"));
    }

    #[test]
    fn values_show_where_the_labels_of_series_to_predict_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new.csv");
        let position = |text: &str, options: &str, known: &[&str]| {
            std::fs::write(&path, text).unwrap();
            let known: Vec<String> = known.iter().map(|label| (*label).to_owned()).collect();
            LabelPosition::of_file(&path, &toml::from_str(options).unwrap(), &known).unwrap()
        };
        let (first, last, none) = (LabelPosition::First, LabelPosition::Last, LabelPosition::None);
        let (words, numbers) = (&["up", "down"][..], &["1", "2"][..]);
        for (text, options, known, expected) in [
            ("up,1,2\ndown,3,4\n", "", words, Some(first)),
            ("label,a,b\nother,1,2\n", "", words, Some(first)),
            ("?,1,2\n?,3,4\n", "", numbers, Some(first)),
            (",1,2\n", "", words, Some(first)),
            ("v1,v2,v3\n0.4,1,2\n0.5,3,4\n", "", words, Some(none)),
            ("0.4,1,\n0.5,3,4\n", "", words, Some(none)),
            ("v1,v2,label\n0.4,1,up\n", "", words, Some(last)),
            ("0.4,1,up\n", "label = \"last\"", words, Some(last)),
            ("0.4,1\n", "label = \"last\"", words, Some(none)),
            ("1,0.4,0.5\n2,0.4,0.5\n", "", numbers, Some(first)),
            ("0.4,0.5,1\n0.4,0.5,2\n", "label = \"last\"", numbers, Some(last)),
            ("0.4,1,2\n0.5,3,4\n", "", numbers, Some(none)),
            ("1,0.4\n3,0.4\n", "", numbers, None),
            ("1.5,2:3,4\n", "", words, Some(none)),
        ] {
            assert_eq!(position(text, options, known), expected, "{text} {options}");
        }
        assert_eq!("last".parse(), Ok(last));
        assert!("end".parse::<LabelPosition>().unwrap_err().contains("first, last, none"));
    }
}
