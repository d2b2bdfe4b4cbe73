//! Pretrained word vectors in the text formats of GloVe, fastText and word2vec.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::DataError;
use crate::reading::{Input, Line, is_blank};

/// Vectors of words.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WordVectors {
    /// Size of each vector.
    pub size: usize,
    /// Vectors by word.
    pub vectors: HashMap<String, Vec<f32>>,
    /// Number of vectors in the file.
    pub count: usize,
    /// A note on lines that were skipped, if there are any.
    pub skipped: Option<String>,
}

/// Number of lines that determine the size of the vectors of a file that does not state it.
const SIZE_LINES: usize = 100;

/// Reads the vectors of some words from a text file: a word and its values per line, separated by spaces or tabs, after an optional line
/// with the number and the size of the vectors. The file may be compressed.
///
/// Words may contain spaces: without the first line, the size is the most frequent one in the first lines. A word that the file has only in
/// another case takes the first vector of such a word. A later line that is not a vector of the same size is skipped, with a note.
///
/// # Errors
/// If the file cannot be read, or its first line is not a vector.
pub fn read(path: &Path, wanted: &HashSet<&str>) -> Result<WordVectors, DataError> {
    let input = Input::file(path);
    let lower: HashSet<String> = wanted.iter().map(|word| word.to_lowercase()).collect();
    let (mut exact, mut folded): (HashMap<String, Vec<f32>>, HashMap<String, Vec<f32>>) = Default::default();
    let (mut count, mut skipped, mut first_skipped) = (0, 0, None);
    let mut lines = input.lines()?.filter(|line| !line.as_ref().is_ok_and(|line| is_blank(&line.text)));
    let first: Vec<Result<Line, DataError>> = lines.by_ref().take(SIZE_LINES).collect();
    let stated = first.first().and_then(|line| stated_size(&line.as_ref().ok()?.text));
    let size = stated.or_else(|| usual_size(first.iter().flatten().map(|line| line.text.as_str())));
    for line in first.into_iter().chain(lines).skip(usize::from(stated.is_some())) {
        let found = match line {
            Ok(line) => {
                let is_checked = stated.is_some() && count == 0;
                vector(&line.text, size, is_checked).map_err(|detail| DataError::line(path, line.number, detail))
            }
            Err(error @ DataError::Line { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        match found {
            Ok((word, vector)) => {
                count += 1;
                if wanted.contains(word.as_str()) {
                    exact.entry(word).or_insert(vector);
                } else {
                    let word = word.to_lowercase();
                    if lower.contains(&word) {
                        folded.entry(word).or_insert(vector);
                    }
                }
            }
            Err(error) if count == 0 => return Err(error),
            Err(error) => {
                skipped += 1;
                first_skipped.get_or_insert(error);
            }
        }
    }
    let size = size.filter(|_| count > 0);
    let size = size.ok_or_else(|| DataError::invalid(path, "no vectors; expected a word and its values per line"))?;
    for word in wanted {
        if !exact.contains_key(*word)
            && let Some(vector) = folded.get(&word.to_lowercase())
        {
            exact.insert((*word).to_owned(), vector.clone());
        }
    }
    let (lines, were) = if skipped == 1 { ("line", "was") } else { ("lines", "were") };
    let skipped =
        first_skipped.map(|first| format!("{skipped} {lines} of word vectors {were} skipped; first: {first}"));
    Ok(WordVectors { size, vectors: exact, count, skipped })
}

/// The size of the vectors, if a line has their number and their size.
fn stated_size(line: &str) -> Option<usize> {
    let mut fields = line.split_whitespace().map(str::parse::<usize>);
    match (fields.next(), fields.next(), fields.next()) {
        (Some(Ok(_)), Some(Ok(size)), None) => Some(size),
        _ => None,
    }
}

/// The most frequent number of values at the end of lines, the first of equally frequent ones; the word before them may have spaces and may
/// itself be a number. `None` if no line ends in a value after a word.
fn usual_size<'a>(lines: impl Iterator<Item = &'a str>) -> Option<usize> {
    let mut counts: Vec<(usize, usize)> = Vec::new();
    for line in lines {
        let values = line.split_whitespace().rev().take_while(|field| value(field).is_some()).count();
        let size = values.min(line.split_whitespace().count().saturating_sub(1));
        match counts.iter_mut().find(|(known, _)| *known == size) {
            Some((_, count)) => *count += 1,
            None if size > 0 => counts.push((size, 1)),
            None => {}
        }
    }
    let most = counts.iter().map(|(_, count)| *count).max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(size, _)| size)
}

/// A finite value of a vector.
fn value(field: &str) -> Option<f32> {
    field.parse().ok().filter(|value: &f32| value.is_finite())
}

/// The word and the vector of a line; a word may contain spaces if the size is known. If `is_checked`, a line with more values than that is an
/// error.
fn vector(line: &str, size: Option<usize>, is_checked: bool) -> Result<(String, Vec<f32>), String> {
    let line = line.trim_end();
    let expected = || "expected a word and its values, separated by spaces".to_owned();
    let marks = [' ', '\t'];
    let at = match size {
        None => line.find(marks).ok_or_else(expected)?,
        Some(size) => {
            let found = line.rmatch_indices(marks).nth(size.saturating_sub(1)).map(|(at, _)| at);
            found.ok_or_else(|| format!("{}; vectors of this file have {size}", expected()))?
        }
    };
    let (word, rest) = line.split_at(at);
    let invalid = |field: &str| format!("{field:?} is not a finite number such as -0.27");
    let values = rest.split_whitespace().map(|field| value(field).ok_or_else(|| invalid(field)));
    let values = values.collect::<Result<Vec<f32>, String>>()?;
    if is_checked && word.split_whitespace().skip(1).any(|field| value(field).is_some()) {
        let found = line.split_whitespace().count() - 1;
        return Err(format!("{found} values, but the first line says {}; is the file complete?", values.len()));
    }
    match word.is_empty() || values.is_empty() || size.is_some_and(|size| size != values.len()) {
        true => Err(expected()),
        false => Ok((word.to_owned(), values)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, wanted: &[&str]) -> Result<WordVectors, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vectors.txt");
        std::fs::write(&path, text).unwrap();
        let read = read(&path, &wanted.iter().copied().collect());
        read.map_err(|error| error.to_string().rsplit('/').next().unwrap_or_default().to_owned())
    }

    #[test]
    fn all_text_formats_are_read() {
        for text in ["the 0.5 -1\nof 2 3e-1\n", "2 2\nthe 0.5 -1 \nof 2 3e-1\n", "the\t0.5\t-1\r\nof\t2\t0.3\r\n"] {
            let found = parse(text, &["of", "absent"]).unwrap();
            assert_eq!((found.size, found.count, found.skipped), (2, 2, None), "{text}");
            assert_eq!(found.vectors, HashMap::from([("of".to_owned(), vec![2.0, 0.3])]));
        }
    }

    #[test]
    fn words_in_another_case_match_if_there_is_no_exact_word() {
        let found = parse("Apple 1\nAPPLE 2\nIt 3\nit 4\n", &["apple", "it"]).unwrap();
        assert_eq!((&found.vectors["apple"], &found.vectors["it"]), (&vec![1.0], &vec![4.0]));
    }

    #[test]
    fn words_may_contain_spaces_and_bad_lines_are_skipped_with_a_note() {
        let found = parse("a 1 2\n. . . 3 4\nb 5\nc 6 x\nd NaN 1\ne 7 8\n", &[". . .", "e", "b", "c", "d"]).unwrap();
        assert_eq!((found.count, found.vectors.len()), (3, 2));
        assert_eq!((&found.vectors[". . ."], &found.vectors["e"]), (&vec![3.0, 4.0], &vec![7.0, 8.0]));
        let note = found.skipped.unwrap();
        assert!(note.starts_with("3 lines of word vectors were skipped; first: ") && note.contains("line 3"), "{note}");
    }

    #[test]
    fn the_first_word_may_contain_spaces_or_be_a_number() {
        let rest = "of 3 4\nin 5 6\n";
        for (first, word) in [(". . . 1 2\n", ". . ."), ("at 2000 1 2\n", "at 2000"), ("2000 1 2\n", "2000")] {
            let found = parse(&format!("{first}{rest}"), &[word, "in"]).unwrap();
            assert_eq!((found.size, found.count, found.skipped), (2, 3, None), "{first}");
            assert_eq!((&found.vectors[word], &found.vectors["in"]), (&vec![1.0, 2.0], &vec![5.0, 6.0]));
        }
        assert_eq!(parse(". . . 1 2\n", &[". . ."]).unwrap().vectors[". . ."], [1.0, 2.0]);
    }

    #[test]
    fn a_file_of_something_else_is_an_error() {
        for (text, part) in [
            ("", "vectors.txt: no vectors"),
            ("2 2\n", "vectors.txt: no vectors"),
            ("2 2\nthe 1 2 3\n", "vectors.txt, line 2: 3 values, but the first line says 2"),
            ("word\n", "vectors.txt, line 1: expected a word and its values"),
            ("{\"a\": 1}\n", "line 1: \"1}\" is not a finite number"),
        ] {
            let error = parse(text, &["a"]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(read(Path::new("absent.vec"), &HashSet::new()).unwrap_err().to_string().contains("absent.vec"));
    }
}
