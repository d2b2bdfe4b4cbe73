//! Predictions, loss and metrics that the tasks with one label per example share.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::scores::{ConfusionMatrix, Evaluation, Group, MAX_MISTAKES, Metric, Mistake, Scores};
use seqzoo_datasets::uncertainty::{Calibration, intervals};
use seqzoo_models::parameters::Array;
use serde_json::{Map, Value, json};

use crate::{Output, evaluation_limits};

/// Batches for evaluation and prediction.
const EVALUATION: BatchLimits = evaluation_limits(128);

/// Predicted label of an example.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Name of the most probable label.
    pub label: String,
    /// Its probability.
    pub probability: f64,
    /// All labels with their probabilities, in the dataset's order.
    pub probabilities: Vec<(String, f64)>,
}

impl Prediction {
    /// The prediction with these log probabilities of the labels.
    pub(crate) fn new(labels: &[String], log_probabilities: &[f32]) -> Self {
        let probability = |log: &f32| f64::from(*log).exp();
        let probabilities: Vec<_> = labels.iter().cloned().zip(log_probabilities.iter().map(probability)).collect();
        let (label, probability) = probabilities[most_probable(log_probabilities)].clone();
        Self { label, probability, probabilities }
    }
}

impl From<Prediction> for Output {
    fn from(prediction: Prediction) -> Self {
        let Prediction { label, probability, probabilities } = prediction;
        let each: Map<String, Value> =
            probabilities.into_iter().map(|(label, probability)| (label, json!(probability))).collect();
        let line = format!("{label:<10} {probability:.4}");
        let json =
            [("label", json!(label)), ("probability", json!(probability)), ("probabilities", Value::Object(each))];
        Self::new(line, json)
    }
}

/// The output for an empty example.
pub(crate) fn empty_output() -> Output {
    let json = [("label", Value::Null), ("probability", Value::Null), ("probabilities", json!({}))];
    Output::new(String::new(), json)
}

/// Index of the most probable label; the first of equal ones.
pub fn most_probable(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, label| if row[label] > row[best] { label } else { best })
}

/// Mean cross-entropy in nats of logits `[batch, labels]`.
pub(crate) fn loss(logits: Tensor<2>, labels: impl Iterator<Item = usize>) -> Tensor<1> {
    let labels: Vec<i32> = labels.map(|label| label as i32).collect();
    let rows = labels.len();
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [rows, 1]), &logits.device());
    log_softmax(logits, 1).gather(1, labels).mean().neg()
}

/// Log probabilities of examples of these lengths, computed in batches of similar length; `logits` computes those of the examples with
/// the given indices, `[batch, labels]`. `None` if stopped.
pub(crate) fn log_probabilities(
    lengths: &[usize],
    logits: impl Fn(&[usize]) -> Tensor<2>,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<f32>>> {
    let mut all = vec![Vec::new(); lengths.len()];
    for batch in batch::sorted(lengths, lengths, EVALUATION) {
        if stop() {
            return None;
        }
        let logits = logits(&batch);
        let labels = logits.dims()[1];
        let values = Array::of(log_softmax(logits, 1)).values;
        batch.iter().zip(values.chunks_exact(labels)).for_each(|(&index, row)| all[index] = row.to_vec());
    }
    Some(all)
}

/// Metrics on the examples with the given indices.
pub(crate) fn score(
    names: &[String],
    log_probabilities: &[Vec<f32>],
    labels: &[usize],
    indices: &mut dyn Iterator<Item = usize>,
) -> Scores {
    let indices: Vec<usize> = indices.collect();
    let pairs = indices.iter().map(|&index| (labels[index], most_probable(&log_probabilities[index])));
    let mut scores = ConfusionMatrix::from_pairs(names, pairs).scores();
    let loss: f64 = indices.iter().map(|&index| -f64::from(log_probabilities[index][labels[index]])).sum();
    scores.insert(Metric::LOSS, loss / indices.len().max(1) as f64);
    scores
}

/// Metrics on all examples and on each group, with confidence intervals, confusion matrix, calibration and wrong predictions.
/// `score` computes the metrics of the examples with the given indices, `input` describes an example.
pub(crate) fn evaluate<'a>(
    names: &[String],
    log_probabilities: &[Vec<f32>],
    labels: &[usize],
    groups: impl Iterator<Item = &'a [Group]>,
    score: Score,
    input: impl Fn(usize) -> String,
) -> Evaluation {
    let score = |indices: &mut dyn Iterator<Item = usize>| score(names, log_probabilities, labels, indices);
    let predicted: Vec<(usize, f64)> =
        log_probabilities.iter().map(|row| (most_probable(row), f64::from(row[most_probable(row)]).exp())).collect();
    let outcomes: Vec<(usize, usize)> =
        labels.iter().zip(&predicted).map(|(&label, &(predicted, _))| (label, predicted)).collect();
    let confusion = ConfusionMatrix::from_pairs(names, outcomes.iter().copied());
    let right =
        labels.iter().zip(&predicted).map(|(&label, &(predicted, probability))| (probability, predicted == label));
    let calibration = (!labels.is_empty()).then(|| Calibration::of(right));
    let mut wrong: Vec<usize> = (0..labels.len()).filter(|&index| predicted[index].0 != labels[index]).collect();
    wrong.sort_by(|&a, &b| predicted[b].1.total_cmp(&predicted[a].1));
    wrong.truncate(MAX_MISTAKES);
    let mistake = |index: usize| Mistake {
        example: index + 1,
        input: input(index),
        actual: names[labels[index]].clone(),
        predicted: names[predicted[index].0].clone(),
        probability: predicted[index].1,
    };
    let values = |scores: Scores| scores.iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Evaluation {
        intervals: intervals(labels.len(), |indices| values(score(indices))),
        calibration,
        outcomes,
        mistakes: wrong.into_iter().map(mistake).collect(),
        ..Evaluation::by_group(groups, score).with_confusion(confusion)
    }
}

/// Computes metrics as [`score`].
pub(crate) type Score = fn(&[String], &[Vec<f32>], &[usize], &mut dyn Iterator<Item = usize>) -> Scores;
