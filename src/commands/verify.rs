//! `seqzoo verify`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use seqzoo_run::folder::Run;
use serde_json::json;

use super::evaluate::measure;
use super::train::Train;
use super::{BackendChoice, DataFolder, Overrides};
use crate::failure::{CHECK, Failure, USAGE};

/// Train a recipe (or take a run of it) and say whether its expected figure is met.
///
/// Examples: `seqzoo verify agreement`, `seqzoo verify imdb --data-dir data --run last --json`
#[derive(Debug, Args)]
pub struct Verify {
    /// A shipped recipe (`seqzoo list recipes`) or a file ending in .toml.
    recipe: String,
    /// Measure this run instead of training one.
    #[arg(long, value_name = "RUN", conflicts_with = "out")]
    run: Option<String>,
    /// Folder of the new run, which must not exist; ./runs/RECIPE-NUMBER unless given.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    backend: BackendChoice,
}

impl Verify {
    pub fn run(&self) -> Result<(), Failure> {
        let recipe = self.overrides.settings(&self.recipe, self.data.table())?.recipe;
        let (split, expected) = (recipe.reported_split()?, recipe.expected);
        let Some(figure) = expected.value else {
            return Err(Failure::new(
                USAGE,
                format!("recipe {} expects no figure: its data are the user's own", self.recipe),
            ));
        };
        let run = match &self.run {
            Some(name) => self.existing(name)?,
            None => {
                let (overrides, data, backend) = (self.overrides.clone(), self.data.clone(), self.backend.clone());
                Train::of(self.recipe.clone(), self.out.clone(), overrides, data, backend).train()?.run
            }
        };
        let (_, device) = self.backend.open(None)?;
        let data = self.data.load_of(&run)?;
        let report = measure(&run, split, expected.metric, &data, &device)?;
        let (value, retrained) = (report.value(), self.run.is_none());
        let met = expected.metric.reaches(value, figure);
        if self.json {
            let mut object = report.json();
            object["expected"] = json!(figure);
            object["met"] = json!(met);
            object["retrained"] = json!(retrained);
            writeln!(std::io::stdout().lock(), "{object}")?;
        } else {
            report.print_table()?;
        }
        let (metric, split) = (expected.metric.name(), &expected.split);
        let told = format!("{split} {metric} {value:.4}, expected {figure}");
        if !met {
            return Err(Failure::new(CHECK, format!("{}: not met: {told}", self.recipe)));
        }
        if !self.json {
            writeln!(std::io::stdout().lock(), "met: {told}")?;
        }
        Ok(())
    }

    /// A run of the recipe, however it was changed.
    fn existing(&self, name: &str) -> Result<Run, Failure> {
        let run = Run::find(name)?;
        let of = &run.environment.settings.name;
        let asked = PathBuf::from(&self.recipe).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        if asked.as_ref() != Some(of) {
            return Err(Failure::new(
                USAGE,
                format!("--run {name}: {} is a run of {of}, not of {}", run.name(), self.recipe),
            ));
        }
        Ok(run)
    }
}
