//! What `train` and `evaluate` print at the end: accuracy by model and group, beside the baselines.

use std::collections::BTreeSet;
use std::io::Write;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle, presets};
use seqzoo_datasets::catalog::Data;
use seqzoo_datasets::classification::Split;
use seqzoo_inference::{AskError, Model};
use seqzoo_run::folder::Run;
use seqzoo_run::progress::Scores;
use seqzoo_run::recipe::Metric;
use seqzoo_run::tasks::classification::Evaluation;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::say::quoted;

/// Accuracies of a run's models on a part of its data.
pub struct Report<'a> {
    run: &'a Run,
    split: Split,
    baselines: Vec<(&'static str, f64)>,
    models: Vec<Measured>,
}

struct Measured {
    name: &'static str,
    step: u64,
    recovered: Option<String>,
    evaluation: Evaluation,
}

impl<'a> Report<'a> {
    pub fn new(run: &'a Run, split: Split, data: &Data) -> Self {
        Self { run, split, baselines: data.baselines(split), models: Vec::new() }
    }

    /// Measures a model.
    pub fn add(&mut self, name: &'static str, model: &Model, data: &Data) -> Result<(), AskError> {
        let evaluation = model.evaluate(data, self.split)?;
        let recovered = model.progress.recovery.summary();
        self.models.push(Measured { name, step: model.step, recovered, evaluation });
        Ok(())
    }

    fn metric(&self) -> Metric {
        self.run.environment.settings.recipe.expected.metric
    }

    /// One JSON object; `value` is the main model's, by the recipe's metric.
    pub fn print_json(&self) -> Result<(), Failure> {
        let settings = &self.run.environment.settings;
        let scores = |scores: &Scores| json!({"accuracy": scores.accuracy, "examples": scores.examples});
        let models = self.models.iter().map(|model| {
            let all = model.evaluation.all;
            let mut object = json!({
                "accuracy": all.accuracy, "loss": all.loss, "examples": all.examples, "step": model.step,
                "recovered": model.recovered,
            });
            for (kind, values) in &model.evaluation.groups {
                let by_value: Map<String, Value> = values.iter().map(|(v, s)| (v.clone(), scores(s))).collect();
                object[format!("by {kind}")] = by_value.into();
            }
            (model.name.to_owned(), object)
        });
        let models: Map<String, Value> = models.collect();
        let baselines: Map<String, Value> =
            self.baselines.iter().map(|(name, accuracy)| ((*name).to_owned(), json!(accuracy))).collect();
        let main = self.models[0].evaluation.all;
        let object = json!({
            "recipe": settings.name, "run": self.run.path.display().to_string(), "seed": settings.recipe.training.seed,
            "split": self.split.name(), "metric": self.metric().name(), "value": main.metric(self.metric()), "examples": main.examples,
            "models": models, "baselines": baselines,
        });
        writeln!(std::io::stdout().lock(), "{object}")?;
        Ok(())
    }

    /// A table with a row per group of examples and a column per model.
    pub fn print_table(&self) -> Result<(), Failure> {
        let settings = &self.run.environment.settings;
        let mut table = Table::new();
        table.load_style(plain());
        let metric = self.metric();
        let title = format!("{} {}", self.split.name(), metric.name());
        let header = [title, "examples".to_owned()].into_iter();
        table.set_header(header.chain(self.models.iter().map(|model| model.name.to_owned())));
        let mut row = |label: String, scores: &dyn Fn(&Measured) -> Scores| {
            let examples = scores(&self.models[0]).examples.to_string();
            let accuracies = self.models.iter().map(|model| format!("{:.4}", scores(model).metric(metric)));
            table.add_row([label, examples].into_iter().chain(accuracies));
        };
        row("all".to_owned(), &|model| model.evaluation.all);
        let groups: BTreeSet<(&String, &String)> = self
            .models
            .iter()
            .flat_map(|model| {
                model.evaluation.groups.iter().flat_map(|(kind, values)| values.keys().map(move |value| (kind, value)))
            })
            .collect();
        for (kind, value) in groups {
            row(format!("{kind}: {value}"), &|model| model.evaluation.groups[kind][value]);
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));

        let mut out = std::io::stdout().lock();
        writeln!(out, "{table}")?;
        let baselines: Vec<_> = self.baselines.iter().map(|(name, accuracy)| format!("{name} {accuracy:.4}")).collect();
        if !baselines.is_empty() {
            writeln!(out, "baselines: {}", baselines.join(", "))?;
        }
        let seed = settings.recipe.training.seed;
        writeln!(out, "run {}, recipe {}, seed {seed}", self.run.path.display(), settings.name)?;
        for model in &self.models {
            if let Some(recovered) = &model.recovered {
                writeln!(out, "{} recovered: {recovered}; see {}/events.jsonl", model.name, model.name)?;
            }
        }
        let (dataset, path) = (settings.recipe.dataset()?, quoted(&self.run.path));
        match dataset.is_text() {
            true => writeln!(out, "next: seqzoo generate {path} --prompt \"{}\"", dataset.example())?,
            false => writeln!(out, "next: seqzoo predict {path} \"{}\"", dataset.example())?,
        }
        Ok(())
    }
}

/// Columns under a header, without lines between rows.
pub fn plain() -> TableStyle {
    TableStyle { row_separator: LineStyle::default(), ..presets::UTF8_NO_BORDERS }
}
