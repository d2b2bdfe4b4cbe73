//! Multi-label classification: any number of labels per text.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::multi_label::{self, MICRO_F1, MultiLabel, scores};
use seqzoo_datasets::scores::{Evaluation, Group, Metric, Scores, group};
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::tagging::EXACT_MATCH;
use seqzoo_models::InvalidShape;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use toml::Table;

use crate::classes::{imbalance_of_several, log_mean};
use crate::prediction::label_indices;
use crate::skipped::{joined, unseen};
pub use crate::texts::Settings;
use crate::texts::{self, Codec, Judgement, Target, TextTraining, matrix};
use crate::{
    Command, DynTrainingTask, Examples, Item, ModelSpec, Output, PredictError, Predictor, Prepared, Task, TextOptions,
    TrainedModel, examples_as, fields, open, resolve, vocabularies,
};

/// Multi-label classification: any number of labels per text.
pub static TASK: Task = Task {
    data: &multi_label::DATA,
    summary: "any number of labels per text",
    metrics: &[MICRO_F1, Metric::MACRO_F1, EXACT_MATCH, Metric::LOSS],
    command: Command::Predict,
    shared: texts::SHARED,
    averages: true,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check: texts::check,
    examples: prepare,
    vocabularies: vocabularies::<Codec<Labels>>,
    open: open::<Codec<Labels>>,
};

/// A trained model that predicts any number of labels per text.
///
/// ```text
/// P(c | text) = sigmoid(z_c)       loss = mean over labels of  -log P(c | text) or -log (1 - P(c | text))
/// ```
///
/// `z` are the logits of [`Classifier`](seqzoo_models::networks::Classifier). A label is predicted if its probability is at least 0.5.
pub type MultiLabelClassifier = TrainedModel<Codec<Labels>>;

fn prepare(data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
    let splits = data;
    let mut data = MultiLabel::from_records(splits)?;
    let note = texts::prepare(&mut data.texts, splits, &crate::spec::settings(settings));
    let trained = data.texts.train.iter().flat_map(|example| example.target.iter().copied());
    let note = joined([note, of_several(&data.labels), unseen(&data.labels, trained)]);
    Ok(Prepared { examples: Box::new(data), note })
}

/// A note on a label whose words are all labels themselves.
fn of_several(labels: &[String]) -> Option<String> {
    let is_label = |word: &str| labels.iter().any(|label| label == word);
    let is_several = |label: &&String| label.contains(' ') && label.split_whitespace().all(is_label);
    let label = labels.iter().find(is_several)?;
    Some(format!("`{label}` is read as one label; separate labels by a vertical bar, semicolon or comma"))
}

impl Examples for MultiLabel {
    fn digest(&self) -> String {
        MultiLabel::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.texts.split(split).len(), "texts")
    }

    fn items(&self, split: Split, settings: &Table) -> Vec<Item> {
        let Settings { level, .. } = crate::spec::settings(settings);
        let names = |labels: &Vec<usize>| labels.iter().map(|&label| self.labels[label].clone()).collect();
        texts::items(&self.texts, split, level, names)
    }

    fn training_note(&self, _: &Table) -> Option<String> {
        let labels = self.texts.train.iter().flat_map(|example| example.target.iter().copied());
        imbalance_of_several(&self.labels, labels)
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(TextTraining::new(spec, &self.texts, Labels(self.labels.clone()))?))
    }
}

/// Names of the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labels(pub Vec<String>);

/// Indices of the labels with a probability of at least 0.5.
fn predicted(logits: &[f32]) -> Vec<usize> {
    (0..logits.len()).filter(|&label| logits[label] >= 0.0).collect()
}

impl Target for Labels {
    type Value = Vec<usize>;

    fn outputs(&self) -> usize {
        self.0.len()
    }

    fn loss(&self, logits: Tensor<2>, values: &[&Vec<usize>]) -> Tensor<1> {
        // 1 for the labels of a text, -1 for the others.
        let mut signs = vec![-1.0; values.len() * self.0.len()];
        for (row, labels) in signs.chunks_exact_mut(self.0.len()).zip(values) {
            labels.iter().for_each(|&label| row[label] = 1.0);
        }
        let signs = matrix(signs, values.len(), &logits.device());
        log_sigmoid(logits * signs).mean().neg()
    }

    /// The logits of the mean probabilities.
    fn average(&self, logits: Vec<Tensor<2>>) -> Tensor<2> {
        let mean = |sign: f64| log_mean(logits.iter().map(|logits| log_sigmoid(logits.clone() * sign)).collect());
        if logits.len() == 1 { logits[0].clone() } else { mean(1.0) - mean(-1.0) }
    }

    fn score(&self, logits: &[Vec<f32>], values: &[&Vec<usize>], indices: &mut dyn Iterator<Item = usize>) -> Scores {
        let indices: Vec<usize> = indices.collect();
        let found: Vec<Vec<usize>> = indices.iter().map(|&index| predicted(&logits[index])).collect();
        let mut pairs = indices.iter().zip(&found).map(|(&index, found)| (values[index].as_slice(), found.as_slice()));
        let mut scores = scores(self.0.len(), &mut pairs);
        let loss: f64 = indices.iter().map(|&index| loss(&logits[index], values[index])).sum();
        scores.insert(Metric::LOSS, loss / indices.len().max(1) as f64);
        scores
    }

    fn by_label(&self, logits: &[Vec<f32>], values: &[&Vec<usize>]) -> Vec<(Group, Scores)> {
        let of_label = |(label, name): (usize, &String)| {
            let only = |labels: &[usize]| if labels.contains(&label) { vec![0] } else { Vec::new() };
            let pairs: Vec<(Vec<usize>, Vec<usize>)> =
                values.iter().zip(logits).map(|(value, row)| (only(value), only(&predicted(row)))).collect();
            let mut pairs = pairs.iter().map(|(actual, found)| (actual.as_slice(), found.as_slice()));
            let f1 = scores(1, &mut pairs).get(MICRO_F1).unwrap_or(0.0);
            let is_found = |row: &Vec<f32>| predicted(row).contains(&label);
            let (mut examples, mut found, mut right) = (0, 0, 0);
            for (value, row) in values.iter().zip(logits) {
                let (is_actual, is_found) = (value.contains(&label), is_found(row));
                examples += usize::from(is_actual);
                found += usize::from(is_found);
                right += usize::from(is_actual && is_found);
            }
            let share = |all: usize| right as f64 / all.max(1) as f64;
            let scores =
                [(MICRO_F1, f1), (multi_label::PRECISION, share(found)), (multi_label::RECALL, share(examples))];
            (group("label", name.as_str()), Scores::new(examples, scores))
        };
        self.0.iter().enumerate().map(of_label).collect()
    }

    const RIGHT: Option<Metric> = Some(EXACT_MATCH);

    fn judge(&self, logits: &[f32], value: &Vec<usize>) -> Judgement {
        let found = predicted(logits);
        let names = |labels: &[usize]| match labels {
            [] => "-".to_owned(),
            labels => labels.iter().map(|&label| self.0[label].as_str()).collect::<Vec<_>>().join(", "),
        };
        let severity = if found == *value { 0.0 } else { loss(logits, value).max(f64::MIN_POSITIVE) };
        Judgement { actual: names(value), predicted: names(&found), severity }
    }

    fn output(&self, logits: &[f32]) -> Output {
        let labels: Vec<&str> = predicted(logits).into_iter().map(|label| self.0[label].as_str()).collect();
        let probability = |logit: f32| 1.0 / (1.0 + (-f64::from(logit)).exp());
        let each: Map<String, Value> =
            self.0.iter().zip(logits).map(|(name, &logit)| (name.clone(), json!(probability(logit)))).collect();
        let line = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
        Output::new(line, [("labels", json!(labels)), ("probabilities", Value::Object(each))])
    }
}

/// Mean cross-entropy over the labels, in nats.
fn loss(logits: &[f32], labels: &[usize]) -> f64 {
    let of_label = |(label, &logit): (usize, &f32)| {
        let logit = if labels.contains(&label) { f64::from(logit) } else { -f64::from(logit) };
        // log (1 + exp(-logit)) without overflow.
        (-logit).max(0.0) + (-logit.abs()).exp().ln_1p()
    };
    logits.iter().enumerate().map(of_label).sum::<f64>() / logits.len().max(1) as f64
}

impl Predictor for MultiLabelClassifier {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let data = examples_as::<MultiLabel>(examples)?;
        let mut examples = texts::with_tokens(&data.texts, split, self.level()).into_owned();
        // The labels of other data may be others, or in another order.
        let used = examples.iter().flat_map(|example| example.target.iter().copied());
        let Labels(labels) = self.target();
        let indices = label_indices(&data.labels, used, labels)?;
        for example in &mut examples {
            example.target.iter_mut().for_each(|label| *label = indices[*label]);
            example.target.sort_unstable();
        }
        self.evaluate_texts(&examples)
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        let mut data = examples_as::<MultiLabel>(examples)?.clone();
        let settings = Settings { level: self.level(), ..Settings::default() };
        texts::prepare(&mut data.texts, &Splits::default(), &settings);
        Ok(data.baselines(split))
    }

    fn predict(&self, texts: &[&str], _: TextOptions) -> Result<Vec<Output>, PredictError> {
        self.predict_texts(texts)
    }

    fn empty_output(&self) -> Output {
        Output::new(String::new(), [("labels", json!([])), ("probabilities", json!({}))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqzoo_kernels::devices;

    /// Logits 0 and ln 3 of labels 0 and 1: probabilities 1/2 and 3/4. With label 1 only: (ln 2 + ln 4/3) / 2.
    #[test]
    fn loss_is_the_mean_binary_cross_entropy() {
        let labels = Labels(["a", "b"].map(str::to_owned).to_vec());
        let expected = (2f64.ln() + (4.0f64 / 3.0).ln()) / 2.0;
        assert!((loss(&[0.0, 3f32.ln()], &[1]) - expected).abs() < 1e-7);
        assert!((loss(&[800.0, -800.0], &[0])).abs() < 1e-7 && (loss(&[-800.0], &[0]) - 800.0).abs() < 1e-3);
        for (_, device) in devices() {
            let logits = Tensor::from_floats([[0.0, 3f32.ln()]], &device);
            let found = labels.loss(logits, &[&vec![1]]).into_scalar::<f32>();
            assert!((f64::from(found) - expected).abs() < 1e-6);
        }
        let output = labels.output(&[-1.0, 3f32.ln()]);
        assert!(output.line == "b" && output.json["labels"] == json!(["b"]));
        assert!((output.json["probabilities"]["b"].as_f64().unwrap() - 0.75).abs() < 1e-6);
        assert_eq!(labels.output(&[-1.0, -1.0]).line, "-");
    }

    #[test]
    fn a_label_of_other_labels_is_noted() {
        let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(of_several(&labels(&["new york", "new", "sad"])), None);
        assert!(of_several(&labels(&["sad", "glad", "glad sad"])).unwrap().starts_with("`glad sad` is read as one"));
    }

    #[test]
    fn metrics_are_also_reported_by_label() {
        let labels = Labels(["a", "b"].map(str::to_owned).to_vec());
        let (logits, values) = (vec![vec![1.0, -1.0], vec![1.0, 1.0]], [vec![0], vec![1]]);
        let values: Vec<&Vec<usize>> = values.iter().collect();
        let found = labels.by_label(&logits, &values);
        assert_eq!((found[0].0.1.as_str(), found[0].1.get(MICRO_F1)), ("a", Some(2.0 / 3.0)));
        assert_eq!((found[1].1.examples, found[1].1.get(MICRO_F1)), (1, Some(1.0)));
        let all = labels.score(&logits, &values, &mut (0..2));
        assert_eq!((all.get(MICRO_F1), all.get(EXACT_MATCH)), (Some(0.8), Some(0.5)));
    }
}
