//! Report of `train`, `evaluate` and `verify`: metrics per model and group, with baselines.

mod labels;
mod suggestion;

use std::io::Write;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle, presets};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Evaluation, Metric, Mistake, Mistakes, Scores};
use seqzoo_datasets::uncertainty::Calibration;
use seqzoo_inference::{Examples, Model, PredictError};
use seqzoo_run::folder::Run;
use seqzoo_run::progress::{EndReason, Progress};
use seqzoo_run::recipe::Recipe;
use seqzoo_run::record::Diagnosis;
use serde_json::{Map, Value, json};

use crate::arguments::Chosen;
use crate::failure::Failure;
use crate::say::{number, quoted};

/// Metrics of a run's models on one split.
pub struct Report<'a> {
    run: &'a Run,
    split: Split,
    main: Metric,
    baselines: Vec<(&'static str, Evaluation)>,
    models: Vec<Evaluated<'a>>,
    /// Suggested next command, once a model is evaluated.
    next: Option<String>,
    /// The command that resumes the run.
    resume: String,
}

struct Evaluated<'a> {
    name: &'a str,
    /// The run's recipe with this model's own values.
    recipe: Recipe,
    step: u64,
    progress: Progress,
    diagnosis: Option<Diagnosis>,
    warning: Option<String>,
    /// A label and the probability from which it is predicted, if that is given.
    threshold: Option<Chosen>,
    /// Whether another process is training the model or others of the run.
    is_training: bool,
    evaluation: Evaluation,
}

impl Evaluated<'_> {
    /// How training ended, if before its last epoch.
    fn ended(&self, resume: &str) -> Option<String> {
        if let Some(diagnosis) = &self.diagnosis {
            return Some(format!("{diagnosis}; the checkpoint after {} updates is evaluated", self.step));
        }
        let (done, all) = (self.progress.epoch, self.recipe.training.epochs);
        match self.progress.ended(&self.recipe) {
            Some(EndReason::Epochs(_)) => None,
            Some(early @ EndReason::Early { .. }) => Some(early.to_string()),
            None if self.is_training => Some(format!("training in progress: {done} of {all} epochs so far")),
            None => {
                Some(format!("stopped at a limit or a signal after {done} of {all} epochs; resume with `{resume}`"))
            }
        }
    }

    /// What recovery changed; `None` if training ended with an error in spite of it.
    fn recovered(&self) -> Option<String> {
        self.progress.recovery.summary().filter(|_| self.diagnosis.is_none())
    }

    /// Learning rate and number of epochs and updates, if models of the run have per-model values.
    fn budget(&self) -> Option<String> {
        let best = self.progress.best(self.recipe.stopping_metric())?;
        let (rate, epochs) = (self.recipe.training.learning_rate, self.recipe.training.epochs);
        Some(format!("learning rate {rate:e}, best epoch {} of {epochs} ({} updates)", best.epoch, best.step))
    }

    /// The confidence interval of a metric, or why there is none although examples are resampled.
    fn interval(&self, metric: Metric) -> Option<String> {
        let (evaluation, name) = (&self.evaluation, metric.name);
        if evaluation.constant.iter().any(|constant| constant == name) {
            return Some(format!("no 95 % interval of {name}: all examples agree"));
        }
        let (_, [low, high]) = evaluation.intervals.iter().find(|(interval, _)| interval == name)?;
        let method = evaluation.interval_method(metric);
        Some(format!("95 % interval of {name} {} to {} ({method})", number(*low), number(*high)))
    }

    /// Training progress, as JSON.
    fn training(&self) -> Value {
        let ended = match self.progress.ended(&self.recipe) {
            _ if self.diagnosis.is_some() => self.diagnosis.as_ref().map_or("", Diagnosis::name),
            None if self.is_training => "in progress",
            None => "stopped at a limit",
            Some(EndReason::Epochs(_)) => "all epochs done",
            Some(EndReason::Early { .. }) => "stopped early",
        };
        json!({
            "ended": ended, "epochs_done": self.progress.epoch, "epochs": self.recipe.training.epochs, "steps": self.progress.step,
            "learning_rate": self.recipe.training.learning_rate,
            "best_epoch": self.progress.best(self.recipe.stopping_metric()).map(|best| best.epoch),
        })
    }
}

impl<'a> Report<'a> {
    pub fn new(run: &'a Run, split: Split, main: Metric, baselines: Vec<(&'static str, Evaluation)>) -> Self {
        let resume = format!("seqzoo train --resume {}", quoted(&run.path));
        Self { run, split, main, baselines, models: Vec::new(), next: None, resume }
    }

    /// Replaces the command that resumes the run.
    pub fn resumed_by(self, resume: String) -> Self {
        Self { resume, ..self }
    }

    /// Evaluates a model and adds it.
    pub fn add(
        &mut self,
        name: &'a str,
        model: &Model,
        threshold: Option<Chosen>,
        examples: &dyn Examples,
    ) -> Result<(), PredictError> {
        let evaluation = model.evaluate(examples, self.split)?;
        let recipe = model.recipe.clone();
        let (progress, diagnosis) = (model.progress.clone(), model.diagnosis.clone());
        let (step, warning) = (model.step, model.warning());
        let is_training = progress.ended(&recipe).is_none() && self.run.is_training();
        self.models.push(Evaluated {
            name,
            recipe,
            step,
            progress,
            diagnosis,
            warning,
            threshold,
            is_training,
            evaluation,
        });
        if self.next.is_none() && model.diagnosis.is_none() {
            self.next = suggestion::next_command(self.run, name, model, examples);
        }
        Ok(())
    }

    /// What a threshold does, and how it was chosen.
    fn threshold(&self, Chosen { label, least, is_tuned }: &Chosen, evaluation: &Evaluation) -> String {
        let scores = evaluation.confusion.as_ref().and_then(|confusion| {
            let index = confusion.labels.iter().position(|known| known == label)?;
            Some(confusion.label_scores(index))
        });
        let scores = scores.map_or_else(String::new, |found| {
            let [precision, recall, f1] = [found.precision, found.recall, found.f1].map(number);
            format!(", with precision {precision}, recall {recall} and F1 {f1}")
        });
        let caveat = match (is_tuned, self.split) {
            (true, Split::Validation) => {
                "; this threshold has the highest F1 on these same examples, so that of new ones will be lower"
            }
            (true, _) => "; this threshold has the highest F1 on the validation split",
            (false, _) => "",
        };
        format!("`{label}` is predicted from probability {} on{scores}{caveat}", number(*least))
    }

    /// The first model's main metric.
    pub fn value(&self) -> f64 {
        self.models[0].evaluation.all.get(self.main).unwrap_or(f64::NAN)
    }

    /// Adds the most confident wrong predictions of each model to the report as JSON.
    pub fn add_errors(&self, json: &mut Value, count: usize) {
        for model in &self.models {
            let all = model.evaluation.mistakes.iter().flat_map(|mistakes| &mistakes.list);
            let mistakes: Vec<&Mistake> = all.take(count).collect();
            json["models"][model.name]["errors"] = json!(mistakes);
        }
    }

    /// Name and calibration of each model, if predictions are labels.
    pub fn calibrations(&self) -> Vec<(&str, &Calibration)> {
        self.models.iter().filter_map(|model| Some((model.name, model.evaluation.calibration.as_ref()?))).collect()
    }

    /// Whether wrong predictions can be listed.
    pub fn has_mistakes(&self) -> bool {
        self.models.iter().any(|model| model.evaluation.mistakes.is_some())
    }

    /// Whether predictions are labels of examples or of their tokens, with metrics of each label.
    pub fn has_confusion(&self) -> bool {
        self.models.iter().all(|model| model.evaluation.confusion.is_some())
    }

    /// Whether predictions are labels, so that wrong ones can be listed.
    pub fn has_labels(&self) -> bool {
        self.models.iter().all(|model| model.evaluation.calibration.is_some())
    }

    /// The report as JSON; `value` is the first model's main metric.
    pub fn json(&self) -> Value {
        let settings = &self.run.environment.settings;
        let models = self.models.iter().map(|model| {
            let mut object = evaluation(&model.evaluation);
            object["step"] = json!(model.step);
            object["recovered"] = json!(model.recovered());
            object["training"] = model.training();
            object["warning"] = json!(model.warning);
            object["threshold"] = json!(
                model
                    .threshold
                    .as_ref()
                    .map(|Chosen { label, least, .. }| json!({"label": label, "probability": least}))
            );
            (model.name.to_owned(), object)
        });
        let baselines = self.baselines.iter().map(|(name, found)| ((*name).to_owned(), evaluation(found)));
        json!({
            "recipe": settings.name, "run": self.run.path.display().to_string(), "seed": settings.recipe.training.seed,
            "split": self.split.name(), "metric": self.main.name, "value": self.value(),
            "examples": self.models[0].evaluation.all.examples,
            "models": models.collect::<Map<_, _>>(), "baselines": baselines.collect::<Map<_, _>>(),
        })
    }

    /// Prints a table with a row per metric and group and a column per model, then notes.
    pub fn print_table(&self) -> Result<(), Failure> {
        let settings = &self.run.environment.settings;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", self.table())?;
        let ungrouped = self.baselines.iter().filter(|(_, found)| found.groups.is_empty());
        let value = |scores: &Scores| match (scores.get(self.main), scores.iter().next()) {
            (Some(value), _) => number(value),
            // A baseline for another metric, such as of the labels of sentences.
            (None, Some((metric, value))) => format!("({metric}) {}", number(value)),
            (None, None) => "-".to_owned(),
        };
        let values: Vec<_> = ungrouped.map(|(name, found)| format!("{name} {}", value(&found.all))).collect();
        if !values.is_empty() {
            writeln!(out, "baselines: {}", values.join(", "))?;
        }
        // All models of a run share one vocabulary.
        if let Some(unknown) = self.models[0].evaluation.unknown.filter(|&unknown| unknown > 0.0) {
            let percent = 100.0 * unknown;
            writeln!(
                out,
                "{percent:.1} % of the tokens are unknown and share one id; compare losses only over one vocabulary"
            )?;
        }
        let seed = settings.recipe.training.seed;
        writeln!(out, "run {}, recipe {}, seed {seed}", self.run.path.display(), settings.name)?;
        for model in &self.models {
            let name = model.name;
            if let Some(recovered) = model.recovered() {
                writeln!(out, "{name} recovered: {recovered}; see {name}/events.jsonl")?;
            }
            if let Some(threshold) = &model.threshold {
                writeln!(out, "{name}: {}", self.threshold(threshold, &model.evaluation))?;
            }
            let budget = if settings.recipe.model.is_empty() { None } else { model.budget() };
            for line in [budget, model.ended(&self.resume), model.warning.clone().filter(|_| model.diagnosis.is_none())]
            {
                line.map_or(Ok(()), |line| writeln!(out, "{name}: {line}"))?;
            }
        }
        let total = self.models[0].evaluation.all.examples;
        // Baselines for other metrics only have other examples.
        let is_other = |found: &Evaluation| found.all.get(self.main).is_none() && found.all.iter().next().is_some();
        let is_part = |found: &Evaluation| found.all.examples < total && !is_other(found);
        for (name, found) in self.baselines.iter().filter(|(_, found)| is_part(found)) {
            let predicted = found.all.examples;
            writeln!(
                out,
                "{name} predicts {predicted} of the {total} examples; metrics over missing examples are omitted"
            )?;
        }
        for model in &self.models {
            let error = model.evaluation.calibration.as_ref().map(|found| found.expected_calibration_error);
            let error = error.map(|error| format!("expected calibration error {}", number(error)));
            let parts: Vec<String> = model.interval(self.main).into_iter().chain(error).collect();
            if !parts.is_empty() {
                writeln!(out, "{}: {}", model.name, parts.join(", "))?;
            }
        }
        for (model, interval) in self.models.iter().filter_map(|model| Some((model, model.evaluation.interval?))) {
            let (nominal, empirical) = (100.0 * interval.nominal, 100.0 * interval.empirical);
            writeln!(out, "{}: empirical coverage {empirical:.1} % (nominal {nominal:.0} %)", model.name)?;
        }
        Ok(())
    }

    /// Prints the next command, after the one that shows more of the evaluation, if it is `wanted` with these further flags.
    pub fn print_next(&self, wanted: Option<&str>) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let details = [
            (self.has_confusion(), " --labels"),
            (self.has_mistakes(), " --errors 10"),
            (self.has_labels(), " --plot reliability.svg"),
        ];
        let flags: String = details.into_iter().filter(|(applies, _)| *applies).map(|(_, flag)| flag).collect();
        if let Some(further) = wanted.filter(|_| !flags.is_empty()) {
            writeln!(out, "details: seqzoo evaluate {}{further}{flags}", quoted(&self.run.path))?;
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
        table.load_style(table_style());
        let title = [self.split.name().to_owned(), "examples".to_owned()];
        table.set_header(title.into_iter().chain(columns.iter().map(|(name, _)| (*name).to_owned())));
        let mut row = |label: String, metric: &str, scores: &dyn Fn(&Evaluation) -> Option<Scores>| {
            let examples = scores(columns[0].1).map_or_else(String::new, |scores| scores.examples.to_string());
            let value = |found: &Evaluation| {
                let scores = scores(found)?;
                scores.iter().find(|(name, _)| *name == metric).map(|(_, value)| number(value))
            };
            let values = columns.iter().map(|(_, found)| value(found).unwrap_or_else(|| "-".to_owned()));
            table.add_row([label, examples].into_iter().chain(values));
        };
        let metrics = self.models[0].evaluation.all.iter().map(|(name, _)| name);
        for metric in std::iter::once(main.name).chain(metrics.filter(|&name| name != main.name)) {
            row(metric.to_owned(), metric, &|found| Some(found.all.clone()));
        }
        for (group, _) in &self.models[0].evaluation.groups {
            let of_group =
                |found: &Evaluation| found.groups.iter().find(|(other, _)| other == group).map(|(_, s)| s.clone());
            // Some groups have other metrics only, such as those of spans.
            if columns.iter().any(|(_, found)| of_group(found).is_some_and(|scores| scores.get(main).is_some())) {
                row(format!("{}, {}: {}", main.name, group.0, group.1), main.name, &of_group);
            }
        }
        table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
        table
    }

    /// Prints the most confident wrong predictions of each model.
    pub fn print_errors(&self, count: usize) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        for model in &self.models {
            let Some(Mistakes { count: all, order, list }) = &model.evaluation.mistakes else { continue };
            if *all == 0 {
                writeln!(out, "\n{}: no wrong predictions", model.name)?;
                continue;
            }
            let shown = list.len().min(count);
            writeln!(out, "\n{}: {shown} of {all} wrong predictions, {order}", model.name)?;
            let mut table = Table::new();
            table.load_style(table_style());
            table.set_header(["example", "actual", "predicted", "probability", "input"]);
            for mistake in list.iter().take(count) {
                let Mistake { example, input, actual, predicted, probability } = mistake;
                let shown: String =
                    input.chars().take(ERROR_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
                let shown = if input.chars().count() > ERROR_CHARS { shown + "…" } else { shown };
                table.add_row([
                    example.to_string(),
                    actual.clone(),
                    predicted.clone(),
                    probability.map_or("-".to_owned(), |probability| format!("{probability:.4}")),
                    shown,
                ]);
            }
            writeln!(out, "{table}")?;
        }
        Ok(())
    }

    /// Prints each model's metrics per type of span and per label, and its confusion matrix.
    pub fn print_labels(&self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        for model in &self.models {
            let Some(confusion) = &model.evaluation.confusion else { continue };
            if let Some(spans) = labels::spans(&model.evaluation) {
                writeln!(out, "\n{}, {}: spans\n{spans}", model.name, self.split.name())?;
            }
            writeln!(out, "\n{}, {}\n{}", model.name, self.split.name(), labels::labels(confusion))?;
            if let Some(calibration) = &model.evaluation.calibration {
                writeln!(out, "\n{}: reliability\n{}", model.name, labels::reliability(calibration))?;
            }
            writeln!(
                out,
                "\n{}: confusion matrix (rows: actual, columns: predicted)\n{}",
                model.name,
                labels::matrix(confusion)
            )?;
        }
        Ok(())
    }
}

/// Maximum number of characters of an input in the table of wrong predictions.
const ERROR_CHARS: usize = 100;

/// Metrics, groups by kind and value, per-label metrics and confusion matrix, as JSON.
fn evaluation(found: &Evaluation) -> Value {
    let scores = |scores: &Scores| serde_json::to_value(scores).expect("made of numbers");
    let mut object = scores(&found.all);
    for ((kind, value), of_group) in &found.groups {
        object[format!("by {kind}")][value] = scores(of_group);
    }
    if let Some(interval) = found.interval {
        object["interval"] = json!(interval);
    }
    for (metric, interval) in &found.intervals {
        object["intervals"][metric] = json!(interval);
    }
    if let Some(calibration) = &found.calibration {
        object["calibration"] = json!(calibration);
    }
    if let Some(unknown) = found.unknown {
        object["unknown-tokens"] = json!(unknown);
    }
    if let Some(confusion) = &found.confusion {
        let each = confusion
            .labels
            .iter()
            .enumerate()
            .map(|(number, label)| (label.clone(), json!(confusion.label_scores(number))));
        object["labels"] = each.collect::<Map<_, _>>().into();
        object["confusion"] = json!(confusion);
    }
    object
}

/// Mean and sample standard deviation.
pub fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    // Equal values differ from their mean by rounding.
    let varies = values.iter().any(|value| value != &values[0]);
    (mean, if varies { (squares / (count - 1.0)).sqrt() } else { 0.0 })
}

/// Table style: a header, no lines between rows.
pub fn table_style() -> TableStyle {
    TableStyle { row_separator: LineStyle::default(), ..presets::UTF8_NO_BORDERS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_those_of_a_sample() {
        assert_eq!(mean_and_deviation(&[1.0, 3.0]), (2.0, std::f64::consts::SQRT_2));
        assert_eq!(mean_and_deviation(&[0.5]), (0.5, 0.0));
        assert_eq!(mean_and_deviation(&[0.1; 3]).1, 0.0);
    }
}
