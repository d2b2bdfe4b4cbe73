//! The CoNLL-U format of Universal Dependencies (universaldependencies.org/format.html): parsing, tagging, writing.
//!
//! One word per line in ten tab-separated columns, FORM in the second and UPOS in the fourth. Comments begin with `#`; a line that
//! is empty or only whitespace ends a sentence. Multiword tokens (`4-5`) and empty nodes (`8.1`) have their own lines and are not
//! words.

use std::fmt::{self, Display};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::reading::{BYTE_ORDER_MARK, Line, Lines, is_blank};

mod ids;

use ids::{Id, Order};

/// Number of columns.
pub(crate) const COLUMNS: usize = 10;
/// 0-based index of the UPOS column.
const UPOS: usize = 3;

/// The sentences of a file.
///
/// Writing a parsed file reproduces it except for byte-order marks, line ends (LF) and blank lines (one after each sentence).
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// At least one.
    pub sentences: Vec<Sentence>,
}

/// The text of a sentence, and the positions of its words.
#[derive(Debug, Clone, PartialEq)]
pub struct Sentence {
    /// Ends with a blank line.
    text: String,
    /// In text order; at least one.
    words: Vec<Word>,
}

#[derive(Debug, Clone, PartialEq)]
struct Word {
    line: usize,
    /// Byte range in the text of the sentence.
    form: Range<usize>,
    tag: Range<usize>,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or as in [`Self::of`].
    pub fn read(path: &Path) -> Result<Self, DataError> {
        Self::of(path, Lines::open(path)?)
    }

    /// Parses all sentences of `lines`; `name` is the file name in errors.
    ///
    /// # Errors
    /// The error of the first invalid sentence, see [`Sentences`]; if there is no sentence.
    pub fn of(name: &Path, lines: impl Iterator<Item = Result<Line, DataError>>) -> Result<Self, DataError> {
        let sentences = Sentences::new(name, lines).collect::<Result<Vec<_>, _>>()?;
        if sentences.is_empty() { Err(no_sentences(name)) } else { Ok(Self { sentences }) }
    }
}

/// The error of a file without any sentence.
pub fn no_sentences(name: &Path) -> DataError {
    DataError::invalid(name, "empty; expected sentences in CoNLL-U format")
}

/// Whether a file name ends in `.conllu` or `.conllu.gz`, in any case.
pub fn is_named(path: &Path) -> bool {
    let name = path.as_os_str().to_string_lossy().to_ascii_lowercase();
    name.strip_suffix(".gz").unwrap_or(&name).ends_with(".conllu")
}

/// Whether a line is CoNLL-U; `None` for blank lines and comments.
///
/// A CoNLL-U line has ten columns, or begins with an ID and has at least four columns: such a line is damaged.
pub fn is_row(line: &str) -> Option<bool> {
    if is_blank(line) || line.starts_with('#') {
        return None;
    }
    let columns: Vec<&str> = line.split('\t').collect();
    Some(columns.len() == COLUMNS || columns.len() > UPOS && Id::named(columns[0]).is_some())
}

/// Iterator over the sentences of lines.
///
/// An invalid sentence yields an error, and iteration continues with the next one. A sentence is invalid if one of its lines
/// cannot be read, does not have ten columns, has an invalid ID, an ID out of order or an empty FORM, or if it has no words.
#[derive(Debug)]
pub struct Sentences<L> {
    name: PathBuf,
    lines: L,
}

impl<L: Iterator<Item = Result<Line, DataError>>> Sentences<L> {
    /// The sentences of `lines`; `name` is the file name in errors.
    pub fn new(name: &Path, lines: L) -> Self {
        Self { name: name.to_owned(), lines }
    }
}

impl<L: Iterator<Item = Result<Line, DataError>>> Iterator for Sentences<L> {
    type Item = Result<Sentence, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut lines = Vec::new();
        let mut unreadable = None;
        for line in self.lines.by_ref() {
            match line {
                Err(error) => unreadable = unreadable.or(Some(error)),
                Ok(line) if !is_blank(&line.text) => lines.push(line),
                Ok(_) if lines.is_empty() && unreadable.is_none() => {}
                Ok(_) => break,
            }
        }
        match unreadable {
            Some(error) => Some(Err(error)),
            None if lines.is_empty() => None,
            None => Some(Sentence::parse(&self.name, &lines)),
        }
    }
}

impl Sentence {
    /// A sentence from tokenized text: sets ID, FORM and, in MISC, `SpaceAfter=No`; all other columns are `_`.
    ///
    /// # Panics
    /// If there are no tokens, a token is empty or contains whitespace, or the tokens do not occur in this order in the text
    /// without byte-order marks.
    pub fn from_text(text: &str, tokens: &[String]) -> Self {
        assert!(!tokens.is_empty(), "a sentence without tokens has no CoNLL-U form");
        let text = text.replace(BYTE_ORDER_MARK, "");
        let whole = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut sentence = Self { text: format!("# text = {whole}\n"), words: Vec::new() };
        let mut rest = &*whole;
        for (id, token) in (1..).zip(tokens) {
            assert!(!token.is_empty() && !token.contains(char::is_whitespace), "invalid token {token:?}");
            let (_, after) = rest.split_once(&**token).expect("tokens occur in the text");
            rest = after;
            let mut columns = ["_"; COLUMNS];
            let number = usize::to_string(&id);
            columns[..2].copy_from_slice(&[&number, token]);
            if !rest.is_empty() && !rest.starts_with(' ') {
                columns[COLUMNS - 1] = "SpaceAfter=No";
            }
            sentence.push(id + 1, &columns);
        }
        sentence.text.push('\n');
        sentence
    }

    /// A sentence from tokens without their text: sets ID and FORM; all other columns are `_`. A tab or line end in a token becomes a space,
    /// and an empty token `_`.
    ///
    /// # Panics
    /// If there are no tokens.
    pub fn from_tokens(tokens: &[String]) -> Self {
        assert!(!tokens.is_empty(), "a sentence without tokens has no CoNLL-U form");
        let mut sentence = Self { text: String::new(), words: Vec::new() };
        for (id, token) in (1..).zip(tokens) {
            let form = token.split_whitespace().collect::<Vec<_>>().join(" ");
            let number = usize::to_string(&id);
            let mut columns = ["_"; COLUMNS];
            columns[0] = &number;
            if !form.is_empty() {
                columns[1] = &form;
            }
            sentence.push(id, &columns);
        }
        sentence.text.push('\n');
        sentence
    }

    /// Parses the lines of one sentence; at least one.
    fn parse(name: &Path, lines: &[Line]) -> Result<Self, DataError> {
        let mut sentence = Self { text: String::new(), words: Vec::new() };
        let mut order = Order::default();
        for Line { number: line, text, .. } in lines {
            let line = *line;
            let wrong = |detail: String| DataError::line(name, line, detail);
            if text.starts_with('#') {
                sentence.text.extend([text.as_str(), "\n"]);
                continue;
            }
            let columns: Vec<&str> = text.split('\t').collect();
            if columns.len() != COLUMNS {
                let found = columns.len();
                return Err(wrong(format!("expected {COLUMNS} tab-separated columns, found {found}")));
            }
            let (number, form) = (columns[0], columns[1]);
            let id = Id::named(number).ok_or_else(|| {
                wrong(format!(
                    "invalid ID {number:?}: expected a word (4), a multiword token (4-5) or an empty node (8.1)"
                ))
            })?;
            order.check(id).map_err(|next| {
                wrong(format!("ID {number} is out of order: expected {next}, or a blank line before a new sentence"))
            })?;
            if form.is_empty() {
                return Err(wrong(format!("FORM (column 2) is empty for ID {number}; use _ if there is none")));
            }
            match id {
                Id::Word(_) => sentence.push(line, &columns),
                Id::Multiword(..) | Id::Empty(..) => sentence.text.extend([text.as_str(), "\n"]),
            }
        }
        let last = lines[lines.len() - 1].number;
        let wrong = |detail: String| Err(DataError::line(name, last, detail));
        let Order { words, covered, .. } = order;
        if words == 0 {
            return wrong("sentence without words; remove it or add its words".to_owned());
        }
        if covered > words {
            return wrong(format!(
                "the sentence ends at word {words}, but a multiword token extends to word {covered}"
            ));
        }
        sentence.text.push('\n');
        Ok(sentence)
    }

    /// Appends the line of a word.
    fn push(&mut self, line: usize, columns: &[&str]) {
        let start =
            |column: usize| self.text.len() + columns[..column].iter().map(|text| text.len() + 1).sum::<usize>();
        let [form, tag] = [1, UPOS].map(|column| start(column)..start(column) + columns[column].len());
        self.words.push(Word { line, form, tag });
        self.text.extend([&columns.join("\t"), "\n"]);
    }

    /// The FORM of each word.
    pub fn forms(&self) -> Vec<&str> {
        self.words.iter().map(|word| &self.text[word.form.clone()]).collect()
    }

    /// The UPOS tag of each word.
    pub fn tags(&self) -> Vec<&str> {
        self.words.iter().map(|word| &self.text[word.tag.clone()]).collect()
    }

    /// A column of each word; `index` is 0-based.
    pub(crate) fn column(&self, index: usize) -> Vec<&str> {
        let row = |word: &Word| {
            let start = self.text[..word.form.start].rfind('\n').map_or(0, |end| end + 1);
            self.text[start..].split(['\t', '\n']).nth(index).unwrap_or_default()
        };
        self.words.iter().map(row).collect()
    }

    /// The 1-based line number of each word: in its file, or in the sentence if it was not parsed from a file.
    pub fn lines(&self) -> impl Iterator<Item = usize> {
        self.words.iter().map(|word| word.line)
    }

    /// The sentence with other UPOS tags as CoNLL-U, ending with a blank line.
    ///
    /// # Panics
    /// If the numbers of tags and words differ.
    pub fn with_tags(&self, tags: &[&str]) -> String {
        assert_eq!(tags.len(), self.words.len(), "one tag per word is required");
        let mut written = String::with_capacity(self.text.len() + 4 * tags.len());
        let mut copied = 0;
        for (word, tag) in self.words.iter().zip(tags) {
            written.extend([&self.text[copied..word.tag.start], tag]);
            copied = word.tag.end;
        }
        written + &self.text[copied..]
    }
}

impl Display for Sentence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Display for Document {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentences.iter().try_for_each(|sentence| sentence.fmt(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REST: &str = "\t_\t_\t_\t_\t_\t_";

    /// A file with these lines, given as `ID FORM UPOS`; other lines are copied.
    fn file(lines: &[&str]) -> String {
        let whole = |line: &&str| match line.split(' ').collect::<Vec<_>>()[..] {
            [id, form, tag] if !line.starts_with('#') => format!("{id}\t{form}\tlemma\t{tag}{REST}\n"),
            _ => format!("{line}\n"),
        };
        lines.iter().map(whole).collect()
    }

    fn parse(text: &str) -> Result<Document, DataError> {
        let name = Path::new("some.conllu");
        Document::of(name, Lines::new(name, text.as_bytes())?)
    }

    fn sample() -> String {
        file(&[
            "# sent_id = 1",
            "#",
            "0.1 _ VERB",
            "1-2 don't _",
            "1 do AUX",
            "2 n't PART",
            "2.1 go VERB",
            "2.2 on ADV",
            "3 # SYM",
            "",
            "# text = Yes",
            "1 Yes INTJ",
            "",
        ])
    }

    #[test]
    fn from_text_keeps_the_text_and_marks_missing_spaces() {
        let tokens = ["I", "do", "n't", "know", "."].map(str::to_owned);
        let written = Sentence::from_text(" I don't  know.\n", &tokens).with_tags(&["A", "B", "C", "D", "E"]);
        let row =
            |id: usize, form: &str, tag: &str, misc: &str| format!("{id}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t{misc}\n");
        let rows = [
            row(1, "I", "A", "_"),
            row(2, "do", "B", "SpaceAfter=No"),
            row(3, "n't", "C", "_"),
            row(4, "know", "D", "SpaceAfter=No"),
            row(5, ".", "E", "_"),
        ];
        assert_eq!(written, format!("# text = I don't know.\n{}\n", rows.concat()));
    }

    #[test]
    fn from_tokens_writes_a_line_for_each_token() {
        let tokens = ["New York", "a\tb", " ", "."].map(str::to_owned);
        let written = Sentence::from_tokens(&tokens).with_tags(&["A", "B", "C", "D"]);
        let row = |(id, form, tag): (usize, &str, &str)| format!("{id}\t{form}\t_\t{tag}{REST}\n");
        let rows: String = [(1, "New York", "A"), (2, "a b", "B"), (3, "_", "C"), (4, ".", "D")].map(row).concat();
        assert_eq!(written, rows + "\n");
        assert_eq!(parse(&written).unwrap().sentences[0].forms(), ["New York", "a b", "_", "."]);
    }

    #[test]
    fn multiword_tokens_empty_nodes_and_comments_are_not_words() {
        let document = parse(&sample()).unwrap();
        let [first, second] = &document.sentences[..] else { panic!("two sentences") };
        assert_eq!((first.forms(), first.tags()), (vec!["do", "n't", "#"], vec!["AUX", "PART", "SYM"]));
        assert_eq!(first.lines().chain(second.lines()).collect::<Vec<_>>(), [5, 6, 9, 12]);
    }

    #[test]
    fn documents_round_trip() {
        let text = sample();
        let variants = [
            text.clone(),
            text.replace('\n', "\r\n"),
            format!("\u{feff}{text}"),
            text.trim_end().to_owned(),
            format!("{}\r", text.trim_end()),
            text.replace('\n', "\r"),
            text.replace("\n\n", "\n\t\n \n"),
            format!("\n{text}\n\n").replace("\n\n", "\n\n\n"),
        ];
        for variant in variants {
            assert_eq!(parse(&variant).unwrap().to_string(), text);
        }
    }

    #[test]
    fn with_tags_changes_only_tags_of_words() {
        let document = parse(&sample()).unwrap();
        let first = &document.sentences[0];
        assert_eq!(first.with_tags(&first.tags()), first.to_string());
        let tagged = first.with_tags(&["X", "", "NOUN"]);
        let expected = first.to_string().replace("AUX", "X").replace("PART", "").replace("SYM", "NOUN");
        assert_eq!(tagged, expected);
        assert!(tagged.ends_with("_\n\n"));
    }

    #[test]
    fn errors_name_the_line() {
        let columns = format!("1\tA\tB{REST}\n\n");
        for (text, line, part) in [
            ("# c\n\n1 Yes\n".to_owned(), 1, "sentence without words"),
            ("1 Yes INTJ\n".to_owned(), 1, "expected 10 tab-separated columns, found 1"),
            (columns, 1, "found 9"),
            (file(&["1 a X", "x b X"]), 2, "invalid ID \"x\""),
            (file(&["+1 a X"]), 1, "invalid ID"),
            (file(&["1-x a X"]), 1, "invalid ID"),
            (file(&["1 a X", "3 b X"]), 2, "ID 3 is out of order: expected 2, 2-m or 1.1"),
            (file(&["1 a X", "", "1 a X", "1 b X"]), 4, "or a blank line before a new sentence"),
            (file(&["1 a X", "1.2 b X"]), 2, "out of order"),
            (file(&["2-1 a _"]), 1, "out of order"),
            (file(&["1-3 a _", "1 a X", "2-4 b _"]), 3, "out of order"),
            (file(&["1-3 a _", "1 a X", "2 b X"]), 3, "ends at word 2, but a multiword token extends to word 3"),
            (file(&["1 a X", "2  X"]), 2, "FORM"),
            (file(&["0 a X"]), 1, "out of order"),
            (file(&["99999999999999999999 a X"]), 1, "invalid ID"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            let prefix = format!("some.conllu, line {line}: ");
            assert!(error.starts_with(&prefix) && error.contains(part), "{text:?}: {error}");
        }
        for text in ["", "\n\n", "\u{feff}"] {
            assert!(parse(text).unwrap_err().to_string().starts_with("some.conllu: empty"));
        }
    }

    #[test]
    fn the_format_is_recognized_by_columns_or_file_name() {
        for (line, expected) in [
            ("", None),
            (" \t", None),
            ("# newdoc", None),
            ("1\tA\t_\tX\t_\t_\t_\t_\t_\t_", Some(true)),
            ("1-2\tA\t_\t_\t_\t_\t_\t_\t_\t_", Some(true)),
            ("1\tA\t_\tX", Some(true)),
            ("1\tTime flies.", Some(false)),
            ("Time\tflies\tlike\tan arrow.", Some(false)),
            ("Time flies.", Some(false)),
        ] {
            assert_eq!(is_row(line), expected, "{line:?}");
        }
        for (name, is) in [("a.conllu", true), ("A.CONLLU", true), ("d/a.conllu.gz", true), ("a.conllu.txt", false)] {
            assert_eq!(is_named(Path::new(name)), is, "{name}");
        }
    }

    #[test]
    fn iteration_continues_after_an_invalid_sentence() {
        let text = [file(&["1 a X"]).as_bytes(), b"\n1\tb\n\n# \xff\n# c\n \n", file(&["1 d X"]).as_bytes()].concat();
        let name = Path::new("some.conllu");
        let found: Vec<_> = Sentences::new(name, Lines::new(name, &text[..]).unwrap()).collect();
        let errors: Vec<String> = found.iter().filter_map(|found| Some(found.as_ref().err()?.to_string())).collect();
        assert_eq!(found.iter().flatten().flat_map(Sentence::forms).collect::<Vec<_>>(), ["a", "d"]);
        assert!(errors[0].contains("line 3: expected 10 tab-separated columns, found 2"), "{errors:?}");
        assert!(errors.len() == 2 && errors[1].contains("line 5: not UTF-8"), "{errors:?}");
    }

    #[test]
    fn file_errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("some.conllu");
        assert!(Document::read(&path).unwrap_err().to_string().contains("some.conllu"));
        std::fs::write(&path, sample()).unwrap();
        assert_eq!(Document::read(&path).unwrap(), parse(&sample()).unwrap());
        std::fs::write(&path, [b"# a\n# b \xff\n", sample().as_bytes()].concat()).unwrap();
        let error = Document::read(&path).unwrap_err().to_string();
        assert!(error.ends_with("some.conllu, line 2: not UTF-8; convert the file first"), "{error}");
    }

    #[test]
    fn a_sentence_may_have_10000_tokens() {
        let lines: Vec<String> = (1..=10_000).map(|id| format!("{id} w{id} X")).collect();
        let text = file(&lines.iter().map(String::as_str).chain([""]).collect::<Vec<_>>());
        let document = parse(&text).unwrap();
        assert_eq!((document.sentences.len(), document.sentences[0].forms()[9_999]), (1, "w10000"));
        assert_eq!(document.to_string(), text);
    }

    proptest! {
        #[test]
        fn tokens_round_trip(tokens in proptest::collection::vec("[^\\s\\pC]{1,6}", 1..20)) {
            let sentence = Sentence::from_text(&tokens.join(" "), &tokens);
            prop_assert_eq!(sentence.forms(), tokens.iter().map(String::as_str).collect::<Vec<_>>());
            let document = parse(&sentence.to_string()).unwrap();
            prop_assert_eq!(document.sentences, [sentence]);
        }

        #[test]
        fn any_lines_are_parsed_or_rejected(
            lines in proptest::collection::vec("[123] a X|[123][-.][123] a X|0\\.1 a X|#|||", 0..8),
            rest in "[1a.#_\t\n\r-]{0,9}|\\PC{0,9}",
        ) {
            let text = file(&lines.iter().map(String::as_str).collect::<Vec<_>>()) + &rest;
            if let Ok(document) = parse(&text) {
                prop_assert!(document.sentences.iter().all(|sentence| !sentence.forms().is_empty()));
                let written = document.to_string();
                prop_assert_eq!(parse(&written).unwrap().to_string(), written);
            }
        }
    }
}
