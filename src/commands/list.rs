//! `seqzoo list`; longer than other commands because of its kinds of items.

use std::io::Write;

use clap::{Args, ValueEnum};
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::{catalog, formats};
use seqzoo_models::Architecture;
use seqzoo_run::Backend;
use seqzoo_run::recipe::SHIPPED;
use seqzoo_run::settings::Settings;
use seqzoo_tasks::Task;
use serde_json::{Value, json};

use crate::failure::Failure;

/// List recipes, models, datasets, formats, tasks and backends.
///
/// Examples: `seqzoo list`, `seqzoo list recipes --json`
#[derive(Debug, Args)]
pub struct List {
    /// Kind to list [default: all]
    kind: Option<Kind>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Recipes,
    Models,
    Datasets,
    Formats,
    Tasks,
    Backends,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Recipes => "recipes",
            Kind::Models => "models",
            Kind::Datasets => "datasets",
            Kind::Formats => "formats",
            Kind::Tasks => "tasks",
            Kind::Backends => "backends",
        }
    }

    /// Name and summary of each item.
    fn items(self) -> Vec<(String, String)> {
        match self {
            Kind::Recipes => SHIPPED.iter().map(|(name, _)| ((*name).to_owned(), recipe_summary(name))).collect(),
            Kind::Models => Architecture::ALL.map(|model| (model.name().to_owned(), model_summary(model))).to_vec(),
            Kind::Datasets => {
                catalog::all().iter().map(|data| (data.name.to_owned(), data.summary.to_owned())).collect()
            }
            Kind::Formats => formats::ALL.map(|format| (format.name.to_owned(), format_summary(format))).to_vec(),
            Kind::Tasks => seqzoo_tasks::ALL.map(|task| (task.name().to_owned(), task_summary(task))).to_vec(),
            Kind::Backends => Backend::ALL.map(|one| (one.name().to_owned(), backend_summary(one))).to_vec(),
        }
    }
}

/// Syntax of model names in a recipe's `models` and in `probe`: sizes, stacks and output layers.
const MODEL_NAMES: &str = "
names in a recipe's models, as in --set 'models=[\"lstm-64\"]'
  lstm              a model above, with the recipe's network.hidden_sizes
  lstm-64           one layer with hidden size 64
  gru-64-32         a stack of layers with these hidden sizes, the first one first
  bilstm+crf        a tagger with a CRF output layer; bilstm-64+crf also sets a size
  perceptron-64     a perceptron over the window, with one hidden layer of 64 (forecasting only)
names of models to probe, as in seqzoo probe 3xlstm+residual
  3xlstm            a stack of three equal layers
  3xlstm+residual   with skip connections: residual, highway or dense
";

fn format_summary(format: &formats::Format) -> String {
    let options: Vec<&str> = formats::COMMON.iter().chain(format.options).map(|(name, _)| *name).collect();
    format!("{}; columns: {}; options: {}", format.summary, format.columns, options.join(", "))
}

fn task_summary(task: &Task) -> String {
    let metric = |metric: &Metric| match metric.unit {
        "" => metric.name.to_owned(),
        unit => format!("{} ({unit})", metric.name),
    };
    let metrics: Vec<String> = task.metrics.iter().map(metric).collect();
    format!("{}; metrics: {}", task.summary, metrics.join(", "))
}

fn recipe_summary(name: &str) -> String {
    let settings = Settings::read(name).expect("a test parses every shipped recipe");
    settings.recipe.summary
}

fn model_summary(model: Architecture) -> String {
    let directions = if model.directions() == 2 { ", bidirectional" } else { "" };
    format!("{}{directions}", model.info().summary)
}

fn backend_summary(backend: Backend) -> String {
    let linked = if backend.is_linked() { "linked in" } else { "not linked in" };
    format!("{} ({linked})", backend.summary())
}

impl List {
    pub fn run(&self) -> Result<(), Failure> {
        let kinds = match self.kind {
            Some(kind) => vec![kind],
            None => Kind::value_variants().to_vec(),
        };
        let mut out = std::io::stdout().lock();
        if self.json {
            let item = |(name, summary)| json!({"name": name, "summary": summary});
            let items = |kind: Kind| kind.items().into_iter().map(item).collect::<Vec<Value>>();
            let object: serde_json::Map<String, Value> =
                kinds.iter().map(|kind| (kind.name().to_owned(), items(*kind).into())).collect();
            writeln!(out, "{}", Value::Object(object))?;
            return Ok(());
        }
        for kind in kinds {
            writeln!(out, "{}", kind.name())?;
            let items = kind.items();
            let width = items.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(17);
            for (name, summary) in items {
                writeln!(out, "  {name:<width$} {summary}")?;
            }
            if kind == Kind::Models {
                writeln!(out, "{MODEL_NAMES}")?;
            }
        }
        writeln!(out, "\nnext: seqzoo describe lstm, or seqzoo train agreement")?;
        Ok(())
    }
}
