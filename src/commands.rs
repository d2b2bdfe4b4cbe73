//! Commands, one file each, and the arguments that several of them share.

pub mod bench;
pub mod data;
pub mod describe;
pub mod evaluate;
pub mod forecast;
pub mod generate;
pub mod list;
pub mod predict;
pub mod probe;
pub mod train;
pub mod verify;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use clap::Args;
use seqzoo_datasets::catalog::{Dataset, Origin};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::reading::STANDARD_INPUT;
use seqzoo_datasets::series::Series;
use seqzoo_datasets::settings::Paths;
use seqzoo_datasets::table;
use seqzoo_datasets::timestamps::TimeStep;
use seqzoo_inference::{Examples, Model};
use seqzoo_models::Architecture;
use seqzoo_run::did_you_mean;
use seqzoo_run::folder::{DataPaths, Run};
use seqzoo_run::recipe::{Columns, DataSettings, Recipe};
use seqzoo_run::settings::{Override, Settings};
use seqzoo_run::store::RunStore;
use seqzoo_run::{Backend, BackendError};
use seqzoo_tasks::Prepared;

use crate::failure::{CONFIGURATION, DATA, Failure, USAGE};
use crate::say::{flag, say};

/// The runs of the working directory.
pub fn runs() -> RunStore {
    RunStore::new("runs")
}

/// Choice of backend.
#[derive(Debug, Clone, Args)]
pub struct BackendArgs {
    /// Backend to compute with (see `seqzoo list backends`) [default: the best one with real hardware]
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
}

impl BackendArgs {
    /// The flag as given, for a printed command.
    pub fn flag(&self) -> String {
        self.backend.as_ref().map_or_else(String::new, |name| format!(" --backend {name}"))
    }

    /// Opens the backend of the flag, else the recorded one of the run if it is linked in, else the best one.
    pub fn open(&self, recorded: Option<&str>) -> Result<(Backend, Device), BackendError> {
        let backend = match (&self.backend, recorded.and_then(|name| Backend::named(name).ok())) {
            (Some(name), _) => Backend::named(name)?,
            (None, Some(recorded)) => recorded,
            (None, None) => Backend::best()?,
        };
        Ok((backend, backend.device()?))
    }
}

/// Choice of a trained model.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// Run: a path, a name or a unique prefix of it, or `last`.
    run: String,
    /// Model of the run to use [default: the recipe's first]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    backend: BackendArgs,
}

impl ModelArgs {
    /// Opens the run and its model; returns both and the model's name.
    pub fn open(&self) -> Result<(Run, String, Model), Failure> {
        let run = runs().find(&self.run)?;
        let models = &run.environment.settings.recipe.models;
        let name = self.model.as_ref().unwrap_or(&models[0]);
        if !models.contains(name) {
            let hint = did_you_mean(name, models.iter().map(String::as_str));
            let message = format!("--model {name}: run {} has {}{hint}", run.name(), models.join(", "));
            return Err(Failure::new(USAGE, message));
        }
        let (_, device) = self.backend.open(None)?;
        let model = Model::open(&run.model(name), &device)?;
        let name = name.clone();
        Ok((run, name, model))
    }
}

/// Paths of the data. A run records them, so that later commands do not need the flags.
#[derive(Debug, Clone, Args)]
pub struct DataArgs {
    /// Folder of the downloaded datasets [default: data] [env: SEQZOO_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Text file to use as a language model's corpus; its last tenth is the validation split.
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// CSV file with a header, to train a forecaster on.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
}

impl DataArgs {
    /// The flags as given, for a printed command.
    pub fn flag(&self) -> String {
        [("--data-dir", &self.data_dir), ("--text", &self.text), ("--csv", &self.csv)]
            .map(|(name, path)| path.as_ref().map_or_else(String::new, |path| flag(name, path)))
            .concat()
    }

    /// The path given with `--csv`.
    pub fn table(&self) -> Option<&Path> {
        self.csv.as_deref()
    }

    /// Paths of a run's data: these flags, else the run's record.
    pub fn for_run(&self, run: &Run) -> Self {
        let DataPaths { text, csv, data_dir } = run.environment.data.clone();
        let is_published = run.environment.settings.recipe.data.dataset.is_some();
        let given = if is_published { data_dir_given(self.data_dir.as_deref()) } else { self.data_dir.clone() };
        Self {
            // --data-dir selects a dataset of that folder, in place of a recorded text.
            text: self.text.clone().or(text.filter(|_| self.data_dir.is_none())),
            csv: self.csv.clone().or(csv),
            data_dir: given.or(data_dir.filter(|dir| dir.is_dir())),
        }
    }

    /// Absolute paths for the run's record; paths that are not UTF-8 are omitted.
    pub fn paths(&self, recipe: &Recipe) -> Result<DataPaths, Failure> {
        let absolute = |path: &Path| std::path::absolute(path).ok().filter(|path| path.to_str().is_some());
        let [text, csv] = [&self.text, &self.csv].map(|path| path.as_deref().and_then(absolute));
        let is_in_folder = match recipe.dataset() {
            Some(Dataset { origin, .. }) => matches!(origin, Origin::Files { .. }),
            None => true,
        };
        let given = self.text.is_some() || self.csv.is_some();
        let data_dir = if is_in_folder && !given { absolute(&self.base(&recipe.data)) } else { None };
        Ok(DataPaths { text, csv, data_dir })
    }

    /// Loads the examples of a recipe and prints their source.
    pub fn load(&self, recipe: &Recipe) -> Result<Box<dyn Examples>, Failure> {
        let settings = self.settings(recipe)?;
        match (self.text.as_ref().or(self.csv.as_ref()), &settings.dataset) {
            (Some(path), _) => say(format_args!("loading {} …", path.display())),
            (None, Some(name)) => say(format_args!("loading {name} …")),
            (None, None) => say(format_args!("loading {} …", settings.file_list())),
        }
        let task = recipe.task()?;
        let data = settings.load(&self.base(&settings), task.data)?;
        let Prepared { examples, note } = task.examples(&data, &recipe.task)?;
        for note in data.notes.iter().chain(&note) {
            say(format_args!("note: {note}"));
        }
        Ok(examples)
    }

    /// The recipe's data settings, with the file of `--text` or `--csv`.
    fn settings(&self, recipe: &Recipe) -> Result<DataSettings, Failure> {
        let file = |path: &Path| Paths(vec![std::path::absolute(path).unwrap_or_else(|_| path.to_owned())]);
        if let Some(path) = &self.text {
            if recipe.task()?.name() != seqzoo_tasks::language_model::TASK.name() {
                let message =
                    format!("--text: {} is not running text; --text is for language models", recipe.data_name());
                return Err(Failure::new(USAGE, message));
            }
            let columns = Columns::default().with("text", "text");
            let files = if path == Path::new(STANDARD_INPUT) { Paths(vec![path.clone()]) } else { file(path) };
            return Ok(DataSettings { format: Some("text".to_owned()), files, columns, ..DataSettings::default() });
        }
        if let Some(path) = &self.csv {
            check_table(recipe)?;
            let files = if path == Path::new(STANDARD_INPUT) { Paths(vec![path.clone()]) } else { file(path) };
            return Ok(DataSettings { files, ..recipe.data.clone() });
        }
        Ok(recipe.data.clone())
    }

    /// The folder of relative paths: the data folder for published datasets, the working directory for files of the user's own.
    fn base(&self, settings: &DataSettings) -> PathBuf {
        match (&self.data_dir, settings.dataset.is_some()) {
            (Some(dir), _) => dir.clone(),
            (None, true) => data_dir(None),
            (None, false) => PathBuf::from("."),
        }
    }

    /// Loads a run's data from these flags, else from the recorded paths; warns if they differ from the training data.
    pub fn load_for_run(&self, run: &Run) -> Result<Box<dyn Examples>, Failure> {
        let data = self.find_of(run)?;
        if data.digest() != run.environment.data_digest {
            let why = self.for_run(run).difference(run);
            say(format_args!("warning: the data differ from those that the run was trained on: {why}"));
        }
        Ok(data)
    }

    /// Loads the data of a resumed run; an error if they differ from the training data.
    pub fn load_for_resume(&self, run: &Run) -> Result<Box<dyn Examples>, Failure> {
        let data = self.find_of(run)?;
        if data.digest() != run.environment.data_digest {
            let why = self.for_run(run).difference(run);
            let message =
                format!("a resumed run needs the data it was trained on, but {why}; restore them or start a new run");
            return Err(Failure::new(CONFIGURATION, message));
        }
        Ok(data)
    }

    fn find_of(&self, run: &Run) -> Result<Box<dyn Examples>, Failure> {
        let found = self.for_run(run);
        let DataPaths { text, csv, data_dir } = &run.environment.data;
        for (flag, recorded, path) in [("--text", text, &found.text), ("--csv", csv, &found.csv)] {
            if recorded == path
                && let Some(path) = path.as_ref().filter(|path| !path.is_file())
            {
                let message = format!("run {} was trained on {}, which no longer exists", run.name(), path.display());
                return Err(Failure::new(DATA, format!("{message}; name the file with {flag} FILE")));
            }
        }
        if let Some(dir) = data_dir.as_ref().filter(|_| found.data_dir.is_none() && found.text.is_none()) {
            say(format_args!(
                "note: run {} was trained on data in {}, which no longer exists",
                run.name(),
                dir.display()
            ));
        }
        found.load(&run.environment.settings.recipe)
    }

    /// How the data differ from those of the run.
    fn difference(&self, run: &Run) -> String {
        let recorded = &run.environment.data;
        let paths = [(&self.text, &recorded.text), (&self.csv, &recorded.csv), (&self.data_dir, &recorded.data_dir)];
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        match paths.into_iter().find_map(|(path, recorded)| Some((absolute(path.as_ref()?), recorded))) {
            Some((path, Some(recorded))) if path == *recorded => format!("{} has changed since", path.display()),
            Some((path, Some(recorded))) => format!("it was trained on {}, not {}", recorded.display(), path.display()),
            Some((path, None)) => format!("{} contains different data", path.display()),
            None => "the files are different or have changed since".to_owned(),
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

/// Checks that a recipe trains on a CSV file of the user, and that its target column is specified.
fn check_table(recipe: &Recipe) -> Result<(), Failure> {
    let is_table = recipe.dataset().is_some_and(|dataset| matches!(dataset.origin, Origin::Table));
    if !is_table && recipe.data.format.as_deref() != Some("csv") {
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

/// Replaces the escapes `\n` (newline), `\t` (tab) and `\\` (backslash) of a text; any other backslash stays.
pub fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let next = rest.clone().next().filter(|_| character == '\\');
        let unescaped = next.and_then(|next| "nt\\".find(next)).map(|index| ['\n', '\t', '\\'][index]);
        if unescaped.is_some() {
            rest.next();
        }
        plain.push(unescaped.unwrap_or(character));
    }
    plain
}

/// Looks up an architecture by name.
pub fn architecture(name: &str) -> Result<Architecture, Failure> {
    let unknown = || {
        let hint = did_you_mean(name, Architecture::ALL.map(Architecture::name));
        Failure::new(USAGE, format!("no model `{name}`{hint}; `seqzoo list models` shows all"))
    };
    Architecture::from_name(name).ok_or_else(unknown)
}

/// Checks that a split exists and is long enough to predict from.
pub fn check_split(examples: &dyn Examples, split: Split, recipe: &Recipe) -> Result<(), Failure> {
    examples.check(split, &recipe.task).map_err(|message| Failure::new(DATA, message))?;
    if examples.size(split).0 == 0 {
        let (name, split) = (recipe.data_name(), split.name());
        let message =
            format!("the {split} split of {name} has no examples; see the notes above, or choose another split");
        return Err(Failure::new(DATA, message));
    }
    Ok(())
}

/// The split to report: that of `[expected]`, else the test split, else the validation split.
pub fn reported_split(recipe: &Recipe, examples: &dyn Examples) -> Result<Split, Failure> {
    let without_test = || if examples.size(Split::Test).0 > 0 { Split::Test } else { Split::Validation };
    Ok(recipe.expected_split()?.unwrap_or_else(without_test))
}

/// Flags that override a recipe's values.
#[derive(Debug, Clone, Default, Args)]
pub struct Overrides {
    /// Override a recipe value, such as training.epochs=3; `seqzoo describe RECIPE` lists all fields.
    #[arg(long = "set", value_name = "FIELD=VALUE", value_parser = assignment)]
    sets: Vec<(String, String)>,
    /// Short for --set training.seed=N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    seed: Option<u64>,
    /// Short for --set training.epochs=N
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Timestamp column of the CSV file; without it, rows are numbered. An empty name selects the unnamed column. Short for
    /// --set data.columns.time=COLUMN
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Column of the CSV file to forecast. Short for --set data.columns.target=COLUMN
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Past covariates: columns known up to the present, separated by commas; may be repeated. Short for
    /// --set data.columns.features=[COLUMN, …]
    #[arg(long, value_name = "COLUMN,…")]
    features: Vec<String>,
    /// Number of rows to forecast. Short for --set task.horizon=N
    #[arg(long, value_name = "N")]
    horizon: Option<usize>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("expected FIELD=VALUE, such as training.epochs=3")?;
    Ok((field.trim().to_owned(), value.trim().to_owned()))
}

impl Overrides {
    /// Resolves a recipe with the overrides of the environment and of these flags; `table` is the CSV file.
    pub fn settings(&self, recipe: &str, table: Option<&Path>) -> Result<Settings, Failure> {
        let settings = Settings::read(recipe)?;
        let overrides = self.of(&settings, table)?;
        Ok(settings.with_overrides(&overrides)?)
    }

    /// The flags as given, for a printed command.
    pub fn flag(&self) -> String {
        let sets = self.sets.iter().map(|(field, value)| ("--set", Some(format!("{field}={value}"))));
        let seed = [("--seed", self.seed.map(|seed| seed.to_string()))];
        let sizes = [("--epochs", self.epochs), ("--horizon", self.horizon)];
        let sizes = sizes.map(|(name, size)| (name, size.map(|size| size.to_string())));
        let columns = [("--time", self.time.clone()), ("--target", self.target.clone())];
        let features = self.features.iter().map(|value| ("--features", Some(value.clone())));
        let all = sets.chain(seed).chain(sizes).chain(columns).chain(features);
        all.filter_map(|(name, value)| Some(flag(name, value?))).collect()
    }

    /// Columns of `--features`: each value is one column if the table has it, else a comma-separated list.
    fn features(&self, table: Option<&Path>) -> Result<Vec<String>, Failure> {
        let several = self.features.iter().any(|value| value.contains(','));
        let header = table.filter(|_| several).map(table::header).transpose()?;
        let has = |name: &str| header.iter().flatten().any(|column| column == name);
        let mut found = Vec::new();
        for value in &self.features {
            if !value.contains(',') || has(value.trim()) {
                found.push(value.trim().to_owned());
                continue;
            }
            let parts = || value.split(',').map(str::trim);
            if let Some(absent) = parts().find(|part| header.is_some() && !has(part)) {
                let columns: Vec<String> = header.iter().flatten().map(|column| format!("`{column}`")).collect();
                let message = format!(
                    "--features {value:?}: no such column, and split at commas no column `{absent}`; columns: {}; \
                     repeat --features for each column whose name has a comma",
                    columns.join(", ")
                );
                return Err(Failure::new(DATA, message));
            }
            found.extend(parts().map(str::to_owned));
        }
        Ok(found)
    }

    /// Overrides from `SEQZOO_*` variables, then from flags.
    pub fn of(&self, settings: &Settings, table: Option<&Path>) -> Result<Vec<Override>, Failure> {
        let texts = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let mut overrides = settings.from_environment(std::env::vars_os().filter_map(texts));
        let mut flag = |origin: &str, field: &str, value: String| {
            overrides.push(Override { origin: origin.to_owned(), field: field.to_owned(), value });
        };
        self.sets.iter().for_each(|(field, value)| flag("--set", field, value.clone()));
        if let Some(seed) = self.seed {
            flag("--seed", "training.seed", seed.to_string());
        }
        if let Some(epochs) = self.epochs {
            flag("--epochs", "training.epochs", epochs.to_string());
        }
        let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
        if let Some(time) = &self.time {
            flag("--time", "data.columns.time", quoted(time));
        }
        if let Some(target) = &self.target {
            flag("--target", "data.columns.target", quoted(target));
        }
        if !self.features.is_empty() {
            let features: Vec<String> = self.features(table)?.iter().map(quoted).collect();
            flag("--features", "data.columns.features", format!("[{}]", features.join(", ")));
        }
        if let Some(horizon) = self.horizon {
            flag("--horizon", "task.horizon", horizon.to_string());
        }
        Ok(overrides)
    }
}

#[cfg(test)]
mod tests {
    use super::unescaped;

    #[test]
    fn known_escapes_are_replaced_and_others_kept() {
        for (text, expected) in [
            ("a\\nb", "a\nb"),
            ("\\t\\n", "\t\n"),
            ("a\\\\nb", "a\\nb"),
            ("\\x \\", "\\x \\"),
            ("\\\\\\n", "\\\n"),
            ("C:\\dir", "C:\\dir"),
            ("ä\\nß", "ä\nß"),
        ] {
            assert_eq!(unescaped(text), expected, "{text}");
        }
    }
}
