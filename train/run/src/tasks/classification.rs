//! One label for each text.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_datasets::batch::{self, Padded};
use seqzoo_datasets::classification::{Classification, Example};
use seqzoo_datasets::text::{Encoder, Vocabulary};
use seqzoo_models::Architecture;
use seqzoo_models::networks::{Classifier, ClassifierShape};
use seqzoo_random::{Key, Purpose};
use serde::{Deserialize, Serialize};

use super::{BatchLoss, Carried, Task};
use crate::checkpoint::{CheckpointError, Files, Opened};
use crate::faults;
use crate::parameters;
use crate::progress::{Scores, Snapshot};
use crate::recipe::Recipe;

const ENCODER: &str = "encoder.json";

/// Sequences per batch where nothing is learnt.
const EVALUATION_BATCH: usize = 128;

/// Text to numbers and numbers to labels: with the weights, enough to answer new text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// From text to token numbers.
    pub encoder: Encoder,
    /// Names of the labels.
    pub labels: Vec<String>,
}

/// A text as the network reads it.
#[derive(Debug, Clone)]
struct Encoded {
    tokens: Vec<u32>,
    label: usize,
}

/// Training a classifier on a data set.
#[derive(Debug, Clone)]
pub struct ClassificationTask {
    codec: Codec,
    architecture: Architecture,
    recipe: Recipe,
    train: Vec<Encoded>,
    validation: Vec<Encoded>,
}

impl ClassificationTask {
    /// The task of a recipe, for one of its architectures; the vocabulary is counted on the training part alone.
    pub fn new(recipe: &Recipe, architecture: Architecture, data: &Classification) -> Self {
        let level = recipe.text.level;
        let words = data.train.iter().flat_map(|example| level.tokens(&example.text));
        let vocabulary = Vocabulary::of(words, recipe.text.min_count, recipe.text.max_vocabulary);
        let encoder = Encoder { level, vocabulary, max_tokens: recipe.text.max_tokens, keep: recipe.text.keep };
        let encode = |examples: &[Example]| -> Vec<Encoded> {
            let encoded = |example: &Example| Encoded { tokens: encoder.encode(&example.text), label: example.label };
            examples.iter().map(encoded).collect()
        };
        let (train, validation) = (encode(&data.train), encode(&data.validation));
        let codec = Codec { encoder, labels: data.labels.clone() };
        Self { codec, architecture, recipe: recipe.clone(), train, validation }
    }

    fn key(&self, purpose: Purpose) -> Key {
        Key::new(self.recipe.training.seed, purpose)
    }
}

impl Task for ClassificationTask {
    type Network = Classifier;

    fn network(&self, device: &Device) -> Classifier {
        let shape = shape(&self.recipe, self.architecture, &self.codec);
        self.recipe.begin(Classifier::new(shape, self.recipe.training.seed, device))
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths: Vec<usize> = self.train.iter().map(|example| example.tokens.len()).collect();
        batch::shuffled(&lengths, self.recipe.training.batch_size, self.key(Purpose::Order).at(epoch))
    }

    fn loss(
        &self,
        network: &Classifier,
        batch: &[usize],
        _: Option<&Carried>,
        noise: Key,
        device: &Device,
    ) -> BatchLoss {
        let padded = batch::pad(batch.iter().map(|&index| self.train[index].tokens.as_slice()));
        let labels: Vec<i32> = batch.iter().map(|&index| self.train[index].label as i32).collect();
        let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [batch.len(), 1]), device);
        let mut logits = network.forward(tensor(&padded, device), &padded.lengths, Some(noise));
        if let Some(value) = faults::value("activation") {
            logits = logits * value;
        }
        let loss = log_softmax(logits, 1).gather(1, labels).mean().neg();
        BatchLoss { loss, weight: batch.len() as f64, tokens: padded.lengths.iter().sum(), carried: None }
    }

    fn validate(&self, network: &Classifier, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let rows: Vec<&[u32]> = self.validation.iter().map(|example| example.tokens.as_slice()).collect();
        let labels: Vec<usize> = self.validation.iter().map(|example| example.label).collect();
        Some(score(&log_probabilities(network, &rows, device, stop)?, &labels))
    }

    fn files(&self) -> Files {
        let json = serde_json::to_vec(&self.codec).expect("made of strings and numbers");
        Files::from([(ENCODER.to_owned(), json)])
    }
}

/// A trained classifier with what it needs to read text.
#[derive(Debug, Clone)]
pub struct TextClassifier {
    codec: Codec,
    network: Classifier,
    device: Device,
}

impl TextClassifier {
    /// The classifier that a checkpoint holds.
    ///
    /// # Errors
    /// If the checkpoint's files do not fit each other.
    pub fn load(opened: &Opened, snapshot: &Snapshot, device: &Device) -> Result<Self, CheckpointError> {
        let codec: Codec = opened.json(ENCODER)?;
        let (recipe, architecture) = snapshot.recipe(opened)?;
        let shape = shape(recipe, architecture, &codec);
        shape.check().map_err(|misfit| CheckpointError::damaged(&opened.path, misfit))?;
        let network = Classifier::new(shape, recipe.training.seed, device);
        Ok(Self { codec, network: snapshot.into_network(opened, network)?, device: device.clone() })
    }

    /// Names of the labels.
    pub fn labels(&self) -> &[String] {
        &self.codec.labels
    }

    /// Token numbers of a text; empty if there is nothing in it to read.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        self.codec.encoder.encode(text)
    }

    /// How far back the loss of examples reaches: gradient norms by distance from the last token, averaged.
    pub fn reach(&self, examples: &[Example]) -> Vec<f64> {
        let rows: Vec<Vec<u32>> = examples.iter().map(|example| self.encode(&example.text)).collect();
        let labels: Vec<usize> = examples.iter().map(|example| example.label).collect();
        let padded = batch::pad(rows.iter().map(Vec::as_slice));
        let network = self.network.clone().train();
        network.reach(tensor(&padded, &self.device.clone().autodiff()), &padded.lengths, &labels)
    }

    /// How well examples are labelled.
    pub fn evaluate(&self, examples: &[Example]) -> Evaluation {
        let rows: Vec<Vec<u32>> = examples.iter().map(|example| self.encode(&example.text)).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        Evaluation::of(&self.log_probabilities(&rows), examples)
    }

    /// Natural logarithms of each label's probability, for each row of token numbers; no row may be empty.
    pub fn log_probabilities(&self, rows: &[&[u32]]) -> Vec<Vec<f32>> {
        log_probabilities(&self.network, rows, &self.device, &|| false).expect("nothing asks to stop")
    }
}

/// How well examples are labelled, altogether and by group.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Evaluation {
    /// All examples.
    pub all: Scores,
    /// By kind of group and value: "attractors", "3".
    pub groups: BTreeMap<String, BTreeMap<String, Scores>>,
}

impl Evaluation {
    /// Compares log-probabilities with the examples' labels.
    pub fn of(log_probabilities: &[Vec<f32>], examples: &[Example]) -> Self {
        let labels: Vec<usize> = examples.iter().map(|example| example.label).collect();
        let mut members: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (index, example) in examples.iter().enumerate() {
            for (kind, value) in &example.groups {
                members.entry(((*kind).to_owned(), value.clone())).or_default().push(index);
            }
        }
        let mut groups: BTreeMap<String, BTreeMap<String, Scores>> = BTreeMap::new();
        for ((kind, value), indices) in members {
            let rows: Vec<Vec<f32>> = indices.iter().map(|&index| log_probabilities[index].clone()).collect();
            let labels: Vec<usize> = indices.iter().map(|&index| labels[index]).collect();
            groups.entry(kind).or_default().insert(value, score(&rows, &labels));
        }
        Self { all: score(log_probabilities, &labels), groups }
    }
}

/// The most probable label; of equal ones the first.
pub fn most_probable(row: &[f32]) -> usize {
    (1..row.len()).fold(0, |best, label| if row[label] > row[best] { label } else { best })
}

fn score(log_probabilities: &[Vec<f32>], labels: &[usize]) -> Scores {
    let rows = || log_probabilities.iter().zip(labels);
    let right = rows().filter(|&(row, &label)| most_probable(row) == label).count();
    let loss: f64 = rows().map(|(row, &label)| -f64::from(row[label])).sum();
    let count = labels.len().max(1) as f64;
    Scores { accuracy: right as f64 / count, loss: loss / count, examples: labels.len() }
}

fn shape(recipe: &Recipe, architecture: Architecture, codec: &Codec) -> ClassifierShape {
    ClassifierShape {
        vocabulary: codec.encoder.vocabulary.size(),
        stack: recipe.stack(architecture),
        pooling: recipe.network.pooling,
        labels: codec.labels.len(),
        dropout: recipe.dropout.output,
        embedding_dropout: recipe.dropout.embedding,
    }
}

fn tensor(padded: &Padded, device: &Device) -> Tensor<2, Int> {
    let data = TensorData::new(padded.tokens.clone(), [padded.lengths.len(), padded.time]);
    Tensor::from_data(data, device)
}

/// In batches of similar length, given back in the order of `rows`; `None` if `stop` asked to leave it.
fn log_probabilities(
    network: &Classifier,
    rows: &[&[u32]],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<f32>>> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
    let mut all = vec![Vec::new(); rows.len()];
    for batch in batch::sorted(&lengths, EVALUATION_BATCH) {
        if stop() {
            return None;
        }
        let padded = batch::pad(batch.iter().map(|&index| rows[index]));
        let logits = network.forward(tensor(&padded, device), &padded.lengths, None);
        let labels = logits.dims()[1];
        let values = parameters::Array::of(log_softmax(logits, 1)).values;
        batch.iter().zip(values.chunks_exact(labels)).for_each(|(&index, row)| all[index] = row.to_vec());
    }
    Some(all)
}
