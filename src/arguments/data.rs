//! Flags that name the data; longer than others because a run records them.

mod changes;
mod missing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::catalog::{Dataset, Origin};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::reading::{STANDARD_INPUT, file_digest};
use seqzoo_datasets::series::Series;
use seqzoo_datasets::settings::Paths;
use seqzoo_datasets::table;
use seqzoo_datasets::timestamps::TimeStep;
use seqzoo_datasets::wording::counted;
use seqzoo_inference::Examples;
use seqzoo_run::folder::{DataPaths, FileKind, Run};
use seqzoo_run::recipe::{Columns, DataSettings, Recipe};
use seqzoo_tasks::{Command, Prepared, Task};

use crate::failure::{CONFIGURATION, Failure, USAGE};
use crate::say::{flag, say};

/// Files without splits, or the folder of datasets.
#[derive(Debug, Clone, Default, Args)]
pub struct DataFiles {
    /// Folder of the downloaded datasets [default: data] [env: SEQZOO_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Your own files or folders, in place of the recipe's data; - reads standard input. The format is that of the recipe's field
    /// data.format, else recognized by the suffix, by folders, or by the first line. Of a single folder or archive, files or folders named as
    /// splits, such as train.csv and test.csv, are these splits.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    data: Vec<PathBuf>,
}

/// Examples, and the digest of their test split, if there is one.
pub struct Loaded {
    pub examples: Box<dyn Examples>,
    pub test_digest: Option<String>,
    /// The splits that were read: all but those whose files are missing.
    pub splits: Vec<Split>,
}

/// How the data of a run differ from those that it recorded, in words; `None` where they are the same.
pub struct Differences {
    /// Of the training and the validation split.
    pub training: Option<String>,
    /// Of the test split, unless other files are given for it on purpose.
    pub test: Option<String>,
}

/// Paths of the data. A run records them, so that later commands do not need the flags.
#[derive(Debug, Clone, Default, Args)]
pub struct DataArgs {
    #[command(flatten)]
    whole: DataFiles,
    /// Files or folders of the validation split; by default, split off from --data.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    validation_data: Vec<PathBuf>,
    /// Files or folders of the test split.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    test_data: Vec<PathBuf>,
    /// Text files or folders to use as a language model's corpus; the last tenth is the validation split.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["data", "csv"])]
    text: Vec<PathBuf>,
    /// CSV file with a header, to train a forecaster on.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    csv: Option<PathBuf>,
}

impl DataFiles {
    /// Loads data for a run, which may be others than those it was trained on: these flags, else the recorded paths. `columns` are
    /// columns by role in place of those of the run, which an empty name removes. Other data need not have labels.
    pub fn load_any(&self, run: &Run, columns: &[(&str, &Option<String>)]) -> Result<Box<dyn Examples>, Failure> {
        let data = DataArgs { whole: self.clone(), ..DataArgs::default() };
        if self.data.is_empty() {
            return Ok(data.load_for_run(run, &Split::ALL)?.examples);
        }
        let mut recipe = run.environment.settings.recipe.clone();
        for (role, name) in columns {
            if let Some(name) = name {
                recipe.data.columns = match name.is_empty() {
                    true => recipe.data.columns.without(role),
                    false => recipe.data.columns.with(role, name),
                };
            }
        }
        let is_given = columns.iter().any(|(role, name)| *role == "label" && name.is_some());
        let lacks = |label: &str| {
            let header = self.data.first().and_then(|path| table::header(path).ok());
            header.is_some_and(|names| names.iter().all(|name| name != label))
        };
        if !is_given && recipe.data.columns.get("label").is_some_and(lacks) {
            recipe.data.columns = recipe.data.columns.without("label");
        }
        data.load(&recipe)
    }
}

/// The flag for files of a kind.
fn flag_of(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Data => "--data",
        FileKind::Text => "--text",
        FileKind::Csv => "--csv",
    }
}

/// Number of labels to list.
const LABELS: usize = 12;

/// An absolute path, if it can be recorded: one that is not UTF-8 cannot.
fn recordable(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok().filter(|path| path.to_str().is_some())
}

impl DataArgs {
    /// The flags as given, for a printed command.
    pub fn flag(&self) -> String {
        let dir = self.whole.data_dir.as_ref().map_or_else(String::new, |dir| flag("--data-dir", dir));
        let csv: Vec<PathBuf> = self.csv.iter().cloned().collect();
        let lists = [
            ("--data", &self.whole.data),
            ("--validation-data", &self.validation_data),
            ("--test-data", &self.test_data),
            ("--text", &self.text),
            ("--csv", &csv),
        ];
        lists.into_iter().fold(dir, |all, (name, paths)| match paths.split_first() {
            None => all,
            Some((first, more)) => {
                let more: String = more.iter().map(|path| format!(" {}", crate::say::quoted(path))).collect();
                all + &flag(name, first) + &more
            }
        })
    }

    /// Arguments that name the user's own files.
    pub fn of_files(files: &[PathBuf], validation: &[PathBuf], test: &[PathBuf]) -> Self {
        let [data, validation_data, test_data] = [files, validation, test].map(<[PathBuf]>::to_vec);
        Self { whole: DataFiles { data_dir: None, data }, validation_data, test_data, ..Self::default() }
    }

    /// The path given with `--csv`.
    pub fn table(&self) -> Option<&Path> {
        self.csv.as_deref()
    }

    /// Whether files of single splits are given.
    pub fn has_splits(&self) -> bool {
        !self.validation_data.is_empty() || !self.test_data.is_empty()
    }

    /// Whether the validation split has files of its own.
    pub fn has_validation(&self) -> bool {
        !self.validation_data.is_empty()
    }

    /// The user's own files, if any are given, and their kind.
    fn files(&self) -> Option<(FileKind, Vec<PathBuf>)> {
        let csv: Vec<PathBuf> = self.csv.iter().cloned().collect();
        let all =
            [(FileKind::Data, self.whole.data.clone()), (FileKind::Text, self.text.clone()), (FileKind::Csv, csv)];
        all.into_iter().find(|(_, files)| !files.is_empty())
    }

    /// Paths of a run's data: these flags, else the run's record.
    pub fn for_run(&self, run: &Run) -> Self {
        let DataPaths { kind, files, validation, test, data_dir, .. } = run.environment.data.clone();
        let dataset = run.environment.settings.recipe.dataset();
        let given = if dataset.is_some() {
            data_dir_given(self.whole.data_dir.as_deref())
        } else {
            self.whole.data_dir.clone()
        };
        let data_dir = given.or(data_dir.filter(|dir| dir.is_dir()));
        if self.files().is_some() {
            let whole = DataFiles { data_dir, ..self.whole.clone() };
            return Self { whole, ..self.clone() };
        }
        // Files of single splits replace the recorded ones.
        let or = |given: &[PathBuf], recorded: Vec<PathBuf>| if given.is_empty() { recorded } else { given.to_vec() };
        let (validation_data, test_data) = (or(&self.validation_data, validation), or(&self.test_data, test));
        let whole = DataFiles { data_dir, ..DataFiles::default() };
        let recorded = Self { whole, validation_data, test_data, ..Self::default() };
        match kind {
            FileKind::Csv => Self { csv: files.into_iter().next(), ..recorded },
            FileKind::Text => Self { text: files, ..recorded },
            FileKind::Data => Self { whole: DataFiles { data: files, ..recorded.whole }, ..recorded },
        }
    }

    /// Absolute paths for the run's record, without digests; paths that are not UTF-8 are omitted.
    pub fn paths(&self, recipe: &Recipe) -> DataPaths {
        let all = |paths: &[PathBuf]| paths.iter().filter_map(|path| recordable(path)).collect::<Vec<_>>();
        let is_in_folder = match recipe.dataset() {
            Some(Dataset { origin, .. }) => matches!(origin, Origin::Files { .. }),
            None => true,
        };
        let (kind, files) = self.files().unwrap_or_default();
        let data_dir = if is_in_folder && files.is_empty() { recordable(&self.base(&recipe.data)) } else { None };
        let (validation, test) = (all(&self.validation_data), all(&self.test_data));
        DataPaths { kind, files: all(&files), validation, test, data_dir, digests: BTreeMap::new() }
    }

    /// The user's own files and folders from which a split is read, as absolute paths; none of a dataset. A test split without files of its own is
    /// read from the others.
    fn own_files(&self, recipe: &Recipe, split: Split) -> Vec<PathBuf> {
        let Ok(settings) = self.settings(recipe) else { return Vec::new() };
        if settings.dataset.is_some() && self.files().is_none() {
            return Vec::new();
        }
        let base = self.base(&settings);
        let DataSettings { files, train, validation, test, .. } = &settings;
        let lists = match split {
            Split::Test if !test.0.is_empty() => vec![test],
            _ => vec![files, train, validation],
        };
        lists.into_iter().flat_map(|Paths(paths)| paths).filter_map(|path| recordable(&base.join(path))).collect()
    }

    /// Digests of the user's own files, for the run's record; those that are `known` are not computed again.
    pub fn digests(&self, recipe: &Recipe, known: &BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, String> {
        let files: BTreeSet<PathBuf> =
            [Split::Train, Split::Test].into_iter().flat_map(|split| self.own_files(recipe, split)).collect();
        let digest = |file: PathBuf| {
            let digest = known.get(&file).cloned().or_else(|| file_digest(&file))?;
            Some((file, digest))
        };
        files.into_iter().filter_map(digest).collect()
    }

    /// Loads the examples of a recipe to train on, and prints their source and notes.
    pub fn load(&self, recipe: &Recipe) -> Result<Box<dyn Examples>, Failure> {
        Ok(self.load_new(recipe)?.examples)
    }

    /// As [`DataArgs::load`], with the digest of the test split, for the record of a new run.
    pub fn load_new(&self, recipe: &Recipe) -> Result<Loaded, Failure> {
        let loaded = self.read(recipe, &Split::ALL)?;
        loaded.examples.training_note(&recipe.task).iter().for_each(|note| say(format_args!("note: {note}")));
        Ok(loaded)
    }

    /// Loads the examples of a recipe, of these splits, and prints their source.
    fn read(&self, recipe: &Recipe, splits: &[Split]) -> Result<Loaded, Failure> {
        let settings = self.settings(recipe)?;
        let is_own = settings.dataset.is_none() || self.files().is_some();
        match &settings.dataset {
            Some(name) if !is_own => say(format_args!("loading {name} …")),
            _ => {
                let files = settings.files_of(splits.first().copied().unwrap_or(Split::Train));
                if !files.is_empty() {
                    say(format_args!("loading {} …", files.list()));
                }
            }
        }
        let task = recipe.task()?;
        let data = settings.load_splits(&self.base(&settings), task.data, splits)?;
        let test_digest = data.test_digest();
        let Prepared { examples, note } = task.examples(&data, &recipe.task)?;
        for note in data.notes.iter().chain(&note) {
            say(format_args!("note: {note}"));
        }
        if is_own {
            let size = |split: Split| {
                let (size, unit) = examples.size(split);
                (size > 0).then(|| format!("{} {}", split.name(), counted(size, unit)))
            };
            let sizes: Vec<String> = Split::ALL.into_iter().filter_map(size).collect();
            if !sizes.is_empty() {
                say(format_args!("splits: {}", sizes.join(", ")));
            }
            let items = examples.items(Split::Train, &recipe.task);
            let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
            items.iter().flat_map(|item| &item.labels).for_each(|label| *counts.entry(label).or_default() += 1);
            let listed: Vec<String> =
                counts.iter().take(LABELS).map(|(label, count)| format!("{label} {count}")).collect();
            let more = if counts.len() > LABELS { format!(", … ({} labels)", counts.len()) } else { String::new() };
            if !counts.is_empty() {
                say(format_args!("labels of the training split: {}{more}", listed.join(", ")));
            }
        }
        Ok(Loaded { examples, test_digest, splits: splits.to_vec() })
    }

    /// The recipe's data settings, with the files given by flags, as absolute paths, in place of its own.
    fn settings(&self, recipe: &Recipe) -> Result<DataSettings, Failure> {
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        self.settings_with(recipe, absolute)
    }

    /// The recipe's data settings, with the files given by flags in place of its own.
    pub fn own(&self, recipe: &Recipe) -> Result<DataSettings, Failure> {
        self.settings_with(recipe, Path::to_owned)
    }

    fn settings_with(&self, recipe: &Recipe, file: impl Fn(&Path) -> PathBuf) -> Result<DataSettings, Failure> {
        let Some((kind, files)) = self.files() else {
            return match self.has_splits() {
                true => Err(Failure::new(
                    USAGE,
                    "--validation-data and --test-data need --data, the files of the training split",
                )),
                false => Ok(recipe.data.clone()),
            };
        };
        match kind {
            FileKind::Data => {}
            FileKind::Text => {
                check_task(recipe, |task| task.data.default_format == Some("text"), "--text", "language models")?
            }
            FileKind::Csv => check_table(recipe)?,
        }
        let named = |path: &PathBuf| if path == Path::new(STANDARD_INPUT) { path.clone() } else { file(path) };
        let paths = |paths: &[PathBuf]| Paths(paths.iter().map(named).collect());
        let (validation, test) = (paths(&self.validation_data), paths(&self.test_data));
        let is_whole = validation.0.is_empty() && test.0.is_empty();
        let (files, train) = if is_whole { (paths(&files), paths(&[])) } else { (paths(&[]), paths(&files)) };
        // Files of the validation split make a rule unnecessary.
        let split = recipe.data.split.clone().filter(|_| validation.0.is_empty());
        let own = DataSettings { files, train, validation, test, split, ..recipe.data.clone() };
        // Of a dataset, own files keep the columns of a table and the customary split of a text.
        let is_generated = recipe.dataset().is_some_and(|dataset| matches!(dataset.origin, Origin::BuiltIn));
        Ok(match kind {
            FileKind::Csv => own,
            FileKind::Text if own.dataset.is_some() && !is_generated => own,
            FileKind::Text => {
                let columns = if own.dataset.is_some() { Columns::default() } else { own.columns.clone() };
                // A column is one of a table.
                let is_text = own.format.is_none() && own.columns.get("text").is_none();
                let format = if is_text { Some("text".to_owned()) } else { own.format.clone() };
                DataSettings { dataset: None, format, columns, ..own }
            }
            FileKind::Data if is_generated => DataSettings { dataset: None, columns: Columns::default(), ..own },
            FileKind::Data => DataSettings { dataset: None, ..own },
        })
    }

    /// The folder of relative paths: the data folder for published datasets, the working directory for files of the user's own.
    fn base(&self, settings: &DataSettings) -> PathBuf {
        match (&self.whole.data_dir, settings.dataset.is_some()) {
            (Some(dir), _) => dir.clone(),
            (None, true) => data_dir(None),
            (None, false) => PathBuf::from("."),
        }
    }

    /// Loads a run's data from these flags, else from the recorded paths; warns if they differ from those that it recorded. A missing file
    /// of a split that is not `needed` is a warning, too: the split is empty then.
    pub fn load_for_run(&self, run: &Run, needed: &[Split]) -> Result<Loaded, Failure> {
        let (data, differences) = self.load_compared(run, needed)?;
        if let Some(why) = &differences.training {
            say(format_args!("warning: the data differ from those that the run was trained on: {why}"));
        }
        if differences.test != differences.training {
            differences.warn_of_test();
        }
        Ok(data)
    }

    /// Loads the data of a resumed run; an error if they differ from the training data, and a warning if the test split has changed.
    pub fn load_for_resume(&self, run: &Run) -> Result<Loaded, Failure> {
        let (data, differences) = self.load_compared(run, &Split::ALL)?;
        if let Some(why) = &differences.training {
            let message =
                format!("a resumed run needs the data it was trained on, but {why}; restore them or start a new run");
            return Err(Failure::new(CONFIGURATION, message));
        }
        differences.warn_of_test();
        Ok(data)
    }

    /// Loads a run's data, and compares them with those that it recorded, as far as they were read.
    pub fn load_compared(&self, run: &Run, needed: &[Split]) -> Result<(Loaded, Differences), Failure> {
        let data = self.find_of(run, needed)?;
        let (found, recorded) = (self.for_run(run), &run.environment);
        let is_read = [Split::Train, Split::Validation].iter().all(|split| data.splits.contains(split));
        let training = is_read && !data.examples.matches(&recorded.data_digest);
        let is_replaced = found.paths(&recorded.settings.recipe).test != recorded.data.test;
        let digests = data.test_digest.as_ref().zip(recorded.test_digest.as_ref());
        let test = !is_replaced && digests.is_some_and(|(now, recorded)| now != recorded);
        let why = |differs: bool, split: Split| differs.then(|| found.difference(run, split));
        let differences = Differences { training: why(training, Split::Train), test: why(test, Split::Test) };
        Ok((data, differences))
    }

    fn find_of(&self, run: &Run, needed: &[Split]) -> Result<Loaded, Failure> {
        let found = self.for_run(run);
        let (recipe, recorded) = (&run.environment.settings.recipe, &run.environment.data);
        if self.whole.data_dir.is_some() && self.files().is_none() && !recorded.files.is_empty() {
            say(format_args!("note: --data-dir is not used, since run {} was trained on files of its own", run.name()));
        }
        let settings = found.settings(recipe)?;
        let depends_on_others = settings.distinct == Some(true)
            || settings.disjoint == Some(true)
            || recipe.task()?.data.is_chronological();
        let needed: &[Split] = if depends_on_others { &Split::ALL } else { needed };
        let missing = match found.are_of_run(&settings, recorded) {
            true => missing::files(&settings, &found.base(&settings)),
            false => Vec::new(),
        };
        if let Some((split, path)) = missing.iter().find(|(split, _)| needed.contains(split)) {
            return Err(missing::error(&run.name(), path, found.flag_of(*split)));
        }
        missing::warn(&missing);
        let has_none = found.whole.data_dir.is_none() && found.files().is_none();
        if let Some(dir) = recorded.data_dir.as_ref().filter(|_| has_none) {
            say(format_args!(
                "note: run {} was trained on data in {}, which no longer exists",
                run.name(),
                dir.display()
            ));
        }
        let is_there = |split: &Split| missing.iter().all(|(other, _)| other != split);
        found.read(recipe, &Split::ALL.into_iter().filter(is_there).collect::<Vec<_>>())
    }

    /// Whether these are the files that a run recorded or that its recipe names, which may have been moved since.
    fn are_of_run(&self, settings: &DataSettings, recorded: &DataPaths) -> bool {
        match self.files() {
            Some((_, files)) => files == recorded.files,
            None => settings.dataset.is_none() && settings.archives.is_empty(),
        }
    }

    /// The flag that names the files of a split; `None` if the recipe names them.
    fn flag_of(&self, split: Split) -> Option<&'static str> {
        let (kind, _) = self.files()?;
        Some(match split {
            Split::Validation if !self.validation_data.is_empty() => "--validation-data",
            Split::Test if !self.test_data.is_empty() => "--test-data",
            _ => flag_of(kind),
        })
    }

    /// How the data of a split at these paths differ from those of the run.
    fn difference(&self, run: &Run, split: Split) -> String {
        let recipe = &run.environment.settings.recipe;
        let files = self.own_files(recipe, split);
        let digests = files.iter().filter_map(|file| Some((file.clone(), file_digest(file)?))).collect();
        let now = DataPaths { digests, ..self.paths(recipe) };
        changes::difference(&run.environment.data, &now, &files)
    }
}

impl Differences {
    fn warn_of_test(&self) {
        if let Some(why) = &self.test {
            say(format_args!("warning: the test split differs from that of the run: {why}"));
        }
    }
}

/// The data folder, if given by flag or environment.
fn data_dir_given(given: Option<&Path>) -> Option<PathBuf> {
    let variable = || std::env::var_os("SEQZOO_DATA_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    given.map(Path::to_owned).or_else(variable)
}

/// The data folder: the flag, else `SEQZOO_DATA_DIR`, else `data`.
pub fn data_dir(given: Option<&Path>) -> PathBuf {
    data_dir_given(given).unwrap_or_else(|| PathBuf::from("data"))
}

/// Checks that a recipe is for a task that can use a flag, which is for such `models` only.
fn check_task(recipe: &Recipe, is_usable: fn(&Task) -> bool, flag: &str, models: &str) -> Result<(), Failure> {
    let task = recipe.task()?;
    if is_usable(task) {
        return Ok(());
    }
    let name = task.name();
    let message = format!("{flag} is for {models}, and this recipe is for {name}; use --data FILE");
    Err(Failure::new(USAGE, message))
}

/// Checks that a recipe trains on a CSV file of the user, and that its target column is specified.
fn check_table(recipe: &Recipe) -> Result<(), Failure> {
    check_task(recipe, |task| task.command == Command::Forecast, "--csv", "forecasting")?;
    let is_table = recipe.dataset().is_some_and(|dataset| matches!(dataset.origin, Origin::Table));
    let is_csv = recipe.data.format.as_deref().map_or(recipe.data.dataset.is_none(), |format| format == "csv");
    if !is_table && !is_csv {
        let message = format!("--csv: dataset {} is not a table; use `seqzoo train forecast`", recipe.data_name());
        return Err(Failure::new(USAGE, message));
    }
    if recipe.data.columns.get("target").is_none() {
        return Err(Failure::new(USAGE, "--target COLUMN is missing: name the column to forecast"));
    }
    Ok(())
}

/// Reads the rows of a CSV file to forecast from, for a model with time steps of `step`.
pub fn recent_rows(path: &Path, recipe: &Recipe, step: TimeStep) -> Result<Series, Failure> {
    check_table(recipe)?;
    Ok(table::read_recent(path, &recipe.data.columns, step)?)
}
