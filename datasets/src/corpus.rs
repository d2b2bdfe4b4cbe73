//! What a data set of running text consists of.

use std::path::Path;

use crate::classification::Split;
use crate::digest::Digest;
use crate::ngram::NGrams;
use crate::scores::{Evaluation, Metric, Scores};
use crate::text::Level;
use crate::{DataError, read_text};

/// Characters of the shortest file that serves as a corpus.
const LEAST: usize = 100;

/// Running text in parts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corpus {
    /// Text to learn from.
    pub train: String,
    /// Text that decides when to stop.
    pub validation: String,
    /// Text to report on; empty where there is none.
    pub test: String,
}

impl Corpus {
    /// A text file as a corpus: its last tenth is the validation part. Lines that end as in Windows end as elsewhere.
    ///
    /// # Errors
    /// If it cannot be read, is not UTF-8, or is too short to be cut into parts.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = read_text(path)?.replace("\r\n", "\n");
        let characters = text.chars().count();
        if characters < LEAST {
            let detail = format!("{characters} characters are too few to learn from; at least {LEAST} are needed");
            return Err(DataError::unfit(path, detail));
        }
        let cut = text.char_indices().nth(characters * 9 / 10).map_or(text.len(), |(cut, _)| cut);
        let (train, validation) = text.split_at(cut);
        Ok(Self { train: train.to_owned(), validation: validation.to_owned(), test: String::new() })
    }

    /// The text of a part.
    pub fn split(&self, split: Split) -> &str {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// How well counts of neighbouring tokens predict a part.
    pub fn baselines(&self, split: Split, level: Level) -> Vec<(&'static str, Evaluation)> {
        let (examples, loss) = NGrams::of(&self.train, level).loss(self.split(split));
        let all = Scores::new(examples, [(Metric::Loss, loss)]);
        vec![("n-grams", Evaluation { all, ..Evaluation::default() })]
    }

    /// SHA-256 over the training and validation parts: two runs with the same digest learn from the same text.
    pub fn digest(&self) -> String {
        let mut digest = Digest::new();
        [&self.train, &self.validation].into_iter().for_each(|part| digest.text(part));
        digest.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_cut_into_parts_between_characters_or_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text.txt");
        std::fs::write(&path, "äöü ".repeat(50)).unwrap();
        let corpus = Corpus::read(&path).unwrap();
        assert_eq!((corpus.train.chars().count(), corpus.validation.chars().count()), (180, 20));
        std::fs::write(&path, "one line\r\n".repeat(20)).unwrap();
        assert_eq!(Corpus::read(&path).unwrap().train, "one line\n".repeat(18));
        for (bytes, part) in [(&b"short"[..], "5 characters are too few"), (b"a\n\xff", "text.txt, line 2: not UTF-8")]
        {
            std::fs::write(&path, bytes).unwrap();
            let error = Corpus::read(&path).unwrap_err().to_string();
            assert!(error.contains("text.txt") && error.contains(part), "{error}");
        }
        assert!(Corpus::read(&dir.path().join("absent")).is_err());
    }
}
