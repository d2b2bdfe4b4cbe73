//! `--data-dir`, `--text` and `--csv`

use std::path::{Path, PathBuf};

use clap::Args;
use seqzoo_datasets::catalog::{Dataset, Origin};
use seqzoo_datasets::reading::STANDARD_INPUT;
use seqzoo_datasets::series::Series;
use seqzoo_datasets::settings::Paths;
use seqzoo_datasets::table;
use seqzoo_datasets::timestamps::TimeStep;
use seqzoo_inference::Examples;
use seqzoo_run::folder::{DataPaths, Run};
use seqzoo_run::recipe::{Columns, DataSettings, Recipe};
use seqzoo_tasks::{Command, Prepared};

use crate::failure::{CONFIGURATION, DATA, Failure, USAGE};
use crate::say::{flag, say};

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
    #[arg(long, value_name = "FILE", conflicts_with = "text")]
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

    /// The recipe's data settings, with the file of `--text` or `--csv` for all splits.
    fn settings(&self, recipe: &Recipe) -> Result<DataSettings, Failure> {
        let Some(path) = self.text.as_ref().or(self.csv.as_ref()) else { return Ok(recipe.data.clone()) };
        if self.csv.is_some() {
            check_table(recipe)?;
        } else {
            check_command(recipe, Command::Generate, "--text", "language models")?;
        }
        let is_input = path == Path::new(STANDARD_INPUT);
        let file = if is_input { path.clone() } else { std::path::absolute(path).unwrap_or_else(|_| path.clone()) };
        let [train, validation, test] = [(); 3].map(|()| Paths::default());
        let own = DataSettings { files: Paths(vec![file]), train, validation, test, rows: None, ..recipe.data.clone() };
        // Files cannot replace generated data.
        let is_generated = recipe.dataset().is_some_and(|dataset| matches!(dataset.origin, Origin::BuiltIn));
        Ok(match is_generated {
            true => {
                let columns = Columns::default().with("text", "text");
                DataSettings { dataset: None, format: Some("text".to_owned()), columns, ..own }
            }
            false => own,
        })
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
        let data = &run.environment.settings.recipe.data;
        let base = found.base(data);
        if let Some(file) = data.missing_files(&base).filter(|_| found.text.is_none() && found.csv.is_none()) {
            let (name, file) = (run.name(), base.join(file));
            let message = format!("run {name} was trained on {}, which no longer exists", file.display());
            let way_out = "restore it, or name the folder that data.files start at with --data-dir DIR";
            return Err(Failure::new(DATA, format!("{message}; {way_out}")));
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

/// Checks that the models of a recipe are used by a command; `flag` is for such `models` only.
fn check_command(recipe: &Recipe, command: Command, flag: &str, models: &str) -> Result<(), Failure> {
    let task = recipe.task()?;
    if task.command == command {
        return Ok(());
    }
    let name = task.name();
    let message = format!("{flag} is for {models}, and this recipe is for {name}; set data.files to your own files");
    Err(Failure::new(USAGE, message))
}

/// Checks that a recipe trains on a CSV file of the user, and that its target column is specified.
fn check_table(recipe: &Recipe) -> Result<(), Failure> {
    check_command(recipe, Command::Forecast, "--csv", "forecasting")?;
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
