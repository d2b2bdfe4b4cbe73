//! Sequence tagging: a label for each token of a sentence.

use std::borrow::Cow;
use std::collections::HashMap;

use burn::tensor::Device;
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::scores::{self, ConfusionMatrix, Evaluation, Group, Metric, Scores};
use seqzoo_datasets::tagging::{Sentence, Tagging};
use seqzoo_datasets::text::{UNKNOWN, Vocabulary};
use seqzoo_kernels::Execution;
use seqzoo_models::invalid_shape::InvalidShape;
use seqzoo_models::layers::{CharacterEncoderShape, StackShape, WordCharacters};
use seqzoo_models::networks::{Network, Sentences, Tagger, TaggerShape};
use seqzoo_random::{Key, Purpose};
use serde::{Deserialize, Serialize};

use super::{BatchLoss, Codec as _, RecurrentState, Task, Trained, evaluation_limits, rectangle};
use crate::checkpoint::Files;
use crate::faults;
use crate::recipe::ModelSpec;

/// Batches for evaluation and prediction.
const EVALUATION: BatchLimits = evaluation_limits(128);

/// Maximum number of characters of a word; longer ones are web addresses and the like.
const MAX_CHARACTERS: usize = 64;

/// Vocabularies of words and characters, and label names. With the weights, it is all that inference needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Cleaning of each token before encoding; codecs of older versions have none.
    #[serde(default = "Cleaning::none")]
    pub cleaning: Cleaning,
    /// Vocabulary of lowercased words.
    pub words: Vocabulary,
    /// Vocabulary of characters, in their original case.
    pub letters: Vocabulary,
    /// Names of the labels.
    pub labels: Vec<String>,
}

/// An encoded sentence.
#[derive(Debug, Clone)]
struct Encoded {
    words: Vec<u32>,
    /// Character ids of each word.
    characters: Vec<Vec<u32>>,
    labels: Vec<usize>,
}

impl Codec {
    fn of(spec: &ModelSpec, data: &Tagging) -> Self {
        let text = &spec.recipe.text;
        let cleaning = Cleaning::default();
        let tokens = data.train.iter().flat_map(|sentence| &sentence.tokens);
        let tokens: Vec<_> = tokens.map(|token| cleaning.apply_to_token(token)).collect();
        let words = tokens.iter().map(|token| token.to_lowercase());
        let characters = tokens.iter().flat_map(|token| token.chars().map(String::from));
        Self {
            cleaning: cleaning.clone(),
            words: Vocabulary::build(words, text.min_count, text.max_vocabulary),
            letters: Vocabulary::build(characters, 1, text.max_vocabulary),
            labels: data.labels.clone(),
        }
    }

    fn encode(&self, tokens: &[String], labels: &[usize]) -> Encoded {
        let tokens: Vec<_> = tokens.iter().map(|token| self.cleaning.apply_to_token(token)).collect();
        let characters = |token: &Cow<str>| {
            let known = token.chars().take(MAX_CHARACTERS).map(|c| self.letters.id(c.encode_utf8(&mut [0; 4])));
            let known: Vec<u32> = known.collect();
            // The character encoder needs at least one character.
            if known.is_empty() { vec![UNKNOWN] } else { known }
        };
        Encoded {
            words: tokens.iter().map(|token| self.words.id(&token.to_lowercase())).collect(),
            characters: tokens.iter().map(characters).collect(),
            labels: labels.to_vec(),
        }
    }

    /// Whether a token is in the vocabulary of words.
    fn knows(&self, token: &str) -> bool {
        self.words.id(&self.cleaning.apply_to_token(token).to_lowercase()) != UNKNOWN
    }

    fn shape(&self, spec: &ModelSpec) -> TaggerShape {
        let recipe = &spec.recipe;
        let StackShape { architecture, .. } = spec.stack();
        let character_encoder = (recipe.characters.hidden_size > 0).then(|| CharacterEncoderShape {
            letters: self.letters.size(),
            stack: StackShape::plain(
                architecture,
                recipe.characters.embedding_size,
                vec![recipe.characters.hidden_size],
            ),
        });
        let characters =
            character_encoder.as_ref().map_or(0, |character_encoder| character_encoder.stack.output_size());
        let embedding_size = recipe.network.embedding_size;
        TaggerShape {
            vocabulary: self.words.size(),
            embedding_size,
            character_encoder,
            stack: StackShape { input_size: embedding_size + characters, ..spec.stack() },
            labels: self.labels.len(),
            crf: recipe.network.crf,
            dropout: recipe.dropout.output,
            embedding_dropout: recipe.dropout.embedding,
        }
    }
}

impl super::Codec for Codec {
    type Network = Tagger;

    fn fits(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Tagger {
        Tagger::new(self.shape(spec), spec.recipe.training.seed, device)
    }
}

/// Training task of a tagger.
#[derive(Debug, Clone)]
pub struct TaggingTask {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<Encoded>,
    validation: Vec<Encoded>,
}

impl TaggingTask {
    /// The task of a recipe's model, with the vocabularies of the training split, whose sentences are truncated to
    /// `text.max_tokens`. Sentences without a token are left out.
    ///
    /// # Errors
    /// If the model does not fit the data's sizes.
    pub fn new(spec: &ModelSpec, data: &Tagging) -> Result<Self, InvalidShape> {
        let codec = Codec::of(spec, data);
        let encode = |sentence: &Sentence, max_tokens: usize| {
            let length = max_tokens.min(sentence.tokens.len());
            codec.encode(&sentence.tokens[..length], &sentence.labels[..length])
        };
        let [train, validation] = [&data.train, &data.validation]
            .map(|sentences| sentences.iter().filter(|sentence| !sentence.tokens.is_empty()));
        let train = train.map(|sentence| encode(sentence, spec.recipe.text.max_tokens)).collect();
        let validation = validation.map(|sentence| encode(sentence, usize::MAX)).collect();
        codec.fits(spec)?;
        Ok(Self { codec, spec: spec.clone(), train, validation })
    }
}

impl Task for TaggingTask {
    type Network = Tagger;

    fn network(&self, device: &Device) -> Tagger {
        self.spec.recipe.begin(self.codec.network(&self.spec, device))
    }

    fn set_execution(&self, network: &mut Self::Network, execution: Execution) {
        network.set_execution(execution);
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let training = &self.spec.recipe.training;
        let lengths: Vec<usize> = self.train.iter().map(|sentence| sentence.words.len()).collect();
        batch::shuffled(&lengths, &lengths, training.limits(), Key::new(training.seed, Purpose::Order).at(epoch))
    }

    fn loss(
        &self,
        network: &Tagger,
        batch: &[usize],
        _: Option<&RecurrentState>,
        noise: Key,
        device: &Device,
    ) -> BatchLoss {
        let rows: Vec<&Encoded> = batch.iter().map(|&index| &self.train[index]).collect();
        let labels: Vec<Vec<usize>> = rows.iter().map(|row| row.labels.clone()).collect();
        let tokens = labels.iter().map(Vec::len).sum();
        let mut loss = network.loss(&sentences(&rows, device), &labels, Some(noise));
        if let Some(value) = faults::value("activation") {
            loss = loss * value;
        }
        BatchLoss { loss, weight: tokens as f64, tokens, recurrent_state: None }
    }

    fn validate(&self, network: &Tagger, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let rows: Vec<&Encoded> = self.validation.iter().collect();
        let (predictions, loss) = predict(network, &rows, true, device, stop)?;
        let pairs = rows.iter().zip(&predictions).flat_map(|(row, predicted)| pairs(&row.labels, predicted));
        let mut scores = ConfusionMatrix::from_pairs(&self.codec.labels, pairs).scores();
        scores.metrics.insert(Metric::Loss, loss);
        Some(scores)
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// A trained tagger with its codec.
pub type SentenceTagger = Trained<Codec>;

impl SentenceTagger {
    /// Predicted labels of the tokens of each sentence. No sentence may be empty.
    pub fn labels(&self, tokens: &[Vec<String>]) -> Vec<Vec<&str>> {
        let rows: Vec<Encoded> = tokens.iter().map(|tokens| self.codec.encode(tokens, &[])).collect();
        let rows: Vec<&Encoded> = rows.iter().collect();
        let (predictions, _) = predict(&self.network, &rows, false, &self.device, &|| false).expect("never stopped");
        let name = |label: usize| self.codec.labels[label].as_str();
        predictions.into_iter().map(|predicted| predicted.into_iter().map(name).collect()).collect()
    }

    /// Metrics on the tokens of sentences, grouped by known and unknown words.
    pub fn evaluate(&self, sentences: &[Sentence]) -> Evaluation {
        let rows: Vec<Encoded> =
            sentences.iter().map(|sentence| self.codec.encode(&sentence.tokens, &sentence.labels)).collect();
        let rows: Vec<&Encoded> = rows.iter().collect();
        let (predictions, loss) = predict(&self.network, &rows, true, &self.device, &|| false).expect("never stopped");
        let pairs: Vec<(usize, usize)> =
            rows.iter().zip(&predictions).flat_map(|(row, predicted)| pairs(&row.labels, predicted)).collect();
        let group = |token: &String| -> Vec<Group> {
            let known = if self.codec.knows(token) { "known" } else { "unknown" };
            vec![scores::group("word", known)]
        };
        let groups: Vec<Vec<Group>> = sentences.iter().flat_map(|sentence| sentence.tokens.iter().map(group)).collect();
        let names = &self.codec.labels;
        let score = |indices: &mut dyn Iterator<Item = usize>| {
            ConfusionMatrix::from_pairs(names, indices.map(|i| pairs[i])).scores()
        };
        let mut evaluation = Evaluation::by_group(groups.iter().map(Vec::as_slice), score);
        evaluation.all.metrics.insert(Metric::Loss, loss);
        evaluation.with_confusion(ConfusionMatrix::from_pairs(names, pairs.iter().copied()))
    }
}

fn pairs<'a>(actual: &'a [usize], predicted: &'a [usize]) -> impl Iterator<Item = (usize, usize)> + 'a {
    actual.iter().copied().zip(predicted.iter().copied())
}

/// Pads rows to one rectangle, with the characters of each distinct word once.
fn sentences(rows: &[&Encoded], device: &Device) -> Sentences {
    let mut distinct: Vec<&[u32]> = Vec::new();
    let mut index_of: HashMap<&[u32], u32> = HashMap::new();
    let places: Vec<Vec<u32>> = rows
        .iter()
        .map(|row| {
            let index = |characters| {
                *index_of.entry(characters).or_insert_with(|| {
                    distinct.push(characters);
                    distinct.len() as u32 - 1
                })
            };
            row.characters.iter().map(Vec::as_slice).map(index).collect()
        })
        .collect();
    let (tokens, lengths) = rectangle(rows.iter().map(|row| row.words.as_slice()), device);
    let (letters, word_lengths) = rectangle(distinct.iter().copied(), device);
    let (places, _) = rectangle(places.iter().map(Vec::as_slice), device);
    Sentences { tokens, lengths, characters: Some(WordCharacters { letters, lengths: word_lengths, places }) }
}

/// Predicted labels of each row and, if `with_loss`, the mean loss per token; `None` if stopped.
fn predict(
    network: &Tagger,
    rows: &[&Encoded],
    with_loss: bool,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<(Vec<Vec<usize>>, f64)> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.words.len()).collect();
    let mut all = vec![Vec::new(); rows.len()];
    let (mut sum, mut tokens) = (0.0, 0);
    for batch in batch::sorted(&lengths, &lengths, EVALUATION) {
        if stop() {
            return None;
        }
        let rows: Vec<&Encoded> = batch.iter().map(|&index| rows[index]).collect();
        let labels: Vec<Vec<usize>> = rows.iter().map(|row| row.labels.clone()).collect();
        let (predictions, loss) = network.decode(&sentences(&rows, device), with_loss.then_some(&labels[..]));
        let count: usize = rows.iter().map(|row| row.words.len()).sum();
        sum += loss.unwrap_or(0.0) * count as f64;
        tokens += count;
        batch.iter().zip(predictions).for_each(|(&index, predicted)| all[index] = predicted);
    }
    Some((all, sum / tokens.max(1) as f64))
}
