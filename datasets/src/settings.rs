//! The data of a recipe: a named dataset, or files of a known format with columns by role and a split rule.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::baselines::NaiveBayesFeatures;
use crate::cleaning::Cleaning;
use crate::columns::Columns;
use crate::records::Split;
use crate::split_rule::SplitRule;

/// The `[data]` section of a recipe and of a manifest.
///
/// Either `dataset` names a dataset, whose own section supplies the defaults of all other fields, or `format` and `files` describe the
/// user's own data:
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
/// assert_eq!(settings.columns.get("text"), Some("review"));
/// assert!(settings.check(&seqzoo_datasets::classification::DATA).is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DataSettings {
    /// Name of a published or generated dataset, as listed by `seqzoo list datasets`. A published dataset supplies the defaults of all other
    /// fields of this section; of a generated one, only `columns`, `naive_bayes` and `options` can be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Format of the files, such as `csv` or `conllu`; `seqzoo list formats` shows all. Recognized by default: by the suffix of
    /// the file name, such as `.csv`; else `text` for language models and `csv` for forecasting; else by folders or the first line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Files or folders, as one path or a list, that `split` divides into the training, validation and test split. Relative paths start at
    /// the data folder (`data`, `SEQZOO_DATA_DIR` or `--data-dir`) for a `dataset`, else at the working directory or `--data-dir`. Of a single
    /// folder or archive, files or folders named as splits, such as `train.csv` and `test.csv`, are these splits.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub files: Paths,
    /// Files or folders of the training split, instead of `files`; without `validation`, `split` divides them into a training and a
    /// validation split.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub train: Paths,
    /// Files or folders of the validation split; requires `train`.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub validation: Paths,
    /// Files or folders of the test split; requires `train`.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub test: Paths,
    /// Tar or zip archives to search for files that do not exist on disk; only the first archive that exists is used.
    #[serde(skip_serializing_if = "Paths::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub archives: Paths,
    /// Column names by role, such as `{ text = "review", label = "sentiment" }`; each task has its own roles.
    #[serde(skip_serializing_if = "Columns::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub columns: Columns,
    /// All labels or tags, in order; any other one in the data is an error. By default, sorted: those of the training and
    /// validation splits, and those of all rows of files that `split` divides into all splits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Cleaning steps for texts and tokens, applied in this order: `byte-order-marks` removes U+FEFF, `nfc` applies Unicode normalization
    /// form C, `html-line-breaks` replaces `<br />` by a space, `trim` removes leading and trailing whitespace. By default,
    /// `byte-order-marks` and `nfc`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<String>>")]
    pub cleaning: Option<Cleaning>,
    /// Whether to remove rows that repeat an earlier row, also one of an earlier split, in all columns with a role except `features` and
    /// `groups`; by default, false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct: Option<bool>,
    /// Whether to leave rows out of the validation and test splits whose source or target, or any other column of texts with a role, is one of
    /// an earlier split; by default, false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disjoint: Option<bool>,
    /// Rule that divides the rows into splits. `{ by = "systematic", validation = 0.1, test = 0.1 }` is stratified and does not change when
    /// rows are appended; `{ by = "shuffle", validation = 0.1, test = 0.1, seed = 0, stratify = true }` shuffles the rows,
    /// with the same fractions of each label if stratified; `{ by = "folds", folds = 5, fold = 1 }` uses one of five parts for
    /// testing; `{ by = "rows", validation = 0.15, test = 0.15 }` uses the last rows, `by =
    /// "characters"` the last characters of running text, even within a word; `{ by = "every", validation = 5 }` uses every fifth row for validation;
    /// `{ by = "time", validation = "1988-01-01", test = "1989-01-01" }` names the first timestamps of the splits. By default, a tenth of
    /// the characters is the validation split for language models, 15 % and 15 % of the rows are the validation and test splits for
    /// forecasting, and `systematic` with a tenth for validation otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub split: Option<SplitRule>,
    /// Features of the naive Bayes baseline, n-grams of 1 to `max_n` tokens; `level` is a tokenization as in `task.level`.
    /// For files, by default `{ level = "words", max_n = 2 }`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub naive_bayes: Option<NaiveBayesFeatures>,
    /// Seasonal period in rows; by default derived from the time step. `task.season` takes precedence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub season: Option<usize>,
    /// Maximum total number of missing time steps; by default 0. Rows around a gap are treated as consecutive, and the
    /// seasonal phase then counts rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_steps: Option<usize>,
    /// Expected number of rows of `files`, or of each split with its own files; any other number is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<usize>,
    /// Options of the format, such as `{ separator = ";" }`, or of a generated dataset, such as `{ problem = "copy", length = 50 }`; `seqzoo
    /// list formats` shows those of each format.
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
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The paths, for messages.
    pub fn list(&self) -> String {
        self.0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }
}

impl DataSettings {
    /// The fields that are set, as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// The files that a split is read from: its own, else those that a rule divides; none if there is no such split.
    pub fn files_of(&self, split: Split) -> &Paths {
        let is_divided = matches!(self.split, Some(SplitRule::Folds { .. }));
        match split {
            _ if !self.files.is_empty() => &self.files,
            Split::Validation if !self.validation.is_empty() => &self.validation,
            Split::Test if !is_divided => &self.test,
            Split::Train | Split::Validation | Split::Test => &self.train,
        }
    }

    /// Values of `self`, else of `base`.
    pub(crate) fn with_defaults(self, base: Self) -> Self {
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
            columns: self.columns.with_defaults(base.columns),
            labels: if self.labels.is_empty() { base.labels } else { self.labels },
            cleaning: self.cleaning.or(base.cleaning),
            distinct: self.distinct.or(base.distinct),
            disjoint: self.disjoint.or(base.disjoint),
            // A validation split with its own files makes the rule unnecessary.
            split: self.split.or(base.split.filter(|_| !own_validation)),
            naive_bayes: self.naive_bayes.or(base.naive_bayes),
            season: self.season.or(base.season),
            missing_steps: self.missing_steps.or(base.missing_steps),
            rows: self.rows.or(base.rows.filter(|_| !own_files && !own_splits)),
            options,
        }
    }
}
