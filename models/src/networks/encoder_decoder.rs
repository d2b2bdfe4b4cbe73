//! Sequence transduction (seq2seq).

use std::cmp::Ordering;

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::{Network, embed, mean_cross_entropy, table};
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{Attention, AttentionScore, LayerState, Linear, Pooling, SequencePooling, Stack, StackShape};
use crate::names::{FieldNames, names};
use crate::state::NamedState;

/// Encoder–decoder with attention: encodes the source sequence, then generates the target token by token.
///
/// The source is a sequence of tokens, which are embedded, or of feature vectors, such as the rows of an image: x = tanh(source W_x + b_x).
///
/// ```text
/// m = encoder(x)                         s⁰_l = tanh(last(m) W_l + b_l) for each layer l of the decoder
/// h_u = decoder(E[target_1] … E[target_u])          context_u = attention(h_u, m)
/// score_u = dropout(tanh([context_u ; h_u] W_c + b_c)) W + b
/// ```
///
/// `m` is `[batch, source time, encoder output size]`, `h` is `[batch, target time, decoder output size]`; scores are
/// `[batch, target time, target_vocabulary]`. `last(m)` is the encoder's final hidden state; cell states of an LSTM
/// decoder start at zero. There is no input feeding.
///
/// Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::{AttentionScore, StackShape};
/// use seqzoo_models::networks::{EncoderDecoder, EncoderDecoderShape, Generation, SourceShape};
///
/// let shape = EncoderDecoderShape {
///     source: SourceShape::Tokens(30),
///     target_vocabulary: 20,
///     encoder: StackShape::plain(Architecture::BiGru, 8, vec![8]),
///     decoder: StackShape::plain(Architecture::Gru, 8, vec![16]),
///     attention: AttentionScore::General,
///     dropout: 0.2,
///     embedding_dropout: 0.0,
/// };
/// let model = EncoderDecoder::new(shape, 1, &Device::flex());
/// let source = || Tensor::<2, Int>::from_data([[5, 9, 2, 7]], &Device::flex());
/// let target = Tensor::from_data([[1, 8, 3]], &Device::flex());
/// let (scores, _) = model.decode(model.encode(source(), &[4], None), target, &[3], None);
/// assert_eq!(scores.dims(), [1, 3, 20]);
/// let generation = Generation { bos: 1, eos: 2, suppressed: &[0], max_length: 10 };
/// assert!(model.beam_search(source(), 4, &generation, 3).len() <= 3);
/// ```
#[derive(Module, Debug)]
pub struct EncoderDecoder {
    source: Option<Embedding>,
    projection: Option<Linear>,
    encoder: Stack,
    pooling: SequencePooling,
    bridges: Vec<Linear>,
    target: Embedding,
    decoder: Stack,
    attention: Attention,
    combine: Linear,
    output: Linear,
    dropout: f64,
    embedding_dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(EncoderDecoder {
    source: "source",
    projection: "projection",
    encoder: "encoder",
    pooling: "summary",
    bridges: "bridges",
    target: "target",
    decoder: "decoder",
    attention: "attention",
    combine: "combine",
    output: "output"
})];

/// The sizes of an [`EncoderDecoder`]; encoder and decoder may differ in depth.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderDecoderShape {
    /// Source sequences.
    pub source: SourceShape,
    /// Number of distinct target tokens.
    pub target_vocabulary: usize,
    /// Encoder; its input is the source embedding, or the projection of the features.
    pub encoder: StackShape,
    /// Decoder; its input is the target embedding.
    pub decoder: StackShape,
    /// Attention score between decoder and encoder outputs.
    pub attention: AttentionScore,
    /// Dropout rate of the output layer's input.
    pub dropout: f64,
    /// Embedding dropout rate: share of each vocabulary dropped in training.
    pub embedding_dropout: f64,
}

/// Sources that an [`EncoderDecoder`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceShape {
    /// Sequences of tokens, and the number of distinct ones.
    Tokens(usize),
    /// Sequences of vectors with this number of features.
    Features(usize),
}

/// A batch of source sequences.
#[derive(Debug, Clone)]
pub enum Source {
    /// Tokens, `[batch, time]`.
    Tokens(Tensor<2, Int>),
    /// Feature vectors, `[batch, time, features]`.
    Features(Tensor<3>),
}

impl Source {
    fn device(&self) -> Device {
        match self {
            Self::Tokens(tokens) => tokens.device(),
            Self::Features(features) => features.device(),
        }
    }
}

impl From<Tensor<2, Int>> for Source {
    fn from(tokens: Tensor<2, Int>) -> Self {
        Self::Tokens(tokens)
    }
}

impl From<Tensor<3>> for Source {
    fn from(features: Tensor<3>) -> Self {
        Self::Features(features)
    }
}

/// An encoded source and the current state of the decoder.
#[derive(Debug, Clone)]
pub struct EncodedSource {
    /// Outputs of the encoder, `[batch, time, features]`.
    outputs: Tensor<3>,
    lengths: Lengths,
    /// State of each layer of the decoder.
    states: Vec<LayerState>,
}

/// Options for generating targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation<'a> {
    /// Begin-of-sequence token: the decoder's first input.
    pub bos: usize,
    /// End-of-sequence token; it is not returned.
    pub eos: usize,
    /// Tokens that are never generated, such as padding.
    pub suppressed: &'a [usize],
    /// Maximum number of tokens.
    pub max_length: usize,
}

/// A generated target and its log-probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Tokens, without the end-of-sequence token.
    pub tokens: Vec<usize>,
    /// Sum of the tokens' log-probabilities in nats, including that of the end-of-sequence token if it was generated,
    /// under the softmax over the whole vocabulary.
    pub log_probability: f64,
}

impl EncodedSource {
    /// The given rows, in this order.
    fn select(self, rows: &[usize], device: &Device) -> Self {
        let indices: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [rows.len()]), device);
        let state = |state: LayerState| {
            let NamedState { hidden, cell } = state.forward;
            let selected = |tensor: Tensor<2>| tensor.select(0, indices.clone());
            LayerState { forward: NamedState { hidden: selected(hidden), cell: cell.map(selected) }, backward: None }
        };
        Self {
            outputs: self.outputs.select(0, indices.clone()),
            lengths: Lengths::new(rows.iter().map(|&row| self.lengths[row]).collect()),
            states: self.states.into_iter().map(state).collect(),
        }
    }

    /// Outputs of the encoder, `[batch, time, features]`.
    pub fn outputs(&self) -> &Tensor<3> {
        &self.outputs
    }

    /// State of each layer of the decoder.
    pub fn states(&self) -> &[LayerState] {
        &self.states
    }
}

impl EncoderDecoderShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: a vocabulary, the number of features, a dropout rate, `attention`, or a field of the encoder or decoder; the
    /// decoder must be unidirectional.
    pub fn check(&self) -> Result<(), InvalidShape> {
        match self.source {
            SourceShape::Tokens(vocabulary) => positive("source_vocabulary", vocabulary)?,
            SourceShape::Features(features) => positive("source_features", features)?,
        }
        positive("target_vocabulary", self.target_vocabulary)?;
        probability("dropout", self.dropout)?;
        probability("embedding_dropout", self.embedding_dropout)?;
        self.encoder.check().map_err(|error| error.within("encoder"))?;
        let generated = "the tokens that a decoder generates";
        self.decoder.check_unidirectional(generated).map_err(|error| error.within("decoder"))?;
        let (memory, query) = (self.encoder.output_size(), self.decoder.output_size());
        if self.attention == AttentionScore::Dot && memory != query {
            let reason = format!(
                "dot attention needs equal output sizes of decoder and encoder, got {query} and {memory}; \
                 use general or additive"
            );
            return Err(InvalidShape::new("attention", reason));
        }
        Ok(())
    }
}

impl EncoderDecoder {
    /// An encoder–decoder with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`EncoderDecoderShape::check`] fails.
    pub fn new(shape: EncoderDecoderShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let (memory, query) = (shape.encoder.output_size(), shape.decoder.output_size());
        let bridge =
            |(layer, &size): (usize, &usize)| Linear::new(memory, size, 0.0, key.with_first(10 + layer as u64), device);
        let (size, of_source) = (shape.encoder.input_size, key.with_first(0));
        let (source, projection) = match shape.source {
            SourceShape::Tokens(vocabulary) => (Some(table(vocabulary, size, of_source, device)), None),
            SourceShape::Features(features) => (None, Some(Linear::new(features, size, 0.0, of_source, device))),
        };
        Self {
            source,
            projection,
            encoder: Stack::new(shape.encoder, key.with_first(1), device),
            pooling: SequencePooling::new(Pooling::Last, memory, key.with_first(2), device),
            bridges: shape.decoder.hidden_sizes.iter().enumerate().map(bridge).collect(),
            target: table(shape.target_vocabulary, shape.decoder.input_size, key.with_first(3), device),
            decoder: Stack::new(shape.decoder, key.with_first(1 << 20), device),
            attention: Attention::new(shape.attention, query, memory, key.with_first(4), device),
            combine: Linear::new(memory + query, query, 0.0, key.with_first(5), device),
            output: Linear::new(query, shape.target_vocabulary, 0.0, key.with_first(6), device),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// Encodes `source`, tokens `[batch, time]` or features `[batch, time, features]`, with `lengths` valid steps per sequence.
    ///
    /// `dropout_key` is the key of this step's dropout masks; `None` at inference.
    ///
    /// # Panics
    /// If the source is not of the kind that the network reads, there is not one length per row, or a length is 0 or exceeds `time`.
    pub fn encode(
        &self,
        source: impl Into<Source>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> EncodedSource {
        let (source, lengths, dropout_key): (Source, Lengths, DropoutKey) =
            (source.into(), lengths.into(), dropout_key.into());
        let directions = self.encoder.shape().architecture.directions();
        let input = match (source, &self.source, &self.projection) {
            (Source::Tokens(tokens), Some(table), _) => embed(table, tokens, self.embedding_dropout, &dropout_key),
            (Source::Features(features), _, Some(projection)) => projection.forward(features).tanh(),
            (Source::Tokens(_), None, _) => panic!("this encoder reads features, not tokens"),
            (Source::Features(_), _, None) => panic!("this encoder reads tokens, not features"),
        };
        let outputs = self.encoder.forward(input, &lengths, None, dropout_key).outputs;
        let last = self.pooling.forward(outputs.clone(), &lengths, directions);
        let start = |bridge: &Linear| {
            let hidden = bridge.forward(last.clone()).tanh();
            let cell = Some(hidden.zeros_like());
            LayerState { forward: NamedState { hidden, cell }, backward: None }
        };
        EncodedSource { outputs, lengths, states: self.bridges.iter().map(start).collect() }
    }

    /// Scores of the token that follows each token of `target`, `[batch, time]`: `[batch, time, target_vocabulary]`;
    /// and the encoded source with the decoder's final state, from which decoding can resume.
    pub fn decode(
        &self,
        encoded: EncodedSource,
        target: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> (Tensor<3>, EncodedSource) {
        let (features, encoded) = self.features(encoded, target, lengths, dropout_key);
        (self.output.forward(features), encoded)
    }

    /// Inputs of the output layer, `[batch, time, decoder output size]`, and the decoder's final state.
    fn features(
        &self,
        encoded: EncodedSource,
        target: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> (Tensor<3>, EncodedSource) {
        let EncodedSource { outputs: source, lengths: source_lengths, states } = encoded;
        let dropout_key = dropout_key.into().part(1 << 62);
        let input = embed(&self.target, target, self.embedding_dropout, &dropout_key);
        let decoded = self.decoder.forward(input, lengths, Some(states), &dropout_key);
        let context = self.attention.forward(decoded.outputs.clone(), source.clone(), &source_lengths).context;
        let combined = self.combine.forward(Tensor::cat(vec![context, decoded.outputs], 2)).tanh();
        let encoded = EncodedSource { outputs: source, lengths: source_lengths, states: decoded.states };
        (dropout(combined, self.dropout, dropout_key), encoded)
    }

    /// Mean cross-entropy in nats per target token under teacher forcing: the decoder's input is `bos` and the target
    /// shifted by one; `target` is `[batch][length]`.
    ///
    /// With label smoothing ε, a target token has the probability 1 - ε, and ε is divided among all V tokens (Szegedy et al. 2016):
    ///
    /// ```text
    /// loss = -(1 - ε) log p_target - ε / V Σ_v log p_v
    /// ```
    ///
    /// # Panics
    /// If the targets do not match the source or the vocabulary.
    pub fn loss(
        &self,
        source: impl Into<Source>,
        lengths: impl Into<Lengths>,
        bos: usize,
        target: &[Vec<usize>],
        label_smoothing: f64,
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<1> {
        let source: Source = source.into();
        let device = source.device();
        let time = target.iter().map(Vec::len).max().unwrap_or(0);
        let shifted = |row: &Vec<usize>| -> Vec<i32> {
            let tokens = std::iter::once(bos).chain(row.iter().copied()).map(|token| token as i32);
            tokens.chain(std::iter::repeat(0)).take(time).collect()
        };
        let input: Vec<i32> = target.iter().flat_map(shifted).collect();
        let input = Tensor::<2, Int>::from_data(TensorData::new(input, [target.len(), time]), &device);
        let target_lengths: Vec<usize> = target.iter().map(Vec::len).collect();
        let dropout_key = dropout_key.into();
        let encoded = self.encode(source, lengths, &dropout_key);
        let (features, _) = self.features(encoded, input, &target_lengths, dropout_key);
        let size = features.dims()[2];
        let steps = |(row, &length): (usize, &usize)| (0..length).map(move |step| (row * time + step) as i32);
        let steps: Vec<i32> = target_lengths.iter().enumerate().flat_map(steps).collect();
        let count = steps.len();
        let steps = Tensor::<1, Int>::from_data(TensorData::new(steps, [count]), &device);
        let features = features.reshape([-1, size as i32]).select(0, steps);
        let (weight, bias, execution) = (self.output.weight(), self.output.bias(), self.decoder.execution());
        let tokens: Vec<u32> = target.iter().flatten().map(|&token| token as u32).collect();
        let indices: Vec<i32> = tokens.iter().map(|&token| token as i32).collect();
        let loss = mean_cross_entropy(features.clone(), weight.clone(), bias.clone(), tokens, execution);
        if label_smoothing == 0.0 {
            return loss;
        }
        // -(1 - ε) log p_target - ε / V Σ log p = -log p_target + ε (score_target - mean score).
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [count]), &device);
        let of_targets = weight.clone().select(1, indices.clone()).transpose() - weight.mean_dim(1).transpose();
        let difference =
            (features * of_targets).sum_dim(1).mean() + (bias.clone().select(0, indices) - bias.mean()).mean();
        loss + difference * label_smoothing
    }

    /// Greedy decoding of each row of `source`: the most probable next token at each step. What is generated for a row
    /// does not depend on the others.
    pub fn greedy(
        &self,
        source: impl Into<Source>,
        lengths: impl Into<Lengths>,
        generation: &Generation,
    ) -> Vec<Hypothesis> {
        let lengths = lengths.into();
        let batch = lengths.len();
        let mut encoded = self.encode(source, lengths, None);
        let mut generated = vec![Hypothesis { tokens: Vec::new(), log_probability: 0.0 }; batch];
        let mut done = vec![false; batch];
        let mut last = vec![generation.bos; batch];
        for _ in 0..generation.max_length {
            let (scores, next) = self.step(encoded, &last);
            encoded = next;
            let best = generation.allowed(scores.clone()).argmax(1);
            let probabilities = log_softmax(scores, 1).gather(1, best.clone()).try_into_vec_as::<f32>();
            let probabilities = probabilities.expect("a computed tensor can be read");
            let best = best.try_into_vec_as::<i64>().expect("a computed tensor can be read");
            last = best.iter().map(|&token| token as usize).collect();
            for (row, (&token, probability)) in last.iter().zip(probabilities).enumerate() {
                if done[row] {
                    continue;
                }
                generated[row].log_probability += f64::from(probability);
                done[row] = token == generation.eos;
                if !done[row] {
                    generated[row].tokens.push(token);
                }
            }
            if done.iter().all(|&done| done) {
                break;
            }
        }
        generated
    }

    /// Beam search over the targets of one source, a batch of one row: at most `width` distinct hypotheses, the most probable
    /// first.
    ///
    /// Beam width 1 equals [`EncoderDecoder::greedy`]; the greedy target is a candidate at every width.
    ///
    /// # Panics
    /// If `width` is 0.
    pub fn beam_search(
        &self,
        source: impl Into<Source>,
        length: usize,
        generation: &Generation,
        width: usize,
    ) -> Vec<Hypothesis> {
        assert!(width > 0, "beam width must be at least 1");
        let encoded = self.encode(source, &[length], None);
        let mut found = self.search(encoded.clone(), generation, width);
        if width > 1 {
            // The beam may drop the greedy prefix in favor of prefixes that end up less probable.
            let greedy = self.search(encoded, generation, 1);
            let is_new = |greedy: &Hypothesis| found.iter().all(|other| other.tokens != greedy.tokens);
            let missing: Vec<Hypothesis> = greedy.into_iter().filter(is_new).collect();
            found.extend(missing);
            most_probable(&mut found, width);
        }
        found
    }

    /// Beam search from an encoded source.
    fn search(&self, mut encoded: EncodedSource, generation: &Generation, width: usize) -> Vec<Hypothesis> {
        let mut active = vec![Hypothesis { tokens: Vec::new(), log_probability: 0.0 }];
        let mut ended: Vec<Hypothesis> = Vec::new();
        for _ in 0..generation.max_length {
            let last = |hypothesis: &Hypothesis| *hypothesis.tokens.last().unwrap_or(&generation.bos);
            let (scores, next) = self.step(encoded, &active.iter().map(last).collect::<Vec<_>>());
            let device = scores.device();
            let vocabulary = scores.dims()[1];
            let scores = scores.try_into_vec_as::<f32>().expect("a computed tensor can be read");
            let mut candidates: Vec<Candidate> = Vec::new();
            for (parent, scores) in scores.chunks_exact(vocabulary).enumerate() {
                let log_probability = active[parent].log_probability;
                candidates.extend(Candidate::of(parent, log_probability, scores, generation, width));
            }
            candidates.sort_by(Candidate::order);
            candidates.truncate(width);
            let (mut parents, mut kept) = (Vec::new(), Vec::new());
            for Candidate { parent, token, log_probability, .. } in candidates {
                let mut tokens = active[parent].tokens.clone();
                if token == generation.eos {
                    ended.push(Hypothesis { tokens, log_probability });
                } else {
                    tokens.push(token);
                    kept.push(Hypothesis { tokens, log_probability });
                    parents.push(parent);
                }
            }
            active = kept;
            most_probable(&mut ended, width);
            // Log-probabilities never increase, so no active hypothesis can still replace an ended one.
            let least = ended.last().filter(|_| ended.len() == width).map(|ended| ended.log_probability);
            if active.is_empty() || least.is_some_and(|least| active[0].log_probability <= least) {
                return ended;
            }
            encoded = next.select(&parents, &device);
        }
        ended.extend(active);
        most_probable(&mut ended, width);
        ended
    }

    /// Scores of the token after `last`, `[batch, vocabulary]`; `last` has one token per row of the encoded source.
    fn step(&self, encoded: EncodedSource, last: &[usize]) -> (Tensor<2>, EncodedSource) {
        let ids: Vec<i32> = last.iter().map(|&token| token as i32).collect();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(ids, [last.len(), 1]), &encoded.outputs.device());
        let (scores, encoded) = self.decode(encoded, tokens, Lengths::full(last.len(), 1), None);
        let [batch, _, vocabulary] = scores.dims();
        (scores.reshape([batch, vocabulary]), encoded)
    }
}

impl Generation<'_> {
    /// Scores, `[batch, vocabulary]`, with suppressed tokens at the lowest value.
    fn allowed(&self, scores: Tensor<2>) -> Tensor<2> {
        if self.suppressed.is_empty() {
            return scores;
        }
        let [batch, vocabulary] = scores.dims();
        let mask: Vec<bool> = (0..vocabulary).map(|token| self.suppressed.contains(&token)).collect();
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, [1, vocabulary]), &scores.device());
        scores.mask_fill(mask.expand([batch, vocabulary]), f32::MIN)
    }
}

/// A hypothesis extended by one token.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    parent: usize,
    token: usize,
    /// Log-probability of the extended hypothesis.
    log_probability: f64,
    /// Score of the token before softmax: breaks ties caused by rounding, so that width 1 equals greedy decoding.
    score: f32,
}

impl Candidate {
    /// The `width` best continuations of a hypothesis, given the scores of the whole vocabulary.
    fn of(parent: usize, prefix: f64, scores: &[f32], generation: &Generation, width: usize) -> Vec<Self> {
        let largest = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = scores.iter().map(|&score| (f64::from(score) - largest).exp()).sum();
        let normalizer = largest + sum.ln();
        let candidate = |(token, &score): (usize, &f32)| Self {
            parent,
            token,
            log_probability: prefix + (f64::from(score) - normalizer),
            score,
        };
        let allowed = scores.iter().enumerate().filter(|(token, _)| !generation.suppressed.contains(token));
        let mut candidates: Vec<Self> = allowed.map(candidate).collect();
        if candidates.len() > width {
            candidates.select_nth_unstable_by(width, Self::order);
            candidates.truncate(width);
        }
        candidates
    }

    /// The most probable first; ties go to the first parent, then to the first token.
    fn order(&self, other: &Self) -> Ordering {
        let probability = other.log_probability.total_cmp(&self.log_probability);
        let earlier = || (self.parent, self.token).cmp(&(other.parent, other.token));
        probability.then(other.score.total_cmp(&self.score)).then_with(earlier)
    }
}

/// Keeps the `width` most probable hypotheses, the most probable first; stable for ties.
fn most_probable(hypotheses: &mut Vec<Hypothesis>, width: usize) {
    hypotheses.sort_by(|one, other| other.log_probability.total_cmp(&one.log_probability));
    hypotheses.truncate(width);
}

impl Network for EncoderDecoder {
    fn set_execution(&mut self, execution: Execution) {
        self.encoder.set_execution(execution);
        self.decoder.set_execution(execution);
        self.pooling.set_execution(execution);
        self.attention.set_execution(execution);
        let linear = self.bridges.iter_mut().chain([&mut self.combine, &mut self.output]).chain(&mut self.projection);
        linear.for_each(|linear| linear.set_execution(execution));
    }
}
