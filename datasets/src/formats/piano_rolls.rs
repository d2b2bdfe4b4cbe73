//! Piano rolls as JSON: lists of pieces by part, such as `train`, `valid` and `test`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "piano-rolls",
    summary: "a JSON object with a list of pieces for each part of the dataset; a piece is a list of frames, a frame a list of MIDI numbers, one \
              per voice, where a negative number or null is a rest",
    columns: "part, notes: frames of simultaneous notes",
    options: &[],
    suffixes: &[],
    together: Together::File,
    roles: &[],
    sample: &[(
        "chorales.json",
        "{\"train\": [[[74, 70, 65, 58], [74, 70, -1, 58]]],\n \"valid\": [[[72, 67, 60, 48]]]}\n",
    )],
    // As JSON Lines, which precede in the list; it is the default of tasks of music only.
    is_first_line: |line| line.starts_with('{'),
    read,
};

/// A note of a frame, as in JSON.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Note {
    Number(f64),
    Rest(()),
}

fn read(request: &Request) -> Result<Records, DataError> {
    let file = request.input.name();
    let text = request.input.text()?;
    let parts: BTreeMap<String, Vec<Vec<Vec<Note>>>> = serde_json::from_str(&text).map_err(|error| {
        let detail = format!("expected an object such as {{\"train\": [[[74, 70, 65, 58], …], …]}}: {error}");
        DataError::line(file, error.line(), detail)
    })?;
    let (mut names, mut pieces) = (Vec::new(), Vec::new());
    for (part, frames) in parts.iter().flat_map(|(part, pieces)| pieces.iter().map(move |piece| (part, piece))) {
        names.push(part.as_str());
        let note = |note: &Note| match note {
            Note::Number(number) if *number >= 0.0 => number.to_string(),
            Note::Number(_) | Note::Rest(()) => "-".to_owned(),
        };
        let frame = |notes: &Vec<Note>| match notes.is_empty() {
            true => "-".to_owned(),
            false => notes.iter().map(note).collect::<Vec<_>>().join(","),
        };
        pieces.push(frames.iter().map(frame).collect());
    }
    if pieces.is_empty() {
        return Err(DataError::invalid(file, "no pieces"));
    }
    let lines = vec![1; pieces.len()];
    let columns = [("part", Column::text(names)), ("notes", Column::Lists(pieces))];
    Ok(Records::of_file(file, columns, lines))
}

#[cfg(test)]
mod tests {
    use crate::formats::Format;
    use crate::reading::Input;
    use crate::records::{Column, Records};

    fn parse(text: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        std::fs::write(&path, text).unwrap();
        let read = Format::named("piano-rolls").unwrap().read(&Input::file(&path), &toml::Table::new(), &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn pieces_have_frames_and_the_name_of_their_part() {
        let records = parse("{\"train\": [[[60, 48], [60.0, -1], []], [[null, 50]]], \"test\": [[[62]]]}").unwrap();
        let lists = |frames: &[&str]| frames.iter().map(|frame| (*frame).to_owned()).collect::<Vec<_>>();
        let expected = vec![lists(&["62"]), lists(&["60,48", "60,-", "-"]), lists(&["-,50"])];
        assert_eq!(records.column("notes", "notes").unwrap(), &Column::Lists(expected));
        let parts: Vec<&str> = records.texts("part", "part").unwrap().iter().map(|part| &**part).collect();
        assert_eq!(parts, ["test", "train", "train"]);
    }

    #[test]
    fn errors_name_file_and_line() {
        for (text, part) in [
            ("", "a.json, line 1: expected an object such as"),
            ("{\"train\":\n[[60]]}", "a.json, line 2: expected an object"),
            ("{\"train\": [[[\"c\"]]]}", "a.json, line 1"),
            ("[[[60]]]", "a.json, line 1"),
            ("{\"train\": []}", "a.json: no pieces"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
