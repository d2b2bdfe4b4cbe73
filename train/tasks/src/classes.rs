//! Predictions, loss and metrics that the tasks with one label per example share.

use std::sync::Arc;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use schemars::JsonSchema;
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{ConfusionMatrix, Evaluation, Group, Metric, Mistake, Mistakes, Scores};
use seqzoo_datasets::text::Counts;
use seqzoo_datasets::uncertainty::{Calibration, Resampling};
use seqzoo_models::networks::{Ensemble, Network};
use seqzoo_models::parameters::Array;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::batches;
use crate::{Examples, Output, PredictError, Predictor, TextOptions, evaluation_limits};

/// Batches for evaluation and prediction.
const EVALUATION: BatchLimits = evaluation_limits(128);

/// Weights of the labels in the training loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// Every example counts alike.
    #[default]
    None,
    /// Every label counts alike: an example has the weight N / (K n), with N training examples, K labels, and n training examples of its
    /// label. The metrics remain unweighted.
    Balanced,
}

/// Weight of each label in the training loss; `None` if all are 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LabelWeights(Option<Vec<f32>>);

impl LabelWeights {
    /// The weights for training examples with these labels.
    pub(crate) fn new(weights: ClassWeights, labels: usize, trained: impl Iterator<Item = usize>) -> Self {
        match weights {
            ClassWeights::None => Self(None),
            ClassWeights::Balanced => {
                let counts = counts(labels, trained);
                let (all, used) = (counts.iter().sum::<usize>(), counts.iter().filter(|&&count| count > 0).count());
                Self(Some(counts.iter().map(|&count| all as f32 / (used * count.max(1)) as f32).collect()))
            }
        }
    }
}

/// Number of examples of each label.
fn counts(labels: usize, examples: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut counts = vec![0; labels];
    examples.for_each(|label| counts[label] += 1);
    counts
}

/// Ratio of the numbers of examples of two labels from which the labels are imbalanced.
const IMBALANCE: usize = 10;

/// A note on imbalanced labels of training examples, if they are.
pub(crate) fn imbalance(
    labels: &[String],
    weights: ClassWeights,
    trained: impl Iterator<Item = usize>,
) -> Option<String> {
    let hint = match weights {
        ClassWeights::None => "; prefer macro-F1 to accuracy, and see task.class_weights",
        ClassWeights::Balanced => "",
    };
    imbalance_with_hint(labels, hint, trained)
}

/// As [`imbalance`], of examples that may have several labels.
pub(crate) fn imbalance_of_several(labels: &[String], trained: impl Iterator<Item = usize>) -> Option<String> {
    imbalance_with_hint(labels, "; prefer macro-F1 to micro-F1", trained)
}

/// As [`imbalance`]; `hint` says what to do.
fn imbalance_with_hint(labels: &[String], hint: &str, trained: impl Iterator<Item = usize>) -> Option<String> {
    let counts = counts(labels.len(), trained);
    let seen: Vec<usize> = (0..labels.len()).filter(|&label| counts[label] > 0).collect();
    let most = seen.iter().copied().max_by_key(|&label| counts[label])?;
    let least = seen.iter().copied().min_by_key(|&label| counts[label])?;
    (counts[most] >= IMBALANCE * counts[least]).then(|| {
        format!(
            "the labels are imbalanced: {} training examples of `{}`, {} of `{}`{hint}",
            counts[most], labels[most], counts[least], labels[least]
        )
    })
}

/// How a label is chosen: the most probable one, or, of two labels, one from a threshold on.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Decision {
    /// A label, which is chosen if it has at least this probability.
    threshold: Option<(usize, f64)>,
}

impl Decision {
    /// The label that is chosen by log probabilities.
    fn label(self, row: &[f32]) -> usize {
        match self.threshold {
            None => most_probable(row),
            Some((label, least)) if f64::from(row[label]).exp() >= least => label,
            Some((label, _)) => 1 - label,
        }
    }
}

/// Examples with the log probabilities of their labels.
pub struct Labeled<'a> {
    pub(crate) log_probabilities: Vec<Vec<f32>>,
    /// The actual labels.
    pub(crate) labels: Vec<usize>,
    pub(crate) groups: Vec<Arc<[Group]>>,
    /// Describes the example with an index.
    pub(crate) input: Box<dyn Fn(usize) -> String + 'a>,
}

/// A trained model that predicts one label per example.
pub trait LabelPredictor: std::any::Any + std::fmt::Debug + Send + Sync {
    /// Metrics of (actual, predicted) labels.
    const SCORE: Score = |names, pairs| ConfusionMatrix::from_pairs(names, pairs).scores();

    /// Names of the labels.
    fn label_names(&self) -> &[String];

    /// How a label is chosen.
    fn decision(&self) -> Decision;

    /// Changes how a label is chosen.
    fn set_decision(&mut self, decision: Decision);

    /// The examples of a split.
    fn labeled<'a>(&self, examples: &'a dyn Examples, split: Split) -> Result<Labeled<'a>, PredictError>;

    /// See [`Predictor::baselines`].
    fn evaluate_baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError>;

    /// The prediction for each text.
    fn predict_labels(&self, texts: &[&str]) -> Result<Vec<Prediction>, PredictError>;
}

/// Predicted label of an example.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Name of the most probable label; with a decision threshold, of the label that it selects.
    pub label: String,
    /// Its probability.
    pub probability: f64,
    /// All labels with their probabilities, in the dataset's order.
    pub probabilities: Vec<(String, f64)>,
    /// What the model read of the input, if it is a text.
    pub counts: Counts,
}

impl Prediction {
    /// With what the model read of the input.
    pub(crate) fn with_counts(self, counts: Counts) -> Self {
        Self { counts, ..self }
    }

    /// The prediction with these log probabilities of the labels.
    pub(crate) fn new(labels: &[String], log_probabilities: &[f32], decision: Decision) -> Self {
        let probability = |log: &f32| f64::from(*log).exp();
        let probabilities: Vec<_> = labels.iter().cloned().zip(log_probabilities.iter().map(probability)).collect();
        let (label, probability) = probabilities[decision.label(log_probabilities)].clone();
        Self { label, probability, probabilities, counts: Counts::default() }
    }
}

impl From<Prediction> for Output {
    fn from(prediction: Prediction) -> Self {
        let Prediction { label, probability, probabilities, counts } = prediction;
        let each: Map<String, Value> =
            probabilities.into_iter().map(|(label, probability)| (label, json!(probability))).collect();
        let line = format!("{label:<10} {probability:.4}");
        let json =
            [("label", json!(label)), ("probability", json!(probability)), ("probabilities", Value::Object(each))];
        Self { counts, ..Self::new(line, json) }
    }
}

/// The output for an empty example.
fn empty_output() -> Output {
    let json = [("label", Value::Null), ("probability", Value::Null), ("probabilities", json!({}))];
    Output::new(String::new(), json)
}

/// Index of the most probable label; the first of equal ones.
pub fn most_probable(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, label| if row[label] > row[best] { label } else { best })
}

/// Mean of values of the members of an ensemble.
pub(crate) fn mean<const D: usize>(values: Vec<Tensor<D>>) -> Tensor<D> {
    let count = values.len();
    let sum = values.into_iter().reduce(|sum, value| sum + value).expect("an ensemble has at least one member");
    if count == 1 { sum } else { sum / count as f64 }
}

/// Logarithm of the mean of values whose logarithms are given.
pub(crate) fn log_mean(logs: Vec<Tensor<2>>) -> Tensor<2> {
    if logs.len() == 1 {
        return mean(logs);
    }
    let most = logs.iter().cloned().reduce(Tensor::max_pair).expect("an ensemble has at least one member");
    let relative = logs.into_iter().map(|log| (log - most.clone()).exp()).collect();
    mean(relative).log() + most
}

/// Mean cross-entropy in nats of the logits of each member of an ensemble, `[batch, labels]`, and its weight: the sum of those of the
/// examples.
pub(crate) fn loss(
    logits: Vec<Tensor<2>>,
    labels: impl Iterator<Item = usize>,
    weights: &LabelWeights,
) -> (Tensor<1>, f64) {
    let labels: Vec<usize> = labels.collect();
    let (losses, weight): (Vec<Tensor<1>>, Vec<f64>) =
        logits.into_iter().map(|logits| member_loss(logits, &labels, weights)).unzip();
    (mean(losses), weight[0])
}

fn member_loss(logits: Tensor<2>, labels: &[usize], weights: &LabelWeights) -> (Tensor<1>, f64) {
    let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
    let (rows, device) = (labels.len(), logits.device());
    let of_label = |weights: &Vec<f32>| labels.iter().map(|&label| weights[label as usize]).collect::<Vec<f32>>();
    let weights = weights.0.as_ref().map(of_label);
    let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [rows, 1]), &device);
    let log_probabilities = log_softmax(logits, 1).gather(1, labels);
    match weights {
        None => (log_probabilities.mean().neg(), rows as f64),
        Some(weights) => {
            let all: f32 = weights.iter().sum();
            let weights = Tensor::<2>::from_data(TensorData::new(weights, [rows, 1]), &device);
            ((log_probabilities * weights).sum().neg() / all, all.into())
        }
    }
}

/// Log probabilities of examples of these lengths, averaged over the members of an ensemble and computed in batches of similar length;
/// `logits` computes those of a member for the examples with the given indices, `[batch, labels]`. `None` if stopped.
pub(crate) fn log_probabilities<N: Network + Sync>(
    network: &Ensemble<N>,
    lengths: &[usize],
    device: &Device,
    logits: impl Fn(&N, &[usize]) -> Tensor<2> + Sync,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<f32>>> {
    let batches = batch::sorted(lengths, lengths, EVALUATION);
    let values = |network: &Ensemble<N>, batch: &[usize]| {
        let each = network.each(None, |member, _| log_softmax(logits(member, batch), 1));
        Array::of(log_mean(each)).values
    };
    let found = batches::each(network, &batches, device, values, stop)?;
    Some(in_order(lengths.len(), &batches, &found))
}

/// The rows of all examples, in order, given those of each batch.
pub(crate) fn in_order(count: usize, batches: &[Vec<usize>], found: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let mut all = vec![Vec::new(); count];
    for (batch, values) in batches.iter().zip(found) {
        let size = values.len() / batch.len();
        batch.iter().zip(values.chunks_exact(size)).for_each(|(&index, row)| all[index] = row.to_vec());
    }
    all
}

/// Metrics of the labels with the highest probabilities, and the mean cross-entropy.
pub(crate) fn score<P: LabelPredictor>(names: &[String], log_probabilities: &[Vec<f32>], labels: &[usize]) -> Scores {
    score_of(P::SCORE, names, log_probabilities, labels, Decision::default(), &mut (0..labels.len()))
}

/// Metrics on the examples with the given indices.
fn score_of(
    metrics: Score,
    names: &[String],
    log_probabilities: &[Vec<f32>],
    labels: &[usize],
    decision: Decision,
    indices: &mut dyn Iterator<Item = usize>,
) -> Scores {
    let indices: Vec<usize> = indices.collect();
    let mut pairs = indices.iter().map(|&index| (labels[index], decision.label(&log_probabilities[index])));
    let mut scores = metrics(names, &mut pairs);
    let loss: f64 = indices.iter().map(|&index| -f64::from(log_probabilities[index][labels[index]])).sum();
    scores.insert(Metric::LOSS, loss / indices.len().max(1) as f64);
    scores
}

/// Metrics on all examples and on each group, with confidence intervals, confusion matrix, calibration and wrong predictions.
fn evaluate<P: LabelPredictor>(names: &[String], examples: &Labeled, decision: Decision) -> Evaluation {
    let Labeled { log_probabilities, labels, groups, input } = examples;
    let predict = |row: &Vec<f32>| {
        let label = decision.label(row);
        (label, f64::from(row[label]).exp())
    };
    let predicted: Vec<(usize, f64)> = log_probabilities.iter().map(predict).collect();
    let right: Vec<bool> = labels.iter().zip(&predicted).map(|(label, (predicted, _))| label == predicted).collect();
    let confusion = ConfusionMatrix::from_pairs(
        names,
        labels.iter().zip(&predicted).map(|(&label, &(predicted, _))| (label, predicted)),
    );
    let outcomes = predicted.iter().zip(&right).map(|(&(_, probability), &is_right)| (probability, is_right));
    let calibration = (!labels.is_empty()).then(|| Calibration::of(outcomes));
    let mistake = |index: usize| {
        let (label, probability) = predicted[index];
        let mistake = Mistake {
            example: index + 1,
            input: input(index),
            actual: names[labels[index]].clone(),
            predicted: names[label].clone(),
            probability: Some(probability),
        };
        (probability, mistake)
    };
    let wrong = (0..labels.len()).filter(|&index| !right[index]).map(mistake).collect();
    let mut evaluation = {
        let score = |indices: &mut dyn Iterator<Item = usize>| {
            score_of(P::SCORE, names, log_probabilities, labels, decision, indices)
        };
        Evaluation::by_group(groups.iter().map(|groups| &**groups), score).with_confusion(confusion)
    };
    evaluation.calibration = calibration;
    evaluation.right = Some((Metric::ACCURACY, right));
    evaluation.mistakes = Some(Mistakes::by_severity("the most confident first", wrong));
    let (names, log_probabilities, labels) = (names.to_vec(), log_probabilities.clone(), labels.clone());
    let count = labels.len();
    evaluation.with_resampling(Resampling::of_examples(count, move |indices: &mut dyn Iterator<Item = usize>| {
        score_of(P::SCORE, &names, &log_probabilities, &labels, decision, indices).named()
    }))
}

/// The probability of label `positive` from which it is predicted, with the highest F1 of this label on the examples; the middle between
/// two predicted probabilities. The highest threshold of equal ones.
fn best_threshold(log_probabilities: &[Vec<f32>], labels: &[usize], positive: usize) -> f64 {
    let mut rows: Vec<(f64, bool)> = log_probabilities
        .iter()
        .zip(labels)
        .map(|(row, &label)| (f64::from(row[positive]).exp(), label == positive))
        .collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all = rows.iter().filter(|(_, is_positive)| *is_positive).count();
    let (mut hits, mut best) = (0, (0.0, 0.5));
    for (index, &(probability, is_positive)) in rows.iter().enumerate() {
        hits += usize::from(is_positive);
        let next = rows.get(index + 1).map_or(0.0, |row| row.0);
        let f1 = 2.0 * hits as f64 / (index + 1 + all) as f64;
        if next < probability && f1 > best.0 {
            best = (f1, f64::midpoint(probability, next));
        }
    }
    best.1
}

impl<P: LabelPredictor> Predictor for P {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        Ok(evaluate::<P>(self.label_names(), &self.labeled(examples, split)?, self.decision()))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        self.evaluate_baselines(examples, split)
    }

    fn predict(&self, texts: &[&str], _: TextOptions) -> Result<Vec<Output>, PredictError> {
        Ok(self.predict_labels(texts)?.into_iter().map(Output::from).collect())
    }

    fn labels(&self) -> &[String] {
        self.label_names()
    }

    fn empty_output(&self) -> Output {
        empty_output()
    }

    fn set_threshold(&mut self, label: &str, least: f64) -> Result<(), PredictError> {
        let label = binary_label(self.label_names(), label)?;
        self.set_decision(Decision { threshold: Some((label, least)) });
        Ok(())
    }

    fn best_threshold(&self, label: &str, examples: &dyn Examples, split: Split) -> Result<f64, PredictError> {
        let label = binary_label(self.label_names(), label)?;
        let Labeled { log_probabilities, labels, .. } = self.labeled(examples, split)?;
        Ok(best_threshold(&log_probabilities, &labels, label))
    }
}

/// The index of one of two labels.
fn binary_label(names: &[String], label: &str) -> Result<usize, PredictError> {
    let index = names.iter().position(|name| name == label).filter(|_| names.len() == 2);
    index.ok_or_else(|| PredictError::NoThreshold { label: label.to_owned(), known: names.to_vec() })
}

/// Metrics of (actual, predicted) labels.
pub type Score = fn(&[String], &mut dyn Iterator<Item = (usize, usize)>) -> Scores;

#[cfg(test)]
mod tests {
    use super::*;
    use seqzoo_kernels::devices;

    fn logs(positive: &[f64]) -> Vec<Vec<f32>> {
        positive.iter().map(|positive| vec![(1.0 - positive).ln() as f32, positive.ln() as f32]).collect()
    }

    #[test]
    fn a_threshold_decides_between_two_labels() {
        let rows = logs(&[0.2, 0.4, 0.8]);
        let decided = |decision: Decision| rows.iter().map(|row| decision.label(row)).collect::<Vec<_>>();
        assert_eq!(decided(Decision::default()), [0, 0, 1]);
        assert_eq!(decided(Decision { threshold: Some((1, 0.3)) }), [0, 1, 1]);
        assert_eq!(decided(Decision { threshold: Some((0, 0.7)) }), [0, 1, 1]);
        let names = ["ham", "spam"].map(str::to_owned);
        let prediction = Prediction::new(&names, &rows[1], Decision { threshold: Some((1, 0.3)) });
        assert!(prediction.label == "spam" && (prediction.probability - 0.4).abs() < 1e-6);
        assert_eq!(binary_label(&names, "spam"), Ok(1));
        assert!(binary_label(&names, "eggs").unwrap_err().to_string().contains("ham, spam"));
        let three = ["a", "b", "c"].map(str::to_owned);
        assert!(binary_label(&three, "a").unwrap_err().to_string().contains("exactly two labels"));
    }

    /// F1 of label 1 by threshold: above 0.9 2/4, above 0.6 2/5, above 0.5 4/6, above 0.3 6/7, below 0.3 6/8.
    #[test]
    fn the_best_threshold_has_the_highest_f1() {
        let rows = logs(&[0.9, 0.6, 0.5, 0.3, 0.1]);
        let best = best_threshold(&rows, &[1, 0, 1, 1, 0], 1);
        assert!((best - 0.2).abs() < 1e-6, "{best}");
        // Equal probabilities are not divided.
        assert!(best_threshold(&logs(&[0.4, 0.4, 0.4]), &[1, 0, 0], 1) < 0.4);
        assert_eq!(best_threshold(&[], &[], 1), 0.5);
    }

    /// Labels 0, 0, 0, 1: the weights are 4 / (2 · 3) and 4 / (2 · 1). With all logits 0 but that of the first row, (ln 3, 0), the
    /// cross-entropies of rows labeled 0 and 1 are ln 4/3 and ln 2, their weighted mean (2/3 · ln 4/3 + 2 ln 2) / (2/3 + 2).
    #[test]
    fn balanced_weights_give_every_label_the_same_share_of_the_loss() {
        let weights = LabelWeights::new(ClassWeights::Balanced, 2, [0, 0, 0, 1].into_iter());
        for (_, device) in devices() {
            let logits = Tensor::from_floats([[3f32.ln(), 0.0], [0.0, 0.0]], &device);
            let (mean, weight) = loss(vec![logits.clone()], [0, 1].into_iter(), &weights);
            let expected = (2.0 / 3.0 * (4f32 / 3.0).ln() + 2.0 * 2f32.ln()) / (2.0 / 3.0 + 2.0);
            assert!((mean.into_scalar::<f32>() - expected).abs() < 1e-6);
            assert!((weight - 8.0 / 3.0).abs() < 1e-6);
            let none = LabelWeights::new(ClassWeights::None, 2, [0, 0, 0, 1].into_iter());
            let (mean, weight) = loss(vec![logits], [0, 1].into_iter(), &none);
            assert!((mean.into_scalar::<f32>() - ((4f32 / 3.0).ln() + 2f32.ln()) / 2.0).abs() < 1e-6);
            assert_eq!(weight, 2.0);
        }
        // A label without examples has no share.
        let LabelWeights(weights) = LabelWeights::new(ClassWeights::Balanced, 3, [0, 0, 1].into_iter());
        assert_eq!(weights.unwrap()[..2], [0.75, 1.5]);
    }

    #[test]
    fn imbalanced_labels_are_noted() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let trained = |a: usize, b: usize| [vec![0; a], vec![1; b]].concat().into_iter();
        let note = imbalance(&names, ClassWeights::None, trained(20, 2)).unwrap();
        assert!(note.starts_with("the labels are imbalanced: 20 training examples of `a`, 2 of `b`; prefer macro-F1"));
        assert!(!imbalance(&names, ClassWeights::Balanced, trained(20, 2)).unwrap().contains("prefer"));
        assert_eq!(imbalance(&names, ClassWeights::None, trained(19, 2)), None);
        assert_eq!(imbalance(&names, ClassWeights::None, trained(0, 0)), None);
    }
}
