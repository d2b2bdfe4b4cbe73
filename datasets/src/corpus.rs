//! What a dataset of running text consists of.

use std::path::Path;

use crate::DataError;
use crate::classification::Split;
use crate::cleaning::Cleaning;
use crate::digest::Digest;
use crate::ngram::NGrams;
use crate::reading;
use crate::scores::{Evaluation, Metric, Scores};
use crate::text::{Level, UNKNOWN, Vocabulary};

/// Characters of the shortest file that serves as a corpus.
const LEAST: usize = 100;

/// Share of the tokens to be predicted, all but the first, that are unknown; `None` if there is none to predict.
pub fn unknown_share(tokens: &[u32]) -> Option<f64> {
    let predicted = tokens.get(1..).filter(|predicted| !predicted.is_empty())?;
    let unknown = predicted.iter().filter(|&&token| token == UNKNOWN).count();
    Some(unknown as f64 / predicted.len() as f64)
}

/// The text of a file, cleaned as language models read it.
pub(crate) fn text(path: &Path) -> Result<String, DataError> {
    Ok(Cleaning::default().apply(&reading::text(path)?).into_owned())
}

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
    /// A text file as a corpus: its last tenth is the validation part.
    ///
    /// # Errors
    /// If it cannot be read, is not text, or is too short to be cut into parts.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = text(path)?;
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

    /// How well counts of up to six neighboring characters, or three words, predict a split, over the vocabulary of a model:
    /// the same tokens, of which all unknown ones are one, so that the losses are comparable.
    pub fn baselines(&self, split: Split, level: Level, vocabulary: &Vocabulary) -> Vec<(&'static str, Evaluation)> {
        let longest = if level == Level::Characters { 6 } else { 3 };
        let [train, text] = [&self.train, self.split(split)].map(|text| vocabulary.encode(level, text));
        let padding = 1;
        let (examples, loss) = NGrams::of(&train, vocabulary.size() - padding, longest).loss(&text);
        let all = Scores::new(examples, [(Metric::Loss, loss)]);
        vec![("n-grams", Evaluation { unknown: unknown_share(&text), ..Evaluation::of(all) })]
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
    fn the_baseline_predicts_the_tokens_of_the_vocabulary_of_which_all_unknown_ones_are_one() {
        // `a` is known; `u` to `z` occur once each.
        let corpus = Corpus { train: "a u a v".to_owned(), validation: "a q a".to_owned(), test: String::new() };
        let vocabulary = Vocabulary::of(Level::Words.tokens(&corpus.train), 2, 9);
        let (name, found) = corpus.baselines(Split::Validation, Level::Words, &vocabulary).remove(0);
        // Of two events, P_0 = 1/2 and P_1 = (2 + 2/2) / 6 each. Behind `a` came two unknown ones: P_2 = (2 + 1/2) / 3.
        // Behind an unknown one came `a`, P_2 = (1 + 1/2) / 2, and behind `a` and it too: P_3 = (1 + 3/4) / 2.
        let loss = -((2.5f64 / 3.0).ln() + (1.75f64 / 2.0).ln()) / 2.0;
        assert_eq!((name, found.all.examples, found.unknown), ("n-grams", 2, Some(0.5)));
        assert!((found.all.get(Metric::Loss).unwrap() - loss).abs() < 1e-12);
        // With no token known there is one event, which is certain.
        let none = Vocabulary::of(Level::Words.tokens(&corpus.train), 3, 9);
        let (_, found) = corpus.baselines(Split::Validation, Level::Words, &none).remove(0);
        assert_eq!((found.all.get(Metric::Loss), found.unknown), (Some(0.0), Some(1.0)));
    }

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
