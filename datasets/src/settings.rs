//! The data of a recipe: a dataset by name, or files of a known format, with columns by role, and the way they are split.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::baselines::{Baseline, NaiveBayesFeatures};
use crate::cleaning::Cleaning;
use crate::records::{Records, Split};
use crate::splitting::SplitRule;

mod columns;
mod load;

pub use columns::Columns;
use load::Described;

/// The `[data]` section of a recipe and of a dataset's description.
///
/// `dataset` takes the section of that dataset, and every other key given replaces that of the dataset; or `format` and files describe
/// data of one's own:
///
/// ```
/// # use seqzoo_datasets::settings::DataSettings;
/// let settings: DataSettings = toml::from_str(r#"
///     format = "csv"
///     files = "reviews.csv"
///     columns = { text = "review", label = "sentiment" }
///     split = { by = "shuffle", validation = 0.1, test = 0.1, seed = 7 }
///     options = { separator = ";" }
/// "#).unwrap();
/// assert_eq!(settings.task(), Some("classification"));
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// Name of a published or generated dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Name of a [format](crate::formats).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Files or folders that `split` divides into all splits; relative to the data folder, like the following.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub files: Paths,
    /// Files or folders of the training split; `split` takes the validation split from them if that has none of its own.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub train: Paths,
    /// Files or folders of the validation split.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub validation: Paths,
    /// Files or folders of the test split.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub test: Paths,
    /// Archives that contain the files, if these are not found in the data folder; the first archive that exists is used.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub archives: Paths,
    /// Columns by role.
    #[serde(skip_serializing_if = "Columns::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub columns: Columns,
    /// Names of the labels or tags, in order, and no others; by default, those of the training split in alphabetical order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Cleaning of texts and tokens, applied to new texts too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub cleaning: Option<Cleaning>,
    /// Whether rows that equal an earlier row in all columns with a role are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct: Option<bool>,
    /// Division into splits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub split: Option<SplitRule>,
    /// Features of the naive Bayes baseline of a classification dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub naive_bayes: Option<NaiveBayesFeatures>,
    /// Length of the season of a series in rows; by default, that of its time step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub season: Option<usize>,
    /// Number of time steps that a series may lack; its rows are numbered from the first one on, as if none were missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_steps: Option<usize>,
    /// Number of rows that a file must have, as published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// Options of the format.
    #[serde(skip_serializing_if = "Table::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub options: Table,
}

/// One path or several.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "OneOrMany", into = "OneOrMany")]
pub struct Paths(pub Vec<PathBuf>);

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a path or a list of paths")]
enum OneOrMany {
    One(PathBuf),
    Many(Vec<PathBuf>),
}

impl From<OneOrMany> for Paths {
    fn from(paths: OneOrMany) -> Self {
        match paths {
            OneOrMany::One(path) => Self(vec![path]),
            OneOrMany::Many(paths) => Self(paths),
        }
    }
}

impl From<Paths> for OneOrMany {
    fn from(Paths(mut paths): Paths) -> Self {
        if paths.len() == 1 { OneOrMany::One(paths.remove(0)) } else { OneOrMany::Many(paths) }
    }
}

impl Paths {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A loaded dataset: the records of each split, and what tasks need to know of them.
#[derive(Debug, Clone, Default)]
pub struct Splits {
    /// Training split.
    pub train: Records,
    /// Validation split.
    pub validation: Records,
    /// Test split; empty if there is none.
    pub test: Records,
    /// Columns by role.
    pub columns: Columns,
    /// Names of the labels or tags, in order; empty: those of the training split, in alphabetical order.
    pub labels: Vec<String>,
    /// Cleaning already applied to texts and tokens; a model needs it for new ones too.
    pub cleaning: Cleaning,
    /// Rule-based baselines.
    pub baselines: Vec<Baseline>,
    /// Features of the naive Bayes baseline; `None` to omit it.
    pub naive_bayes: Option<NaiveBayesFeatures>,
    /// Length of the season of a series in rows; `None`: that of its time step.
    pub season: Option<usize>,
    /// Number of time steps that a series may lack.
    pub missing_steps: usize,
}

impl Splits {
    /// The records of a split.
    pub fn split(&self, split: Split) -> &Records {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// Names of the labels in a column of the training split, if they are not given.
    pub(crate) fn labels_of<'a>(&'a self, found: impl Iterator<Item = &'a str>) -> Vec<String> {
        if !self.labels.is_empty() {
            return self.labels.clone();
        }
        found.collect::<std::collections::BTreeSet<_>>().into_iter().map(str::to_owned).collect()
    }
}

impl DataSettings {
    /// The values that are given, as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The task that the columns are for, see [`Columns::task`].
    pub fn task(&self) -> Option<&'static str> {
        let base = match self.dataset.as_deref().and_then(|name| Described::named(name).ok()) {
            Some(Described::Generator(generator)) => generator.columns(),
            Some(Described::Published(manifest)) => manifest.data.columns.clone(),
            None => Columns::default(),
        };
        self.columns.clone().over(base).task()
    }

    /// The files, for messages.
    pub fn shown_files(&self) -> String {
        load::shown(if self.files.is_empty() { &self.train } else { &self.files })
    }

    /// Values of `self`, else of `base`.
    fn over(self, base: Self) -> Self {
        // `files` and the files of single splits exclude each other.
        let own_files = !self.files.is_empty();
        let own_splits = [&self.train, &self.validation, &self.test].iter().any(|paths| !paths.is_empty());
        let own_validation = !self.validation.is_empty();
        let several = |own: Paths, base: Paths, dropped: bool| match own.is_empty() && !dropped {
            true => base,
            false => own,
        };
        // Options belong to the format.
        let same_format = self.format.is_none() || self.format == base.format;
        let mut options = if same_format { base.options } else { Table::new() };
        options.extend(self.options);
        Self {
            dataset: self.dataset.or(base.dataset),
            format: self.format.or(base.format),
            files: several(self.files, base.files, own_splits),
            train: several(self.train, base.train, own_files),
            validation: several(self.validation, base.validation, own_files),
            test: several(self.test, base.test, own_files),
            archives: several(self.archives, base.archives, false),
            columns: self.columns.over(base.columns),
            labels: if self.labels.is_empty() { base.labels } else { self.labels },
            cleaning: self.cleaning.or(base.cleaning),
            distinct: self.distinct.or(base.distinct),
            // A validation split with its own files needs no rule.
            split: self.split.or(base.split.filter(|_| !own_validation)),
            naive_bayes: self.naive_bayes.or(base.naive_bayes),
            season: self.season.or(base.season),
            missing_steps: self.missing_steps.or(base.missing_steps),
            rows: self.rows.or(base.rows.filter(|_| !own_files && !own_splits)),
            options,
        }
    }
}

#[cfg(test)]
mod tests;
