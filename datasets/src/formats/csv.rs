//! Separated values (CSV, TSV), usually with a header; comma, semicolon, tab and vertical bar are detected as separators.

use csv::StringRecord;
use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "csv",
    summary: "separated values (CSV, TSV) with a header; fields are trimmed and may be quoted",
    columns: "those of the header",
    options: &[
        ("separator", "the character between fields, such as \";\" or \"\\t\"; detected by default"),
        ("names", "names of the columns, if the file has no header"),
        ("quotes", "whether \" quotes fields (default), rather than being an ordinary character"),
    ],
    suffixes: &["csv", "tsv"],
    together: Together::File,
    roles: &[],
    sample: &[("reviews.csv", "review;sentiment\nWhat a story!;good\n\"Dull; \"\"boring\"\"\";bad\n")],
    is_first_line: |_| false,
    read,
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    separator: Option<char>,
    names: Vec<String>,
    quotes: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { separator: None, names: Vec::new(), quotes: true }
    }
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { separator, names, quotes } = request.options()?;
    let separator = match separator {
        Some(separator) => Some(u8::try_from(separator).ok().filter(u8::is_ascii).ok_or_else(|| {
            DataError::setting("data.options.separator", separator, "one ASCII character, such as \";\" or \"\\t\"")
        })?),
        None => None,
    };
    let path = request.input.name();
    let text = request.input.text()?;
    let text = text.trim_end_matches([' ', '\r', '\n']);
    let separator = separator.unwrap_or_else(|| frequent_separator(text));
    let mut rows = rows(request, text, separator, quotes)?;
    if let Some(last) = rows.last().filter(|_| quotes)
        && ends_in_quotes(&text[last.start..], separator)
    {
        let detail = "a quotation mark opens a field in this row, and none closes it; close it, or set data.options.quotes \
                      to false if quotation marks are ordinary characters";
        return Err(DataError::line(path, last.line, detail));
    }
    while rows.last().is_some_and(|row| row.fields.iter().all(str::is_empty)) {
        rows.pop();
    }
    if rows.is_empty() {
        return Err(DataError::invalid(path, "empty; expected a header and rows"));
    }
    let header = if names.is_empty() { Some(rows.remove(0)) } else { None };
    let names = header.as_ref().map_or(names, |header| header.fields.iter().map(str::to_owned).collect());
    let is_complete = |row: &Row| row.fields.len() == names.len();
    for row in rows.iter().filter(|row| !is_complete(row)) {
        let wanted = names.len();
        let expected = if header.is_some() { "but the header has" } else { "but data.options.names has" };
        let found = format!("{} fields, {expected} {wanted}", row.fields.len());
        let detail = format!("{found}; quote fields that contain the separator or a line break");
        request.leave_out(DataError::line(path, row.line, detail))?;
    }
    rows.retain(is_complete);
    let columns = names.into_iter().enumerate().map(|(index, name)| {
        let fields = rows.iter().map(|row| &row.fields[index]);
        (name, Column::text(fields))
    });
    let records = Records::of_file(path, columns, rows.iter().map(|row| row.line));
    Ok(match header {
        Some(header) => records.with_header(header.line),
        None => records,
    })
}

/// The fields of a row, trimmed.
struct Row {
    /// 1-based number of its first line.
    line: usize,
    /// Its position in the text, in bytes.
    start: usize,
    fields: StringRecord,
}

/// All rows of a text, including the header.
fn rows(request: &Request, text: &str, separator: u8, quotes: bool) -> Result<Vec<Row>, DataError> {
    let path = request.input.name();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .quoting(quotes)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut rows: Vec<Row> = Vec::new();
    let (mut line, mut counted) = (1, 0);
    for fields in reader.records() {
        let fields = fields.map_err(|error| DataError::invalid(path, error))?;
        // The position of a record is the end of the previous one: possibly between CR and LF, or before empty lines.
        let end = fields.position().map_or(counted, |position| position.byte() as usize);
        let start = text.len() - text[end..].trim_start_matches(['\r', '\n']).len();
        line += text[counted..start].matches('\n').count();
        counted = start;
        let ends = &text[end..start];
        let empty = if text[..end].ends_with('\r') { ends.strip_prefix('\n').unwrap_or(ends) } else { ends };
        if !empty.is_empty() && !rows.is_empty() {
            let detail = "empty line between rows; fill in its values or delete it";
            request.leave_out(DataError::line(path, line - 1, detail))?;
        }
        rows.push(Row { line, start, fields });
    }
    Ok(rows)
}

/// Whether a text that starts with a row ends inside a quoted field.
fn ends_in_quotes(text: &str, separator: u8) -> bool {
    let (mut quoted, mut may_open) = (false, true);
    for byte in text.bytes() {
        let is_mark = byte == b'"';
        let closes = is_mark && quoted;
        quoted = is_mark && may_open || quoted && !is_mark;
        // A field opens after a separator or a line end; a doubled quotation mark closes and opens it again.
        may_open = !quoted && (closes || byte == separator || matches!(byte, b'\n' | b'\r'));
    }
    quoted
}

/// The most frequent of comma, semicolon, tab and vertical bar outside quotes in the first line.
fn frequent_separator(text: &str) -> u8 {
    // Skip leading empty lines, but not a leading tab, which separates a column without a name.
    let header = text.trim_start_matches([' ', '\r', '\n']).lines().next().unwrap_or_default();
    let unquoted: String = header.split('"').step_by(2).collect();
    let count = |&separator: &u8| unquoted.bytes().filter(|&byte| byte == separator).count();
    b"|\t;,".iter().copied().max_by_key(count).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use crate::formats::Format;
    use crate::reading::Input;
    use crate::records::Records;

    fn parse(text: &str, options: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sms.tsv");
        std::fs::write(&path, text).unwrap();
        let options = toml::from_str(options).unwrap();
        let read = Format::named("csv").unwrap().read(&Input::file(&path), &options, &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    fn column(records: &Records, name: &str) -> Vec<String> {
        records.texts("text", name).unwrap().iter().map(|text| text.to_string()).collect()
    }

    #[test]
    fn a_file_without_a_header_has_named_columns_and_plain_quotes() {
        let options = "names = [\"label\", \"text\"]\nquotes = false";
        let records = parse("ham\tOk \"lar\nspam\tWIN, win;\n", options).unwrap();
        assert_eq!(column(&records, "label"), ["ham", "spam"]);
        assert_eq!(column(&records, "text"), ["Ok \"lar", "WIN, win;"]);
        assert_eq!(records.place(1).unwrap().1, 2);
        let error = parse("ham\tOk\nspam\n", options).unwrap_err();
        assert!(error.starts_with("sms.tsv, line 2: 1 fields, but data.options.names has 2"), "{error}");
    }

    #[test]
    fn a_quotation_mark_that_is_never_closed_is_an_error() {
        for (text, line) in [
            ("a,b\n1,x\n2,\"y\n3,z\n", Some(3)),
            ("a,b\n1,x\n2,\"y", Some(3)),
            ("a,b\n1,\"y \"\" z\n", Some(2)),
            ("a,b\n1,\"x\ny\"\n2,\"\"\n", None),
            ("a,b\n1,5\" pipe\n2,\"a \"\"b\"\"\"\n", None),
        ] {
            let found = parse(text, "");
            match line {
                None => assert!(found.is_ok(), "{text}: {found:?}"),
                Some(line) => {
                    let error = found.unwrap_err();
                    let expected = format!("sms.tsv, line {line}: a quotation mark opens a field");
                    assert!(error.starts_with(&expected) && error.contains("data.options.quotes"), "{error}");
                }
            }
        }
        assert!(parse("a,b\n1,\"y\n", "quotes = false").is_ok());
    }

    #[test]
    fn separators_are_recognized_or_given() {
        assert_eq!(column(&parse("a,b;c\n1,2;3\n4,5;6\n", "separator = \";\"").unwrap(), "a,b"), ["1,2", "4,5"]);
        assert_eq!(column(&parse("a;b\n1,5;\"x;y\"\n", "").unwrap(), "b"), ["x;y"]);
        assert_eq!(column(&parse("a|b\n1,5|x\n", "").unwrap(), "b"), ["x"]);
        for (options, part) in [
            ("separator = \"é\"", "data.options.separator = é: one ASCII character"),
            ("separator = \"ab\"", "data.options"),
            ("quotes = 1", "data.options"),
        ] {
            let error = parse("a;b\n", options).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
