//! The closed list of datasets available to recipes.

use std::path::{Path, PathBuf};

use crate::DataError;
use crate::classification::{Classification, Split};
use crate::corpus::Corpus;
use crate::series::Series;
use crate::tagging::Tagging;
use crate::transduction::Transduction;

/// Collects the `DATASET` of each module.
macro_rules! datasets {
    ($($module:ident),* $(,)?) => {
        /// Every dataset, in listing order.
        pub static ALL: [&Dataset; [$(stringify!($module)),*].len()] = [$(&crate::$module::DATASET),*];
    };
}

datasets![agreement, recall, names, imdb, pos, sentences, shakespeare, ptb, execute, temperatures, table];

/// A dataset and its metadata.
#[derive(Debug)]
pub struct Dataset {
    /// The name in recipes.
    pub name: &'static str,
    /// One line for listings.
    pub summary: &'static str,
    /// Example input for a trained model.
    pub example: &'static str,
    /// License or terms of use.
    pub license: &'static str,
    /// Source of the data.
    pub origin: Origin,
}

/// Source of a dataset.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// Generated, identical on every machine.
    BuiltIn(fn() -> Data),
    /// Published files in the data folder.
    Files {
        /// The published files; the first one locates the dataset.
        files: &'static [Source],
        /// Loads the dataset from the data folder.
        load: fn(&Path) -> Result<Data, DataError>,
    },
    /// A CSV file given by the user, see [`table`](crate::table).
    Table,
}

/// A published file.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// Download URL.
    pub url: &'static str,
    /// Path relative to the data folder.
    pub path: &'static str,
    /// Hexadecimal SHA-256 digest; `None` if the publishers change the file or its digest is unknown.
    pub sha256: Option<&'static str>,
    /// Whether the dataset can be loaded without it.
    pub optional: bool,
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

impl Source {
    /// A required file.
    pub const fn new(url: &'static str, path: &'static str, sha256: Option<&'static str>) -> Self {
        Self { url, path, sha256, optional: false }
    }

    /// An optional file.
    pub const fn optional(url: &'static str, path: &'static str, sha256: Option<&'static str>) -> Self {
        Self { url, path, sha256, optional: true }
    }

    /// Candidate paths: the path used by `data fetch`, then without some of its leading folders.
    fn candidates(&self, dir: &Path) -> impl Iterator<Item = PathBuf> {
        let path = Path::new(self.path);
        let without = |folders: usize| path.components().skip(folders).collect::<PathBuf>();
        (0..path.components().count()).map(move |folders| dir.join(without(folders)))
    }
}

impl Dataset {
    /// The dataset with this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.into_iter().find(|dataset| dataset.name == name)
    }

    /// Published files; empty if it is built in.
    pub fn files(&self) -> &'static [Source] {
        match self.origin {
            Origin::BuiltIn(_) | Origin::Table => &[],
            Origin::Files { files, .. } => files,
        }
    }

    /// Loads the dataset; published files are searched in `dir`.
    ///
    /// # Errors
    /// [`DataError`], which names the file and the fix.
    pub fn load(&self, dir: &Path) -> Result<Data, DataError> {
        match self.origin {
            Origin::BuiltIn(load) => Ok(load()),
            Origin::Files { load, .. } => load(dir),
            Origin::Table => Err(DataError::NoCsv),
        }
    }

    /// The folder of the first file: the path used by `data fetch` below `dir`, or `dir` itself.
    ///
    /// # Errors
    /// [`DataError::Missing`].
    pub(crate) fn folder(&self, dir: &Path) -> Result<PathBuf, DataError> {
        let candidates = self.files().first().into_iter().flat_map(|file| file.candidates(dir));
        let found = candidates.filter(|path| path.is_file()).find_map(|path| path.parent().map(Path::to_owned));
        found.ok_or_else(|| self.missing(dir))
    }

    /// The error for a dataset that was not found in `dir`.
    pub(crate) fn missing(&self, dir: &Path) -> DataError {
        DataError::Missing { dataset: self.name, dir: dir.to_owned(), hint: self.hint() }
    }

    /// How to download the dataset, for messages.
    pub fn hint(&self) -> String {
        let first = self.files().first().map_or("", |file| file.url);
        let others = if self.files().len() > 1 { " and the other files" } else { "" };
        let name = self.name;
        format!("`seqzoo data fetch {name} --data-dir DIR` downloads {first}{others}; see `seqzoo data show {name}`")
    }
}
