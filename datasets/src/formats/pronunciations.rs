//! Pronouncing dictionaries: a word and its phonemes per line, as in the CMU Pronouncing Dictionary.

use serde::Deserialize;

use super::{Format, Request, Together};
use crate::DataError;
use crate::reading::is_blank;
use crate::records::{Column, Records};

/// The format.
pub(super) static FORMAT: Format = Format {
    name: "pronunciations",
    summary: "one word per line with its phonemes, separated by spaces; further pronunciations are marked as in `read(2)`; blank lines, lines \
              that start with ;;; and comments after # are skipped",
    columns: "word, phonemes",
    options: &[("stress", "whether to keep the digits of stress, as in AH0; by default true")],
    suffixes: &["dict"],
    together: Together::File,
    roles: &[("source", "word"), ("target", "phonemes")],
    sample: &[("words.dict", "cat K AE1 T\nread R EH1 D\nread(2) R IY1 D # present tense\n")],
    is_first_line: |_| false,
    read,
};

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    stress: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { stress: true }
    }
}

/// Start of a line that is a comment, in older versions of the dictionary.
const COMMENT: &str = ";;;";

fn read(request: &Request) -> Result<Records, DataError> {
    let Options { stress } = request.options()?;
    let file = request.input.name();
    let (mut words, mut pronunciations, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for line in request.input.lines()? {
        let line = line?;
        if line.text.starts_with(COMMENT) {
            continue;
        }
        // A word may start with the mark.
        let text = line.text.split_once(" #").map_or(line.text.as_str(), |(text, _)| text);
        if is_blank(text) {
            continue;
        }
        let mut parts = text.split_whitespace();
        let (word, phonemes) = (parts.next().unwrap_or_default(), parts.collect::<Vec<_>>());
        if phonemes.is_empty() {
            let detail = format!("expected phonemes after `{word}`, as in `cat K AE1 T`");
            return Err(DataError::line(file, line.number, detail));
        }
        let shown: Vec<&str> =
            phonemes.iter().map(|phoneme| if stress { phoneme } else { unstressed(phoneme) }).collect();
        words.push(without_number(word).to_owned());
        pronunciations.push(shown.join(" "));
        lines.push(line.number);
    }
    if lines.is_empty() {
        return Err(DataError::invalid(file, "empty; expected a word and its phonemes per line"));
    }
    Ok(Records::of_file(file, [("word", Column::text(words)), ("phonemes", Column::text(pronunciations))], lines))
}

/// A word without the number of its pronunciation, as in `read(2)`.
fn without_number(word: &str) -> &str {
    let number = word.strip_suffix(')').and_then(|word| word.rsplit_once('('));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number.filter(|(word, number)| !word.is_empty() && is_number(number)).map_or(word, |(word, _)| word)
}

/// A phoneme without its digit of stress.
fn unstressed(phoneme: &str) -> &str {
    let rest = phoneme.trim_end_matches(|character: char| character.is_ascii_digit());
    if rest.is_empty() { phoneme } else { rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Input;

    fn parse(text: &str, options: &str) -> Result<Vec<(String, String)>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cmu.dict");
        std::fs::write(&path, text).unwrap();
        let read = FORMAT.read(&Input::file(&path), &toml::from_str(options).unwrap(), &[]);
        let records = read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())?;
        let column = |name: &'static str| records.texts(name, name).unwrap().iter().map(|text| text.to_string());
        Ok(column("word").zip(column("phonemes")).collect())
    }

    #[test]
    fn words_have_numbered_pronunciations() {
        let text =
            ";;; comment\nread  R EH1 D\r\n\nread(2) R IY1 D # present\n#hash HH AE1 SH\n:-) S M AY1 L\n(a) EY1\n";
        let pair = |word: &str, phonemes: &str| (word.to_owned(), phonemes.to_owned());
        let expected = [
            pair("read", "R EH1 D"),
            pair("read", "R IY1 D"),
            pair("#hash", "HH AE1 SH"),
            pair(":-)", "S M AY1 L"),
            pair("(a)", "EY1"),
        ];
        assert_eq!(parse(text, "").unwrap(), expected);
        assert_eq!(parse("read R EH1 D 1\n", "stress = false").unwrap(), [pair("read", "R EH D 1")]);
    }

    #[test]
    fn errors_name_file_and_line() {
        assert!(
            parse("cat K AE1 T\ndog\n", "").unwrap_err().starts_with("cmu.dict, line 2: expected phonemes after `dog`")
        );
        assert!(parse("dog # D AO1 G\n", "").unwrap_err().contains("line 1: expected phonemes"));
        assert!(parse("\n;;;\n", "").unwrap_err().contains("empty; expected a word"));
    }
}
