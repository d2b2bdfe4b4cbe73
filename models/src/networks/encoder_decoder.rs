//! One sequence from another.

use std::cmp::Ordering;

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::{Network, cross_entropy, embed, table};
use crate::invalid_shape::{InvalidShape, expect_fit, positive, rate};
use crate::layers::dropout::dropout;
use crate::layers::{Attention, AttentionScore, LayerState, Linear, Pooling, Stack, StackShape, Summary};
use crate::state::NamedState;

/// Encoder–decoder with attention: the source is read whole, the target written token by token.
///
/// ```text
/// m = encoder(source)                    s⁰_l = tanh(last(m) W_l + b_l), one for each layer l of the decoder
/// h_u = decoder(E[target_1] … E[target_u])          context_u = attention(h_u, m)
/// score_u = dropout(tanh([context_u ; h_u] W_c + b_c)) W + b
/// ```
///
/// Scores are `[batch, target time, target vocabulary]`. The decoder starts from what the encoder has at the end of its
/// reading (cells of LSTMs at zero) and attends as in Luong et al. 2015 (without feeding the context back).
#[derive(Module, Debug)]
pub struct EncoderDecoder {
    source: Embedding,
    encoder: Stack,
    summary: Summary,
    bridges: Vec<Linear>,
    target: Embedding,
    decoder: Stack,
    attention: Attention,
    combine: Linear,
    output: Linear,
    dropout: f64,
    embedding_dropout: f64,
}

/// The sizes of an [`EncoderDecoder`]; the depths of its halves are independent.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderDecoderShape {
    /// Distinct source tokens.
    pub source_vocabulary: usize,
    /// Distinct target tokens.
    pub target_vocabulary: usize,
    /// Reads the source; its input is an embedding.
    pub encoder: StackShape,
    /// Writes the target; its input is an embedding.
    pub decoder: StackShape,
    /// How well a decoder's state fits a place of the source.
    pub attention: AttentionScore,
    /// Share of what the output layer reads that is dropped in training.
    pub dropout: f64,
    /// Share of the source's and of the target's tokens that are dropped in training, each wherever it occurs.
    pub embedding_dropout: f64,
}

/// A source that has been read.
#[derive(Debug, Clone)]
pub struct Memory {
    /// `[batch, time, features]`.
    outputs: Tensor<3>,
    lengths: Lengths,
    /// Of each layer of the decoder, before its first token.
    states: Vec<LayerState>,
}

/// How targets are generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generation<'a> {
    /// Token that the decoder reads before the first one.
    pub begin: usize,
    /// Token that ends a target; it is no part of what is returned.
    pub end: usize,
    /// Tokens that are never generated, such as padding.
    pub suppressed: &'a [usize],
    /// Maximum number of tokens.
    pub max_length: usize,
}

/// A generated target and its probability.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Without the end.
    pub tokens: Vec<usize>,
    /// Natural logarithm of the probability of all its tokens, of the end too if it has ended, under the softmax over the
    /// whole vocabulary.
    pub log_probability: f64,
}

impl Memory {
    /// The memories of some rows, in their order.
    fn select(self, rows: &[usize], device: &Device) -> Self {
        let numbers: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let numbers = Tensor::<1, Int>::from_data(TensorData::new(numbers, [rows.len()]), device);
        let state = |state: LayerState| {
            let NamedState { hidden, cell } = state.forward;
            let chosen = |tensor: Tensor<2>| tensor.select(0, numbers.clone());
            LayerState { forward: NamedState { hidden: chosen(hidden), cell: cell.map(chosen) }, backward: None }
        };
        Self {
            outputs: self.outputs.select(0, numbers.clone()),
            lengths: Lengths::new(rows.iter().map(|&row| self.lengths[row]).collect()),
            states: self.states.into_iter().map(state).collect(),
        }
    }

    /// What the encoder has read, `[batch, time, features]`.
    pub fn outputs(&self) -> &Tensor<3> {
        &self.outputs
    }

    /// The state of each layer of the decoder.
    pub fn states(&self) -> &[LayerState] {
        &self.states
    }
}

impl EncoderDecoderShape {
    /// Whether the halves make sense and fit each other.
    ///
    /// # Errors
    /// The field that does not: a vocabulary, a rate, `attention`, or one of the halves', of which the decoder must read forward alone.
    pub fn check(&self) -> Result<(), InvalidShape> {
        positive("source_vocabulary", self.source_vocabulary)?;
        positive("target_vocabulary", self.target_vocabulary)?;
        rate("dropout", self.dropout)?;
        rate("embedding_dropout", self.embedding_dropout)?;
        self.encoder.check().map_err(|invalid_shape| invalid_shape.within("encoder"))?;
        let written = "what a decoder is to write";
        self.decoder.check_forward(written).map_err(|invalid_shape| invalid_shape.within("decoder"))?;
        let (memory, query) = (self.encoder.output_size(), self.decoder.output_size());
        if self.attention == AttentionScore::Dot && memory != query {
            let reason = format!("dot attention joins {query} features to {memory}; use general or additive");
            return Err(InvalidShape::new("attention", reason));
        }
        Ok(())
    }
}

impl EncoderDecoder {
    /// An encoder–decoder with weights drawn from the run's seed.
    ///
    /// # Panics
    /// If [`EncoderDecoderShape::check`] refuses the shape.
    pub fn new(shape: EncoderDecoderShape, seed: u64, device: &Device) -> Self {
        expect_fit(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let (memory, query) = (shape.encoder.output_size(), shape.decoder.output_size());
        let bridge =
            |(layer, &size): (usize, &usize)| Linear::new(memory, size, 0.0, key.at(10 + layer as u64), device);
        Self {
            source: table(shape.source_vocabulary, shape.encoder.input_size, key.at(0), device),
            encoder: Stack::new(shape.encoder, key.at(1), device),
            summary: Summary::new(Pooling::Last, memory, key.at(2), device),
            bridges: shape.decoder.hidden_sizes.iter().enumerate().map(bridge).collect(),
            target: table(shape.target_vocabulary, shape.decoder.input_size, key.at(3), device),
            decoder: Stack::new(shape.decoder, key.at(1 << 20), device),
            attention: Attention::new(shape.attention, query, memory, key.at(4), device),
            combine: Linear::new(memory + query, query, 0.0, key.at(5), device),
            output: Linear::new(query, shape.target_vocabulary, 0.0, key.at(6), device),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// Reads a source, `[batch, time]`, of which `lengths` are valid.
    pub fn read(&self, source: Tensor<2, Int>, lengths: impl Into<Lengths>, noise: Option<Key>) -> Memory {
        let lengths = lengths.into();
        let directions = self.encoder.shape().architecture.directions();
        let input = embed(&self.source, source, self.embedding_dropout, noise);
        let outputs = self.encoder.read(input, &lengths, None, noise).outputs;
        let last = self.summary.forward(outputs.clone(), &lengths, directions);
        let start = |bridge: &Linear| {
            let hidden = bridge.forward(last.clone()).tanh();
            let cell = Some(hidden.zeros_like());
            LayerState { forward: NamedState { hidden, cell }, backward: None }
        };
        Memory { outputs, lengths, states: self.bridges.iter().map(start).collect() }
    }

    /// Scores of what follows each token of `target`, `[batch, time]`, and the memory to go on from after the last.
    pub fn write(
        &self,
        memory: Memory,
        target: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        noise: Option<Key>,
    ) -> (Tensor<3>, Memory) {
        let Memory { outputs: source, lengths: source_lengths, states } = memory;
        let noise = noise.map(|key| key.at(key.first() ^ (1 << 62)));
        let input = embed(&self.target, target, self.embedding_dropout, noise);
        let written = self.decoder.read(input, lengths, Some(states), noise);
        let context = self.attention.forward(written.outputs.clone(), source.clone(), &source_lengths).context;
        let combined = self.combine.forward(Tensor::cat(vec![context, written.outputs], 2)).tanh();
        let memory = Memory { outputs: source, lengths: source_lengths, states: written.states };
        (self.output.forward(dropout(combined, self.dropout, noise)), memory)
    }

    /// Mean cross-entropy in nats per target token under teacher forcing: the decoder reads `begin` and the true tokens, and
    /// is to say the true ones; `target` is `[batch][length]`.
    ///
    /// # Panics
    /// If the targets do not fit the source or the vocabulary.
    pub fn loss(
        &self,
        source: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        begin: usize,
        target: &[Vec<usize>],
        noise: Option<Key>,
    ) -> Tensor<1> {
        let device = source.device();
        let time = target.iter().map(Vec::len).max().unwrap_or(0);
        let shifted = |row: &Vec<usize>| -> Vec<i32> {
            let told = std::iter::once(begin).chain(row.iter().copied()).map(|token| token as i32);
            told.chain(std::iter::repeat(0)).take(time).collect()
        };
        let told: Vec<i32> = target.iter().flat_map(shifted).collect();
        let told = Tensor::<2, Int>::from_data(TensorData::new(told, [target.len(), time]), &device);
        let target_lengths: Vec<usize> = target.iter().map(Vec::len).collect();
        let memory = self.read(source, lengths, noise);
        cross_entropy(self.write(memory, told, &target_lengths, noise).0, target)
    }

    /// The most probable next token at each step, for each row of `source`, `[batch, time]`.
    pub fn greedy(
        &self,
        source: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        generation: &Generation,
    ) -> Vec<Vec<usize>> {
        let lengths = lengths.into();
        let batch = lengths.len();
        let mut memory = self.read(source, lengths, None);
        let mut written = vec![Vec::new(); batch];
        let mut done = vec![false; batch];
        let mut last = vec![generation.begin; batch];
        for _ in 0..generation.max_length {
            let (scores, next) = self.step(memory, &last);
            memory = next;
            let best = generation.allowed(scores).argmax(1).try_into_vec_as::<i64>();
            last = best.expect("a computed tensor can be read").iter().map(|&token| token as usize).collect();
            for (row, &token) in last.iter().enumerate() {
                done[row] |= token == generation.end;
                if !done[row] {
                    written[row].push(token);
                }
            }
            if done.iter().all(|&done| done) {
                break;
            }
        }
        written
    }

    /// The most probable targets of one source, `[1, time]`, by beam search: at most `width`, all different, the most
    /// probable first. A beam of width 1 is [`EncoderDecoder::greedy`]; the greedy target is a candidate at every width.
    ///
    /// # Panics
    /// If `width` is 0.
    pub fn beam(
        &self,
        source: Tensor<2, Int>,
        length: usize,
        generation: &Generation,
        width: usize,
    ) -> Vec<Hypothesis> {
        assert!(width > 0, "a beam keeps at least one hypothesis");
        let memory = self.read(source, &[length], None);
        let mut found = self.search(memory.clone(), generation, width);
        if width > 1 {
            // A beam may drop the greedy prefix for prefixes that end up less probable.
            let greedy = self.search(memory, generation, 1);
            let is_new = |greedy: &Hypothesis| found.iter().all(|other| other.tokens != greedy.tokens);
            let missing: Vec<Hypothesis> = greedy.into_iter().filter(is_new).collect();
            found.extend(missing);
            most_probable(&mut found, width);
        }
        found
    }

    /// Beam search after a source.
    fn search(&self, mut memory: Memory, generation: &Generation, width: usize) -> Vec<Hypothesis> {
        let mut active = vec![Hypothesis { tokens: Vec::new(), log_probability: 0.0 }];
        let mut ended: Vec<Hypothesis> = Vec::new();
        for _ in 0..generation.max_length {
            let last = |hypothesis: &Hypothesis| *hypothesis.tokens.last().unwrap_or(&generation.begin);
            let (scores, next) = self.step(memory, &active.iter().map(last).collect::<Vec<_>>());
            let device = scores.device();
            let vocabulary = scores.dims()[1];
            let scores = scores.try_into_vec_as::<f32>().expect("a computed tensor can be read");
            let mut candidates: Vec<Candidate> = Vec::new();
            for (parent, scores) in scores.chunks_exact(vocabulary).enumerate() {
                let from = active[parent].log_probability;
                candidates.extend(Candidate::of(parent, from, scores, generation, width));
            }
            candidates.sort_by(Candidate::order);
            candidates.truncate(width);
            let (mut parents, mut kept) = (Vec::new(), Vec::new());
            for Candidate { parent, token, log_probability, .. } in candidates {
                let mut tokens = active[parent].tokens.clone();
                if token == generation.end {
                    ended.push(Hypothesis { tokens, log_probability });
                } else {
                    tokens.push(token);
                    kept.push(Hypothesis { tokens, log_probability });
                    parents.push(parent);
                }
            }
            active = kept;
            most_probable(&mut ended, width);
            // Probabilities only fall, so nothing that goes on can still replace one of these.
            let least = ended.last().filter(|_| ended.len() == width).map(|ended| ended.log_probability);
            if active.is_empty() || least.is_some_and(|least| active[0].log_probability <= least) {
                return ended;
            }
            memory = next.select(&parents, &device);
        }
        ended.extend(active);
        most_probable(&mut ended, width);
        ended
    }

    /// Scores of the token after `last`, one for each row of the memory, `[batch, vocabulary]`.
    fn step(&self, memory: Memory, last: &[usize]) -> (Tensor<2>, Memory) {
        let numbers: Vec<i32> = last.iter().map(|&token| token as i32).collect();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(numbers, [last.len(), 1]), &memory.outputs.device());
        let (scores, memory) = self.write(memory, tokens, Lengths::full(last.len(), 1), None);
        let [batch, _, vocabulary] = scores.dims();
        (scores.reshape([batch, vocabulary]), memory)
    }
}

impl Generation<'_> {
    /// Scores `[batch, vocabulary]`, the lowest of all where a token is suppressed.
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

/// A hypothesis and one more token.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    parent: usize,
    token: usize,
    /// Of the hypothesis with this token.
    log_probability: f64,
    /// Of this token, before softmax: decides where rounding makes probabilities equal, so that width 1 is greedy.
    score: f32,
}

impl Candidate {
    /// The `width` best continuations of a hypothesis, given the scores of the whole vocabulary.
    fn of(parent: usize, from: f64, scores: &[f32], generation: &Generation, width: usize) -> Vec<Self> {
        let largest = f64::from(scores.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = scores.iter().map(|&score| (f64::from(score) - largest).exp()).sum();
        let normalizer = largest + sum.ln();
        let candidate = |(token, &score): (usize, &f32)| Self {
            parent,
            token,
            log_probability: from + (f64::from(score) - normalizer),
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

    /// The most probable first; among equal ones the first parent, then the first token.
    fn order(&self, other: &Self) -> Ordering {
        let probability = other.log_probability.total_cmp(&self.log_probability);
        let earlier = || (self.parent, self.token).cmp(&(other.parent, other.token));
        probability.then(other.score.total_cmp(&self.score)).then_with(earlier)
    }
}

/// Keeps the `width` most probable hypotheses, the most probable first; among equal ones the first stays first.
fn most_probable(hypotheses: &mut Vec<Hypothesis>, width: usize) {
    hypotheses.sort_by(|one, other| other.log_probability.total_cmp(&one.log_probability));
    hypotheses.truncate(width);
}

impl Network for EncoderDecoder {
    fn set_execution(&mut self, execution: Execution) {
        self.encoder.set_execution(execution);
        self.decoder.set_execution(execution);
        let linear = self.bridges.iter_mut().chain([&mut self.combine, &mut self.output]);
        linear.for_each(|linear| linear.set_execution(execution));
    }
}
