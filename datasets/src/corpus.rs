//! Datasets for language modeling.

use std::path::Path;

use crate::DataError;
use crate::cleaning::Cleaning;
use crate::columns::Columns;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::ngram::NGrams;
use crate::records::{Records, Split};
use crate::scores::{Evaluation, Metric, Scores, metrics};
use crate::settings::{DataSettings, Paths};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::text::{Tokenization, UNKNOWN, Vocabulary};

/// Data for language modeling.
pub static DATA: DataSpec = DataSpec {
    task: "language-model",
    roles: &[Role::required("text", Content::Text, "Column of the texts.")],
    fields: &[],
    default_format: Some("text"),
    default_split: SplitRule::Characters { validation: 0.1, test: 0.0 },
    split_rules: &["characters", "folds", "rows", "shuffle", "every"],
    split_note: "running text has no timestamps",
};

/// Share of unknown tokens among the predicted ones, all but the first; `None` if there are none.
pub fn unknown_share(tokens: &[u32]) -> Option<f64> {
    let predicted = tokens.get(1..).filter(|predicted| !predicted.is_empty())?;
    let unknown = predicted.iter().filter(|&&token| token == UNKNOWN).count();
    Some(unknown as f64 / predicted.len() as f64)
}

metrics! {
    /// Perplexity per predicted token: e to the power of the mean loss in nats.
    pub const PERPLEXITY = Lower("perplexity", "per token");

    /// Bits per character: the loss of all predicted tokens in bits, divided by the number of characters of the text after its first token. It
    /// compares models of different tokens that keep the whole text, such as characters and subwords; tokens that drop a part of it, such as
    /// the case of words, and unknown tokens, which count as the same one, make it smaller.
    pub const BITS_PER_CHARACTER = Lower("bits-per-character", "bits");
}

/// Number of characters per predicted token of a text at a level; its first token is not predicted.
pub fn characters_per_prediction(text: &str, level: Tokenization, tokens: usize) -> f64 {
    let first = level.tokens(text).next().map_or(0, |token| token.chars().count());
    text.chars().count().saturating_sub(first) as f64 / tokens.saturating_sub(1).max(1) as f64
}

/// Adds perplexity and bits per character, which follow from the loss.
pub fn add_derived(scores: &mut Scores, characters_per_prediction: f64) {
    if let Some(loss) = scores.get(Metric::LOSS) {
        scores.insert(PERPLEXITY, loss.exp());
        scores.insert(BITS_PER_CHARACTER, loss / std::f64::consts::LN_2 / characters_per_prediction);
    }
}

/// A loaded dataset for language modeling: running text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Corpus {
    /// Training split.
    pub train: String,
    /// Validation split.
    pub validation: String,
    /// Test split; may be empty.
    pub test: String,
    /// Cleaning applied to these texts; a model needs it for new texts too.
    pub cleaning: Cleaning,
}

impl Corpus {
    /// Converts records, using the column `text`; a line end is added between rows that have none.
    ///
    /// # Errors
    /// If the column is missing.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let name = splits.columns.need("text")?;
        let text =
            |records: &Records| if records.is_empty() { Ok(String::new()) } else { records.joined("text", name) };
        Ok(Self {
            train: text(&splits.train)?,
            validation: text(&splits.validation)?,
            test: text(&splits.test)?,
            cleaning: splits.cleaning.clone(),
        })
    }

    /// Reads a text file as a corpus; the last tenth becomes the validation split.
    ///
    /// # Errors
    /// If the file cannot be read, is not text, or has fewer than 100 characters.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let columns = Columns::default().with("text", "text");
        let files = Paths(vec![path.to_owned()]);
        let settings = DataSettings { format: Some("text".to_owned()), files, columns, ..DataSettings::default() };
        Self::from_records(&settings.load(Path::new(""), &DATA)?)
    }

    /// The text of a split.
    pub fn split(&self, split: Split) -> &str {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// Evaluates n-grams, of up to six characters or three words, on a split. They share the vocabulary of the model, with all
    /// unknown tokens as one event, so that the losses are comparable.
    pub fn baselines(
        &self,
        split: Split,
        level: Tokenization,
        vocabulary: &Vocabulary,
    ) -> Vec<(&'static str, Evaluation)> {
        let max_n = if level == Tokenization::Characters { 6 } else { 3 };
        let [train, evaluated] = [&self.train, self.split(split)];
        let [train, text] = [train, evaluated].map(|text| vocabulary.encode(level, text));
        let padding = 1;
        let (examples, loss) = NGrams::fit(&train, vocabulary.size() - padding, max_n).loss(&text);
        let mut all = Scores::new(examples, [(Metric::LOSS, loss)]);
        add_derived(&mut all, characters_per_prediction(evaluated, level, text.len()));
        vec![("n-grams", Evaluation { unknown: unknown_share(&text), ..Evaluation::of(all) })]
    }

    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        [&self.train, &self.validation].into_iter().for_each(|text| digest.text(text));
        digest.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baseline_treats_all_unknown_tokens_as_one_event() {
        // `a` is known; `u` and `v` occur once each.
        let corpus = Corpus { train: "a u a v".to_owned(), validation: "a q a".to_owned(), ..Corpus::default() };
        let vocabulary = Vocabulary::build(Tokenization::Words.tokens(&corpus.train), 2, 9);
        let (name, found) = corpus.baselines(Split::Validation, Tokenization::Words, &vocabulary).remove(0);
        // Two events: P_0 = 1/2, P_1 = (2 + 2/2) / 6 each. Two unknown tokens follow `a`: P_2 = (2 + 1/2) / 3.
        // `a` follows an unknown token, P_2 = (1 + 1/2) / 2, and `a` with an unknown token: P_3 = (1 + 3/4) / 2.
        let loss = -((2.5f64 / 3.0).ln() + (1.75f64 / 2.0).ln()) / 2.0;
        assert_eq!((name, found.all.examples, found.unknown), ("n-grams", 2, Some(0.5)));
        assert!((found.all.get(Metric::LOSS).unwrap() - loss).abs() < 1e-12);
        // Without known tokens there is a single event, with probability 1.
        let none = Vocabulary::build(Tokenization::Words.tokens(&corpus.train), 3, 9);
        let (_, found) = corpus.baselines(Split::Validation, Tokenization::Words, &none).remove(0);
        assert_eq!((found.all.get(Metric::LOSS), found.unknown), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn files_are_split_at_character_boundaries_and_errors_name_the_file() {
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
