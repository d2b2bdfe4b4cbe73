//! The closed list of data sets that a recipe may name.

use std::path::Path;

use crate::classification::{Classification, Split};
use crate::corpus::Corpus;
use crate::{DataError, agreement, imdb, ptb, sentences, shakespeare};

/// A data set that a recipe may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dataset {
    /// Subject–verb agreement, generated.
    Agreement,
    /// Movie reviews, positive or negative.
    Imdb,
    /// Generated sentences as running text.
    Sentences,
    /// Plays, by characters.
    Shakespeare,
    /// News, by words.
    Ptb,
}

/// A data set, loaded.
#[derive(Debug, Clone)]
pub enum Data {
    /// Labelled texts.
    Labelled(Classification),
    /// Running text.
    Text(Corpus),
}

impl Data {
    /// SHA-256 of what is learnt from.
    pub fn digest(&self) -> String {
        match self {
            Data::Labelled(data) => data.digest(),
            Data::Text(corpus) => corpus.digest(),
        }
    }

    /// Whether a part has nothing in it.
    pub fn is_empty(&self, split: Split) -> bool {
        match self {
            Data::Labelled(data) => data.split(split).is_empty(),
            Data::Text(corpus) => corpus.split(split).is_empty(),
        }
    }

    /// What answers that need no training reach on a part.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, f64)> {
        match self {
            Data::Labelled(data) => data.baselines(split),
            Data::Text(_) => Vec::new(),
        }
    }
}

impl Dataset {
    /// Every data set.
    pub const ALL: [Dataset; 5] =
        [Dataset::Agreement, Dataset::Imdb, Dataset::Sentences, Dataset::Shakespeare, Dataset::Ptb];

    /// Whether it is running text.
    pub fn is_text(self) -> bool {
        matches!(self, Dataset::Sentences | Dataset::Shakespeare | Dataset::Ptb)
    }

    /// The name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Dataset::Agreement => "agreement",
            Dataset::Imdb => "imdb",
            Dataset::Sentences => "sentences",
            Dataset::Shakespeare => "shakespeare",
            Dataset::Ptb => "ptb",
        }
    }

    /// One line for listings.
    pub fn summary(self) -> &'static str {
        match self {
            Dataset::Agreement => "30,000 generated sentences: which verb form continues them? Built in",
            Dataset::Imdb => "25,000 (or 50,000) movie reviews, positive or negative; Maas et al. 2011",
            Dataset::Sentences => "6,000 sentences of `agreement` as running text. Built in",
            Dataset::Shakespeare => "1,115,394 characters of Shakespeare's plays; Karpathy 2015",
            Dataset::Ptb => "1 million words of the Penn Treebank, 10,000 kinds; Mikolov et al. 2010",
        }
    }

    /// A text to try a trained model on.
    pub fn example(self) -> &'static str {
        match self {
            Dataset::Agreement => "the keys to the cabinet",
            Dataset::Imdb => "a slow start, but what a moving story!",
            Dataset::Sentences => "the keys to the cabinet ",
            Dataset::Shakespeare => "ROMEO:",
            Dataset::Ptb => "the company said",
        }
    }

    /// The data set of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dataset| dataset.name() == name)
    }

    /// Loads it; data sets that are files are looked for in `dir`.
    ///
    /// # Errors
    /// [`DataError`], which names the file and the way out.
    pub fn load(self, dir: Option<&Path>) -> Result<Data, DataError> {
        match self {
            Dataset::Agreement => Ok(Data::Labelled(agreement::load())),
            Dataset::Sentences => Ok(Data::Text(sentences::load())),
            Dataset::Imdb => imdb::load(self.folder(dir, imdb::hint)?).map(Data::Labelled),
            Dataset::Shakespeare => shakespeare::load(self.folder(dir, shakespeare::hint)?).map(Data::Text),
            Dataset::Ptb => ptb::load(self.folder(dir, ptb::hint)?).map(Data::Text),
        }
    }

    /// The folder in which files are looked for.
    fn folder(self, dir: Option<&Path>, hint: fn() -> String) -> Result<&Path, DataError> {
        dir.ok_or_else(|| DataError::NoFolder { dataset: self.name(), hint: hint() })
    }
}
