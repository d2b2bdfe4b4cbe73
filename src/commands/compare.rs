//! `seqzoo compare`; longer than other commands because it computes differences.

use std::io::Write;

use clap::Args;
use comfy_table::{CellAlignment, Table};
use seqzoo_datasets::scores::{ConfusionMatrix, Evaluation};
use seqzoo_datasets::uncertainty::{intervals, mcnemar};
use seqzoo_inference::Model;
use seqzoo_run::folder::Run;
use serde_json::{Value, json};

use super::evaluate::split_named;
use crate::arguments::{BackendArgs, DataArgs, check_split, reported_split, runs};
use crate::failure::{Failure, USAGE};
use crate::report::table_style;
use crate::say::{number, say};

/// Compare the models of runs on the same examples: differences of metrics with paired confidence intervals and a test.
///
/// The models are compared with the first model of the first run, on that run's data. Intervals are bootstrapped over examples, p-values
/// are those of McNemar's exact test.
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
        let data = self.data.load_for_run(first)?;
        let split = split.map_or_else(|| reported_split(recipe, &*data), Ok)?;
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
                if evaluation.outcomes.is_empty() {
                    let message = format!("compare is for tasks with one label per example, and task {task} has none");
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
        let examples = base.evaluation.outcomes.len();
        let mut out = std::io::stdout().lock();
        if self.json {
            let object = json!({"split": split, "examples": examples, "base": base.name, "differences": rows});
            return Ok(writeln!(out, "{object}")?);
        }
        let mut table = Table::new();
        table.load_style(table_style());
        let title = format!("{split}, {examples} examples");
        table.set_header([
            title.as_str(),
            "model",
            base.name.as_str(),
            "the model",
            "difference",
            "95 % interval",
            "p",
        ]);
        for row in &rows {
            let value = |key: &str| row[key].as_f64().map_or("-".to_owned(), number);
            let [low, high] = [0, 1].map(|end| row["interval"][end].as_f64().map_or("-".to_owned(), number));
            let [metric, model] = ["metric", "model"].map(|key| row[key].as_str().unwrap_or_default().to_owned());
            let interval = format!("{low} to {high}");
            table.add_row([metric, model, value("base"), value("value"), value("difference"), interval, value("p")]);
        }
        table.column_iter_mut().skip(2).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        writeln!(out, "{table}")?;
        writeln!(
            out,
            "difference: the model minus {}; interval: paired bootstrap over examples; p: McNemar's exact test",
            base.name
        )?;
        Ok(())
    }
}

/// The difference of each metric of a model from that of the base.
fn differences(base: &Compared, other: &Compared) -> Vec<Value> {
    let labels = base.evaluation.confusion.as_ref().map_or(&[][..], |confusion| &confusion.labels);
    let mut labels = labels.to_vec();
    let theirs = other.evaluation.confusion.as_ref().map_or(&[][..], |confusion| &confusion.labels);
    labels.extend(theirs.iter().filter(|label| !labels.contains(label)).cloned().collect::<Vec<_>>());
    // The models of another run may have their labels in another order.
    let index = |label: &String| labels.iter().position(|known| known == label).unwrap_or(0);
    let own: Vec<usize> = theirs.iter().map(index).collect();
    let first = &base.evaluation.outcomes;
    let second: Vec<(usize, usize)> =
        other.evaluation.outcomes.iter().map(|&(actual, predicted)| (own[actual], own[predicted])).collect();
    let scores = |indices: &mut dyn Iterator<Item = usize>| {
        let indices: Vec<usize> = indices.collect();
        let of = |outcomes: &[(usize, usize)]| {
            ConfusionMatrix::from_pairs(&labels, indices.iter().map(|&index| outcomes[index])).scores()
        };
        (of(first), of(&second))
    };
    let (all, all_of_other) = scores(&mut (0..first.len()));
    let found = intervals(first.len(), |indices| {
        let (one, other) = scores(indices);
        one.iter().zip(other.iter()).map(|((name, one), (_, other))| (name.to_owned(), other - one)).collect()
    });
    let right = |outcomes: &[(usize, usize)]| {
        outcomes.iter().map(|(actual, predicted)| actual == predicted).collect::<Vec<_>>()
    };
    let p = mcnemar(right(first).into_iter().zip(right(&second)));
    let row = |((metric, value), (_, of_other)): ((&str, f64), (&str, f64))| {
        let interval = found.iter().find(|(name, _)| name == metric).map(|(_, interval)| interval);
        // The test is one of accuracy.
        let p = (metric == "accuracy").then_some(p);
        json!({
            "model": other.name, "metric": metric, "base": value, "value": of_other, "difference": of_other - value,
            "interval": interval, "p": p,
        })
    };
    all.iter().zip(all_of_other.iter()).map(row).collect()
}
