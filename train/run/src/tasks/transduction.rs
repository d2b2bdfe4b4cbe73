//! A sequence made of another, token by token.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use seqzoo_datasets::batch;
use seqzoo_datasets::scores::{Evaluation, Metric, Scores};
use seqzoo_datasets::text::{Level, Vocabulary};
use seqzoo_datasets::transduction::{Pair, Transduction, wholly_right};
use seqzoo_models::layers::StackShape;
use seqzoo_models::misfit::Misfit;
use seqzoo_models::networks::{EncoderDecoder, EncoderDecoderShape};
use seqzoo_random::{Key, Purpose};
use serde::{Deserialize, Serialize};

use super::{BatchLoss, Carried, Codec as _, Task, Trained, rectangle};
use crate::checkpoint::Files;
use crate::faults;
use crate::recipe::Variant;

/// Pairs per batch where nothing is learnt.
const EVALUATION_BATCH: usize = 256;

/// What the decoder reads before the first token: the number of no token.
const BEGIN: usize = seqzoo_datasets::text::PADDING as usize;

/// Text to numbers and numbers to text: with the weights, enough to turn new sequences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// What a token is.
    pub level: Level,
    /// Tokens that are read.
    pub source: Vocabulary,
    /// Tokens that are written; the number behind the last of them ends a sequence.
    pub target: Vocabulary,
    /// Tokens written at most.
    pub longest: usize,
}

impl Codec {
    /// The number that ends what is written.
    fn end(&self) -> usize {
        self.target.size()
    }

    fn encode(&self, pair: &Pair) -> Encoded {
        let numbers = |text: &str, vocabulary: &Vocabulary| -> Vec<u32> {
            self.level.tokens(text).map(|token| vocabulary.number(&token)).collect()
        };
        let target = numbers(&pair.target, &self.target).into_iter().map(|number| number as usize);
        Encoded { source: numbers(&pair.source, &self.source), target: target.chain([self.end()]).collect() }
    }

    fn decode(&self, written: &[usize]) -> String {
        let mut before = None;
        let token = |&number: &usize| {
            let token = self.target.token(u32::try_from(number).ok()?)?;
            Some(self.level.write(before.replace(token), token))
        };
        written.iter().filter_map(token).collect()
    }
}

/// A pair as the network reads it; the target has its end.
#[derive(Debug, Clone)]
struct Encoded {
    source: Vec<u32>,
    target: Vec<usize>,
}

impl Codec {
    fn shape(&self, variant: &Variant) -> EncoderDecoderShape {
        let encoder = variant.stack();
        let decoder = StackShape { architecture: encoder.architecture.forward(), ..encoder.clone() };
        EncoderDecoderShape {
            source_vocabulary: self.source.size(),
            target_vocabulary: self.target.size() + 1,
            encoder,
            decoder,
            attention: variant.recipe.network.attention,
            dropout: variant.recipe.dropout.output,
            embedding_dropout: variant.recipe.dropout.embedding,
        }
    }
}

impl super::Codec for Codec {
    type Network = EncoderDecoder;

    fn fits(&self, variant: &Variant) -> Result<(), Misfit> {
        self.shape(variant).check()
    }

    fn network(&self, variant: &Variant, device: &Device) -> EncoderDecoder {
        EncoderDecoder::new(self.shape(variant), variant.recipe.training.seed, device)
    }
}

/// Training an encoder–decoder on pairs.
#[derive(Debug, Clone)]
pub struct TransductionTask {
    codec: Codec,
    variant: Variant,
    train: Vec<Encoded>,
    validation: Vec<Encoded>,
}

impl TransductionTask {
    /// The task of a recipe's model; vocabularies are counted on the training part alone.
    ///
    /// # Errors
    /// If the model does not fit the data's sizes.
    pub fn new(variant: &Variant, data: &Transduction) -> Result<Self, Misfit> {
        let text = &variant.recipe.text;
        let vocabulary = |side: fn(&Pair) -> &str| {
            let tokens = data.train.iter().flat_map(|pair| text.level.tokens(side(pair)));
            Vocabulary::of(tokens, text.min_count, text.max_vocabulary)
        };
        let longest = data.train.iter().map(|pair| text.level.tokens(&pair.target).count()).max().unwrap_or(0);
        let codec = Codec {
            level: text.level,
            source: vocabulary(|pair| &pair.source),
            target: vocabulary(|pair| &pair.target),
            longest: 2 * longest + 1,
        };
        let [train, validation] =
            [&data.train, &data.validation].map(|part| part.iter().map(|pair| codec.encode(pair)));
        let (train, validation) = (train.collect(), validation.collect());
        codec.fits(variant)?;
        Ok(Self { codec, variant: variant.clone(), train, validation })
    }
}

impl Task for TransductionTask {
    type Network = EncoderDecoder;

    fn network(&self, device: &Device) -> EncoderDecoder {
        self.variant.recipe.begin(self.codec.network(&self.variant, device))
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let training = &self.variant.recipe.training;
        let lengths: Vec<usize> = self.train.iter().map(|pair| pair.source.len()).collect();
        batch::shuffled(&lengths, training.batch_size, Key::new(training.seed, Purpose::Order).at(epoch))
    }

    fn loss(
        &self,
        network: &EncoderDecoder,
        batch: &[usize],
        _: Option<&Carried>,
        noise: Key,
        device: &Device,
    ) -> BatchLoss {
        let pairs: Vec<&Encoded> = batch.iter().map(|&place| &self.train[place]).collect();
        let (mut loss, written) = mean_loss(network, &pairs, Some(noise), device);
        if let Some(value) = faults::value("activation") {
            loss = loss * value;
        }
        let read: usize = pairs.iter().map(|pair| pair.source.len()).sum();
        BatchLoss { loss, weight: written as f64, tokens: read + written, carried: None }
    }

    fn validate(&self, network: &EncoderDecoder, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let pairs: Vec<&Encoded> = self.validation.iter().collect();
        let (right, loss) = graded(network, &self.codec, &pairs, device, stop)?;
        let mut scores = wholly_right(&right, &mut (0..right.len()));
        scores.metrics.insert(Metric::Loss, loss);
        Some(scores)
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// A trained encoder–decoder with what it needs to read and write text.
pub type Transducer = Trained<Codec>;

impl Transducer {
    /// The likeliest texts to write for a source, by a beam of `width`, each with the logarithm of its probability; the
    /// likeliest first. `None` if there is nothing to read.
    pub fn write(&self, source: &str, width: usize) -> Option<Vec<(String, f64)>> {
        let pair =
            self.codec.encode(&Pair { source: source.to_owned(), target: String::new(), groups: Arc::default() });
        let length = pair.source.len();
        if length == 0 {
            return None;
        }
        let (source, _) = sources(&[&pair], &self.device);
        let found = self.network.beam(source, length, BEGIN, self.codec.end(), self.codec.longest, width);
        Some(found.into_iter().map(|found| (self.codec.decode(&found.tokens), found.log_probability)).collect())
    }

    /// How many pairs are turned wholly right, greedily.
    pub fn evaluate(&self, pairs: &[Pair]) -> Evaluation {
        let encoded: Vec<Encoded> = pairs.iter().map(|pair| self.codec.encode(pair)).collect();
        let encoded: Vec<&Encoded> = encoded.iter().collect();
        let (right, loss) =
            graded(&self.network, &self.codec, &encoded, &self.device, &|| false).expect("nothing asks to stop");
        let groups = pairs.iter().map(|pair| &*pair.groups);
        let mut evaluation = Evaluation::by_group(groups, |places| wholly_right(&right, places));
        evaluation.all.metrics.insert(Metric::Loss, loss);
        evaluation
    }
}

/// Which pairs are wholly right, written greedily, and the mean loss per token; `None` if `stop` asked to leave it.
fn graded(
    network: &EncoderDecoder,
    codec: &Codec,
    pairs: &[&Encoded],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<(Vec<bool>, f64)> {
    let lengths: Vec<usize> = pairs.iter().map(|pair| pair.source.len()).collect();
    let mut right = vec![false; pairs.len()];
    let (mut loss, mut tokens) = (0.0, 0);
    for batch in batch::sorted(&lengths, EVALUATION_BATCH) {
        if stop() {
            return None;
        }
        let pairs: Vec<&Encoded> = batch.iter().map(|&place| pairs[place]).collect();
        let (source, lengths) = sources(&pairs, device);
        let longest = pairs.iter().map(|pair| pair.target.len()).max().unwrap_or(0);
        let written = network.greedy(source, &lengths, BEGIN, codec.end(), longest);
        for ((&place, pair), written) in batch.iter().zip(&pairs).zip(written) {
            right[place] = written[..] == pair.target[..pair.target.len() - 1];
        }
        let (mean, count) = mean_loss(network, &pairs, None, device);
        loss += f64::from(mean.into_scalar::<f32>()) * count as f64;
        tokens += count;
    }
    Some((right, loss / tokens.max(1) as f64))
}

fn sources(pairs: &[&Encoded], device: &Device) -> (Tensor<2, Int>, Vec<usize>) {
    rectangle(pairs.iter().map(|pair| pair.source.as_slice()), device)
}

/// The mean loss per token under teacher forcing, and how many tokens there are.
fn mean_loss(network: &EncoderDecoder, pairs: &[&Encoded], noise: Option<Key>, device: &Device) -> (Tensor<1>, usize) {
    let (source, lengths) = sources(pairs, device);
    let targets: Vec<Vec<usize>> = pairs.iter().map(|pair| pair.target.clone()).collect();
    let tokens = targets.iter().map(Vec::len).sum();
    (network.loss(source, &lengths, BEGIN, &targets, noise), tokens)
}
