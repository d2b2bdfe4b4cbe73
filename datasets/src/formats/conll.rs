//! Columns of CoNLL shared tasks: one token per line, a blank line after each sentence.

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "conll",
    summary: "one token per line in columns, a blank line between sentences, as in CoNLL-2003; one row per sentence; tags of spans may be IOB1, IOB2 or BIOES",
    columns: "1, 2, … by number, the last one also as `last`, or those of data.options.names: one item per token",
    options: &[
        ("names", "names of the columns, in order"),
        (
            "separator",
            "the character between columns, such as \"\\t\"; by default a tab if the first row has one, else spaces",
        ),
        ("comment", "the beginning of lines to skip, such as \"# \""),
    ],
    suffixes: &["conll", "bio", "iob", "iob2", "bioes"],
    together: Together::File,
    roles: &[("tokens", "1"), ("tags", LAST)],
    sample: &[(
        "news.conll",
        "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\nGerman JJ B-MISC\n\nPeter NNP B-PER\nBlackburn NNP I-PER\n",
    )],
    is_first_line: |_| false,
    read,
};

/// Another name of the last column.
const LAST: &str = "last";

/// Begins the line that marks a new document in CoNLL-2003; not a token.
const DOCUMENT: &str = "-DOCSTART-";

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    names: Vec<String>,
    separator: Option<char>,
    comment: Option<String>,
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { names, mut separator, comment } = request.options()?;
    let file = request.input.name();
    let mut width = if names.is_empty() { None } else { Some((names.len(), "data.options.names has".to_owned())) };
    // By column, by sentence.
    let mut columns: Vec<Vec<Vec<String>>> = Vec::new();
    let mut lines: Vec<Vec<usize>> = Vec::new();
    let mut is_open = false;
    for line in request.input.lines()? {
        let line = line?;
        let text = line.text.trim_matches([' ', '\r']);
        let is_comment = comment.as_ref().is_some_and(|start| !start.is_empty() && line.text.starts_with(&**start));
        if is_comment {
            continue;
        }
        if is_blank(text) || text.starts_with(DOCUMENT) {
            is_open = false;
            continue;
        }
        if lines.is_empty() {
            separator = separator.or_else(|| text.contains('\t').then_some('\t'));
        }
        let fields: Vec<&str> = match separator {
            Some(separator) => text.split(separator).map(str::trim).collect(),
            // Other white space, such as no-break spaces, is part of a token.
            None => text.split([' ', '\t']).filter(|field| !field.is_empty()).collect(),
        };
        if fields.len() == 1 && request.columns.contains(&LAST) {
            let detail =
                "one column; expected a token and its tag, separated by a tab or spaces (data.options.separator)";
            return Err(DataError::line(file, line.number, detail));
        }
        let (count, origin) = width.get_or_insert_with(|| (fields.len(), format!("line {} has", line.number)));
        let invalid = |detail: String| DataError::line(file, line.number, detail);
        if fields.len() != *count {
            let how = separator.map_or("spaces".to_owned(), |separator| format!("{separator:?}"));
            let hint = "; data.options.comment = \"# \" skips lines that begin with it";
            let hint = if text.starts_with('#') || lines.iter().flatten().next() == Some(&1) { hint } else { "" };
            return Err(invalid(format!("{} columns separated by {how}, but {origin} {count}{hint}", fields.len())));
        }
        if let Some(empty) = fields.iter().position(|field| field.is_empty()) {
            return Err(invalid(format!("column {} is empty; expected a value for each token", empty + 1)));
        }
        if !is_open {
            columns.resize_with(*count, Vec::new);
            columns.iter_mut().for_each(|column| column.push(Vec::new()));
            lines.push(Vec::new());
            is_open = true;
        }
        for (column, field) in columns.iter_mut().zip(fields) {
            column.last_mut().expect("a sentence is open").push(field.to_owned());
        }
        lines.last_mut().expect("a sentence is open").push(line.number);
    }
    if lines.is_empty() {
        return Err(DataError::invalid(file, "no tokens; expected one token per line in columns, as in `Paris B-LOC`"));
    }
    let name = |index: usize| names.get(index).cloned().unwrap_or_else(|| (index + 1).to_string());
    let last = columns.last().filter(|_| request.columns.contains(&LAST) && !names.iter().any(|name| name == LAST));
    let last = last.cloned().map(|column| (LAST.to_owned(), Column::Lists(column)));
    let columns = columns.into_iter().enumerate().map(|(index, column)| (name(index), Column::Lists(column)));
    let columns = columns.chain(last);
    let first: Vec<usize> = lines.iter().map(|lines| lines[0]).collect();
    Ok(Records::of_file(file, columns, first).with_item_lines(lines))
}

#[cfg(test)]
mod tests {
    use crate::formats::Format;
    use crate::reading::Input;
    use crate::records::Records;

    fn parse(text: &str, options: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.conll");
        std::fs::write(&path, text).unwrap();
        let read = Format::named("conll").unwrap().read(&Input::file(&path), &toml::from_str(options).unwrap(), &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn sentences_are_rows_and_columns_have_numbers_or_names() {
        let text =
            "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n \n\n-DOCSTART- -X- -X- O\n\n# NN B-NP O\n";
        let records = parse(text, "").unwrap();
        assert_eq!(records.lists("tokens", "1").unwrap(), [vec!["EU", "rejects"], vec!["#"]]);
        assert_eq!(records.lists("tags", "4").unwrap(), [vec!["B-ORG", "O"], vec!["O"]]);
        assert_eq!((records.place(0).unwrap().1, records.place(1).unwrap().1), (3, 9));
        assert!(records.item_error(0, 1, "?").to_string().contains("line 4"));
        let named =
            parse("# a comment\nNew York\tB-LOC\r\n\r\n", "names = [\"form\", \"ner\"]\ncomment = \"# \"").unwrap();
        assert_eq!(named.lists("tokens", "form").unwrap(), [["New York"]]);
        let spaced = parse("a\u{a0}b  O \n", "").unwrap();
        assert_eq!(spaced.lists("tokens", "1").unwrap(), [["a\u{a0}b"]]);
        let given = parse("a|b c\n", "separator = \"|\"").unwrap();
        assert_eq!(given.lists("tags", "2").unwrap(), [["b c"]]);
    }

    #[test]
    fn errors_name_file_line_and_what_was_expected() {
        for (text, options, parts) in [
            ("\n\n", "", &["a.conll: no tokens"][..]),
            ("a B\n\nc\n", "", &["a.conll, line 3: 1 columns separated by spaces, but line 1 has 2"]),
            ("a B\n", "names = [\"x\"]", &["line 1: 2 columns", "data.options.names has 1"]),
            ("a\tB\nc\t\n", "", &["line 2: column 2 is empty"]),
            ("a B\n", "separator = \"ab\"", &["data.options"]),
        ] {
            let error = parse(text, options).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{text}: {error}");
        }
    }

    #[test]
    fn a_sentence_of_10000_tokens_is_one_row() {
        let records = parse(&"word O\n".repeat(10_000), "").unwrap();
        assert_eq!((records.len(), records.lists("tokens", "1").unwrap()[0].len()), (1, 10_000));
    }
}
