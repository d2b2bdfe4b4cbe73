//! Sequence-to-sequence models (seq2seq).

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor};
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::scores::{Evaluation, Metric, Scores};
use seqzoo_datasets::text::{PADDING, Tokenization, UNKNOWN, Vocabulary};
use seqzoo_datasets::transduction::{Pair, Transduction, exact_match};
use seqzoo_kernels::Execution;
use seqzoo_models::invalid_shape::InvalidShape;
use seqzoo_models::layers::{AttentionScore, StackShape};
use seqzoo_models::networks::{EncoderDecoder, EncoderDecoderShape, Generation, Network};
use seqzoo_random::{Key, Purpose};
use serde::{Deserialize, Serialize};

use super::{BatchLoss, Codec as _, RecurrentState, Task, Trained, evaluation_limits, rectangle};
use crate::checkpoint::Files;
use crate::faults;
use crate::recipe::ModelSpec;

/// Batches for evaluation.
const EVALUATION: BatchLimits = evaluation_limits(256);

/// Token id of the decoder's first input.
const BEGIN: usize = PADDING as usize;

/// Token ids that are never generated.
const SUPPRESSED: [usize; 2] = [PADDING as usize, UNKNOWN as usize];

/// Source and target vocabularies. With the weights, it is all that inference needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Cleaning of texts before encoding; codecs of older versions have none.
    #[serde(default = "Cleaning::none")]
    pub cleaning: Cleaning,
    /// Level of tokenization.
    pub level: Tokenization,
    /// Source vocabulary.
    pub source: Vocabulary,
    /// Target vocabulary; the id after its last one is the end-of-sequence token.
    pub target: Vocabulary,
    /// Maximum number of generated tokens.
    pub longest: usize,
}

impl Codec {
    /// Id of the end-of-sequence token.
    fn end(&self) -> usize {
        self.target.size()
    }

    /// Settings to generate at most `max_length` tokens.
    fn generation(&self, max_length: usize) -> Generation<'static> {
        Generation { begin: BEGIN, end: self.end(), suppressed: &SUPPRESSED, max_length }
    }

    fn encode(&self, pair: &Pair) -> Encoded {
        let target = self.target_ids(&pair.target).into_iter().map(|id| id as usize);
        let source = self.source.encode(self.level, &self.cleaning.apply(&pair.source));
        Encoded { source, target: target.chain([self.end()]).collect() }
    }

    fn target_ids(&self, text: &str) -> Vec<u32> {
        self.target.encode(self.level, &self.cleaning.apply(text))
    }

    /// Share of unknown tokens in the targets; `None` if there is no token.
    fn unknown_share(&self, pairs: &[Pair]) -> Option<f64> {
        let tokens = || pairs.iter().flat_map(|pair| self.target_ids(&pair.target));
        let unknown = tokens().filter(|&id| id == UNKNOWN).count();
        let count = tokens().count();
        (count > 0).then(|| unknown as f64 / count as f64)
    }

    /// Whether generated tokens equal those of a target, unknown ones included.
    fn matches(&self, generated: &[usize], target: &str) -> bool {
        let token = |&id: &usize| self.target.token(u32::try_from(id).ok()?);
        let cleaned = self.cleaning.apply(target);
        let expected: Vec<String> = self.level.tokens(&cleaned).collect();
        generated.iter().map(token).eq(expected.iter().map(|token| Some(token.as_str())))
    }

    fn decode(&self, generated: &[usize]) -> String {
        let mut previous = None;
        let token = |&id: &usize| {
            let token = self.target.token(u32::try_from(id).ok()?)?;
            Some(self.level.detokenize(previous.replace(token), token))
        };
        generated.iter().filter_map(token).collect()
    }
}

/// An encoded pair; the target ends with the end-of-sequence token.
#[derive(Debug, Clone)]
struct Encoded {
    source: Vec<u32>,
    target: Vec<usize>,
}

impl Codec {
    fn shape(&self, spec: &ModelSpec) -> EncoderDecoderShape {
        let encoder = spec.stack();
        let decoder = StackShape { architecture: encoder.architecture.forward(), ..encoder.clone() };
        EncoderDecoderShape {
            source_vocabulary: self.source.size(),
            target_vocabulary: self.target.size() + 1,
            encoder,
            decoder,
            attention: spec.recipe.network.attention,
            dropout: spec.recipe.dropout.output,
            embedding_dropout: spec.recipe.dropout.embedding,
        }
    }
}

impl super::Codec for Codec {
    type Network = EncoderDecoder;

    fn fits(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> EncoderDecoder {
        EncoderDecoder::new(self.shape(spec), spec.recipe.training.seed, device)
    }
}

/// Length of each pair's source, and its size in padded tokens in a batch of pairs that are not longer.
///
/// The length of a pair is that of its longer side; source and target are both padded to it, and attention has a weight
/// for each combination of a source and a target token. A weight takes far less memory than a token's state: in additive
/// attention it is a vector, counted as 1/8 of a token, otherwise a scalar, counted as 1/256.
fn extents(pairs: &[Encoded], attention: AttentionScore) -> (Vec<usize>, Vec<usize>) {
    let weights_per_token = if attention == AttentionScore::Additive { 8 } else { 256 };
    let size = |pair: &Encoded| {
        let length = pair.source.len().max(pair.target.len());
        2 * length + length.saturating_mul(length) / weights_per_token
    };
    pairs.iter().map(|pair| (pair.source.len(), size(pair))).unzip()
}

/// Training task of an encoder–decoder.
#[derive(Debug, Clone)]
pub struct TransductionTask {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<Encoded>,
    validation: Vec<Pair>,
}

impl TransductionTask {
    /// The task of a recipe's model, with the vocabularies of the training split. Pairs whose source has no token are left
    /// out.
    ///
    /// # Errors
    /// If the model does not fit the data's sizes.
    pub fn new(spec: &ModelSpec, data: &Transduction) -> Result<Self, InvalidShape> {
        let text = &spec.recipe.text;
        let cleaning = Cleaning::default();
        let tokens = |side: &str| text.level.tokens(&cleaning.apply(side)).collect::<Vec<_>>();
        let vocabulary = |side: fn(&Pair) -> &str| {
            let tokens = data.train.iter().flat_map(|pair| tokens(side(pair)));
            Vocabulary::build(tokens, text.min_count, text.max_vocabulary)
        };
        let longest = data.train.iter().map(|pair| tokens(&pair.target).len()).max().unwrap_or(0);
        let codec = Codec {
            cleaning: cleaning.clone(),
            level: text.level,
            source: vocabulary(|pair| &pair.source),
            target: vocabulary(|pair| &pair.target),
            longest: 2 * longest + 1,
        };
        let train = data.train.iter().map(|pair| codec.encode(pair)).filter(|pair| !pair.source.is_empty()).collect();
        let has_source = |pair: &&Pair| text.level.tokens(&pair.source).next().is_some();
        let validation = data.validation.iter().filter(has_source).cloned().collect();
        codec.fits(spec)?;
        Ok(Self { codec, spec: spec.clone(), train, validation })
    }
}

impl Task for TransductionTask {
    type Network = EncoderDecoder;

    fn network(&self, device: &Device) -> EncoderDecoder {
        self.spec.recipe.begin(self.codec.network(&self.spec, device))
    }

    fn set_execution(&self, network: &mut Self::Network, execution: Execution) {
        network.set_execution(execution);
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let training = &self.spec.recipe.training;
        let (lengths, sizes) = extents(&self.train, self.spec.recipe.network.attention);
        batch::shuffled(&lengths, &sizes, training.limits(), Key::new(training.seed, Purpose::Order).at(epoch))
    }

    fn loss(
        &self,
        network: &EncoderDecoder,
        batch: &[usize],
        _: Option<&RecurrentState>,
        noise: Key,
        device: &Device,
    ) -> BatchLoss {
        let pairs: Vec<&Encoded> = batch.iter().map(|&index| &self.train[index]).collect();
        let (mut loss, target_tokens) = mean_loss(network, &pairs, Some(noise), device);
        if let Some(value) = faults::value("activation") {
            loss = loss * value;
        }
        let source_tokens: usize = pairs.iter().map(|pair| pair.source.len()).sum();
        BatchLoss { loss, weight: target_tokens as f64, tokens: source_tokens + target_tokens, recurrent_state: None }
    }

    fn validate(&self, network: &EncoderDecoder, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let attention = self.spec.recipe.network.attention;
        let (correct, loss) = evaluate(network, &self.codec, &self.validation, attention, device, stop)?;
        let mut scores = exact_match(&correct, &mut (0..correct.len()));
        scores.metrics.insert(Metric::Loss, loss);
        Some(scores)
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// A trained encoder–decoder with its codec.
pub type Transducer = Trained<Codec>;

impl Transducer {
    /// Target texts for a source by beam search with `width` beams, with their log probabilities, the most probable first.
    /// `None` if the source has no token.
    pub fn write(&self, source: &str, width: usize) -> Option<Vec<(String, f64)>> {
        let pair =
            self.codec.encode(&Pair { source: source.to_owned(), target: String::new(), groups: Arc::default() });
        let length = pair.source.len();
        if length == 0 {
            return None;
        }
        let (source, _) = sources(&[&pair], &self.device);
        let hypotheses = self.network.beam(source, length, &self.codec.generation(self.codec.longest), width);
        Some(hypotheses.into_iter().map(|found| (self.codec.decode(&found.tokens), found.log_probability)).collect())
    }

    /// Level of tokenization.
    pub fn level(&self) -> Tokenization {
        self.codec.level
    }

    /// Metrics on pairs by greedy decoding. Each source must have a token.
    pub fn evaluate(&self, pairs: &[Pair]) -> Evaluation {
        let attention = self.recipe().network.attention;
        let (correct, loss) =
            evaluate(&self.network, &self.codec, pairs, attention, &self.device, &|| false).expect("never stopped");
        let groups = pairs.iter().map(|pair| &*pair.groups);
        let mut evaluation = Evaluation::by_group(groups, |indices| exact_match(&correct, indices));
        evaluation.all.metrics.insert(Metric::Loss, loss);
        evaluation.unknown = self.codec.unknown_share(pairs);
        evaluation
    }
}

/// Which targets greedy decoding generates exactly, and the mean loss per token; `None` if stopped.
///
/// Generated tokens are compared with the target's text: a token outside the vocabulary is never generated, so it never
/// matches.
fn evaluate(
    network: &EncoderDecoder,
    codec: &Codec,
    pairs: &[Pair],
    attention: AttentionScore,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<(Vec<bool>, f64)> {
    let encoded: Vec<Encoded> = pairs.iter().map(|pair| codec.encode(pair)).collect();
    let (lengths, sizes) = extents(&encoded, attention);
    let mut correct = vec![false; pairs.len()];
    let (mut loss, mut tokens) = (0.0, 0);
    for batch in batch::sorted(&lengths, &sizes, EVALUATION) {
        if stop() {
            return None;
        }
        let rows: Vec<&Encoded> = batch.iter().map(|&index| &encoded[index]).collect();
        let (source, lengths) = sources(&rows, device);
        let longest = rows.iter().map(|pair| pair.target.len()).max().unwrap_or(0);
        let generated = network.greedy(source, &lengths, &codec.generation(longest));
        for (&index, generated) in batch.iter().zip(generated) {
            correct[index] = codec.matches(&generated, &pairs[index].target);
        }
        let (mean, count) = mean_loss(network, &rows, None, device);
        loss += f64::from(mean.into_scalar::<f32>()) * count as f64;
        tokens += count;
    }
    Some((correct, loss / tokens.max(1) as f64))
}

fn sources(pairs: &[&Encoded], device: &Device) -> (Tensor<2, Int>, Vec<usize>) {
    rectangle(pairs.iter().map(|pair| pair.source.as_slice()), device)
}

/// The mean loss per target token under teacher forcing, and the number of target tokens.
fn mean_loss(network: &EncoderDecoder, pairs: &[&Encoded], noise: Option<Key>, device: &Device) -> (Tensor<1>, usize) {
    let (source, lengths) = sources(pairs, device);
    let targets: Vec<Vec<usize>> = pairs.iter().map(|pair| pair.target.clone()).collect();
    let tokens = targets.iter().map(Vec::len).sum();
    (network.loss(source, &lengths, BEGIN, &targets, noise), tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Override, Settings};

    #[test]
    fn an_out_of_vocabulary_target_token_never_matches() {
        let pair = |source: &str, target: &str| Pair {
            source: source.to_owned(),
            target: target.to_owned(),
            groups: Arc::default(),
        };
        // `x` is in the target vocabulary, `y` is not.
        let train = vec![pair("a", "x"), pair("b", "x"), pair("c", "y")];
        let data = Transduction { validation: train.clone(), train, test: Vec::new() };
        let set = |(field, value): (&str, &str)| Override {
            origin: "--set".to_owned(),
            field: field.to_owned(),
            value: value.to_owned(),
        };
        let small = [("text.min_count", "2"), ("network.hidden_sizes", "[4]"), ("network.embedding_size", "3")];
        for seed in 0..20 {
            let seed = format!("{seed}");
            let overrides: Vec<Override> = small.into_iter().chain([("training.seed", &*seed)]).map(set).collect();
            let settings = Settings::resolve("execute", &overrides).unwrap();
            let task = TransductionTask::new(&settings.recipe.spec("bilstm").unwrap(), &data).unwrap();
            let attention = settings.recipe.network.attention;
            let device = crate::devices().remove(0).1;
            let network = task.network(&device);
            let (correct, _) =
                evaluate(&network, &task.codec, &data.validation, attention, &device, &|| false).unwrap();
            assert!(!correct[2]);
            let rows: Vec<Encoded> = data.validation.iter().map(|pair| task.codec.encode(pair)).collect();
            let (source, lengths) = sources(&rows.iter().collect::<Vec<_>>(), &device);
            let generated = network.greedy(source, &lengths, &task.codec.generation(9));
            assert!(generated.concat().iter().all(|&token| token == 2), "{generated:?}");
        }
    }
}
