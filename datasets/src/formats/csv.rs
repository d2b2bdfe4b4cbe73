//! Separated values (CSV, TSV), usually with a header; comma, semicolon, tab and vertical bar are detected as separators.

use csv::StringRecord;
use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::records::{Column, Records};
use crate::wording::counted;

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
    let has_header = names.is_empty();
    let (text, unreadable) = text(request, has_header)?;
    let text = text.trim_end_matches([' ', '\r', '\n']);
    let separator = separator.unwrap_or_else(|| frequent_separator(text));
    let mut rows = rows(request, text, has_header, separator, quotes)?;
    // The lines of a row are those up to the next one.
    let ends: Vec<usize> = rows.iter().skip(1).map(|row| row.line).chain([usize::MAX]).collect();
    let is_readable = |(row, &end): (&Row, &usize)| {
        let next = unreadable.partition_point(|&line| line < row.line);
        unreadable.get(next).is_none_or(|&line| line >= end)
    };
    let readable: Vec<bool> = rows.iter().zip(&ends).map(is_readable).collect();
    let mut readable = readable.into_iter();
    rows.retain(|_| readable.next().unwrap_or(true));
    while rows.last().is_some_and(|row| row.fields.iter().all(str::is_empty)) {
        rows.pop();
    }
    if rows.is_empty() {
        return Err(DataError::invalid(path, "empty; expected a header and rows"));
    }
    let header = if has_header { Some(rows.remove(0)) } else { None };
    let names = header.as_ref().map_or(names, |header| header.fields.iter().map(str::to_owned).collect());
    let is_complete = |row: &Row| row.fields.len() == names.len();
    for row in rows.iter().filter(|row| !is_complete(row)) {
        let wanted = names.len();
        let expected = if header.is_some() { "but the header has" } else { "but data.options.names has" };
        let found = format!("{}, {expected} {wanted}", counted(row.fields.len(), "fields"));
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
    fields: StringRecord,
}

/// The text of a file, and its lines that are not text, in whose place there is a mark. Without a readable header, no row can be read.
fn text(request: &Request, has_header: bool) -> Result<(String, Vec<usize>), DataError> {
    let (mut whole, mut unreadable) = (String::new(), Vec::new());
    for line in request.input.lines()? {
        match line {
            Ok(line) => {
                whole += &line.text;
                whole.extend(line.is_ended.then_some('\n'));
            }
            Err(error @ DataError::Line { line, .. }) if !(has_header && whole.trim().is_empty()) => {
                request.leave_out(error)?;
                unreadable.push(line);
                whole += "\u{FFFD}\n";
            }
            Err(error) => return Err(error),
        }
    }
    Ok((whole, unreadable))
}

/// All rows of a text, including the header.
fn rows(request: &Request, text: &str, has_header: bool, separator: u8, quotes: bool) -> Result<Vec<Row>, DataError> {
    let path = request.input.name();
    let reader = |from: usize| {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .quoting(quotes)
            .trim(csv::Trim::All)
            .from_reader(&text.as_bytes()[from..])
    };
    let mut rows: Vec<Row> = Vec::new();
    // The line of the last row, and the end of the text whose lines are counted.
    let (mut line, mut counted) = (1, 0);
    let (mut records, mut from) = (reader(0), 0);
    let mut fields = StringRecord::new();
    loop {
        // The end of the previous row: possibly between CR and LF, or before empty lines.
        let before = from + records.position().byte() as usize;
        let start = text.len() - text[before..].trim_start_matches(['\r', '\n']).len();
        let problem = if quotes { unclosed(&text[start..], separator) } else { None };
        if problem.is_none() && !records.read_record(&mut fields).map_err(|error| DataError::invalid(path, error))? {
            return Ok(rows);
        }
        line += text[counted..start].matches('\n').count();
        counted = start;
        let ends = &text[before..start];
        let empty = if text[..before].ends_with('\r') { ends.strip_prefix('\n').unwrap_or(ends) } else { ends };
        if !empty.is_empty() && !rows.is_empty() {
            let detail = "empty line between rows; fill in its values or delete it";
            request.leave_out(DataError::line(path, line - 1, detail))?;
        }
        let Some(problem) = problem else {
            rows.push(Row { line, fields: std::mem::take(&mut fields) });
            continue;
        };
        let detail = format!(
            "a quotation mark opens a field in this row, and {problem}; close it, or set data.options.quotes to false if quotation marks are \
             ordinary characters"
        );
        let error = DataError::line(path, line, detail);
        if has_header && rows.is_empty() {
            return Err(error);
        }
        request.leave_out(error)?;
        // The row ends with its first line.
        from = text[start..].find('\n').map_or(text.len(), |end| start + end + 1);
        (line, counted, records) = (line + 1, from, reader(from));
    }
}

/// What is wrong with the quotation marks of the row that a text starts with: a field is still open at the end of the text, or it is closed
/// on a later line, before other text.
///
/// It reads no further than the row or the problem, since the rest of a text may have many such rows.
fn unclosed(text: &str, separator: u8) -> Option<&'static str> {
    let (mut quoted, mut may_open, mut was_closed, mut is_broken) = (false, true, false, false);
    for byte in text.bytes() {
        let is_mark = byte == b'"';
        if quoted {
            is_broken |= byte == b'\n';
            (quoted, may_open, was_closed) = (!is_mark, is_mark, is_mark);
            continue;
        }
        if is_mark && may_open {
            // A doubled quotation mark closes a field and opens it again.
            is_broken &= was_closed;
            (quoted, was_closed) = (true, false);
        } else if byte == b'\n' {
            return None;
        } else if byte == separator {
            (may_open, was_closed, is_broken) = (true, false, false);
        } else {
            if was_closed && is_broken && byte != b' ' {
                return Some("the next one is in the middle of a later row");
            }
            (may_open, was_closed) = (false, was_closed && byte == b' ');
        }
    }
    quoted.then_some("none closes it")
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
        assert!(error.starts_with("sms.tsv, line 2: 1 field, but data.options.names has 2"), "{error}");
    }

    #[test]
    fn a_quotation_mark_that_is_never_closed_is_an_error() {
        for (text, line) in [
            ("a,b\n1,x\n2,\"y\n3,z\n", Some(3)),
            ("a,b\n1,x\n2,\"y", Some(3)),
            ("a,b\n1,\"y \"\" z\n", Some(2)),
            ("a,b\n1,\"y\n2,z\n3,\"w\"\n", Some(2)),
            ("a,b\n1,\"y\n2,5\" z\n", Some(2)),
            ("a,\"b\n1,y\n", Some(1)),
            ("a,b\n1,\"y\"\n2,\"v\nw\" \n3,\"x\n\"\"y\"\n", None),
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
