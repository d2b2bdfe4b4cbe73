//! `seqzoo compare`; longer than other commands because it computes differences.

use std::io::Write;

use clap::Args;
use comfy_table::{CellAlignment, Table};
use seqzoo_datasets::scores::Evaluation;
use seqzoo_datasets::uncertainty::{Resampling, mcnemar};
use seqzoo_datasets::wording::{and, counted};
use seqzoo_inference::Model;
use seqzoo_run::folder::Run;
use serde_json::{Value, json};

use super::evaluate::split_named;
use crate::arguments::{BackendArgs, DataArgs, check_split, load_split, runs};
use crate::failure::{Failure, USAGE};
use crate::report::table_style;
use crate::say::{number, say};

/// Compare the models of runs on the same examples: differences of metrics with paired confidence intervals and a test.
///
/// The models are compared with the first model of the first run, on that run's data. Intervals and p-values of the differences are those of
/// the paired bootstrap over examples: sentences of taggers, pieces of music, whole series of anomaly detectors, blocks of consecutive
/// examples of language models and forecasts. Where predictions are right or wrong, the p-value is that of McNemar's exact test. All are the
/// same in each call.
///
/// Examples: `seqzoo compare trec-1` (its models), `seqzoo compare trec-1 trec-2 --split test`
#[derive(Debug, Args)]
pub struct Compare {
    /// Runs: paths, names or unique prefixes of them, or `last`.
    #[arg(required = true, num_args = 1..)]
    runs: Vec<String>,
    /// Split to compare on: train, validation or test [default: the reported split of the first run's recipe]
    #[arg(long, value_name = "SPLIT")]
    split: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

/// A model on the examples.
struct Compared {
    name: String,
    evaluation: Evaluation,
}

impl Compare {
    pub fn run(&self) -> Result<(), Failure> {
        let found: Vec<Run> = self.runs.iter().map(|name| runs().find(name)).collect::<Result<_, _>>()?;
        let first = &found[0];
        let recipe = &first.environment.settings.recipe;
        let task = recipe.task()?.name();
        if let Some(other) =
            found.iter().find(|run| run.environment.settings.recipe.task().map(|task| task.name()) != Ok(task))
        {
            let message = format!("run {} is not of task {task}, as run {} is", other.name(), first.name());
            return Err(Failure::new(USAGE, message));
        }
        let split = self.split.as_deref().map(split_named).transpose()?;
        let (_, device) = self.backend.open(None)?;
        let (data, split) = load_split(&self.data, first, split, &[])?;
        let data = data.examples;
        check_split(&*data, split, recipe)?;
        let mut models = Vec::new();
        for run in &found {
            if run.environment.data_digest != first.environment.data_digest {
                let (one, other) = (run.name(), first.name());
                say(format_args!(
                    "warning: run {one} was trained on other data than run {other}, possibly on examples of this split"
                ));
            }
            for name in &run.environment.settings.recipe.models {
                let evaluation = Model::open(&run.model(name), &device)?.evaluate(&*data, split)?;
                let Some(resampling) = &evaluation.resampling else {
                    let (run, split) = (run.name(), split.name());
                    let message = format!("compare: run {run} has no examples to resample on the {split} split");
                    return Err(Failure::new(USAGE, message));
                };
                if let Some(Compared { name: of_first, evaluation: Evaluation { resampling: Some(all), .. } }) =
                    models.first()
                    && all.count() != resampling.count()
                {
                    let message = format!(
                        "model {name} of run {} is evaluated on {} {}, model {of_first} on {}; compare models with the same units and \
                         windows",
                        run.name(),
                        resampling.count(),
                        resampling.unit(),
                        all.count()
                    );
                    return Err(Failure::new(USAGE, message));
                }
                let name = if found.len() > 1 { format!("{}/{name}", run.name()) } else { name.clone() };
                models.push(Compared { name, evaluation });
            }
        }
        if models.len() < 2 {
            let message = format!("run {} has one model; name another run to compare it with", first.name());
            return Err(Failure::new(USAGE, message));
        }
        self.print(&models, split.name())
    }

    fn print(&self, models: &[Compared], split: &str) -> Result<(), Failure> {
        let (base, others) = models.split_first().expect("at least two");
        let rows: Vec<Value> = others.iter().flat_map(|other| differences(base, other)).collect();
        let examples = base.evaluation.all.examples;
        let mut out = std::io::stdout().lock();
        if self.json {
            let resamples = base.evaluation.resampling.as_ref().map_or(0, Resampling::resamples);
            let object = json!({
                "split": split, "examples": examples, "base": base.name, "resamples": resamples, "differences": rows,
            });
            return Ok(writeln!(out, "{object}")?);
        }
        let mut table = Table::new();
        table.load_style(table_style());
        let title = format!("{split}, {}", counted(examples, "examples"));
        table.set_header([title.as_str(), "model", base.name.as_str(), "value", "difference", "95 % interval", "p"]);
        for row in &rows {
            let value = |key: &str| row[key].as_f64().map_or("-".to_owned(), number);
            let [low, high] = [0, 1].map(|end| row["interval"][end].as_f64().map_or("-".to_owned(), number));
            let [metric, model] = ["metric", "model"].map(|key| row[key].as_str().unwrap_or_default().to_owned());
            let interval = if row["interval"].is_null() { "-".to_owned() } else { format!("{low} to {high}") };
            table.add_row([metric, model, value("base"), value("value"), value("difference"), interval, value("p")]);
        }
        table.column_iter_mut().skip(2).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        writeln!(out, "{table}")?;
        writeln!(out, "{}", legend(base))?;
        constant(&rows).map_or(Ok(()), |note| Ok(writeln!(out, "{note}")?))
    }
}

/// A note on the differences that have no interval although examples were resampled.
fn constant(rows: &[Value]) -> Option<String> {
    let names = rows.iter().filter(|row| row["constant"] == true).map(|row| {
        let [metric, model] = ["metric", "model"].map(|key| row[key].as_str().unwrap_or_default());
        format!("{metric} ({model})")
    });
    let names: Vec<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| format!("no 95 % interval of {}: all resamples have the same difference", and(&names)))
}

/// What the columns of the table are.
fn legend(base: &Compared) -> String {
    let Compared { name, evaluation } = base;
    let resampling = evaluation.resampling.as_ref().filter(|resampling| resampling.resamples() > 0);
    let bootstrap = resampling.map_or_else(String::new, |resampling| {
        let (unit, count) = (resampling.unit(), resampling.resamples());
        format!("; interval and p: paired bootstrap over {unit}, {count} resamples")
    });
    let test = evaluation.right.as_ref().map_or_else(String::new, |(metric, _)| {
        format!("; p of {}: McNemar's exact test of right predictions", metric.name)
    });
    format!("difference: value minus that of {name}{bootstrap}{test}")
}

/// The difference of each metric of a model from that of the base.
fn differences(base: &Compared, other: &Compared) -> Vec<Value> {
    let (own, theirs) = (&base.evaluation, &other.evaluation);
    let resampled = match (&own.resampling, &theirs.resampling) {
        (Some(own), Some(theirs)) => own.differences(theirs),
        _ => Vec::new(),
    };
    let exact =
        own.right.as_ref().zip(theirs.right.as_ref()).map(|((metric, own), (_, theirs))| {
            (metric.name, mcnemar(own.iter().copied().zip(theirs.iter().copied())))
        });
    let row = |(metric, value): (&str, f64)| {
        let (_, of_other) = theirs.all.iter().find(|(name, _)| *name == metric)?;
        let found = resampled.iter().find(|found| found.metric == metric);
        let exact = exact.filter(|(name, _)| *name == metric).map(|(_, p)| (p, "McNemar"));
        let bootstrapped = found.and_then(|found| Some((found.p?, "paired bootstrap")));
        let (p, test) = exact.or(bootstrapped).unzip();
        Some(json!({
            "model": other.name, "metric": metric, "base": value, "value": of_other, "difference": of_other - value,
            "interval": found.and_then(|found| found.interval), "p": p, "test": test,
            "constant": found.is_some_and(|found| found.interval.is_none() && found.p.is_some()),
        }))
    };
    own.all.iter().filter_map(row).collect()
}
