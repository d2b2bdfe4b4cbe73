//! Pretrained word vectors in the text formats of GloVe, fastText and word2vec.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::DataError;
use crate::reading::{Input, is_blank};

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

/// Reads the vectors of some words from a text file: a word and its values per line, separated by spaces or tabs, after an optional line
/// with the number and the size of the vectors. The file may be compressed.
///
/// A word that the file has only in another case takes the first vector of such a word. A later line that is not a vector of the same
/// size is skipped, with a note.
///
/// # Errors
/// If the file cannot be read, or its first line is not a vector.
pub fn read(path: &Path, wanted: &HashSet<&str>) -> Result<WordVectors, DataError> {
    let input = Input::file(path);
    let lower: HashSet<String> = wanted.iter().map(|word| word.to_lowercase()).collect();
    let (mut exact, mut folded): (HashMap<String, Vec<f32>>, HashMap<String, Vec<f32>>) = Default::default();
    let (mut size, mut count, mut skipped, mut first_skipped) = (None, 0, 0, None);
    for line in input.lines()? {
        let found = match line {
            Ok(line) if is_blank(&line.text) => continue,
            Ok(line) if size.is_none() && is_header(&line.text) => {
                size = line.text.split_whitespace().nth(1).and_then(|size| size.parse().ok());
                continue;
            }
            Ok(line) => {
                vector(&line.text, size, count == 0).map_err(|detail| DataError::line(path, line.number, detail))
            }
            Err(error @ DataError::Line { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        match found {
            Ok((word, vector)) => {
                size = Some(vector.len());
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

/// Whether a line has the number and the size of the vectors.
fn is_header(line: &str) -> bool {
    let mut fields = line.split_whitespace();
    let numbers = [fields.next(), fields.next()].map(|field| field.and_then(|field| field.parse::<usize>().ok()));
    numbers.iter().all(Option::is_some) && fields.next().is_none()
}

/// The word and the vector of a line; a word may contain spaces if the size is known.
fn vector(line: &str, size: Option<usize>, is_first: bool) -> Result<(String, Vec<f32>), String> {
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
    let value = |field: &str| field.parse::<f32>().ok().filter(|value| value.is_finite());
    let invalid = |field: &str| format!("{field:?} is not a finite number such as -0.27");
    let values = rest.split_whitespace().map(|field| value(field).ok_or_else(|| invalid(field)));
    let values = values.collect::<Result<Vec<f32>, String>>()?;
    if is_first && word.split_whitespace().skip(1).any(|field| value(field).is_some()) {
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
