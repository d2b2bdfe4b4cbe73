//! The attribute-relation file format (ARFF) of Weka: declared attributes, then rows of comma-separated values.

use std::collections::HashSet;

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "arff",
    summary: "@attribute lines, then after @data rows of comma-separated values, which may be quoted; % starts a comment (Weka)",
    columns: "those of the attributes; with the option sequence, also `sequence`",
    options: &[(
        "sequence",
        "names of the first and the last of consecutive attributes, such as [\"base_1\", \"base_60\"]: their values, one after another, \
         are the column `sequence`",
    )],
    suffixes: &["arff"],
    together: Together::File,
    roles: &[("label", "class")],
    sample: &[(
        "genes.arff",
        "@relation genes\n@attribute base_1 {A, C, G, T}\n@attribute length numeric\n@attribute class {promoter, 'no promoter'}\n@data\nA,57,promoter\n% a comment\nG,?,'no promoter'\n",
    )],
    is_first_line: |line| line.to_lowercase().starts_with("@relation"),
    read,
};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    sequence: Option<[String; 2]>,
}

/// A declared attribute.
struct Attribute {
    name: String,
    /// The valid values; `None` for numbers, strings and dates.
    values: Option<HashSet<String>>,
}

impl Attribute {
    /// Parses what follows `@attribute`.
    fn parse(text: &str) -> Result<Self, String> {
        let (name, kind) = name_and_rest(text)?;
        if kind.is_empty() {
            return Err(format!("attribute `{name}` has no type; expected a type, as in `@attribute {name} numeric`"));
        }
        if let Some(values) = kind.strip_prefix('{') {
            let values =
                values.strip_suffix('}').ok_or_else(|| format!("the values of `{name}` have no closing }}"))?;
            return Ok(Self { name, values: Some(fields(values)?.into_iter().collect()) });
        }
        let first = kind.split_whitespace().next().unwrap_or_default().to_lowercase();
        match first.as_str() {
            "numeric" | "real" | "integer" | "string" | "date" => Ok(Self { name, values: None }),
            _ => Err(format!(
                "attribute `{name}` has type {kind:?}; expected numeric, real, integer, string, date, or values in braces"
            )),
        }
    }
}

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { sequence } = request.options()?;
    let path = request.input.name();
    let mut attributes: Vec<Attribute> = Vec::new();
    let (mut is_header, mut rows, mut lines) = (true, Vec::new(), Vec::new());
    for line in request.input.lines()? {
        let line = line?;
        let text = line.text.trim();
        if is_blank(text) || text.starts_with('%') {
            continue;
        }
        let invalid = |detail: String| DataError::line(path, line.number, detail);
        if !is_header {
            match row(text, &attributes) {
                Ok(values) => {
                    rows.push(values);
                    lines.push(line.number);
                }
                Err(detail) => request.leave_out(invalid(detail))?,
            }
            continue;
        }
        let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match keyword.to_lowercase().as_str() {
            "@relation" => {}
            "@attribute" => {
                let attribute = Attribute::parse(rest.trim()).map_err(invalid)?;
                if attributes.iter().any(|known| known.name == attribute.name) {
                    return Err(invalid(format!("attribute `{}` is declared twice; rename one", attribute.name)));
                }
                attributes.push(attribute);
            }
            "@data" => is_header = false,
            _ => return Err(invalid("expected @relation, @attribute or @data".to_owned())),
        }
    }
    if rows.is_empty() {
        let detail =
            if is_header { "no @data line; expected attributes, @data and rows" } else { "no rows after @data" };
        return Err(DataError::invalid(path, detail));
    }
    let mut columns: Vec<(String, Column)> = Vec::new();
    if let Some([first, last]) = &sequence {
        let position = |name: &String| attributes.iter().position(|attribute| &attribute.name == name);
        let (Some(first), Some(last)) = (position(first), position(last)) else {
            let known = attributes.iter().map(|attribute| attribute.name.as_str()).collect::<Vec<_>>().join(", ");
            let value = format!("[{first:?}, {last:?}]");
            return Err(DataError::setting("data.options.sequence", value, format!("two of the attributes: {known}")));
        };
        let range = first.min(last)..=first.max(last);
        columns.push(("sequence".to_owned(), Column::text(rows.iter().map(|row| row[range.clone()].concat()))));
    }
    let texts = |index: usize| Column::text(rows.iter().map(|row| row[index].as_str()));
    columns.extend(attributes.iter().enumerate().map(|(index, attribute)| (attribute.name.clone(), texts(index))));
    Ok(Records::of_file(path, columns, lines))
}

/// The values of a row; a missing value, `?`, is empty.
fn row(text: &str, attributes: &[Attribute]) -> Result<Vec<String>, String> {
    if text.starts_with('{') {
        return Err("sparse rows are not supported; write all values, without indices".to_owned());
    }
    let values = fields(text)?;
    if values.len() != attributes.len() {
        return Err(format!("{} values, but {} attributes are declared", values.len(), attributes.len()));
    }
    let checked = |(value, attribute): (String, &Attribute)| match &attribute.values {
        _ if value == "?" => Ok(String::new()),
        Some(known) if !known.contains(&value) => {
            Err(format!("{value:?} is not among the declared values of attribute `{}`", attribute.name))
        }
        _ => Ok(value),
    };
    values.into_iter().zip(attributes).map(checked).collect()
}

/// The name of an attribute, which may be quoted, and what follows it.
fn name_and_rest(text: &str) -> Result<(String, &str), String> {
    if text.starts_with(['\'', '"']) {
        return quoted(text).map(|(name, rest)| (name, rest.trim()));
    }
    match text.split_once(char::is_whitespace) {
        Some((name, rest)) => Ok((name.to_owned(), rest.trim())),
        None if text.is_empty() => Err("an attribute without a name; expected `@attribute NAME TYPE`".to_owned()),
        None => Ok((text.to_owned(), "")),
    }
}

/// The text in quotes at the beginning of `text`, without backslashes that escape a character, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut characters = text.char_indices();
    let mark = characters.next().map(|(_, mark)| mark);
    let mut value = String::new();
    while let Some((index, character)) = characters.next() {
        match character {
            _ if Some(character) == mark => return Ok((value, &text[index + character.len_utf8()..])),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    Err("a quotation mark opens a value, and none closes it on this line".to_owned())
}

/// Values separated by commas.
fn fields(text: &str) -> Result<Vec<String>, String> {
    let (mut values, mut rest) = (Vec::new(), text.trim());
    loop {
        let (value, after) = if rest.starts_with(['\'', '"']) {
            quoted(rest)?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].trim_end().to_owned(), &rest[end..])
        };
        values.push(value);
        match after.trim_start().strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None if after.trim().is_empty() => return Ok(values),
            None => {
                let next = after.trim().split(',').next().unwrap_or_default();
                return Err(format!("{next:?} follows a quoted value; expected a comma"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Input;

    fn parse(text: &str, options: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.arff");
        std::fs::write(&path, text).unwrap();
        let read = FORMAT.read(&Input::file(&path), &toml::from_str(options).unwrap(), &[]);
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    const HEADER: &str = "% comment\r\n@RELATION genes\n@attribute 'base 1' {A, C,'G'}\n@attribute base_2 {A,C,G,'it\\'s'}\n\
                          @attribute length NUMERIC\n@attribute \"class\" {N,EI}\n\n@data\n";

    #[test]
    fn rows_have_the_values_of_the_attributes() {
        let text = format!("{HEADER}% comment\nA, C ,3,N\n\n'G','it\\'s',?,\"EI\"\r\n");
        let records = parse(&text, "sequence = [\"base 1\", \"base_2\"]").unwrap();
        let texts = |name: &str| -> Vec<String> {
            records.texts("text", name).unwrap().iter().map(|text| text.to_string()).collect()
        };
        assert_eq!(texts("sequence"), ["AC", "Git's"]);
        assert_eq!(texts("length"), ["3", ""]);
        assert_eq!(texts("class"), ["N", "EI"]);
        assert_eq!(records.place(1).unwrap().1, 12);
        assert_eq!(parse(&text, "").unwrap().names().count(), 4);
    }

    #[test]
    fn errors_name_file_line_and_what_was_expected() {
        for (text, options, part) in [
            (format!("{HEADER}A,C,3\n"), "", "a.arff, line 9: 3 values, but 4 attributes are declared"),
            (format!("{HEADER}A,T,3,N\n"), "", "line 9: \"T\" is not among the declared values of attribute `base_2`"),
            (format!("{HEADER}A,'C,3,N\n"), "", "line 9: a quotation mark opens a value"),
            (format!("{HEADER}A,'C'x,3,N\n"), "", "line 9: \"x\" follows a quoted value; expected a comma"),
            (format!("{HEADER}{{0 A, 3 N}}\n"), "", "line 9: sparse rows are not supported"),
            (HEADER.to_owned(), "", "a.arff: no rows after @data"),
            ("@relation a\n".to_owned(), "", "no @data line"),
            ("1,2\n".to_owned(), "", "line 1: expected @relation, @attribute or @data"),
            ("@attribute a\n".to_owned(), "", "line 1: attribute `a` has no type"),
            ("@attribute a {x,y\n".to_owned(), "", "line 1: the values of `a` have no closing }"),
            ("@attribute a relational\n".to_owned(), "", "has type \"relational\"; expected numeric"),
            ("@attribute a real\n@attribute a real\n".to_owned(), "", "line 2: attribute `a` is declared twice"),
            (
                format!("{HEADER}A,C,3,N\n"),
                "sequence = [\"base 1\", \"base_3\"]",
                "data.options.sequence = [\"base 1\", \"base_3\"]: two of the attributes: base 1, base_2, length, class",
            ),
            (format!("{HEADER}A,C,3,N\n"), "sequence = \"base 1\"", "data.options"),
        ] {
            let error = parse(&text, options).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
