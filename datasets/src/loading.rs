//! Loads the records of each split from data settings.

mod loader;
mod named_splits;

use std::path::Path;

use toml::Table;

use crate::DataError;
use crate::data_spec::DataSpec;
use crate::formats::Format;
use crate::generators::Generator;
use crate::nearest::did_you_mean;
use crate::published::Manifest;
use crate::reading::STANDARD_INPUT;
use crate::records::{Records, Split};
use crate::settings::{DataSettings, Paths};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::splitting;
use loader::Loader;

impl DataSettings {
    /// Checks the values for a task, without reading any data.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self, spec: &'static DataSpec) -> Result<(), DataError> {
        match self.dataset.as_deref().map(Described::named).transpose()? {
            Some(Described::Generator(generator)) => self.check_generated(generator, spec),
            Some(Described::Published(manifest)) => {
                self.section_with_defaults(manifest, spec)?.check_files(spec).map(drop)
            }
            None => self.check_files(spec).map(drop),
        }
    }

    /// Loads the data for a task; relative paths start at `data_dir`.
    ///
    /// # Errors
    /// If a value is invalid, a file is missing or invalid, or a split would be empty.
    pub fn load(&self, data_dir: &Path, spec: &'static DataSpec) -> Result<Splits, DataError> {
        self.load_splits(data_dir, spec, &Split::ALL)
    }

    /// As [`DataSettings::load`], but of splits in separate files only those `wanted`; the others are empty. A validation split that is split
    /// off from the files of the training split needs that one.
    ///
    /// # Errors
    /// As [`DataSettings::load`].
    pub fn load_splits(&self, data_dir: &Path, spec: &'static DataSpec, wanted: &[Split]) -> Result<Splits, DataError> {
        match self.dataset.as_deref().map(Described::named).transpose()? {
            Some(Described::Generator(generator)) => {
                self.check_generated(generator, spec)?;
                let splits = generator.splits(&self.options)?;
                let columns =
                    self.columns.clone().with_defaults(splits.columns.clone()).only(|role| spec.reads_role(role));
                let naive_bayes = self.naive_bayes.or(splits.naive_bayes);
                Ok(Splits { columns, naive_bayes, ..splits })
            }
            Some(Described::Published(manifest)) => {
                self.section_with_defaults(manifest, spec)?.read(data_dir, spec, Some((manifest, self)), wanted)
            }
            None => self.read(data_dir, spec, None, wanted),
        }
    }

    /// Loads a section of a manifest.
    pub(crate) fn load_published(
        &self,
        data_dir: &Path,
        spec: &'static DataSpec,
        manifest: &Manifest,
    ) -> Result<Splits, DataError> {
        self.read(data_dir, spec, Some((manifest, &Self::default())), &Split::ALL)
    }

    /// These values, else those of a manifest that a task reads.
    fn section_with_defaults(&self, manifest: &Manifest, spec: &DataSpec) -> Result<Self, DataError> {
        self.check_read(spec)?;
        let mut section = manifest.section();
        section.columns = section.columns.only(|role| spec.reads_role(role));
        let mut values = section.values();
        values.retain(|key, _| spec.reads_field(key));
        Ok(self.clone().with_defaults(values.try_into().expect("the fields of a section")))
    }

    /// Refuses columns and fields that a task does not read.
    fn check_read(&self, spec: &DataSpec) -> Result<(), DataError> {
        spec.check(&self.columns)?;
        match self.values().into_iter().find(|(key, _)| !spec.reads_field(key)) {
            Some((key, value)) => {
                let expected = format!("task {} does not use it; remove this field", spec.task);
                Err(DataError::setting(format!("data.{key}"), value, expected))
            }
            None => Ok(()),
        }
    }

    /// Refuses fields that apply only to data from files, and invalid options.
    fn check_generated(&self, generator: &Generator, spec: &DataSpec) -> Result<(), DataError> {
        generator.check(&self.options)?;
        let read = ["dataset", "columns", "naive_bayes", "options"];
        match self.values().into_iter().find(|(key, _)| !read.contains(&key.as_str())) {
            Some((key, value)) => {
                let expected = format!("not applicable: dataset {} is generated; remove this field", generator.name);
                Err(DataError::setting(format!("data.{key}"), value, expected))
            }
            None => self.check_read(spec),
        }
    }

    /// Checks the values of data from files, and returns the format, if it is given, and the split rule.
    fn check_files(&self, spec: &DataSpec) -> Result<(Option<&'static Format>, SplitRule), DataError> {
        self.check_read(spec)?;
        let format = self.format.as_deref().map(Format::named).transpose()?;
        if let Some(format) = format {
            format.check(&self.options)?;
        }
        if let Some(label) = (1..self.labels.len()).find(|&index| self.labels[..index].contains(&self.labels[index])) {
            let expected = "each label once; remove the duplicate";
            return Err(DataError::setting("data.labels", &self.labels[label], expected));
        }
        let of_splits = [("train", &self.train), ("validation", &self.validation), ("test", &self.test)];
        let given = of_splits.into_iter().find(|(_, paths)| !paths.is_empty());
        if let (false, Some((field, paths))) = (self.files.is_empty(), given) {
            let expected = "give files (data.files) for all splits, or those of each split (data.train, …), not both";
            return Err(DataError::setting(format!("data.{field}"), paths.list(), expected));
        }
        if let (true, true, Some((field, paths))) = (self.files.is_empty(), self.train.is_empty(), given) {
            let expected = "needs the files of the training split too (data.train)";
            return Err(DataError::setting(format!("data.{field}"), paths.list(), expected));
        }
        if let (Some(rule), false) = (&self.split, self.validation.is_empty()) {
            let expected = "conflicts with data.validation, the files of the validation split; remove one of the two";
            let value = toml::to_string(rule).unwrap_or_default().trim().replace('\n', ", ");
            return Err(DataError::setting("data.split", value, expected));
        }
        let all = [&self.files, &self.train, &self.validation, &self.test].into_iter().flat_map(|Paths(paths)| paths);
        if all.filter(|path| path.as_path() == Path::new(STANDARD_INPUT)).count() > 1 {
            let expected = "standard input once; give the other files by name";
            return Err(DataError::setting("data", STANDARD_INPUT, expected));
        }
        let rule = self.split.as_ref().unwrap_or(&spec.default_split);
        rule.check()?;
        if !spec.split_rules.contains(&rule.name()) {
            let expected = format!("one of {}: {}", spec.split_rules.join(", "), spec.split_note);
            return Err(DataError::setting("data.split.by", rule.name(), expected));
        }
        Ok((format, rule.clone()))
    }

    /// The fields that are set, by key.
    fn values(&self) -> Table {
        Table::try_from(self).unwrap_or_default()
    }

    /// Reads the files of the `wanted` splits; `published` is the manifest and the values that override its section.
    fn read(
        &self,
        data_dir: &Path,
        spec: &'static DataSpec,
        published: Option<(&Manifest, &Self)>,
        wanted: &[Split],
    ) -> Result<Splits, DataError> {
        let own = published.map_or(self, |(_, own)| own);
        let (named, note) = self.named_splits_of(own, data_dir)?;
        // A manifest describes none of the user's own files.
        let published = published.filter(|(_, own)| own.files.is_empty());
        let mut splits = named.read_files(data_dir, spec, published, wanted)?;
        if let Some(note) = note {
            splits.notes.insert(0, note);
        }
        Ok(splits)
    }

    fn read_files(
        &self,
        data_dir: &Path,
        spec: &'static DataSpec,
        published: Option<(&Manifest, &Self)>,
        wanted: &[Split],
    ) -> Result<Splits, DataError> {
        let (format, rule) = self.check_files(spec)?;
        let loader = Loader::new(self, format, data_dir, spec, published);
        let settings = self.with_default_columns(loader.format(wanted)?, spec);
        spec.check(&settings.columns)?;
        let loader = Loader::new(&settings, format, data_dir, spec, published);
        let is_divided = !self.files.is_empty() || matches!(rule, SplitRule::Folds { .. });
        let splits = if is_divided {
            let (field, paths) = if self.files.is_empty() { ("train", &self.train) } else { ("files", &self.files) };
            splitting::split(&loader.undivided(&loader.read(field, paths)?), &rule)?
        } else {
            let read = |split: Split| match wanted.contains(&split) {
                true => loader.read(split.name(), self.files_of(split)),
                false => Ok(Records::default()),
            };
            let train = read(Split::Train)?;
            let (train, validation) = if !self.validation.is_empty() {
                (train, read(Split::Validation)?)
            } else if wanted.contains(&Split::Train) {
                let [train, validation, _] = splitting::split(&loader.undivided(&train), &rule.without_test())?;
                (train, validation)
            } else {
                (train, Records::default())
            };
            [train, validation, read(Split::Test)?]
        };
        let [train, validation, test] = loader.disjoint(splits)?;
        Ok(Splits {
            train,
            validation,
            test,
            columns: settings.columns.clone(),
            is_divided,
            labels: self.labels.clone(),
            cleaning: self.cleaning.clone().unwrap_or_default(),
            baselines: Vec::new(),
            naive_bayes: spec.reads_field("naive_bayes").then(|| self.naive_bayes.unwrap_or_default()),
            season: self.season,
            missing_steps: self.missing_steps.unwrap_or(0),
            problem: None,
            notes: loader.notes.into_inner(),
        })
    }

    /// These values, with the default columns of a format for the roles that the task needs.
    fn with_default_columns(&self, format: &Format, spec: &DataSpec) -> Self {
        let mut columns = self.columns.clone();
        for role in spec.roles.iter().filter(|role| role.is_required) {
            if columns.several(role.name).is_empty() {
                columns = columns.with(role.name, format.default_column(role.name));
            }
        }
        Self { columns, ..self.clone() }
    }
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

#[cfg(test)]
mod tests;
