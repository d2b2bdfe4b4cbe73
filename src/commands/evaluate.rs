//! `seqzoo evaluate`

use std::io::Write;

use burn::tensor::Device;
use clap::Args;
use seqzoo_datasets::catalog::Data;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::Metric;
use seqzoo_inference::Model;
use seqzoo_run::did_you_mean;
use seqzoo_run::folder::Run;

use super::{BackendChoice, DataFolder, need};
use crate::failure::{Failure, USAGE};
use crate::report::Report;
use crate::say::{quoted, say};

/// Measure a run's best checkpoints on a part of its data.
///
/// Examples: `seqzoo evaluate last`, `seqzoo evaluate imdb-1 --data-dir data --json`
#[derive(Debug, Args)]
pub struct Evaluate {
    /// A run: its path, its name or the beginning of it, or `last`.
    run: String,
    /// train, validation or test; the one that the recipe reports on unless given.
    #[arg(long, value_name = "PART")]
    split: Option<String>,
    /// Show how well each label is told, and which are taken for which.
    #[arg(long)]
    labels: bool,
    /// Print one JSON object, labels included.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    backend: BackendChoice,
}

impl Evaluate {
    pub fn run(&self) -> Result<(), Failure> {
        let run = Run::find(&self.run)?;
        let recipe = &run.environment.settings.recipe;
        let split = match &self.split {
            None => recipe.reported_split()?,
            Some(name) => Split::named(name).ok_or_else(|| {
                let known = Split::ALL.map(Split::name);
                let hint = did_you_mean(name, known);
                Failure::new(USAGE, format!("--split {name}: no such part{hint}; there are {}", known.join(", ")))
            })?,
        };
        let (_, device) = self.backend.open(None)?;
        let data = self.data.load_of(&run)?;
        let report = measure(&run, split, recipe.expected.metric, &data, &device)?;
        if self.json {
            writeln!(std::io::stdout().lock(), "{}", report.json())?;
            return Ok(());
        }
        report.print_table()?;
        if self.labels { report.print_labels() } else { Ok(()) }
    }
}

/// Measures the best checkpoints of a run's models, first of all by `main`; a damaged one is refused before anything is measured.
pub fn measure<'a>(
    run: &'a Run,
    split: Split,
    main: Metric,
    data: &Data,
    device: &Device,
) -> Result<Report<'a>, Failure> {
    let recipe = &run.environment.settings.recipe;
    need(data, split, recipe)?;
    let mut names: Vec<&String> = recipe.models.iter().collect();
    let mut waiting = Vec::new();
    for name in &recipe.models {
        if run.model(name).checkpoints().list()?.is_empty() {
            waiting.push(name.as_str());
        }
    }
    // Where no model has begun, the error of opening the first one tells.
    if !waiting.is_empty() && waiting.len() < names.len() {
        say(format_args!(
            "note: not trained yet: {}; `seqzoo train --resume {}` goes on",
            waiting.join(", "),
            quoted(&run.path)
        ));
        names.retain(|name| !waiting.contains(&name.as_str()));
    }
    let models: Vec<Model> =
        names.iter().map(|name| Model::open(&run.model(name), device)).collect::<Result<_, _>>()?;
    let mut report = Report::new(run, split, main, models[0].baselines(data, split)?);
    for (name, model) in names.iter().zip(&models) {
        report.add(name, model, data)?;
    }
    Ok(report)
}
