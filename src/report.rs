//! What `train`, `evaluate` and `verify` tell of a run: every metric by model and group, beside the baselines.

use std::io::Write;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle, presets};
use seqzoo_datasets::catalog::Data;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Confusion, Evaluation, Metric, Scores};
use seqzoo_inference::{Model, PredictError, Sampling};
use seqzoo_run::folder::Run;
use seqzoo_run::progress::{Ended, Progress};
use seqzoo_run::recipe::Recipe;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::say::{flag, quoted};

/// How a run's models answer a part of its data.
pub struct Report<'a> {
    run: &'a Run,
    split: Split,
    main: Metric,
    baselines: Vec<(&'static str, Evaluation)>,
    models: Vec<Measured<'a>>,
    /// A command to go on with, once a model is measured.
    next: Option<String>,
    /// The command that resumes the run.
    resume: String,
}

struct Measured<'a> {
    name: &'a str,
    /// The run's recipe with this model's own values.
    recipe: Recipe,
    step: u64,
    progress: Progress,
    evaluation: Evaluation,
}

impl Measured<'_> {
    /// How training of the model ended, where it did not make all its epochs.
    fn ended(&self, resume: &str) -> Option<String> {
        let (done, all) = (self.progress.epoch, self.recipe.training.epochs);
        match self.progress.ended(&self.recipe) {
            Some(Ended::Epochs(_)) => None,
            Some(early @ Ended::Early { .. }) => Some(early.to_string()),
            None => {
                Some(format!("stopped at a limit or a signal after {done} of {all} epochs; resume with `{resume}`"))
            }
        }
    }

    /// What is said of a validation loss far above that of the untrained model.
    fn warning(&self) -> Option<String> {
        let untrained = self.progress.divergence.untrained()?;
        let loss = self.progress.best(self.recipe.stopping.metric)?.validation.get(Metric::Loss)?;
        (loss > untrained.limit()).then(|| {
            format!(
                "its validation loss, {loss:.4}, is far above that of the untrained model, {:.4}: it overfits, or its learning \
                 rate is too large",
                untrained.loss
            )
        })
    }

    /// How far training has come, as JSON.
    fn training(&self) -> Value {
        let ended = match self.progress.ended(&self.recipe) {
            None => "stopped at a limit",
            Some(Ended::Epochs(_)) => "all epochs done",
            Some(Ended::Early { .. }) => "stopped early",
        };
        json!({
            "ended": ended, "epochs_done": self.progress.epoch, "epochs": self.recipe.training.epochs, "steps": self.progress.step,
            "best_epoch": self.progress.best(self.recipe.stopping.metric).map(|best| best.epoch),
        })
    }
}

impl<'a> Report<'a> {
    pub fn new(run: &'a Run, split: Split, main: Metric, baselines: Vec<(&'static str, Evaluation)>) -> Self {
        let resume = format!("seqzoo train --resume {}", quoted(&run.path));
        Self { run, split, main, baselines, models: Vec::new(), next: None, resume }
    }

    /// The report with another command that resumes the run.
    pub fn resumed_by(self, resume: String) -> Self {
        Self { resume, ..self }
    }

    /// Measures a model.
    pub fn add(&mut self, name: &'a str, model: &Model, data: &Data) -> Result<(), PredictError> {
        let evaluation = model.evaluate(data, self.split)?;
        let recipe = model.recipe.clone();
        self.models.push(Measured { name, recipe, step: model.step, progress: model.progress.clone(), evaluation });
        if self.models.len() == 1 {
            self.next = self.suggestion(name, model, data);
        }
        Ok(())
    }

    /// What to ask a model next; `None` if there is no prompt that it knows.
    fn suggestion(&self, name: &str, model: &Model, data: &Data) -> Option<String> {
        let recipe = &self.run.environment.settings.recipe;
        let dataset = recipe.dataset().ok()?;
        let path = quoted(&self.run.path);
        let command = match data {
            Data::Series(_) => format!("seqzoo forecast {path} --plot forecast.svg"),
            Data::Text(corpus) => {
                let prompt = prompt(model, dataset.example, corpus.split(Split::Train))?;
                format!("seqzoo generate {path} --prompt {}", in_quotes(prompt))
            }
            Data::Labeled(_) | Data::Tagged(_) | Data::Pairs(_) => {
                format!("seqzoo predict {path} {}", in_quotes(dataset.example))
            }
        };
        // Who is not named is the recipe's first model, which may not be trained yet.
        let other = if recipe.models.first().is_some_and(|first| first == name) {
            String::new()
        } else {
            flag("--model", name)
        };
        Some(command + &other)
    }

    /// The first model's value by the main metric.
    pub fn value(&self) -> f64 {
        self.models[0].evaluation.all.get(self.main).unwrap_or(f64::NAN)
    }

    /// What was measured, as JSON; `value` is the first model's, by the main metric.
    pub fn json(&self) -> Value {
        let settings = &self.run.environment.settings;
        let models = self.models.iter().map(|model| {
            let mut object = evaluation(&model.evaluation);
            object["step"] = json!(model.step);
            object["recovered"] = json!(model.progress.recovery.summary());
            object["training"] = model.training();
            object["warning"] = json!(model.warning());
            (model.name.to_owned(), object)
        });
        let baselines = self.baselines.iter().map(|(name, found)| ((*name).to_owned(), evaluation(found)));
        json!({
            "recipe": settings.name, "run": self.run.path.display().to_string(), "seed": settings.recipe.training.seed,
            "split": self.split.name(), "metric": self.main.name(), "value": self.value(),
            "examples": self.models[0].evaluation.all.examples,
            "models": models.collect::<Map<_, _>>(), "baselines": baselines.collect::<Map<_, _>>(),
        })
    }

    /// A table with a row per metric and group and a column per model, and what to do next.
    pub fn print_table(&self) -> Result<(), Failure> {
        let settings = &self.run.environment.settings;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", self.table())?;
        let plainly = self.baselines.iter().filter(|(_, found)| found.groups.is_empty());
        let value = |scores: &Scores| scores.get(self.main).map_or_else(|| "-".to_owned(), |v| format!("{v:.4}"));
        let told: Vec<_> = plainly.map(|(name, found)| format!("{name} {}", value(&found.all))).collect();
        if !told.is_empty() {
            writeln!(out, "baselines: {}", told.join(", "))?;
        }
        // The models of a run have one vocabulary.
        if let Some(unknown) = self.models[0].evaluation.unknown.filter(|&unknown| unknown > 0.0) {
            let percent = 100.0 * unknown;
            writeln!(
                out,
                "{percent:.1} % of the tokens are unknown and count as one; losses over another vocabulary are not comparable"
            )?;
        }
        let seed = settings.recipe.training.seed;
        writeln!(out, "run {}, recipe {}, seed {seed}", self.run.path.display(), settings.name)?;
        for model in &self.models {
            let Measured { name, progress, .. } = model;
            if let Some(recovered) = progress.recovery.summary() {
                writeln!(out, "{name} recovered: {recovered}; see {name}/events.jsonl")?;
            }
            for line in [model.ended(&self.resume), model.warning()] {
                line.map_or(Ok(()), |line| writeln!(out, "{name}: {line}"))?;
            }
        }
        let asked = self.models[0].evaluation.all.examples;
        for (name, found) in self.baselines.iter().filter(|(_, found)| found.all.examples < asked) {
            let answered = found.all.examples;
            writeln!(out, "{name} answers {answered} of the {asked} examples; it has no figure where one is missing")?;
        }
        for (model, interval) in self.models.iter().filter_map(|model| Some((model, model.evaluation.interval?))) {
            let promised = 100.0 * interval.promised;
            writeln!(
                out,
                "{}: intervals of {promised:.0} % held {:.1} % of what came",
                model.name,
                100.0 * interval.held
            )?;
        }
        if let Some(next) = &self.next {
            writeln!(out, "next: {next}")?;
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let main = self.main;
        let grouped = self.baselines.iter().filter(|(_, found)| !found.groups.is_empty());
        let columns: Vec<(&str, &Evaluation)> = self
            .models
            .iter()
            .map(|model| (model.name, &model.evaluation))
            .chain(grouped.map(|(name, found)| (*name, found)))
            .collect();
        let mut table = Table::new();
        table.load_style(plain());
        let title = [self.split.name().to_owned(), "examples".to_owned()];
        table.set_header(title.into_iter().chain(columns.iter().map(|(name, _)| (*name).to_owned())));
        let mut row = |label: String, metric: Metric, scores: &dyn Fn(&Evaluation) -> Option<Scores>| {
            let examples = scores(columns[0].1).map_or_else(String::new, |scores| scores.examples.to_string());
            let value = |found: &Evaluation| Some(format!("{:.4}", scores(found)?.get(metric)?));
            let values = columns.iter().map(|(_, found)| value(found).unwrap_or_else(|| "-".to_owned()));
            table.add_row([label, examples].into_iter().chain(values));
        };
        let measured = self.models[0].evaluation.all.metrics.keys().copied();
        for metric in std::iter::once(main).chain(measured.filter(|&metric| metric != main)) {
            row(metric.name().to_owned(), metric, &|found| Some(found.all.clone()));
        }
        for (group, _) in &self.models[0].evaluation.groups {
            let of_group =
                |found: &Evaluation| found.groups.iter().find(|(other, _)| other == group).map(|(_, s)| s.clone());
            row(format!("{}, {}: {}", main.name(), group.0, group.1), main, &of_group);
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        table
    }

    /// For each model, how well each label is told and which are taken for which.
    pub fn print_labels(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        for model in &self.models {
            let Some(confusion) = &model.evaluation.confusion else { continue };
            writeln!(out, "\n{}, {}\n{}", model.name, self.split.name(), labels(confusion))?;
            writeln!(out, "\n{}: rows are right, columns answered\n{}", model.name, matrix(confusion))?;
        }
        Ok(())
    }
}

/// A beginning that a language model can go on from: its dataset's example, or words of the text that it was trained on.
fn prompt<'a>(model: &Model, example: &'a str, text: &'a str) -> Option<&'a str> {
    let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, seed: 0 };
    let known = |prompt: &&str| {
        let plain = !prompt.trim().is_empty() && !prompt.contains(char::is_control);
        plain && model.write(prompt, sampling).is_ok()
    };
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let beginnings = line.match_indices(' ').map(|(end, _)| &line[..end]).take(PROMPT_WORDS);
    let beginnings: Vec<&str> = beginnings.collect();
    let words = text.split_whitespace().take(PROMPT_TRIES);
    std::iter::once(example).chain(beginnings.into_iter().rev()).chain(words).find(known)
}

/// Words of a text that make a prompt, and words that are tried one by one where no beginning serves.
const PROMPT_WORDS: usize = 3;
const PROMPT_TRIES: usize = 1_000;

/// A text in quotes as it can be pasted into a shell.
fn in_quotes(text: &str) -> String {
    if text.contains(['"', '$', '`', '\\', '!']) { quoted(text) } else { format!("\"{text}\"") }
}

/// Every metric, groups by kind and value, labels and what they are taken for.
fn evaluation(found: &Evaluation) -> Value {
    let scores = |scores: &Scores| serde_json::to_value(scores).expect("made of numbers");
    let mut object = scores(&found.all);
    for ((kind, value), of_group) in &found.groups {
        object[format!("by {kind}")][value] = scores(of_group);
    }
    if let Some(interval) = found.interval {
        object["interval"] = json!(interval);
    }
    if let Some(unknown) = found.unknown {
        object["unknown-tokens"] = json!(unknown);
    }
    if let Some(confusion) = &found.confusion {
        let each =
            confusion.labels.iter().enumerate().map(|(number, label)| (label.clone(), json!(confusion.label(number))));
        object["labels"] = each.collect::<Map<_, _>>().into();
        object["confusion"] = json!(confusion);
    }
    object
}

/// How well each label is told.
fn labels(confusion: &Confusion) -> Table {
    let mut table = Table::new();
    table.load_style(plain());
    table.set_header(["label", "examples", "precision", "recall", "f1"]);
    for (number, label) in confusion.labels.iter().enumerate() {
        let scores = confusion.label(number);
        let shares = [scores.precision, scores.recall, scores.f1].map(|share| format!("{share:.4}"));
        table.add_row([label.clone(), scores.examples.to_string()].into_iter().chain(shares));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// How often each label was answered where each was right.
fn matrix(confusion: &Confusion) -> Table {
    let mut table = Table::new();
    table.load_style(plain());
    table.set_header(std::iter::once(String::new()).chain(confusion.labels.iter().cloned()));
    for (label, row) in confusion.labels.iter().zip(&confusion.counts) {
        let cell = |&count: &usize| if count == 0 { ".".to_owned() } else { count.to_string() };
        table.add_row(std::iter::once(label.clone()).chain(row.iter().map(cell)));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

/// Columns under a header, without lines between rows.
pub fn plain() -> TableStyle {
    TableStyle { row_separator: LineStyle::default(), ..presets::UTF8_NO_BORDERS }
}
