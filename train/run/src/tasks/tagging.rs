//! A label for every token of a sentence.

use std::borrow::Cow;
use std::collections::HashMap;

use burn::tensor::Device;
use seqzoo_datasets::batch::{self, Limits};
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::scores::{Confusion, Evaluation, Group, Metric, Scores};
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
const EVALUATION: Limits = evaluation_limits(128);

/// Letters read of a word at most; longer ones are web addresses and the like.
const MAX_LETTERS: usize = 64;

/// Words and letters to numbers and numbers to labels: with the weights, enough to label new sentences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// What is done to each token first; codecs of an older version have none.
    #[serde(default = "Cleaning::none")]
    pub cleaning: Cleaning,
    /// The known words, in lower case.
    pub words: Vocabulary,
    /// The known letters, as they are.
    pub letters: Vocabulary,
    /// Names of the labels.
    pub labels: Vec<String>,
}

/// A sentence as the network reads it.
#[derive(Debug, Clone)]
struct Encoded {
    words: Vec<u32>,
    /// Of each word, its letters.
    letters: Vec<Vec<u32>>,
    labels: Vec<usize>,
}

impl Codec {
    fn of(spec: &ModelSpec, data: &Tagging) -> Self {
        let text = &spec.recipe.text;
        let cleaning = Cleaning::default();
        let tokens = data.train.iter().flat_map(|sentence| &sentence.tokens);
        let tokens: Vec<_> = tokens.map(|token| cleaning.apply_to_token(token)).collect();
        let words = tokens.iter().map(|token| token.to_lowercase());
        let letters = tokens.iter().flat_map(|token| token.chars().map(String::from));
        Self {
            cleaning: cleaning.clone(),
            words: Vocabulary::of(words, text.min_count, text.max_vocabulary),
            letters: Vocabulary::of(letters, 1, text.max_vocabulary),
            labels: data.labels.clone(),
        }
    }

    fn encode(&self, tokens: &[String], labels: &[usize]) -> Encoded {
        let tokens: Vec<_> = tokens.iter().map(|token| self.cleaning.apply_to_token(token)).collect();
        let letters = |token: &Cow<str>| {
            let known =
                token.chars().take(MAX_LETTERS).map(|letter| self.letters.number(letter.encode_utf8(&mut [0; 4])));
            let known: Vec<u32> = known.collect();
            // The layers that read letters need one.
            if known.is_empty() { vec![UNKNOWN] } else { known }
        };
        Encoded {
            words: tokens.iter().map(|token| self.words.number(&token.to_lowercase())).collect(),
            letters: tokens.iter().map(letters).collect(),
            labels: labels.to_vec(),
        }
    }

    /// Whether a token is one of the known words.
    fn knows(&self, token: &str) -> bool {
        self.words.number(&self.cleaning.apply_to_token(token).to_lowercase()) != UNKNOWN
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

/// Training a tagger on labeled sentences.
#[derive(Debug, Clone)]
pub struct TaggingTask {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<Encoded>,
    validation: Vec<Encoded>,
}

impl TaggingTask {
    /// The task of a recipe's model; words and letters are counted on the training part alone, of which sentences are read up
    /// to `text.max_tokens`. Sentences without a token are left out.
    ///
    /// # Errors
    /// If the model does not fit the data's sizes.
    pub fn new(spec: &ModelSpec, data: &Tagging) -> Result<Self, InvalidShape> {
        let codec = Codec::of(spec, data);
        let encode = |sentence: &Sentence, most: usize| {
            let most = most.min(sentence.tokens.len());
            codec.encode(&sentence.tokens[..most], &sentence.labels[..most])
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
        let rows: Vec<&Encoded> = batch.iter().map(|&place| &self.train[place]).collect();
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
        let (answers, loss) = answer(network, &rows, true, device, stop)?;
        let pairs = rows.iter().zip(&answers).flat_map(|(row, answer)| pairs(&row.labels, answer));
        let mut scores = Confusion::of(&self.codec.labels, pairs).scores();
        scores.metrics.insert(Metric::Loss, loss);
        Some(scores)
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// A trained tagger with what it needs to read sentences.
pub type SentenceTagger = Trained<Codec>;

impl SentenceTagger {
    /// The label of each token of each sentence, none of which may be empty.
    pub fn labels(&self, tokens: &[Vec<String>]) -> Vec<Vec<&str>> {
        let rows: Vec<Encoded> = tokens.iter().map(|tokens| self.codec.encode(tokens, &[])).collect();
        let rows: Vec<&Encoded> = rows.iter().collect();
        let (answers, _) = answer(&self.network, &rows, false, &self.device, &|| false).expect("nothing asks to stop");
        let name = |label: usize| self.codec.labels[label].as_str();
        answers.into_iter().map(|answer| answer.into_iter().map(name).collect()).collect()
    }

    /// How well the tokens of sentences are labeled, known words told from unknown ones.
    pub fn evaluate(&self, sentences: &[Sentence]) -> Evaluation {
        let rows: Vec<Encoded> =
            sentences.iter().map(|sentence| self.codec.encode(&sentence.tokens, &sentence.labels)).collect();
        let rows: Vec<&Encoded> = rows.iter().collect();
        let (answers, loss) =
            answer(&self.network, &rows, true, &self.device, &|| false).expect("nothing asks to stop");
        let pairs: Vec<(usize, usize)> =
            rows.iter().zip(&answers).flat_map(|(row, answer)| pairs(&row.labels, answer)).collect();
        let group = |token: &String| -> Vec<Group> {
            let known = if self.codec.knows(token) { "known" } else { "unknown" };
            vec![("word", known.to_owned())]
        };
        let groups: Vec<Vec<Group>> = sentences.iter().flat_map(|sentence| sentence.tokens.iter().map(group)).collect();
        let names = &self.codec.labels;
        let score =
            |places: &mut dyn Iterator<Item = usize>| Confusion::of(names, places.map(|place| pairs[place])).scores();
        let mut evaluation = Evaluation::by_group(groups.iter().map(Vec::as_slice), score);
        evaluation.all.metrics.insert(Metric::Loss, loss);
        evaluation.with(Confusion::of(names, pairs.iter().copied()))
    }
}

fn pairs<'a>(right: &'a [usize], answered: &'a [usize]) -> impl Iterator<Item = (usize, usize)> + 'a {
    right.iter().copied().zip(answered.iter().copied())
}

/// Rows as one rectangle, each distinct word characters once.
fn sentences(rows: &[&Encoded], device: &Device) -> Sentences {
    let mut distinct: Vec<&[u32]> = Vec::new();
    let mut numbers: HashMap<&[u32], u32> = HashMap::new();
    let places: Vec<Vec<u32>> = rows
        .iter()
        .map(|row| {
            let place = |letters| {
                *numbers.entry(letters).or_insert_with(|| {
                    distinct.push(letters);
                    distinct.len() as u32 - 1
                })
            };
            row.letters.iter().map(Vec::as_slice).map(place).collect()
        })
        .collect();
    let (tokens, lengths) = rectangle(rows.iter().map(|row| row.words.as_slice()), device);
    let (letters, letter_counts) = rectangle(distinct.iter().copied(), device);
    let (places, _) = rectangle(places.iter().map(Vec::as_slice), device);
    Sentences { tokens, lengths, characters: Some(WordCharacters { letters, lengths: letter_counts, places }) }
}

/// Labels of each row, and where they are graded the mean loss per token; `None` if `stop` asked to leave it.
fn answer(
    network: &Tagger,
    rows: &[&Encoded],
    graded: bool,
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
        let rows: Vec<&Encoded> = batch.iter().map(|&place| rows[place]).collect();
        let labels: Vec<Vec<usize>> = rows.iter().map(|row| row.labels.clone()).collect();
        let (answers, loss) = network.decode(&sentences(&rows, device), graded.then_some(&labels[..]));
        let count: usize = rows.iter().map(|row| row.words.len()).sum();
        sum += loss.unwrap_or(0.0) * count as f64;
        tokens += count;
        batch.iter().zip(answers).for_each(|(&place, answer)| all[place] = answer);
    }
    Some((all, sum / tokens.max(1) as f64))
}
