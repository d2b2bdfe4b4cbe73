//! The `.ts` format of sktime and the UEA archive: labeled series of one or several channels, ragged or of equal length.

use std::sync::Arc;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};
use crate::signal::Signal;

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "ts",
    summary: "a header of @ lines, then one series per line: channels separated by colons, values by commas, the label last (sktime)",
    columns: "series, label",
    options: &[],
    suffixes: &["ts"],
    together: Together::File,
    roles: &[],
    sample: &[(
        "steps.ts",
        "@problemName steps\n@univariate false\n@classLabel true walking standing\n@data\n0.1,0.9,0.2:1,2,1:walking\n0.5,0.5:1,1:standing\n",
    )],
    is_first_line: |line| line.to_lowercase().starts_with("@problemname"),
    read,
};

fn read(request: &Request) -> Result<Records, DataError> {
    let name = request.input.name();
    let (mut series, mut labels, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    let (mut is_header, mut known): (bool, Option<Vec<String>>) = (true, None);
    for line in request.input.lines()? {
        let line = line?;
        let text = line.text.trim();
        if is_blank(text) || text.starts_with('#') {
            continue;
        }
        let invalid = |detail: String| DataError::line(name, line.number, detail);
        if is_header {
            let mut words = text.split_whitespace();
            let key = words.next().unwrap_or_default().to_lowercase();
            match key.as_str() {
                "@data" => is_header = false,
                "@timestamps" if words.next().is_some_and(|value| value.eq_ignore_ascii_case("true")) => {
                    return Err(invalid("time stamps are not supported; write the values only".to_owned()));
                }
                "@classlabel" if words.next().is_some_and(|value| value.eq_ignore_ascii_case("true")) => {
                    known = Some(words.map(str::to_owned).collect());
                }
                _ if key.starts_with('@') => {}
                _ => return Err(invalid("expected a line that begins with @, then @data and the series".to_owned())),
            }
            continue;
        }
        let (values, label) = match &known {
            Some(known) => labeled(text, known, request.is_lenient()).map_err(invalid)?,
            None if request.is_lenient() => (text, ""),
            None => {
                let detail = "the series have no labels; expected `@classLabel true` and the labels before @data";
                return Err(invalid(detail.to_owned()));
            }
        };
        series.push(Arc::new(Signal::parse(values).map_err(invalid)?));
        labels.push(label.to_owned());
        lines.push(line.number);
    }
    if series.is_empty() {
        let detail =
            if is_header { "no @data line; expected a header and the series" } else { "no series after @data" };
        return Err(DataError::invalid(name, detail));
    }
    Ok(Records::of_file(name, [("series", Column::Series(series)), ("label", Column::text(labels))], lines))
}

/// The values of a line and its label, which may be any if the series are to be predicted.
fn labeled<'a>(text: &'a str, known: &[String], may_be_any: bool) -> Result<(&'a str, &'a str), String> {
    let expected = "expected the values of each channel, a colon, and the label, as in `0.5,0.7:walking`";
    let (values, label) = text.rsplit_once(':').ok_or(expected)?;
    let label = label.trim();
    if !may_be_any && !known.is_empty() && !known.iter().any(|known| known == label) {
        let all = known.join(", ");
        return Err(format!("label {label:?} is not among those of @classLabel: {all}"));
    }
    Ok((values, label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Input;
    use toml::Table;

    fn parse(text: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ts");
        std::fs::write(&path, text).unwrap();
        let read = FORMAT.read(&Input::file(&path), &Table::new(), &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    const HEADER: &str = "#comment\n@problemName Steps\n@univariate false\n@classLabel true up down\n@data\n";

    #[test]
    fn series_have_channels_and_a_label() {
        let records = parse(&format!("{HEADER}1,2:3,4:up\r\n\n5:6:down\r\n")).unwrap();
        let series = records.series("series", "series").unwrap();
        assert_eq!((series[0].channels(), series[0].values()), (2, &[1.0, 3.0, 2.0, 4.0][..]));
        assert_eq!((series[1].len(), &*records.texts("label", "label").unwrap()[1]), (1, "down"));
        assert_eq!(records.place(1).unwrap().1, 8);
    }

    #[test]
    fn series_to_predict_need_no_labels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new.ts");
        for labels in ["@classLabel false\n@data\n1,2:3,4\n", "@classLabel true up\n@data\n1,2:3,4:?\n"] {
            std::fs::write(&path, labels).unwrap();
            let (_, column, bad) = FORMAT.read_column(&path, &Table::new(), "series", None).unwrap();
            let Column::Series(series) = column else { panic!("{column:?}") };
            assert_eq!((series[0].channels(), series[0].len(), bad.len()), (2, 2, 0), "{labels}");
        }
    }

    #[test]
    fn errors_name_file_line_and_what_was_expected() {
        for (text, part) in [
            (format!("{HEADER}1,2:left\n"), "a.ts, line 6: label \"left\" is not among those of @classLabel: up, down"),
            (format!("{HEADER}1,?:up\n"), "line 6: the value of step 2 of channel 1 is missing"),
            (format!("{HEADER}1,2:3:up\n"), "line 6: channel 2 has 1 steps"),
            (format!("{HEADER}up\n"), "line 6: expected the values"),
            (HEADER.to_owned(), "a.ts: no series after @data"),
            ("@problemName x\n".to_owned(), "no @data line"),
            ("1,2:up\n".to_owned(), "line 1: expected a line that begins with @"),
            ("@classLabel false\n@data\n1\n".to_owned(), "line 3: the series have no labels"),
            ("@timeStamps true\n".to_owned(), "line 1: time stamps are not supported"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
