//! Pairs of texts, such as a sentence and its translation: one pair per line.

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "pairs",
    summary: "one pair per line, source and target separated by a tab; further columns and blank lines are skipped",
    columns: "source, target",
    options: &[
        ("separator", "the text between source and target; by default a tab"),
        ("prefix", "a text before each source, such as \"IN:\""),
    ],
    suffixes: &["pairs"],
    together: Together::File,
    roles: &[],
    sample: &[("pairs.tsv", "good morning\tbonjour\nthank you\tmerci\n")],
    is_first_line: |_| false,
    read,
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    separator: String,
    prefix: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { separator: "\t".to_owned(), prefix: String::new() }
    }
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { separator, prefix } = request.options()?;
    if separator.is_empty() {
        return Err(DataError::setting("data.options.separator", "\"\"", "a text, such as \"\\t\""));
    }
    let file = request.input.name();
    let (mut sources, mut targets, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for line in request.input.lines()? {
        let line = line?;
        if is_blank(&line.text) {
            continue;
        }
        let mut columns = line.text.split(&*separator);
        let (Some(source), Some(target)) = (columns.next(), columns.next()) else {
            let detail = format!("no {separator:?} between a source and a target; expected a pair per line");
            return Err(DataError::line(file, line.number, detail));
        };
        let Some(source) = source.trim_start().strip_prefix(&*prefix) else {
            return Err(DataError::line(file, line.number, format!("expected {prefix:?} before the source")));
        };
        sources.push(source.trim().to_owned());
        targets.push(target.trim().to_owned());
        lines.push(line.number);
    }
    if lines.is_empty() {
        return Err(DataError::invalid(file, "empty; expected a source and a target per line, separated by a tab"));
    }
    Ok(Records::of_file(file, [("source", Column::text(sources)), ("target", Column::text(targets))], lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Input;

    fn parse(text: &str, options: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("en-fr.txt");
        std::fs::write(&path, text).unwrap();
        let read = FORMAT.read(&Input::file(&path), &toml::from_str(options).unwrap(), &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn pairs_are_lines_with_a_separator() {
        let records = parse("Go.\tVa !\tCC-BY\r\n\n  \nRun!\tCours !\r", "").unwrap();
        let column = |name: &'static str| {
            records.texts(name, name).unwrap().iter().map(|text| text.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            (column("source"), column("target")),
            (vec!["Go.".into(), "Run!".into()], vec!["Va !".into(), "Cours !".into()])
        );
        assert_eq!(records.place(1).unwrap().1, 4);
        let given = parse("IN: jump OUT: JUMP\n", "separator = \"OUT:\"").unwrap();
        assert_eq!(&*given.texts("target", "target").unwrap()[0], "JUMP");
        let given = parse("IN: jump OUT: JUMP\n", "separator = \"OUT:\"\nprefix = \"IN:\"").unwrap();
        assert_eq!(&*given.texts("source", "source").unwrap()[0], "jump");
        let error = parse("a\tb\nc\td\n", "prefix = \"IN:\"").unwrap_err();
        assert_eq!(error, "en-fr.txt, line 1: expected \"IN:\" before the source");
        // An empty target is a pair.
        assert_eq!(parse("Hm.\t\n", "").unwrap().len(), 1);
    }

    #[test]
    fn errors_name_file_line_and_what_was_expected() {
        for (text, options, part) in [
            ("a\tb\nc\n", "", "en-fr.txt, line 2: no \"\\t\" between a source and a target"),
            ("\n \n", "", "en-fr.txt: empty; expected a source and a target"),
            ("a\tb\n", "separator = \"\"", "data.options.separator"),
        ] {
            let error = parse(text, options).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
