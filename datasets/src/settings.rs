//! The data of a recipe: a dataset by name, or files of a known format, with columns by role, and the way they are split.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::DataError;
use crate::baselines::{Baseline, NaiveBayesFeatures};
use crate::cleaning::Cleaning;
use crate::formats::Format;
use crate::generators::Generator;
use crate::nearest::did_you_mean;
use crate::published::Manifest;
use crate::reading::{Input, Locator};
use crate::records::{Records, Split};
use crate::splitting::{self, SplitRule};

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

/// Columns by role: the names of the columns that a task reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Columns {
    /// Text to classify, or running text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Label of a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Tokens of a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<String>,
    /// Tags of the tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Source text of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Target text of a pair, or the series to forecast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Timestamps of a series; without them, rows are numbered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Features of a series, known up to the forecast origin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Groups for per-group metrics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Columns {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The names of all columns with a role.
    pub fn names(&self) -> Vec<&str> {
        let Self { text, label, tokens, tags, source, target, time, features, groups } = self;
        let single = [text, label, tokens, tags, source, target, time].into_iter().flatten();
        single.chain(features).chain(groups).map(String::as_str).collect()
    }

    /// The task that these columns allow: `classification` (text, label), `tagging` (tokens, tags), `seq2seq` (source, target),
    /// `forecasting` (target) or `language-model` (text).
    pub fn task(&self) -> Option<&'static str> {
        match self {
            Self { text: Some(_), label: Some(_), .. } => Some("classification"),
            Self { tokens: Some(_), tags: Some(_), .. } => Some("tagging"),
            Self { source: Some(_), target: Some(_), .. } => Some("seq2seq"),
            Self { target: Some(_), .. } => Some("forecasting"),
            Self { text: Some(_), .. } => Some("language-model"),
            _ => None,
        }
    }

    /// The name of the column with a role, as a value of `data.columns`.
    ///
    /// # Errors
    /// If there is none.
    pub fn need<'a>(role: &'static str, name: Option<&'a String>) -> Result<&'a str, DataError> {
        let missing = || {
            let field = format!("data.columns.{role}");
            DataError::setting(field, "none", format!("name the column to use as {role}"))
        };
        name.map(String::as_str).ok_or_else(missing)
    }

    fn over(self, base: Self) -> Self {
        let several = |own: Vec<String>, base| if own.is_empty() { base } else { own };
        Self {
            text: self.text.or(base.text),
            label: self.label.or(base.label),
            tokens: self.tokens.or(base.tokens),
            tags: self.tags.or(base.tags),
            source: self.source.or(base.source),
            target: self.target.or(base.target),
            time: self.time.or(base.time),
            features: several(self.features, base.features),
            groups: several(self.groups, base.groups),
        }
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
    /// The task that the columns are for, see [`Columns::task`].
    pub fn task(&self) -> Option<&'static str> {
        let base = match self.dataset.as_deref().and_then(|name| Described::named(name).ok()) {
            Some(Described::Generator(generator)) => generator.columns(),
            Some(Described::Published(manifest)) => manifest.data.columns.clone(),
            None => Columns::default(),
        };
        self.columns.clone().over(base).task()
    }

    /// Loads the data; relative paths are below `data_dir`.
    ///
    /// # Errors
    /// If a value is invalid, a file is missing or invalid, or a split would be empty.
    pub fn load(&self, data_dir: &Path) -> Result<Splits, DataError> {
        match self.dataset.as_deref().map(Described::named).transpose()? {
            Some(Described::Generator(generator)) => self.generate(generator),
            Some(Described::Published(manifest)) => {
                let section = self.clone().over(manifest.section());
                section.read(data_dir, Some((manifest, self)))
            }
            None => self.read(data_dir, None),
        }
    }

    /// Loads a section of a manifest.
    pub(crate) fn load_published(&self, data_dir: &Path, manifest: &Manifest) -> Result<Splits, DataError> {
        self.read(data_dir, Some((manifest, &Self::default())))
    }

    /// The files, for messages.
    pub fn shown_files(&self) -> String {
        shown(if self.files.is_empty() { &self.train } else { &self.files })
    }

    /// The splits of a generator. Values that only data from files can have are errors.
    fn generate(&self, generator: &Generator) -> Result<Splits, DataError> {
        let Self { format, files, train, validation, test, split, .. } = self;
        let paths = [("files", files), ("train", train), ("validation", validation), ("test", test)];
        let given = paths.into_iter().find(|(_, paths)| !paths.is_empty()).map(|(field, _)| field);
        let given = given.or(format.as_ref().map(|_| "format")).or(split.as_ref().map(|_| "split"));
        if let Some(field) = given {
            let expected = format!("dataset {} is generated, not read from files; leave it out", generator.name);
            return Err(DataError::setting(format!("data.{field}"), "…", expected));
        }
        let splits = generator.splits();
        let columns = self.columns.clone().over(splits.columns.clone());
        let naive_bayes = self.naive_bayes.or(splits.naive_bayes);
        Ok(Splits { columns, naive_bayes, ..splits })
    }

    /// Values of `self`, else of `base`.
    fn over(self, base: Self) -> Self {
        // `files` and the files of single splits exclude each other.
        let (own_files, own_splits) =
            (!self.files.is_empty(), [&self.train, &self.validation, &self.test].iter().any(|paths| !paths.is_empty()));
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
            split: self.split.or(base.split),
            naive_bayes: self.naive_bayes.or(base.naive_bayes),
            season: self.season.or(base.season),
            missing_steps: self.missing_steps.or(base.missing_steps),
            rows: self.rows.or(base.rows.filter(|_| !own_files && !own_splits)),
            options,
        }
    }

    /// Reads the files; `published` is the manifest, and the values that replace some of its section.
    fn read(&self, data_dir: &Path, published: Option<(&Manifest, &Self)>) -> Result<Splits, DataError> {
        let Some(name) = &self.format else {
            let known: Vec<&str> = crate::formats::ALL.iter().map(|format| format.name).collect();
            let expected = format!("name a dataset (data.dataset) or the format of your files: {}", known.join(", "));
            return Err(DataError::setting("data.format", "none", expected));
        };
        let format = Format::named(name)?;
        format.check(&self.options)?;
        if self.files.is_empty() && self.train.is_empty() {
            return Err(DataError::NoFile { format: format.name.to_owned() });
        }
        if !self.files.is_empty() && !self.train.is_empty() {
            let expected = "either files for all splits, or those of each split (train, validation, test)";
            return Err(DataError::setting("data.files", shown(&self.files), expected));
        }
        let loader = Loader::new(self, format, data_dir, published);
        let task = self.task();
        let rule = self.split.clone().unwrap_or_else(|| SplitRule::for_task(task));
        let [train, validation, test] = if self.files.is_empty() {
            let train = loader.read("train", &self.train)?;
            let (train, validation) = match self.validation.is_empty() {
                true => splitting::split(train, &rule.without_test(), self)
                    .map(|[train, validation, _]| (train, validation))?,
                false => (train, loader.read("validation", &self.validation)?),
            };
            [train, validation, loader.read("test", &self.test)?]
        } else {
            splitting::split(loader.read("files", &self.files)?, &rule, self)?
        };
        Ok(Splits {
            train,
            validation,
            test,
            columns: self.columns.clone(),
            labels: self.labels.clone(),
            cleaning: self.cleaning.clone().unwrap_or_default(),
            baselines: Vec::new(),
            naive_bayes: (task == Some("classification")).then(|| self.naive_bayes.unwrap_or_default()),
            season: self.season,
            missing_steps: self.missing_steps.unwrap_or(0),
        })
    }

    /// Applies the cleaning to all columns of text with a role.
    fn clean(&self, records: &mut Records) {
        let cleaning = self.cleaning.clone().unwrap_or_default();
        let changed = |text: &str, cleaned: &str| (text != cleaned).then(|| cleaned.to_owned());
        let Columns { text, tokens, source, target, .. } = &self.columns;
        let target = target.as_ref().filter(|_| source.is_some());
        for column in [text.as_ref(), source.as_ref(), target].into_iter().flatten() {
            records.map_texts(column, |text| changed(text, &cleaning.apply(text)));
        }
        if let Some(column) = tokens {
            records.map_texts(column, |token| changed(token, &cleaning.apply_to_token(token)));
        }
    }
}

fn shown(Paths(paths): &Paths) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A dataset by name.
enum Described {
    Generator(&'static Generator),
    Published(&'static Manifest),
}

impl Described {
    fn named(name: &str) -> Result<Self, DataError> {
        let generator = Generator::named(name).map(Self::Generator);
        let unknown = || {
            let generators = crate::generators::ALL.iter().map(|generator| generator.name);
            let known: Vec<&str> =
                generators.chain(Manifest::all().iter().map(|manifest| manifest.name.as_str())).collect();
            let hint = did_you_mean(name, known.iter().copied());
            DataError::setting("data.dataset", name, format!("unknown name{hint}; available: {}", known.join(", ")))
        };
        generator.or_else(|| Manifest::named(name).map(Self::Published)).ok_or_else(unknown)
    }
}

/// Reads files of one format.
struct Loader<'a> {
    settings: &'a DataSettings,
    format: &'static Format,
    data_dir: &'a Path,
    /// The manifest, and the values that replace some of its section.
    published: Option<(&'a Manifest, &'a DataSettings)>,
    locator: Locator<'a>,
}

impl<'a> Loader<'a> {
    fn new(
        settings: &'a DataSettings,
        format: &'static Format,
        data_dir: &'a Path,
        published: Option<(&'a Manifest, &'a DataSettings)>,
    ) -> Self {
        let DataSettings { files, train, validation, test, archives, .. } = settings;
        let locations = [files, train, validation, test].into_iter().flat_map(|Paths(paths)| paths);
        let locator = Locator::new(data_dir, &archives.0, locations.map(PathBuf::as_path).collect());
        Self { settings, format, data_dir, published, locator }
    }

    /// The manifest, if it describes the files of a field.
    fn manifest(&self, field: &str) -> Option<&'a Manifest> {
        let (manifest, own) = self.published?;
        let own = match field {
            "train" => &own.train,
            "validation" => &own.validation,
            "test" => &own.test,
            _ => &own.files,
        };
        own.is_empty().then_some(manifest)
    }

    /// The cleaned records of all files of a field.
    fn read(&self, field: &str, Paths(paths): &Paths) -> Result<Records, DataError> {
        let manifest = self.manifest(field);
        let names = self.settings.columns.names();
        let mut records = Records::default();
        for path in paths {
            let found = self.locator.find(path, manifest.is_some())?;
            let inputs: Vec<Input> = match (found, manifest) {
                (Some(inputs), _) => inputs,
                // The test split of a published dataset is often kept apart.
                (None, Some(_)) if field == "test" => continue,
                (None, Some(manifest)) => return Err(manifest.missing(self.data_dir, path)),
                (None, None) => {
                    let absent = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(DataError::unreadable(&self.data_dir.join(path), absent));
                }
            };
            for input in &inputs {
                records.append(self.format.read(input, &self.settings.options, &names)?)?;
            }
        }
        if let (Some(rows), Some(file)) = (self.settings.rows, records.file())
            && records.len() != rows
        {
            return Err(DataError::damaged(file, format!("{} of {rows} rows", records.len())));
        }
        self.settings.clean(&mut records);
        Ok(records)
    }
}
