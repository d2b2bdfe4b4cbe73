//! The closed list of datasets that a recipe may name.

use std::path::{Path, PathBuf};

use crate::DataError;
use crate::classification::{Classification, Example, Split};
use crate::corpus::Corpus;
use crate::scores::Metric;
use crate::series::Series;
use crate::tagging::Tagging;
use crate::text::Level;
use crate::transduction::{Pair, Transduction};

/// Makes the list of the datasets that modules of this crate describe.
macro_rules! datasets {
    ($($module:ident),* $(,)?) => {
        /// Every dataset, in the order of listings; each is described where it is read.
        pub static ALL: [&Dataset; [$(stringify!($module)),*].len()] = [$(&crate::$module::DATASET),*];
    };
}

datasets![agreement, recall, names, imdb, pos, sentences, shakespeare, ptb, execute, temperatures, table];

/// A dataset that a recipe may name.
#[derive(Debug)]
pub struct Dataset {
    /// The name in recipes.
    pub name: &'static str,
    /// What is predicted of it.
    pub kind: Kind,
    /// One line for listings.
    pub summary: &'static str,
    /// What to ask a trained model.
    pub example: &'static str,
    /// Under which terms it may be used.
    pub license: &'static str,
    /// Where it comes from.
    pub origin: Origin,
}

/// What is predicted of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A label of a text.
    Labels,
    /// The next token of running text.
    Text,
    /// A label of every token of a sentence.
    Tags,
    /// A sequence made of another.
    Pairs,
    /// The next values of a series of measurements.
    Series,
}

/// Where a dataset comes from.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// Generated: the same on every machine.
    BuiltIn(fn() -> Data),
    /// Read as published from a folder of data.
    Files {
        /// What is published, the file by which it is found first.
        files: &'static [Source],
        /// Reads it from that folder.
        load: fn(&Path) -> Result<Data, DataError>,
    },
    /// A table that the user names, see [`table`](crate::table).
    Table,
}

/// A published file.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Where it is kept.
    pub address: &'static str,
    /// Where it is put, below the folder of data.
    pub path: &'static str,
    /// Of its bytes, in hexadecimal digits; `None` where publishers change it or it was not at hand.
    pub sha256: Option<&'static str>,
    /// Whether data without it serve too.
    pub optional: bool,
}

/// A dataset, loaded.
#[derive(Debug, Clone)]
pub enum Data {
    /// Labeled texts.
    Labeled(Classification),
    /// Running text.
    Text(Corpus),
    /// Sentences with a label for every token.
    Tagged(Tagging),
    /// Sequences and what they are turned into.
    Pairs(Transduction),
    /// Measurements over time.
    Series(Series),
}

impl Data {
    /// SHA-256 of what is learned from.
    pub fn digest(&self) -> String {
        match self {
            Data::Labeled(data) => data.digest(),
            Data::Text(corpus) => corpus.digest(),
            Data::Tagged(data) => data.digest(),
            Data::Pairs(data) => data.digest(),
            Data::Series(series) => series.digest(),
        }
    }

    /// Removes what no network can read: texts, sources and sentences without a token at `level`. Call it before anything
    /// is trained or measured, so that every figure is over the same examples.
    pub fn leave_out_empty(&mut self, level: Level) -> LeftOut {
        let is_empty = |text: &str| level.tokens(text).next().is_none();
        let mut left_out = LeftOut { level, count: 0, first: None };
        match self {
            Data::Labeled(Classification { labels, train, validation, test, .. }) => {
                for part in [train, validation, test] {
                    let told = |example: &Example| format!("{:?} ({})", example.text, labels[example.label]);
                    left_out.retain(part, |example| !is_empty(&example.text), told);
                }
            }
            Data::Pairs(Transduction { train, validation, test }) => {
                for part in [train, validation, test] {
                    let told = |pair: &Pair| format!("{:?} (for {:?})", pair.source, pair.target);
                    left_out.retain(part, |pair| !is_empty(&pair.source), told);
                }
            }
            Data::Tagged(Tagging { train, validation, test, .. }) => {
                for part in [train, validation, test] {
                    left_out.retain(part, |sentence| !sentence.tokens.is_empty(), |_| "a sentence".to_owned());
                }
            }
            Data::Text(_) | Data::Series(_) => {}
        }
        left_out
    }

    /// Whether [`Data::leave_out_empty`] would remove anything.
    pub fn has_empty(&self, level: Level) -> bool {
        let is_empty = |text: &str| level.tokens(text).next().is_none();
        Split::ALL.into_iter().any(|split| match self {
            Data::Labeled(data) => data.split(split).iter().any(|example| is_empty(&example.text)),
            Data::Pairs(data) => data.split(split).iter().any(|pair| is_empty(&pair.source)),
            Data::Tagged(data) => data.split(split).iter().any(|sentence| sentence.tokens.is_empty()),
            Data::Text(_) | Data::Series(_) => false,
        })
    }

    /// Whether a part has nothing in it.
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

/// Examples that were left out because they have no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    level: Level,
    /// How many.
    pub count: usize,
    /// The first one.
    first: Option<String>,
}

impl LeftOut {
    /// Keeps some examples and counts the others.
    fn retain<T>(&mut self, examples: &mut Vec<T>, keep: impl Fn(&T) -> bool, told: impl Fn(&T) -> String) {
        if let Some(first) = examples.iter().find(|example| !keep(example)) {
            self.first.get_or_insert_with(|| told(first));
        }
        let before = examples.len();
        examples.retain(keep);
        self.count += before - examples.len();
    }
}

/// As a note for people, who can find the first one by its text and label.
impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { level, count, first } = self;
        let (examples, are) = if *count == 1 { ("example", "is") } else { ("examples", "are") };
        let first = first.as_deref().unwrap_or_default();
        write!(
            f,
            "{count} {examples} without a token at text.level = {:?} {are} left out, the first {first}",
            level.name()
        )
    }
}

impl Kind {
    /// What can be measured of its predictions.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Kind::Labels | Kind::Tags => &[Metric::Accuracy, Metric::MacroF1, Metric::Loss],
            Kind::Text | Kind::Pairs => &[Metric::Accuracy, Metric::Loss],
            Kind::Series => &[Metric::Rmse, Metric::Loss],
        }
    }
}

impl Source {
    /// A file without which the data do not serve.
    pub const fn new(address: &'static str, path: &'static str, sha256: Option<&'static str>) -> Self {
        Self { address, path, sha256, optional: false }
    }

    /// A file without which they serve too.
    pub const fn optional(address: &'static str, path: &'static str, sha256: Option<&'static str>) -> Self {
        Self { address, path, sha256, optional: true }
    }

    /// Where it may lie: where `data fetch` puts it, or without some of the folders around it.
    fn places(&self, dir: &Path) -> impl Iterator<Item = PathBuf> {
        let path = Path::new(self.path);
        let without = |folders: usize| path.components().skip(folders).collect::<PathBuf>();
        (0..path.components().count()).map(move |folders| dir.join(without(folders)))
    }
}

impl Dataset {
    /// The dataset of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|dataset| dataset.name == name)
    }

    /// Its published files; none where it is built in.
    pub fn files(&self) -> &'static [Source] {
        match self.origin {
            Origin::BuiltIn(_) | Origin::Table => &[],
            Origin::Files { files, .. } => files,
        }
    }

    /// Loads it; datasets that are files are looked for in `dir`.
    ///
    /// # Errors
    /// [`DataError`], which names the file and the way out.
    pub fn load(&self, dir: &Path) -> Result<Data, DataError> {
        match self.origin {
            Origin::BuiltIn(load) => Ok(load()),
            Origin::Files { load, .. } => load(dir),
            Origin::Table => Err(DataError::NoTable),
        }
    }

    /// The folder in which its first file lies: as `data fetch` puts it below `dir`, or `dir` itself.
    ///
    /// # Errors
    /// [`DataError::Missing`].
    pub(crate) fn folder(&self, dir: &Path) -> Result<PathBuf, DataError> {
        let places = self.files().first().into_iter().flat_map(|file| file.places(dir));
        let found = places.filter(|place| place.is_file()).find_map(|place| place.parent().map(Path::to_owned));
        found.ok_or_else(|| self.missing(dir))
    }

    /// It is not where it was looked for.
    pub(crate) fn missing(&self, dir: &Path) -> DataError {
        DataError::Missing { dataset: self.name, dir: dir.to_owned(), hint: self.hint() }
    }

    /// How to get it.
    pub fn hint(&self) -> String {
        let first = self.files().first().map_or("", |file| file.address);
        let others = if self.files().len() > 1 { " and its other files" } else { "" };
        let name = self.name;
        format!(
            "`seqzoo data fetch {name} --data-dir DIR` gets {first}{others}; `seqzoo data show {name}` tells of them"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tagging::Sentence;
    use std::sync::Arc;

    #[test]
    fn what_has_no_token_at_the_level_is_left_out_and_told() {
        let example = |text: &str, label| Example { text: text.to_owned(), label, groups: Arc::default() };
        let labeled = Classification {
            labels: ["Korean", "Polish"].map(str::to_owned).to_vec(),
            train: vec![example("Han", 0), example("-", 0), example("Wit", 1)],
            validation: vec![example(" ;", 1), example("Lis", 1)],
            ..Classification::default()
        };
        let mut data = Data::Labeled(labeled.clone());
        assert_eq!([Level::Words, Level::Characters].map(|level| data.has_empty(level)), [true, false]);
        let words = data.leave_out_empty(Level::Words);
        let note = r#"2 examples without a token at text.level = "words" are left out, the first "-" (Korean)"#;
        assert_eq!((words.count, words.to_string()), (2, note.to_owned()));
        let Data::Labeled(left) = &data else { unreachable!("its kind stays") };
        let texts: Vec<&str> = left.train.iter().chain(&left.validation).map(|example| &*example.text).collect();
        assert_eq!(texts, ["Han", "Wit", "Lis"]);
        assert_eq!(data.leave_out_empty(Level::Words).count, 0);
        assert_eq!(Data::Labeled(labeled).leave_out_empty(Level::Characters).count, 0, "every character is a token");

        let pair = |source: &str| Pair { source: source.to_owned(), target: "-".to_owned(), groups: Arc::default() };
        let mut pairs = Data::Pairs(Transduction { test: vec![pair("-"), pair("a")], ..Transduction::default() });
        assert_eq!((pairs.leave_out_empty(Level::Words).count, pairs.leave_out_empty(Level::Words).count), (1, 0));
        let mut tagged = Data::Tagged(Tagging { train: vec![Sentence::default()], ..Tagging::default() });
        assert_eq!((tagged.leave_out_empty(Level::Words).count, tagged.is_empty(Split::Train)), (1, true));
    }
}
