//! JSON Lines: one object per line.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "jsonl",
    summary: "JSON Lines: one object per line; lists of texts are columns of lists, and blank lines are skipped",
    columns: "the keys of the objects; a key of a nested object is `outer.inner`",
    options: &[],
    suffixes: &["jsonl", "ndjson"],
    together: Together::File,
    roles: &[],
    sample: &[(
        "reviews.jsonl",
        "{\"text\": \"What a story!\", \"label\": \"good\", \"meta\": {\"year\": 2020}}\n{\"text\": \"Dull\", \"label\": \"bad\", \"meta\": {\"year\": 2021}}\n",
    )],
    is_first_line: |line| line.starts_with('{'),
    read,
};

/// An object with its keys in order, so that a repeated key is noticed.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object such as {\"text\": \"What a story!\", \"label\": \"positive\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// The value of a key in one row.
enum Cell {
    Text(String),
    List(Vec<String>),
}

/// A column that is being read: its cells, up to the last row that has the key.
#[derive(Default)]
struct Cells {
    name: String,
    /// The first line that has a value, and whether it is a list.
    kind: Option<(usize, bool)>,
    cells: Vec<Option<Cell>>,
}

fn read(request: &Request) -> Result<Records, DataError> {
    let file = request.input.name();
    let (mut columns, mut lines) = (Vec::<Cells>::new(), Vec::new());
    let mut known = HashMap::new();
    for line in request.input.lines()? {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                request.leave_out(error)?;
                continue;
            }
        };
        if is_blank(&line.text) {
            continue;
        }
        let invalid = |detail: String| DataError::line(file, line.number, detail);
        if lines.is_empty() && line.text.trim_start().starts_with('[') {
            return Err(invalid("a JSON array; expected one object per line, as `jq -c '.[]'` writes it".to_owned()));
        }
        let cells = match cells(&line.text) {
            Ok(cells) => cells,
            Err(detail) => {
                request.leave_out(invalid(detail))?;
                continue;
            }
        };
        let row = lines.len();
        let mut problem = None;
        for (name, cell) in cells {
            // The values of unused columns are not kept.
            let is_used = request.columns.is_empty() || request.columns.contains(&&*name);
            let index = *known.entry(name.clone()).or_insert_with(|| {
                columns.push(Cells { name, ..Cells::default() });
                columns.len() - 1
            });
            if is_used && let Err(detail) = columns[index].push(row, line.number, cell) {
                problem = Some(detail);
            }
        }
        match problem {
            None => lines.push(line.number),
            Some(detail) => {
                request.leave_out(invalid(detail))?;
                columns.iter_mut().for_each(|cells| cells.cells.truncate(row));
            }
        }
    }
    if lines.is_empty() {
        return Err(DataError::invalid(file, "empty; expected one JSON object per line"));
    }
    // Rows that lack the text to predict from; if all do, another column is meant.
    let lacks = |row: usize| {
        let mut used = columns.iter().filter(|cells| request.columns.contains(&cells.name.as_str()));
        used.find(|cells| cells.cells.get(row).is_none_or(Option::is_none)).map(|cells| cells.name.clone())
    };
    let mut kept = Vec::new();
    for (row, &line) in lines.iter().enumerate() {
        match lacks(row).filter(|_| request.is_lenient()) {
            Some(name) => {
                request.leave_out(DataError::line(file, line, format!("no key {name:?}, or its value is null")))?
            }
            None => kept.push(row),
        }
    }
    let columns = columns.into_iter().map(|cells| cells.into_column(lines.len()));
    Ok(Records::of_file(file, columns, lines.iter().copied()).select(&kept))
}

/// The parser's names of problems, and plain ones.
const PROBLEMS: [(&str, &str); 7] = [
    ("EOF while parsing", "it ends too early"),
    ("expected ident", "an unknown word, or a text without quotation marks"),
    ("expected value", "a value is missing, or is a text without quotation marks"),
    ("key must be a string", "a key has no quotation marks"),
    ("trailing characters", "more text follows the object"),
    ("trailing comma", "no key follows a comma"),
    ("expected `,` or", "a comma or closing bracket is missing"),
];

/// A key of an object with its value, if that is not null.
type Named = (String, Option<Cell>);

/// The problem of a line in plain words, with its column.
pub(super) fn problem(error: &serde_json::Error) -> String {
    let found = error.to_string();
    // The error counts lines within this one.
    let (what, column) = found.rsplit_once(" at line 1 column ").unwrap_or((&found, ""));
    let place = if column.is_empty() { String::new() } else { format!(" (column {column})") };
    let plain = PROBLEMS.iter().find(|(start, _)| what.starts_with(start)).map_or(what, |(_, plain)| plain);
    format!("{plain}{place}")
}

/// The cells of a line.
fn cells(line: &str) -> Result<Vec<Named>, String> {
    let Object(entries) = serde_json::from_str(line.trim())
        .map_err(|error| format!("not a JSON object: {}; expected one object per line", problem(&error)))?;
    let mut cells = Vec::new();
    flatten("", entries, &mut cells)?;
    Ok(cells)
}

/// What may be meant by a list of lists under this key.
fn of_lists(name: &str) -> &'static str {
    match name {
        "drawing" => "; set data.format=drawings for pen drawings as in Quick, Draw!",
        _ => "",
    }
}

/// Appends the cells of an object's keys; null is a missing value.
fn flatten(outer: &str, entries: Vec<(String, Value)>, cells: &mut Vec<Named>) -> Result<(), String> {
    for (key, value) in entries {
        let name = format!("{outer}{key}");
        let cell = match value {
            Value::Object(inner) => {
                flatten(&format!("{name}."), inner.into_iter().collect(), cells)?;
                continue;
            }
            Value::Array(items) => {
                let item = |value: &Value| {
                    scalar(value).ok_or_else(|| format!("{name:?} is a list of lists or objects{}", of_lists(&name)))
                };
                Some(Cell::List(items.iter().map(item).collect::<Result<_, _>>()?))
            }
            Value::Null => None,
            other => scalar(&other).map(Cell::Text),
        };
        if cells.iter().any(|(known, _)| *known == name) {
            return Err(format!("the key {name:?} occurs twice; remove one"));
        }
        cells.push((name, cell));
    }
    Ok(())
}

/// The text of a string, number or Boolean.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null => Some(String::new()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

impl Cells {
    fn push(&mut self, row: usize, line: usize, cell: Option<Cell>) -> Result<(), String> {
        if let Some(cell) = &cell {
            let is_list = matches!(cell, Cell::List(_));
            let (first, expected) = *self.kind.get_or_insert((line, is_list));
            if is_list != expected {
                let [here, there] = [is_list, expected].map(|list| if list { "a list" } else { "not a list" });
                return Err(format!("{:?} is {here}, but {there} in line {first}", self.name));
            }
        }
        self.cells.resize_with(row, || None);
        self.cells.push(cell);
        Ok(())
    }

    /// The column; rows without the key have an empty text or list.
    fn into_column(mut self, rows: usize) -> (String, Column) {
        self.cells.resize_with(rows, || None);
        let is_list = self.kind.is_some_and(|(_, is_list)| is_list);
        let text = |cell| if let Some(Cell::Text(text)) = cell { text } else { String::new() };
        let list = |cell| if let Some(Cell::List(items)) = cell { items } else { Vec::new() };
        let column = match is_list {
            true => Column::Lists(self.cells.into_iter().map(list).collect()),
            false => Column::text(self.cells.into_iter().map(text)),
        };
        (self.name, column)
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::Format;
    use crate::reading::Input;
    use crate::records::{Column, Records};

    fn parse(text: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        std::fs::write(&path, text).unwrap();
        let read = Format::named("jsonl").unwrap().read(&Input::file(&path), &toml::Table::new(), &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    fn texts(records: &Records, name: &str) -> Vec<String> {
        records.texts("text", name).unwrap().iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn keys_are_columns_and_lists_are_columns_of_lists() {
        let records = parse(
            "{\"text\": \"a \\u00e9\", \"stars\": 4.5, \"tags\": [\"x\", 2]}\n\n \t\n\
             {\"meta\": {\"lang\": {\"code\": \"fr\"}, \"ok\": true}, \"text\": \"b\", \"stars\": null}\r\n",
        )
        .unwrap();
        assert_eq!((records.len(), records.place(1).unwrap().1), (2, 4));
        assert_eq!(texts(&records, "text"), ["a é", "b"]);
        assert_eq!(texts(&records, "stars"), ["4.5", ""]);
        assert_eq!(texts(&records, "meta.lang.code"), ["", "fr"]);
        assert_eq!(texts(&records, "meta.ok"), ["", "true"]);
        let lists = Column::Lists(vec![vec!["x".to_owned(), "2".to_owned()], vec![]]);
        assert_eq!(records.column("tags", "tags").unwrap(), &lists);
    }

    #[test]
    fn errors_name_file_line_and_what_was_expected() {
        for (text, parts) in [
            ("", &["a.jsonl: empty", "one JSON object per line"][..]),
            ("[{\"text\": 1},\n{}]", &["a.jsonl, line 1", "a JSON array", "jq -c"]),
            ("{\"text\": 1}\n[1]", &["a.jsonl, line 2", "expected an object such as"]),
            ("{\"text\": \"a\"}\n{\"text\": \"b", &["a.jsonl, line 2: not a JSON object", "column 11"]),
            ("{\"text\": \"a\"} {}\n", &["a.jsonl, line 1", "more text follows the object"]),
            ("{\"text\": tall}\n", &["a.jsonl, line 1: not a JSON object: an unknown word"]),
            ("{text: 1}\n", &["a key has no quotation marks"]),
            ("\n{\"a\": 1, \"b\": 2, \"a\": 3}", &["a.jsonl, line 2", "the key \"a\" occurs twice"]),
            ("{\"a\": 1}\n{}\n{\"a\": [1]}", &["line 3", "\"a\" is a list, but not a list in line 1"]),
            ("{\"a\": [[1]]}", &["line 1", "\"a\" is a list of lists or objects"]),
            ("{\"drawing\": [[[1], [2]]]}", &["line 1", "set data.format=drawings for pen drawings"]),
        ] {
            let error = parse(text).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }
}
