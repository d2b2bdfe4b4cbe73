//! Predictions and metrics of trained text classifiers.

use burn::module::Module;
use burn::tensor::Device;
use burn::tensor::activation::log_softmax;
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::classification::{Classification, Example, Split};
use seqzoo_datasets::scores::{ConfusionMatrix, Evaluation, Metric, Scores};
use seqzoo_datasets::text::Tokenization;
use seqzoo_models::networks::Classifier;
use seqzoo_models::parameters::Array;
use serde_json::{Map, Value, json};

use super::{Codec, examples};
use crate::prediction::label_indices;
use crate::{
    Examples, Output, PredictError, Predictor, TextOptions, TrainedModel, evaluation_limits, examples_as, pad_rows,
};

/// Batches for evaluation and prediction.
const EVALUATION: BatchLimits = evaluation_limits(128);

/// Predicted label of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Name of the most probable label.
    pub label: String,
    /// Its probability.
    pub probability: f64,
    /// All labels with their probabilities, in the dataset's order.
    pub probabilities: Vec<(String, f64)>,
}

/// A trained text classifier with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::classification::{Classification, Example};
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::classification::{TASK, TextClassifier};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (device, labels) = (Device::flex(), ["bad", "good"].map(str::to_owned).to_vec());
/// let example = |text: &str, label| Example { text: text.to_owned(), label, groups: [].into() };
/// let train = vec![example("a dull film", 0), example("a fine film", 1)];
/// let data = Classification { labels, train, ..Classification::default() };
/// let spec = ModelSpec::new("bilstm-8", &TASK, "pooling = 'max'".parse()?)?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = TextClassifier::open(&spec, &training.files(), &weights, &device)?;
/// let prediction = &model.predictions(&["a fine film"])?[0];
/// let total: f64 = prediction.probabilities.iter().map(|(_, probability)| probability).sum();
/// assert!((total - 1.0).abs() < 1e-6 && model.labels().contains(&prediction.label));
/// # Ok(()) }
/// ```
pub type TextClassifier = TrainedModel<Codec>;

impl TextClassifier {
    /// Names of the labels.
    pub fn labels(&self) -> &[String] {
        &self.codec.labels
    }

    /// Token ids of a text; empty if it has no token.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.codec.encoder.encode(text)
    }

    /// Norm of the gradient of the loss with respect to the hidden state, by distance from the last token, averaged over examples. Texts
    /// without a token are skipped.
    pub fn gradient_norms_by_distance(&self, examples: &[Example]) -> Vec<f64> {
        let encoded = examples.iter().map(|example| (self.encode(&example.text), example.label));
        let (rows, labels): (Vec<Vec<u32>>, Vec<usize>) = encoded.filter(|(row, _)| !row.is_empty()).unzip();
        let (tokens, lengths) = pad_rows(rows.iter().map(Vec::as_slice), &self.device.clone().autodiff());
        self.network.clone().train().gradient_norms(tokens, &lengths, &labels)
    }

    /// Unit of tokenization.
    pub fn level(&self) -> Tokenization {
        self.codec.encoder.level
    }

    /// Predicts the label of each text. Batching changes results only by rounding.
    ///
    /// # Errors
    /// If a text has no token.
    pub fn predictions(&self, texts: &[&str]) -> Result<Vec<Prediction>, PredictError> {
        let rows: Vec<Vec<u32>> = texts.iter().map(|text| self.encode(text)).collect();
        if let Some(index) = rows.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { index });
        }
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let prediction = |row: Vec<f32>| {
            let probability = |log: &f32| f64::from(*log).exp();
            let labels = self.labels().iter().cloned();
            let probabilities: Vec<_> = labels.zip(row.iter().map(probability)).collect();
            let (label, probability) = probabilities[most_probable(&row)].clone();
            Prediction { label, probability, probabilities }
        };
        Ok(self.log_probabilities(&rows).into_iter().map(prediction).collect())
    }

    /// Metrics on examples, each of which must have a token.
    pub fn evaluate_examples(&self, examples: &[Example]) -> Evaluation {
        let rows: Vec<Vec<u32>> = examples.iter().map(|example| self.encode(&example.text)).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let predictions = self.log_probabilities(&rows);
        let labels: Vec<usize> = examples.iter().map(|example| example.label).collect();
        let groups = examples.iter().map(|example| &*example.groups);
        let pairs = labels.iter().zip(&predictions).map(|(&label, row)| (label, most_probable(row)));
        let confusion = ConfusionMatrix::from_pairs(self.labels(), pairs);
        Evaluation::by_group(groups, |indices| score(self.labels(), &predictions, &labels, indices))
            .with_confusion(confusion)
    }

    /// Log probabilities of the labels for each row of token ids, none of which may be empty.
    pub fn log_probabilities(&self, rows: &[&[u32]]) -> Vec<Vec<f32>> {
        log_probabilities(&self.network, rows, &self.device, &|| false).expect("never stopped")
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

impl Predictor for TextClassifier {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let data = examples::with_tokens(examples_as(examples)?, self.level());
        let examples = data.split(split);
        // The labels of other data may be others, or in another order.
        let used = examples.iter().map(|example| example.label);
        let indices = label_indices(&data.labels, used, self.labels())?;
        let own = |example: &Example| Example { label: indices[example.label], ..example.clone() };
        Ok(self.evaluate_examples(&examples.iter().map(own).collect::<Vec<_>>()))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples::with_tokens(examples_as::<Classification>(examples)?, self.level()).baselines(split))
    }

    fn predict(&self, texts: &[&str], _: TextOptions) -> Result<Vec<Output>, PredictError> {
        Ok(self.predictions(texts)?.into_iter().map(Output::from).collect())
    }

    fn empty_output(&self) -> Output {
        let json = [("label", Value::Null), ("probability", Value::Null), ("probabilities", json!({}))];
        Output::new(String::new(), json)
    }
}

/// Index of the most probable label; the first of equal ones.
pub fn most_probable(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, label| if row[label] > row[best] { label } else { best })
}

/// Metrics on the examples with the given indices.
pub(super) fn score(
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

/// Log probabilities in the order of `rows`, computed in batches of similar length; `None` if stopped.
pub(super) fn log_probabilities(
    network: &Classifier,
    rows: &[&[u32]],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<f32>>> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
    let mut all = vec![Vec::new(); rows.len()];
    for batch in batch::sorted(&lengths, &lengths, EVALUATION) {
        if stop() {
            return None;
        }
        let (tokens, lengths) = pad_rows(batch.iter().map(|&index| rows[index]), device);
        let logits = network.forward(tokens, &lengths, None);
        let labels = logits.dims()[1];
        let values = Array::of(log_softmax(logits, 1)).values;
        batch.iter().zip(values.chunks_exact(labels)).for_each(|(&index, row)| all[index] = row.to_vec());
    }
    Some(all)
}
