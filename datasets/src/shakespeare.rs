//! Tiny Shakespeare: 1,115,394 characters of Shakespeare's plays, from Karpathy, "The unreasonable effectiveness of recurrent neural
//! networks", 2015.

use std::path::Path;

use crate::DataError;
use crate::catalog::{Data, Dataset, Origin, Source};
use crate::corpus::Corpus;

/// Metadata of the dataset.
pub static DATASET: Dataset = Dataset {
    name: "shakespeare",
    summary: "1,115,394 characters of Shakespeare's plays; Karpathy 2015",
    example: "ROMEO:",
    license: "public domain",
    origin: Origin::Files { files: &FILES, load: |dir| load(dir).map(Data::Text) },
};

const FILES: [Source; 1] = [Source::new(
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    "tiny_shakespeare/input.txt",
    Some("86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"),
)];

/// Loads `input.txt` from `dir` or `dir/tiny_shakespeare`; the last tenth is the validation split, as is customary.
///
/// # Errors
/// If the file is missing or is not text.
pub fn load(dir: &Path) -> Result<Corpus, DataError> {
    Corpus::read(&DATASET.folder(dir)?.join("input.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_in_its_folder_or_reported_missing() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains("no shakespeare data") && error.contains(FILES[0].url), "{error}");
        let folder = dir.path().join("tiny_shakespeare");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("input.txt"), "To be, or not. ".repeat(20)).unwrap();
        for dir in [dir.path(), &folder] {
            let corpus = load(dir).unwrap();
            assert_eq!([corpus.train.len(), corpus.validation.len(), corpus.test.len()], [270, 30, 0]);
        }
    }
}
