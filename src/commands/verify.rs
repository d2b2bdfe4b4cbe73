//! `seqzoo verify`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use seqzoo_datasets::classification::Split;
use seqzoo_run::folder::Run;
use serde_json::json;

use super::evaluate::evaluate_run;
use super::train::Train;
use crate::arguments::{BackendArgs, DataArgs, Overrides, runs};
use crate::failure::{CHECK, CONFIGURATION, Failure, USAGE};
use crate::say::number;

/// Check that a recipe reaches its expected metric, by training it or on an existing run.
///
/// Examples: `seqzoo verify agreement`, `seqzoo verify imdb --data-dir data --run last --json`
#[derive(Debug, Args)]
pub struct Verify {
    /// Name of a recipe (`seqzoo list recipes`), or a .toml file.
    recipe: String,
    /// Evaluate this run instead of training a new one.
    #[arg(long, value_name = "RUN", conflicts_with = "out")]
    run: Option<String>,
    /// Folder to create for the run [default: ./runs/RECIPE-NUMBER]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

impl Verify {
    pub fn run(&self) -> Result<(), Failure> {
        let recipe = self.overrides.settings(&self.recipe, &self.data)?.recipe;
        let Some((split, expected)) = recipe.expected_split()?.zip(recipe.expected.as_ref()) else {
            return Err(Failure::new(
                CONFIGURATION,
                format!("recipe {} has no [expected] value to verify", self.recipe),
            ));
        };
        let run = match &self.run {
            Some(name) => self.existing(name)?,
            None => {
                let (overrides, data, backend) = (self.overrides.clone(), self.data.clone(), self.backend.clone());
                let trained = Train::of(self.recipe.clone(), self.out.clone(), overrides, data, backend).train()?;
                if let Some((_, failure)) = trained.failed {
                    return Err(failure);
                }
                trained.run
            }
        };
        let (_, device) = self.backend.open(None)?;
        // Baselines are computed from the training split.
        let data = self.data.load_for_run(&run, &[Split::Train, split])?.examples;
        let metric = recipe.reported_metric();
        let report = evaluate_run(&run, split, metric, &*data, &device)?;
        let (value, retrained) = (report.value(), self.run.is_none());
        let met = metric.reaches(value, expected.value);
        if self.json {
            let mut object = report.json();
            object["expected"] = json!(expected.value);
            object["met"] = json!(met);
            object["retrained"] = json!(retrained);
            writeln!(std::io::stdout().lock(), "{object}")?;
        } else {
            report.print_table()?;
            report.print_next(Some(""))?;
        }
        let summary = format!("{} {} {}, expected {}", expected.split, metric.name, number(value), expected.value);
        if !met {
            return Err(Failure::new(CHECK, format!("{}: not met: {summary}", self.recipe)));
        }
        if !self.json {
            writeln!(std::io::stdout().lock(), "met: {summary}")?;
        }
        Ok(())
    }

    /// Opens a run of the recipe, which may have been trained with any overrides.
    fn existing(&self, name: &str) -> Result<Run, Failure> {
        let run = runs().find(name)?;
        let recipe = &run.environment.settings.name;
        let requested = PathBuf::from(&self.recipe).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        if requested.as_ref() != Some(recipe) {
            return Err(Failure::new(
                USAGE,
                format!("--run {name}: {} is a run of {recipe}, not of {}", run.name(), self.recipe),
            ));
        }
        Ok(run)
    }
}
