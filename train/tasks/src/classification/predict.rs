//! Predictions and metrics of trained text classifiers.

use burn::module::Module;
use burn::tensor::Device;
use rayon::prelude::*;
use seqzoo_datasets::classification::{Classification, Example, Split};
use seqzoo_datasets::scores::Evaluation;
use seqzoo_datasets::text::{Counts, Tokenization};
use seqzoo_models::networks::{Classifier, Ensemble};

use super::{Codec, examples};
use crate::classes::{self, Decision, LabelPredictor, Labeled, Prediction};
use crate::prediction::label_indices;
use crate::{Examples, PredictError, TrainedModel, examples_as, pad_rows};

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

    /// Norm of the gradient of the loss with respect to the hidden state, by distance from the last token, averaged over examples; of the
    /// first member of an ensemble. Texts without a token are skipped.
    pub fn gradient_norms_by_distance(&self, examples: &[Example]) -> Vec<f64> {
        let encoded = examples.iter().map(|example| (self.encode(&example.text), example.label));
        let (rows, labels): (Vec<Vec<u32>>, Vec<usize>) = encoded.filter(|(row, _)| !row.is_empty()).unzip();
        let (tokens, lengths) = pad_rows(rows.iter().map(Vec::as_slice), &self.device.clone().autodiff());
        self.network.first().clone().train().gradient_norms(tokens, &lengths, &labels)
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
        let encoder = &self.codec.encoder;
        let (rows, counts): (Vec<Vec<u32>>, Vec<Counts>) =
            texts.par_iter().map(|text| encoder.encode_counted(text)).unzip();
        if let Some(index) = rows.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { index });
        }
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let rows = self.log_probabilities(&rows);
        let prediction = |row: &Vec<f32>| Prediction::new(self.labels(), row, self.decision);
        Ok(rows.iter().map(prediction).zip(counts).map(|(found, counts)| found.with_counts(counts)).collect())
    }

    /// Log probabilities of the labels for each row of token ids, none of which may be empty.
    pub fn log_probabilities(&self, rows: &[&[u32]]) -> Vec<Vec<f32>> {
        log_probabilities(&self.network, rows, &self.device, &|| false).expect("never stopped")
    }
}

impl LabelPredictor for TextClassifier {
    fn label_names(&self) -> &[String] {
        self.labels()
    }

    fn decision(&self) -> Decision {
        self.decision
    }

    fn set_decision(&mut self, decision: Decision) {
        self.decision = decision;
    }

    fn labeled<'a>(&self, examples: &'a dyn Examples, split: Split) -> Result<Labeled<'a>, PredictError> {
        let data = examples::with_tokens(examples_as(examples)?, self.level());
        let examples = data.split(split);
        // The labels of other data may be others, or in another order.
        let used = examples.iter().map(|example| example.label);
        let indices = label_indices(&data.labels, used, self.labels())?;
        let rows: Vec<Vec<u32>> = examples.par_iter().map(|example| self.encode(&example.text)).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        Ok(Labeled {
            log_probabilities: self.log_probabilities(&rows),
            labels: examples.iter().map(|example| indices[example.label]).collect(),
            groups: examples.iter().map(|example| example.groups.clone()).collect(),
            input: Box::new(move |index| data.split(split)[index].text.clone()),
        })
    }

    fn evaluate_baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples::with_tokens(examples_as::<Classification>(examples)?, self.level()).baselines(split))
    }

    fn predict_labels(&self, texts: &[&str]) -> Result<Vec<Prediction>, PredictError> {
        self.predictions(texts)
    }
}

/// Log probabilities of rows of token ids, in their order; `None` if stopped.
pub(super) fn log_probabilities(
    network: &Ensemble<Classifier>,
    rows: &[&[u32]],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<f32>>> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
    let logits = |network: &Classifier, batch: &[usize]| {
        let (tokens, lengths) = pad_rows(batch.iter().map(|&index| rows[index]), device);
        network.forward(tokens, &lengths, None)
    };
    classes::log_probabilities(network, &lengths, device, logits, stop)
}
