//! Pen drawings in JSON Lines, as in Quick, Draw!

use serde::Deserialize;

use super::jsonl::problem;
use super::{Format, Request, Together};
use crate::DataError;
use crate::drawing::Drawing;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "drawings",
    summary: "pen drawings, one JSON object per line: `drawing` is a list of strokes, each with a list of x and one of y coordinates (Quick, Draw!)",
    columns: "drawing, and word if a line has it; a third list of a stroke, its times, and other keys are ignored",
    options: &[],
    suffixes: &["ndjson"],
    together: Together::File,
    roles: &[],
    sample: &[(
        "crosses.ndjson",
        "{\"word\": \"cross\", \"drawing\": [[[0, 10], [5, 5]], [[5, 5], [0, 10]]]}\n{\"word\": \"line\", \"drawing\": [[[0, 9], [0, 9]]]}\n",
    )],
    is_first_line: |_| false,
    read,
};

/// A line: the strokes of a drawing and what it is of.
#[derive(Deserialize)]
struct Line {
    drawing: Vec<Vec<Vec<f64>>>,
    word: Option<String>,
}

/// The drawing of a line, and its word.
fn parse(line: &str) -> Result<(Drawing, Option<String>), String> {
    let expected = "expected one object per line, such as {\"drawing\": [[[0, 10], [5, 5]]]}";
    let line = line.trim();
    if !line.starts_with('{') {
        return Err(format!("not a JSON object; {expected}"));
    }
    let Line { drawing, word } =
        serde_json::from_str(line).map_err(|error| format!("not a drawing: {}; {expected}", problem(&error)))?;
    Ok((Drawing::of_lists(&drawing)?, word))
}

fn read(request: &Request) -> Result<Records, DataError> {
    let file = request.input.name();
    let (mut drawings, mut words, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for line in request.input.lines()? {
        let parsed = line.and_then(|line| match is_blank(&line.text) {
            true => Ok(None),
            false => match parse(&line.text) {
                Ok(found) => Ok(Some((found, line.number))),
                Err(detail) => Err(DataError::line(file, line.number, detail)),
            },
        });
        match parsed {
            Ok(None) => {}
            Ok(Some(((drawing, word), number))) => {
                drawings.push(drawing.to_string());
                words.push(word);
                lines.push(number);
            }
            Err(error) => request.leave_out(error)?,
        }
    }
    if drawings.is_empty() && !request.is_lenient() {
        return Err(DataError::invalid(file, "empty; expected one JSON object with the key \"drawing\" per line"));
    }
    let has_words = words.iter().any(Option::is_some);
    let words = has_words.then(|| ("word", Column::text(words.into_iter().map(Option::unwrap_or_default))));
    Ok(Records::of_file(file, [("drawing", Column::text(drawings))].into_iter().chain(words), lines))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::reading::Input;

    fn parsed(text: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ndjson");
        std::fs::write(&path, text).unwrap();
        let read = FORMAT.read(&Input::file(&path), &toml::Table::new(), &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    fn texts(records: &Records, name: &str) -> Vec<String> {
        records.texts("drawing", name).unwrap().iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn strokes_are_lists_of_coordinates_and_other_keys_are_ignored() {
        let records = parsed(
            "{\"drawing\": [[[0, 1.5], [2, 3], [0, 16]], [[], []], [[-4], [5]]], \"recognized\": [[true]], \"word\": \"cat\"}\n\n\
             {\"drawing\": [], \"word\": null}\r\n",
        )
        .unwrap();
        assert_eq!(texts(&records, "drawing"), ["0,2 1.5,3;-4,5", ""]);
        assert_eq!((texts(&records, "word"), records.place(1).unwrap().1), (vec!["cat".to_owned(), String::new()], 3));
        assert!(parsed("{\"drawing\": [[[0], [0]]]}\n").unwrap().texts("word", "word").is_err());
    }

    #[test]
    fn errors_name_file_line_and_what_was_expected() {
        let deep = format!("{{\"drawing\": {}", "[".repeat(100_000));
        for (text, parts) in [
            ("", &["a.ndjson: empty", "\"drawing\""][..]),
            ("\n[[[0], [0]]]", &["a.ndjson, line 2: not a JSON object; expected one object"]),
            ("{\"drawing\": [[[0], [0]]]}\n{\"drawing\": [[[0], [0]", &["line 2: not a drawing: it ends too early"]),
            ("{\"word\": \"cat\"}", &["line 1: not a drawing: missing field `drawing`"]),
            ("{\"drawing\": null}", &["invalid type: null, expected a sequence"]),
            ("{\"drawing\": [[[0, null], [0, 0]]]}", &["invalid type: null, expected f64"]),
            ("{\"drawing\": [[[\"0\"], [0]]]}", &["invalid type: string \"0\", expected f64"]),
            ("{\"drawing\": [[[[0]], [0]]]}", &["invalid type: sequence, expected f64"]),
            ("{\"drawing\": [[[NaN], [0]]]}", &["line 1: not a drawing"]),
            ("{\"drawing\": [[[1e999], [0]]]}", &["line 1: not a drawing: number out of range"]),
            ("{\"drawing\": [[[1e99], [0]]]}", &["line 1: stroke 1: the coordinate 1e99 is not"]),
            ("{\"drawing\": [[[0, 1], [0]]]}", &["line 1: stroke 1 has 2 x coordinates, but 1 y coordinates"]),
            ("{\"drawing\": [[[0]]]}", &["line 1: stroke 1 has 1 lists"]),
            (deep.as_str(), &["line 1: not a drawing"]),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{}: {error}", &text[..text.len().min(80)]);
        }
    }

    #[test]
    fn lines_that_cannot_be_read_are_left_out_where_each_is_read_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.ndjson");
        std::fs::write(&path, "{\"drawing\": [[[0], [0]]]}\n{}\n{\"drawing\": [[[1], [1]]]}\n").unwrap();
        let errors = RefCell::default();
        let records = FORMAT.request(&[Input::file(&path)], &toml::Table::new(), &[], Some(&errors)).unwrap();
        assert_eq!((texts(&records, "drawing").len(), errors.borrow().len()), (2, 1));
    }
}
