//! Records of SemEval-2010 task 8: a numbered sentence in quotes, its relation, and a comment.

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "semeval",
    summary: "records of a number and a quoted sentence, a label, and an optional comment, separated by blank lines (SemEval-2010 task 8)",
    columns: "text, label",
    options: &[],
    suffixes: &[],
    together: Together::File,
    roles: &[],
    sample: &[(
        "relations.txt",
        "1\t\"The <e1>crash</e1> came from a <e2>fault</e2>.\"\nCause-Effect(e2,e1)\nComment: none\n\n2\t\"The <e1>key</e1> is in the <e2>door</e2>.\"\nOther\nComment:\n\n",
    )],
    is_first_line: |line| numbered(line).is_some_and(|text| text.starts_with('"') && text.contains("<e1>")),
    read,
};

/// The text after the number of a record.
fn numbered(line: &str) -> Option<&str> {
    let (number, text) = line.split_once(char::is_whitespace)?;
    (!number.is_empty() && number.chars().all(|c| c.is_ascii_digit())).then(|| text.trim())
}

fn read(request: &Request) -> Result<Records, DataError> {
    let name = request.input.name();
    let (mut texts, mut labels, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    // The text of a record whose label follows.
    let mut open: Option<(usize, String)> = None;
    for line in request.input.lines()? {
        let line = line?;
        let text = line.text.trim();
        if is_blank(text) || text.starts_with("Comment:") {
            continue;
        }
        match open.take() {
            None => {
                let sentence = numbered(text).ok_or_else(|| {
                    let expected =
                        "expected a number and a sentence, as in `1 \"The <e1>key</e1> opens the <e2>door</e2>.\"`";
                    DataError::line(name, line.number, expected)
                })?;
                let unquoted = sentence.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(sentence);
                open = Some((line.number, unquoted.to_owned()));
            }
            Some((first, _)) if numbered(text).is_some() => {
                return Err(DataError::line(name, first, "the sentence has no label on the next line"));
            }
            Some((first, sentence)) => {
                texts.push(sentence);
                labels.push(text.to_owned());
                lines.push(first);
            }
        }
    }
    if let Some((first, _)) = open {
        return Err(DataError::line(name, first, "the sentence has no label on the next line"));
    }
    if texts.is_empty() {
        return Err(DataError::invalid(name, "empty; expected numbered sentences and their labels"));
    }
    Ok(Records::of_file(name, [("text", Column::text(texts)), ("label", Column::text(labels))], lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Input;
    use toml::Table;

    fn parse(text: &str) -> Result<Records, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.txt");
        std::fs::write(&path, text).unwrap();
        let read = FORMAT.read(&Input::file(&path), &Table::new(), &[]);
        read.map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    #[test]
    fn records_are_a_sentence_and_a_label() {
        let text = "1\t\"A <e1>key</e1> for a <e2>\"door\"</e2>.\"\r\nUse(e1,e2)\r\nComment: 3 keys\r\n\r\n2\t\"B\"\r\nOther\r\n\r\n";
        let records = parse(text).unwrap();
        let column = |name: &'static str| {
            records.texts(name, name).unwrap().iter().map(|text| text.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(column("text"), ["A <e1>key</e1> for a <e2>\"door\"</e2>.", "B"]);
        assert_eq!((column("label"), records.place(1).unwrap().1), (vec!["Use(e1,e2)".into(), "Other".into()], 5));
    }

    #[test]
    fn errors_name_file_line_and_what_was_expected() {
        for (text, part) in [
            ("A sentence\nOther\n", "train.txt, line 1: expected a number and a sentence"),
            ("1\t\"A\"\n\n2\t\"B\"\nOther\n", "line 1: the sentence has no label"),
            ("1\t\"A\"\nOther\n\n2\t\"B\"\n", "line 4: the sentence has no label"),
            ("\n", "train.txt: empty"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
