//! Labeled series, one per line: the label, then the values, as in the UCR archive.

use std::sync::Arc;

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};
use crate::signal::Signal;

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "series",
    summary: "one series per line: its label, then its values, separated by commas, tabs or spaces (UCR archive); series may differ in length",
    columns: "series, label",
    options: &[
        ("label", "\"first\" (default) or \"last\": where the label is"),
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
    label: Position,
    header: Option<bool>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Position {
    #[default]
    First,
    Last,
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { label: position, header } = request.options()?;
    let mut is_first = true;
    let name = request.input.name();
    let (mut series, mut labels, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for line in request.input.lines()? {
        let line = line?;
        let text = line.text.trim();
        let is_first = !is_blank(text) && std::mem::take(&mut is_first);
        if is_blank(text) || is_first && header == Some(true) {
            continue;
        }
        let mut fields: Vec<&str> = match [',', '\t', ';'].into_iter().find(|&mark| text.contains(mark)) {
            Some(mark) => text.split(mark).map(str::trim).collect(),
            None => text.split_whitespace().collect(),
        };
        let label = if position == Position::Last { fields.pop().unwrap_or_default() } else { fields.remove(0) };
        // Shorter series are padded in tables.
        while fields.last().is_some_and(|last| last.is_empty() || last.eq_ignore_ascii_case("nan")) {
            fields.pop();
        }
        if fields.is_empty() {
            return Err(DataError::line(
                name,
                line.number,
                "no values; expected a label and values, as in `walking,0.5,0.7`",
            ));
        }
        let is_name = |field: &&str| field.parse::<f32>().is_err() && !field.is_empty();
        if is_first && header.is_none() && fields.iter().all(is_name) {
            continue;
        }
        let invalid = |detail: String| {
            let hint = "; data.options.header = true skips a line of names";
            let hint = if series.is_empty() && detail.contains("not a finite number") { hint } else { "" };
            DataError::line(name, line.number, detail + hint)
        };
        series.push(Arc::new(Signal::parse(&fields.join(",")).map_err(invalid)?));
        labels.push(label.trim_matches('"').to_owned());
        lines.push(line.number);
    }
    if series.is_empty() {
        return Err(DataError::invalid(name, "empty; expected a label and the values of a series per line"));
    }
    Ok(Records::of_file(name, [("series", Column::Series(series)), ("label", Column::text(labels))], lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Input;

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
            ("up\n", "", "line 1: no values"),
            ("\n \n", "", "a.tsv: empty"),
            ("up,1\n", "label = \"middle\"", "data.options"),
        ] {
            let error = parse(text, options).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
