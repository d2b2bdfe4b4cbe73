//! The list of all datasets, and datasets as the types that tasks read.

use std::path::Path;
use std::sync::LazyLock;

use crate::DataError;
use crate::classification::{Classification, Example};
use crate::corpus::Corpus;
use crate::generators;
use crate::nearest::did_you_mean;
use crate::published::Manifest;
pub use crate::published::Source;
use crate::records::Split;
use crate::scores::Metric;
use crate::series::Series;
use crate::settings::{DataSettings, Splits};
use crate::tagging::Tagging;
use crate::text::Tokenization;
use crate::transduction::{Pair, Transduction};

/// A dataset and its metadata.
#[derive(Debug)]
pub struct Dataset {
    /// The name in recipes.
    pub name: &'static str,
    /// The prediction task.
    pub kind: Kind,
    /// One line for listings.
    pub summary: &'static str,
    /// Example input for a trained model.
    pub example: &'static str,
    /// License or terms of use.
    pub license: &'static str,
    /// Source of the data.
    pub origin: Origin,
}

/// The prediction task of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Classification: one label per text.
    Labels,
    /// Language modeling: the next token of a text.
    Text,
    /// Tagging: one label per token of a sentence.
    Tags,
    /// Transduction (seq2seq): a target sequence for each source sequence.
    Pairs,
    /// Forecasting: the next values of a time series.
    Series,
}

/// Source of a dataset.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// Generated, identical on every machine.
    BuiltIn,
    /// Published files in the data folder.
    Files {
        /// The published files.
        files: &'static [Source],
    },
    /// A CSV file of the user's own, see [`table`](crate::table).
    Table,
}

/// A loaded dataset.
#[derive(Debug, Clone)]
pub enum Data {
    /// Labeled texts.
    Labeled(Classification),
    /// Running text.
    Text(Corpus),
    /// Sentences with one label per token.
    Tagged(Tagging),
    /// Pairs of source and target sequences.
    Pairs(Transduction),
    /// A time series.
    Series(Series),
}

impl Data {
    /// The dataset of a task, from records.
    ///
    /// # Errors
    /// If the task is unknown, or the records do not fit it.
    pub fn from_splits(splits: &Splits) -> Result<Self, DataError> {
        let columns = &splits.columns;
        Ok(match Kind::of_task(&splits.task)? {
            Kind::Labels => Data::Labeled(Classification::from_records(splits, columns)?),
            Kind::Text => Data::Text(Corpus::from_records(splits, columns)?),
            Kind::Tags => Data::Tagged(Tagging::from_records(splits, columns)?),
            Kind::Pairs => Data::Pairs(Transduction::from_records(splits, columns)?),
            Kind::Series => Data::Series(Series::from_records(splits, columns)?),
        })
    }

    /// SHA-256 digest of the training and validation splits.
    pub fn digest(&self) -> String {
        match self {
            Data::Labeled(data) => data.digest(),
            Data::Text(corpus) => corpus.digest(),
            Data::Tagged(data) => data.digest(),
            Data::Pairs(data) => data.digest(),
            Data::Series(series) => series.digest(),
        }
    }

    /// Removes empty inputs: texts, sources and sentences without a token at `level`. Call it before training and evaluation,
    /// so that every metric covers the same examples.
    pub fn remove_empty(&mut self, level: Tokenization) -> RemovedExamples {
        let is_empty = |text: &str| level.tokens(text).next().is_none();
        let mut left_out = RemovedExamples { level, count: 0, first: None };
        match self {
            Data::Labeled(Classification { labels, train, validation, test, .. }) => {
                for split in [train, validation, test] {
                    let describe = |example: &Example| format!("{:?} ({})", example.text, labels[example.label]);
                    left_out.retain(split, |example| !is_empty(&example.text), describe);
                }
            }
            Data::Pairs(Transduction { train, validation, test }) => {
                for split in [train, validation, test] {
                    let describe = |pair: &Pair| format!("{:?} (for {:?})", pair.source, pair.target);
                    left_out.retain(split, |pair| !is_empty(&pair.source), describe);
                }
            }
            Data::Tagged(Tagging { train, validation, test, .. }) => {
                for split in [train, validation, test] {
                    left_out.retain(split, |sentence| !sentence.tokens.is_empty(), |_| "a sentence".to_owned());
                }
            }
            Data::Text(_) | Data::Series(_) => {}
        }
        left_out
    }

    /// Whether [`Data::remove_empty`] would remove anything.
    pub fn has_empty(&self, level: Tokenization) -> bool {
        let is_empty = |text: &str| level.tokens(text).next().is_none();
        Split::ALL.into_iter().any(|split| match self {
            Data::Labeled(data) => data.split(split).iter().any(|example| is_empty(&example.text)),
            Data::Pairs(data) => data.split(split).iter().any(|pair| is_empty(&pair.source)),
            Data::Tagged(data) => data.split(split).iter().any(|sentence| sentence.tokens.is_empty()),
            Data::Text(_) | Data::Series(_) => false,
        })
    }

    /// Whether a split is empty.
    pub fn is_empty(&self, split: Split) -> bool {
        match self {
            Data::Labeled(data) => data.split(split).is_empty(),
            Data::Text(corpus) => corpus.split(split).is_empty(),
            Data::Tagged(data) => data.split(split).is_empty(),
            Data::Pairs(data) => data.split(split).is_empty(),
            Data::Series(series) => series.split(split).is_empty(),
        }
    }
}

/// Examples removed because they have no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedExamples {
    level: Tokenization,
    /// Number of removed examples.
    pub count: usize,
    /// Description of the first one.
    first: Option<String>,
}

impl RemovedExamples {
    /// Keeps the examples that satisfy `keep` and counts the others.
    fn retain<T>(&mut self, examples: &mut Vec<T>, keep: impl Fn(&T) -> bool, describe: impl Fn(&T) -> String) {
        if let Some(first) = examples.iter().find(|example| !keep(example)) {
            self.first.get_or_insert_with(|| describe(first));
        }
        let before = examples.len();
        examples.retain(keep);
        self.count += before - examples.len();
    }
}

/// A note for the user; the text and label of the first example help to find it.
impl std::fmt::Display for RemovedExamples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { level, count, first } = self;
        let (examples, were) = if *count == 1 { ("example", "was") } else { ("examples", "were") };
        let first = first.as_deref().unwrap_or_default();
        write!(
            f,
            "{count} {examples} without a token at text.level = {:?} {were} skipped; first: {first}",
            level.name()
        )
    }
}

impl Kind {
    /// Each kind with the name of its task in data settings.
    const TASKS: [(Kind, &'static str); 5] = [
        (Kind::Labels, "classification"),
        (Kind::Text, "language-modeling"),
        (Kind::Tags, "tagging"),
        (Kind::Pairs, "transduction"),
        (Kind::Series, "forecasting"),
    ];

    /// The kind of data of a task.
    ///
    /// # Errors
    /// If there is no such task.
    pub fn of_task(task: &str) -> Result<Self, DataError> {
        let known = || Self::TASKS.map(|(_, name)| name);
        let unknown = || {
            let hint = did_you_mean(task, known());
            DataError::setting("data.task", task, format!("unknown task{hint}; available: {}", known().join(", ")))
        };
        Self::TASKS.into_iter().find(|(_, name)| *name == task).map(|(kind, _)| kind).ok_or_else(unknown)
    }

    /// The metrics of this task.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Kind::Labels | Kind::Tags => &[Metric::Accuracy, Metric::MacroF1, Metric::Loss],
            Kind::Text | Kind::Pairs => &[Metric::Accuracy, Metric::Loss],
            Kind::Series => &[Metric::Rmse, Metric::Loss],
        }
    }
}

/// Every dataset, in listing order: the generated ones, then those of files.
pub fn all() -> &'static [Dataset] {
    static ALL: LazyLock<Vec<Dataset>> = LazyLock::new(|| {
        let generated = generators::ALL.iter().map(|generator| Dataset {
            name: generator.name,
            kind: Kind::of_task(generator.columns().task().unwrap_or_default()).expect("a test loads every generator"),
            summary: generator.summary,
            example: generator.example,
            license: "same as seqzoo",
            origin: Origin::BuiltIn,
        });
        let published = Manifest::all().iter().map(|manifest| Dataset {
            name: &manifest.name,
            kind: Kind::of_task(&manifest.data.task().unwrap_or_default()).expect("a test checks every manifest"),
            summary: &manifest.summary,
            example: &manifest.example,
            license: &manifest.license,
            origin: if manifest.files.is_empty() { Origin::Table } else { Origin::Files { files: &manifest.files } },
        });
        generated.chain(published).collect()
    });
    &ALL
}

impl Dataset {
    /// The dataset with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        all().iter().find(|dataset| dataset.name == name)
    }

    /// Published files; empty if there are none.
    pub fn files(&self) -> &'static [Source] {
        match self.origin {
            Origin::BuiltIn | Origin::Table => &[],
            Origin::Files { files } => files,
        }
    }

    /// Loads the dataset; published files are searched in `dir`.
    ///
    /// # Errors
    /// [`DataError`], which names the file and the fix.
    pub fn load(&self, dir: &Path) -> Result<Data, DataError> {
        let settings = DataSettings { dataset: Some(self.name.to_owned()), ..DataSettings::default() };
        Data::from_splits(&settings.load(dir)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tagging::Sentence;
    use std::sync::Arc;

    #[test]
    fn examples_without_tokens_are_skipped_with_a_note() {
        let example = |text: &str, label| Example { text: text.to_owned(), label, groups: Arc::default() };
        let labeled = Classification {
            labels: ["Korean", "Polish"].map(str::to_owned).to_vec(),
            train: vec![example("Han", 0), example("-", 0), example("Wit", 1)],
            validation: vec![example(" ;", 1), example("Lis", 1)],
            ..Classification::default()
        };
        let mut data = Data::Labeled(labeled.clone());
        assert_eq!([Tokenization::Words, Tokenization::Characters].map(|level| data.has_empty(level)), [true, false]);
        let words = data.remove_empty(Tokenization::Words);
        let note = r#"2 examples without a token at text.level = "words" were skipped; first: "-" (Korean)"#;
        assert_eq!((words.count, words.to_string()), (2, note.to_owned()));
        let Data::Labeled(left) = &data else { unreachable!("its kind stays") };
        let texts: Vec<&str> = left.train.iter().chain(&left.validation).map(|example| &*example.text).collect();
        assert_eq!(texts, ["Han", "Wit", "Lis"]);
        assert_eq!(data.remove_empty(Tokenization::Words).count, 0);
        assert_eq!(
            Data::Labeled(labeled).remove_empty(Tokenization::Characters).count,
            0,
            "every character is a token"
        );

        let pair = |source: &str| Pair { source: source.to_owned(), target: "-".to_owned(), groups: Arc::default() };
        let mut pairs = Data::Pairs(Transduction { test: vec![pair("-"), pair("a")], ..Transduction::default() });
        assert_eq!(
            (pairs.remove_empty(Tokenization::Words).count, pairs.remove_empty(Tokenization::Words).count),
            (1, 0)
        );
        let mut tagged = Data::Tagged(Tagging { train: vec![Sentence::default()], ..Tagging::default() });
        assert_eq!((tagged.remove_empty(Tokenization::Words).count, tagged.is_empty(Split::Train)), (1, true));
    }
}
