//! Text classification.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::classification::{Classification, Example};
use seqzoo_datasets::scores::{ConfusionMatrix, Evaluation, Metric, Scores};
use seqzoo_datasets::text::{Encoder, Tokenization, Vocabulary};
use seqzoo_kernels::Execution;
use seqzoo_models::invalid_shape::InvalidShape;
use seqzoo_models::networks::{Classifier, ClassifierShape, Network};
use seqzoo_random::{Key, Purpose};
use serde::{Deserialize, Serialize};

use super::{BatchLoss, Codec as _, RecurrentState, Task, Trained, evaluation_limits, rectangle};
use crate::checkpoint::Files;
use crate::faults;
use crate::parameters;
use crate::recipe::ModelSpec;

/// Batches for evaluation and prediction.
const EVALUATION: BatchLimits = evaluation_limits(128);

/// Encoder of texts and label names. With the weights, it is all that inference needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Encoder from text to token ids.
    pub encoder: Encoder,
    /// Names of the labels.
    pub labels: Vec<String>,
}

/// An encoded text.
#[derive(Debug, Clone)]
struct Encoded {
    tokens: Vec<u32>,
    label: usize,
}

impl Codec {
    fn shape(&self, spec: &ModelSpec) -> ClassifierShape {
        let recipe = &spec.recipe;
        ClassifierShape {
            vocabulary: self.encoder.vocabulary.size(),
            stack: spec.stack(),
            pooling: recipe.network.pooling,
            labels: self.labels.len(),
            dropout: recipe.dropout.output,
            embedding_dropout: recipe.dropout.embedding,
        }
    }
}

impl super::Codec for Codec {
    type Network = Classifier;

    const FILE: &'static str = "encoder.json";

    fn fits(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Classifier {
        Classifier::new(self.shape(spec), spec.recipe.training.seed, device)
    }
}

/// Training task of a text classifier.
#[derive(Debug, Clone)]
pub struct ClassificationTask {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<Encoded>,
    validation: Vec<Encoded>,
}

impl ClassificationTask {
    /// The task of a recipe's model, with the vocabulary of the training split. Texts without a token are left out.
    ///
    /// # Errors
    /// If the model does not fit the data's sizes.
    pub fn new(spec: &ModelSpec, data: &Classification) -> Result<Self, InvalidShape> {
        let recipe = &spec.recipe;
        let level = recipe.text.level;
        let cleaning = data.cleaning.clone();
        let tokens = |example: &Example| level.tokens(&cleaning.apply(&example.text)).collect::<Vec<_>>();
        let words = data.train.iter().flat_map(tokens);
        let vocabulary = Vocabulary::build(words, recipe.text.min_count, recipe.text.max_vocabulary);
        let encoder = Encoder {
            cleaning: cleaning.clone(),
            level,
            vocabulary,
            max_tokens: recipe.text.max_tokens,
            keep: recipe.text.keep,
        };
        let encode = |examples: &[Example]| -> Vec<Encoded> {
            let encoded = |example: &Example| Encoded { tokens: encoder.encode(&example.text), label: example.label };
            examples.iter().map(encoded).filter(|example| !example.tokens.is_empty()).collect()
        };
        let (train, validation) = (encode(&data.train), encode(&data.validation));
        let codec = Codec { encoder, labels: data.labels.clone() };
        codec.fits(spec)?;
        Ok(Self { codec, spec: spec.clone(), train, validation })
    }

    fn key(&self, purpose: Purpose) -> Key {
        Key::new(self.spec.recipe.training.seed, purpose)
    }
}

impl Task for ClassificationTask {
    type Network = Classifier;

    fn network(&self, device: &Device) -> Classifier {
        self.spec.recipe.begin(self.codec.network(&self.spec, device))
    }

    fn set_execution(&self, network: &mut Self::Network, execution: Execution) {
        network.set_execution(execution);
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths: Vec<usize> = self.train.iter().map(|example| example.tokens.len()).collect();
        batch::shuffled(&lengths, &lengths, self.spec.recipe.training.limits(), self.key(Purpose::Order).at(epoch))
    }

    fn loss(
        &self,
        network: &Classifier,
        batch: &[usize],
        _: Option<&RecurrentState>,
        noise: Key,
        device: &Device,
    ) -> BatchLoss {
        let (tokens, lengths) = rectangle(batch.iter().map(|&index| self.train[index].tokens.as_slice()), device);
        let labels: Vec<i32> = batch.iter().map(|&index| self.train[index].label as i32).collect();
        let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [batch.len(), 1]), device);
        let mut logits = network.forward(tokens, &lengths, Some(noise));
        if let Some(value) = faults::value("activation") {
            logits = logits * value;
        }
        let loss = log_softmax(logits, 1).gather(1, labels).mean().neg();
        BatchLoss { loss, weight: batch.len() as f64, tokens: lengths.iter().sum(), recurrent_state: None }
    }

    fn validate(&self, network: &Classifier, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let rows: Vec<&[u32]> = self.validation.iter().map(|example| example.tokens.as_slice()).collect();
        let labels: Vec<usize> = self.validation.iter().map(|example| example.label).collect();
        let predictions = log_probabilities(network, &rows, device, stop)?;
        Some(score(&self.codec.labels, &predictions, &labels, &mut (0..labels.len())))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// A trained text classifier with its codec.
pub type TextClassifier = Trained<Codec>;

impl TextClassifier {
    /// Names of the labels.
    pub fn labels(&self) -> &[String] {
        &self.codec.labels
    }

    /// Token ids of a text; empty if it has no token.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.codec.encoder.encode(text)
    }

    /// Norm of the loss's gradient at the hidden state, by distance from the last token, averaged over examples. Texts
    /// without a token are left out.
    pub fn reach(&self, examples: &[Example]) -> Vec<f64> {
        let encoded = examples.iter().map(|example| (self.encode(&example.text), example.label));
        let (rows, labels): (Vec<Vec<u32>>, Vec<usize>) = encoded.filter(|(row, _)| !row.is_empty()).unzip();
        let (tokens, lengths) = rectangle(rows.iter().map(Vec::as_slice), &self.device.clone().autodiff());
        self.network.clone().train().reach(tokens, &lengths, &labels)
    }

    /// Level of tokenization.
    pub fn level(&self) -> Tokenization {
        self.codec.encoder.level
    }

    /// Metrics on examples, each of which must have a token.
    pub fn evaluate(&self, examples: &[Example]) -> Evaluation {
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

    /// Log probabilities of the labels, for each row of token ids. No row may be empty.
    pub fn log_probabilities(&self, rows: &[&[u32]]) -> Vec<Vec<f32>> {
        log_probabilities(&self.network, rows, &self.device, &|| false).expect("never stopped")
    }
}

/// Index of the most probable label; the first of equal ones.
pub fn most_probable(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, label| if row[label] > row[best] { label } else { best })
}

/// Metrics on the examples with the given indices.
fn score(
    names: &[String],
    log_probabilities: &[Vec<f32>],
    labels: &[usize],
    indices: &mut dyn Iterator<Item = usize>,
) -> Scores {
    let indices: Vec<usize> = indices.collect();
    let pairs = indices.iter().map(|&index| (labels[index], most_probable(&log_probabilities[index])));
    let mut scores = ConfusionMatrix::from_pairs(names, pairs).scores();
    let loss: f64 = indices.iter().map(|&index| -f64::from(log_probabilities[index][labels[index]])).sum();
    scores.metrics.insert(Metric::Loss, loss / indices.len().max(1) as f64);
    scores
}

/// Log probabilities in the order of `rows`, computed in batches of similar length; `None` if stopped.
fn log_probabilities(
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
        let (tokens, lengths) = rectangle(batch.iter().map(|&index| rows[index]), device);
        let logits = network.forward(tokens, &lengths, None);
        let labels = logits.dims()[1];
        let values = parameters::Array::of(log_softmax(logits, 1)).values;
        batch.iter().zip(values.chunks_exact(labels)).for_each(|(&index, row)| all[index] = row.to_vec());
    }
    Some(all)
}
