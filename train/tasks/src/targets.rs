//! What tasks with encoder–decoders share: the encoding of targets, the loss, decoding, and the report of predictions.

use std::collections::HashSet;

use burn::tensor::{Device, Tensor};
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::cleaning::Cleaning;
use seqzoo_datasets::scores::{Evaluation, Group, Metric, Mistake, Mistakes, Scores};
use seqzoo_datasets::text::{PADDING, Tokenization, UNKNOWN, Vocabulary};
use seqzoo_datasets::transduction::Measure;
use seqzoo_datasets::uncertainty::Resampling;
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::layers::{AttentionScore, StackShape};
use seqzoo_models::networks::{
    self, EncodedSource, EncoderDecoder, EncoderDecoderShape, Generation, Hypothesis, SourceShape,
};

use crate::{InvalidValue, ModelSpec, batches, evaluation_limits};

/// Batches for evaluation.
const EVALUATION: BatchLimits = evaluation_limits(256);

/// Token id of the decoder's first input.
pub(crate) const BEGIN: usize = PADDING as usize;

/// Token ids that are never generated.
const SUPPRESSED: [usize; 2] = [PADDING as usize, UNKNOWN as usize];

/// How targets are encoded. The size of the vocabulary is the id of the end-of-sequence token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Targets<'a> {
    /// Cleaning of texts before encoding.
    pub cleaning: &'a Cleaning,
    /// Unit of tokenization.
    pub level: Tokenization,
    /// Vocabulary.
    pub vocabulary: &'a Vocabulary,
}

impl Targets<'_> {
    /// Number of distinct tokens, including the end-of-sequence token.
    pub(crate) fn size(&self) -> usize {
        self.end() + 1
    }

    /// Id of the end-of-sequence token.
    pub(crate) fn end(&self) -> usize {
        self.vocabulary.size()
    }

    /// Settings to generate at most `max_length` tokens; hypotheses are ranked by probability.
    pub(crate) fn generation(&self, max_length: usize) -> Generation<'static> {
        Generation { bos: BEGIN, eos: self.end(), suppressed: &SUPPRESSED, max_length, length_penalty: 0.0 }
    }

    /// Token ids of a text.
    fn ids(&self, text: &str) -> Vec<u32> {
        self.vocabulary.encode(self.level, &self.cleaning.apply(text))
    }

    /// Token ids of a text, which end with the end-of-sequence token.
    pub(crate) fn encode(&self, text: &str) -> Vec<usize> {
        self.ids(text).into_iter().map(|id| id as usize).chain([self.end()]).collect()
    }

    /// The token with an id; `None` for padding, unknown, the end of the sequence and ids outside the vocabulary.
    pub(crate) fn token(&self, id: usize) -> Option<&str> {
        self.vocabulary.token(u32::try_from(id).ok()?)
    }

    /// The text of generated tokens.
    pub(crate) fn decode(&self, generated: &[usize]) -> String {
        self.join(generated.iter().filter_map(|&id| self.token(id)))
    }

    /// The text of tokens, which may be outside the vocabulary.
    pub(crate) fn join<'t>(&self, tokens: impl Iterator<Item = &'t str>) -> String {
        let mut previous = None;
        tokens.map(|token| self.level.detokenize(previous.replace(token), token)).collect()
    }

    /// Share of unknown tokens in texts; `None` if there is no token.
    pub(crate) fn unknown_share<'t>(&self, texts: impl Iterator<Item = &'t str>) -> Option<f64> {
        let counts = texts
            .flat_map(|text| self.ids(text))
            .fold((0, 0), |(unknown, all): (usize, usize), id| (unknown + usize::from(id == UNKNOWN), all + 1));
        (counts.1 > 0).then(|| counts.0 as f64 / counts.1 as f64)
    }

    /// The tokens of a text that the token error rate counts: words, where tokens are pieces of them.
    pub(crate) fn counted(&self, text: &str) -> Vec<String> {
        match self.level {
            Tokenization::Subwords => text.split_whitespace().map(str::to_owned).collect(),
            level => level.tokens(text).collect(),
        }
    }

    /// How predictions are compared with targets, given [`Targets::counted`]; without ROUGE, which is for summaries.
    pub(crate) fn measure<'m>(&self, counted: &'m (dyn Fn(&str) -> Vec<String> + Sync)) -> Measure<'m> {
        let is_language = matches!(self.level, Tokenization::Words | Tokenization::Subwords);
        Measure { tokens: counted, is_language, is_words: false }
    }
}

/// How a prediction differs from its references.
pub(crate) trait Judgment: Sized + Send + Sync + 'static {
    /// Edits to the nearest reference.
    fn edits(&self) -> usize;

    /// Metrics of the predictions at the given indices.
    fn scores(judged: &[Self], indices: &mut dyn Iterator<Item = usize>) -> Scores;
}

/// An empty text for each of some examples: which metrics apply depends on the references alone.
pub(crate) fn empty_texts(count: usize) -> Vec<Vec<(String, f64)>> {
    vec![vec![(String::new(), 1.0)]; count]
}

/// Greedy predictions for examples, in order, and how they differ from their references.
#[derive(Debug)]
pub(crate) struct Predictions<J> {
    /// Texts with their probabilities.
    found: Vec<(String, f64)>,
    judged: Vec<J>,
}

impl<J: Judgment> Predictions<J> {
    /// Predictions for examples, of which each has one; `judge` compares a text with the references of the example with an index.
    pub(crate) fn new(found: Vec<Vec<(String, f64)>>, judge: impl Fn(&str, usize) -> J) -> Self {
        let found: Vec<(String, f64)> = found.into_iter().flatten().collect();
        let judged = found.iter().enumerate().map(|(index, (text, _))| judge(text, index)).collect();
        Self { found, judged }
    }

    /// Metrics of all predictions.
    pub(crate) fn scores(&self) -> Scores {
        J::scores(&self.judged, &mut (0..self.judged.len()))
    }

    /// Metrics of all predictions and of those of each group, with confidence intervals, the mean `loss`, and the wrong predictions;
    /// `describe` returns the input and the references of the example with an index.
    pub(crate) fn evaluation<'g>(
        self,
        groups: impl Iterator<Item = &'g [Group]>,
        loss: f64,
        describe: impl Fn(usize) -> (String, String),
    ) -> Evaluation {
        let Self { found, judged } = self;
        let mut evaluation = Evaluation::by_group(groups, |indices| J::scores(&judged, indices));
        evaluation.all.insert(Metric::LOSS, loss);
        let edits: Vec<usize> = judged.iter().map(J::edits).collect();
        evaluation.mistakes = Some(mistakes(found, &edits, describe));
        evaluation.right = Some((Metric::ACCURACY, edits.iter().map(|&edits| edits == 0).collect()));
        let count = judged.len();
        evaluation.with_resampling(Resampling::of_examples(count, move |indices: &mut dyn Iterator<Item = usize>| {
            J::scores(&judged, indices).named()
        }))
    }
}

/// The wrong ones of predictions: those that differ from the nearest reference in a number of `edits`.
fn mistakes(found: Vec<(String, f64)>, edits: &[usize], describe: impl Fn(usize) -> (String, String)) -> Mistakes {
    let wrong = found.into_iter().zip(edits).enumerate().filter(|(_, (_, edits))| **edits > 0);
    let mistake = |(index, ((predicted, probability), &edits)): (usize, ((String, f64), &usize))| {
        let (input, actual) = describe(index);
        let probability = Some(probability);
        (edits as f64, Mistake { example: index + 1, input, actual, predicted, probability })
    };
    Mistakes::by_severity("the most edits first", wrong.map(mistake).collect())
}

/// Checks a model of sequences with embeddings of this size.
pub(crate) fn check(spec: &ModelSpec, embedding_size: usize, attention: AttentionScore) -> Result<(), InvalidValue> {
    let stack = spec.check_recurrent(Some(embedding_size))?;
    if attention == AttentionScore::Dot && stack.architecture.directions() > 1 {
        let expected =
            "general or additive: the outputs of a bidirectional encoder are larger than the decoder's state";
        return Err(InvalidValue::new("task.attention", "dot", expected));
    }
    Ok(())
}

/// The shape of a model whose decoder has the layers of the encoder, in one direction, and copies nothing.
pub(crate) fn shape(
    spec: &ModelSpec,
    source: SourceShape,
    target_vocabulary: usize,
    embedding_size: usize,
    attention: AttentionScore,
) -> EncoderDecoderShape {
    let encoder = spec.stack(embedding_size);
    let decoder = StackShape { architecture: encoder.architecture.forward(), ..encoder.clone() };
    EncoderDecoderShape {
        source,
        target_vocabulary,
        encoder,
        decoder,
        attention,
        copy: false,
        dropout: spec.dropout.output,
        embedding_dropout: spec.dropout.embedding,
    }
}

/// Size of an example in tokens, as batch limits count them.
///
/// The length of an example is that of its longer side, to which source and target are padded, and attention has a weight for each
/// combination of a source and a target token. A weight needs far less memory than the state of a token: it counts as 1/8 of a token in
/// additive attention, where it is a vector, and as 1/256 otherwise, where it is a scalar.
pub(crate) fn batch_size(source: usize, target: usize, attention: AttentionScore) -> usize {
    let weights_per_token = if attention == AttentionScore::Additive { 8 } else { 256 };
    let length = source.max(target);
    2 * length + length.saturating_mul(length) / weights_per_token
}

/// What beam search finds for each source, in order: hypotheses, the best first; a single one by greedy decoding, if `width` is 1.
///
/// `lengths` are those of the sources, and `encode` encodes the sources with the given indices. `None` if stopped.
pub(crate) fn search(
    network: &EncoderDecoder,
    generation: &Generation,
    width: usize,
    lengths: &[usize],
    encode: impl Fn(&EncoderDecoder, &[usize]) -> EncodedSource + Sync,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<Hypothesis>>> {
    // Each hypothesis is a row of the decoder.
    let limits = BatchLimits { rows: (EVALUATION.rows / width).max(1), tokens: EVALUATION.tokens / width };
    let batches = batch::sorted(lengths, lengths, limits);
    let search =
        |network: &EncoderDecoder, batch: &[usize]| network.beam_search(encode(network, batch), generation, width);
    let found = batches::each(network, &batches, device, search, stop)?;
    let mut ordered: Vec<(usize, Vec<Hypothesis>)> =
        batches.iter().flatten().copied().zip(found.into_iter().flatten()).collect();
    ordered.sort_by_key(|(index, _)| *index);
    Some(ordered.into_iter().map(|(_, found)| found).collect())
}

/// The different texts of hypotheses, with their probabilities, in the same order.
pub(crate) fn texts(found: &[Hypothesis], decode: impl Fn(&[usize]) -> String) -> Vec<(String, f64)> {
    // Different tokens may be the same text.
    let mut seen = HashSet::new();
    let texts = found.iter().map(|one| (decode(&one.tokens), one.log_probability.exp()));
    texts.filter(|(text, _)| seen.insert(text.clone())).collect()
}

/// How the loss differs from plain teacher forcing; see [`networks::Targets`].
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Objective {
    pub label_smoothing: f64,
    pub sampling: f64,
}

/// The mean loss per target token, and the number of target tokens.
pub(crate) fn mean_loss(
    network: &EncoderDecoder,
    encoded: EncodedSource,
    targets: &[Vec<usize>],
    Objective { label_smoothing, sampling }: Objective,
    dropout_key: impl Into<DropoutKey>,
) -> (Tensor<1>, usize) {
    let count = targets.iter().map(Vec::len).sum();
    let targets = networks::Targets { tokens: targets, bos: BEGIN, label_smoothing, sampling };
    (network.loss(encoded, &targets, dropout_key), count)
}

/// The mean loss per target token of encoded examples. `extents` are the lengths by which they are sorted into batches, and their sizes
/// in tokens; `mean` returns the mean loss of a batch, and its number of target tokens. `None` if stopped.
pub(crate) fn loss<E>(
    examples: &[E],
    (lengths, sizes): (Vec<usize>, Vec<usize>),
    mean: impl Fn(&[&E]) -> (Tensor<1>, usize),
    stop: &dyn Fn() -> bool,
) -> Option<f64> {
    let (mut loss, mut tokens) = (0.0, 0);
    for batch in batch::sorted(&lengths, &sizes, EVALUATION) {
        if stop() {
            return None;
        }
        let rows: Vec<&E> = batch.iter().map(|&index| &examples[index]).collect();
        let (mean, count) = mean(&rows);
        loss += f64::from(mean.into_scalar::<f32>()) * count as f64;
        tokens += count;
    }
    Some(loss / tokens.max(1) as f64)
}
