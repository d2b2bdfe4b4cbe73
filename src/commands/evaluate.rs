//! `seqzoo evaluate`; longer than other commands because of its forms of output.

mod plot;

use std::io::Write;
use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::Metric;
use seqzoo_inference::{Examples, Model};
use seqzoo_run::did_you_mean;
use seqzoo_run::folder::Run;

use crate::arguments::{BackendArgs, DataArgs, ThresholdArgs, check_split, load_split, runs, svg_file};
use crate::failure::{Failure, STORAGE, USAGE};
use crate::report::Report;
use crate::say::{flag, quoted, say};

/// Evaluate a run's best checkpoints on a split of its data.
///
/// Examples: `seqzoo evaluate last`, `seqzoo evaluate imdb-1 --data-dir data --json`
#[derive(Debug, Args)]
pub struct Evaluate {
    /// Run: a path, a name or a unique prefix of it, or `last`.
    run: String,
    /// Split to evaluate: train, validation or test [default: the recipe's reported split]
    #[arg(long, value_name = "SPLIT")]
    split: Option<String>,
    /// Print metrics per label, and of taggers per type of entity, the accuracy by predicted probability, and the confusion matrix.
    #[arg(long)]
    labels: bool,
    /// Print the N most confident wrong predictions.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    errors: Option<u16>,
    /// Plot the accuracy by predicted probability (reliability diagram) to this SVG file.
    #[arg(long, value_name = "FILE", value_parser = svg_file)]
    plot: Option<PathBuf>,
    /// Print one JSON object, per-label metrics included.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    threshold: ThresholdArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

impl Evaluate {
    pub fn run(&self) -> Result<(), Failure> {
        let run = runs().find(&self.run)?;
        let recipe = &run.environment.settings.recipe;
        let split = self.split.as_deref().map(split_named).transpose()?;
        let (_, device) = self.backend.open(None)?;
        let (data, split) = load_split(&self.data, &run, split, self.threshold.needed())?;
        let options = Options { threshold: &self.threshold, baselines: data.splits.contains(&Split::Train) };
        if !options.baselines {
            say(format_args!("note: there are no baselines without the training split"));
        }
        let report = evaluate_with(&run, split, recipe.reported_metric(), &*data.examples, &device, options)?;
        let (labels, single) = ("one label of several", "results that are right or wrong");
        let flags = [
            ("--errors", self.errors.is_some(), report.has_mistakes(), single),
            ("--plot", self.plot.is_some(), report.has_labels(), labels),
            ("--labels", self.labels, report.has_confusion(), labels),
        ];
        for (name, is_given, applies, what) in flags {
            if is_given && !applies {
                let message = format!("{name}: task {} does not predict {what}", recipe.task()?.name());
                return Err(Failure::new(USAGE, message));
            }
        }
        if let Some(path) = &self.plot {
            let title = format!("{}, {} split", run.name(), split.name());
            let failed = |error: String| Failure::new(STORAGE, format!("{}: {error}", path.display()));
            let picture = plot::draw(&report.calibrations(), &title).map_err(failed)?;
            std::fs::write(path, picture).map_err(|error| failed(error.to_string()))?;
            say(format_args!("wrote {}", path.display()));
        }
        if self.json {
            let mut json = report.json();
            if let Some(count) = self.errors {
                report.add_errors(&mut json, count.into());
            }
            writeln!(std::io::stdout().lock(), "{json}")?;
            return Ok(());
        }
        report.print_table()?;
        if self.labels {
            report.print_labels()?;
        }
        self.errors.map_or(Ok(()), |count| report.print_errors(count.into()))?;
        let has_details = self.labels || self.errors.is_some() || self.plot.is_some();
        let of_split = self.split.as_ref().map_or_else(String::new, |split| flag("--split", split));
        report.print_next((!has_details).then_some(of_split.as_str()))
    }
}

/// The split with a name.
pub fn split_named(name: &str) -> Result<Split, Failure> {
    Split::named(name).ok_or_else(|| {
        let known = Split::ALL.map(Split::name);
        let hint = did_you_mean(name, known);
        Failure::new(USAGE, format!("--split {name}: no such split{hint}; choose from {}", known.join(", ")))
    })
}

/// Evaluates the best checkpoint of each of a run's models, with `main` as the first metric. A damaged checkpoint is an
/// error before any evaluation.
pub fn evaluate_run<'a>(
    run: &'a Run,
    split: Split,
    main: Metric,
    data: &dyn Examples,
    device: &Device,
) -> Result<Report<'a>, Failure> {
    let options = Options { threshold: &ThresholdArgs::default(), baselines: true };
    evaluate_with(run, split, main, data, device, options)
}

/// Options of an evaluation.
struct Options<'a> {
    threshold: &'a ThresholdArgs,
    /// Whether to evaluate baselines, which need the training split.
    baselines: bool,
}

/// As [`evaluate_run`], with options.
fn evaluate_with<'a>(
    run: &'a Run,
    split: Split,
    main: Metric,
    data: &dyn Examples,
    device: &Device,
    options: Options,
) -> Result<Report<'a>, Failure> {
    let recipe = &run.environment.settings.recipe;
    check_split(data, split, recipe)?;
    let mut names: Vec<&String> = recipe.models.iter().collect();
    let mut untrained = Vec::new();
    for name in &recipe.models {
        if run.model(name).checkpoints().list()?.is_empty() {
            untrained.push(name.as_str());
        }
    }
    // If no model has a checkpoint, opening the first one returns the error.
    if !untrained.is_empty() && untrained.len() < names.len() {
        let resume = format!("; resume with `seqzoo train --resume {}`", quoted(&run.path));
        let advice = if run.is_training() { "" } else { resume.as_str() };
        say(format_args!("note: not trained yet: {}{advice}", untrained.join(", ")));
        names.retain(|name| !untrained.contains(&name.as_str()));
    }
    let mut models: Vec<Model> =
        names.iter().map(|name| Model::open(&run.model(name), device)).collect::<Result<_, _>>()?;
    let baselines = if options.baselines { models[0].baselines(data, split)? } else { Vec::new() };
    let mut report = Report::new(run, split, main, baselines);
    for (name, model) in names.iter().zip(&mut models) {
        let threshold = options.threshold.set(model, data)?;
        report.add(name, model, threshold, data)?;
    }
    Ok(report)
}
