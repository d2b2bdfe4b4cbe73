//! Tiny Shakespeare: 1,115,394 characters of his plays, after Karpathy, "The unreasonable effectiveness of recurrent neural
//! networks", 2015.

use std::path::Path;

use crate::DataError;
use crate::corpus::Corpus;

/// Where it is kept.
pub const SOURCE: &str = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt";

/// Loads `input.txt` from `dir` or its folder `tiny_shakespeare`; the last tenth is the validation part, as is customary.
///
/// # Errors
/// If it is not there, or is no text.
pub fn load(dir: &Path) -> Result<Corpus, DataError> {
    let places = [dir.join("tiny_shakespeare/input.txt"), dir.join("input.txt")];
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Corpus::read(place),
        None => Err(DataError::Missing { dataset: "shakespeare", dir: dir.to_owned(), hint: hint() }),
    }
}

/// How to get the data.
pub fn hint() -> String {
    format!("download {SOURCE} (1.1 MB) into DIR/tiny_shakespeare")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_in_its_folder_and_missed_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("no shakespeare data") && error.contains(SOURCE), "{error}");
        let folder = dir.path().join("tiny_shakespeare");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("input.txt"), "To be, or not. ".repeat(20)).unwrap();
        for place in [dir.path(), &folder] {
            let corpus = load(place).unwrap();
            assert_eq!([corpus.train.len(), corpus.validation.len(), corpus.test.len()], [270, 30, 0]);
        }
    }
}
