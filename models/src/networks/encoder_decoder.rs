//! One sequence from another.

use burn::module::Module;
use burn::nn::{Embedding, Linear};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_random::{Key, Purpose};

use super::{cross_entropy, each_step, embed, table};
use crate::layers::dropout::dropout;
use crate::layers::{Attention, AttentionScore, LayerState, Pooling, Stack, StackShape, Summary, linear};
use crate::misfit::{Misfit, expect_fit, positive, rate};
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
    lengths: Vec<usize>,
    /// Of each layer of the decoder, before its first token.
    states: Vec<LayerState>,
}

/// Something that may be written, and how likely it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Without the end.
    pub tokens: Vec<usize>,
    /// Natural logarithm of the probability of all its tokens, of the end too if it has ended.
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
            lengths: rows.iter().map(|&row| self.lengths[row]).collect(),
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
    pub fn check(&self) -> Result<(), Misfit> {
        positive("source_vocabulary", self.source_vocabulary)?;
        positive("target_vocabulary", self.target_vocabulary)?;
        rate("dropout", self.dropout)?;
        rate("embedding_dropout", self.embedding_dropout)?;
        self.encoder.check().map_err(|misfit| misfit.within("encoder"))?;
        let written = "what a decoder is to write";
        self.decoder.check_forward(written).map_err(|misfit| misfit.within("decoder"))?;
        let (memory, query) = (self.encoder.output_size(), self.decoder.output_size());
        if self.attention == AttentionScore::Dot && memory != query {
            let reason = format!("dot attention joins {query} features to {memory}; use general or additive");
            return Err(Misfit::new("attention", reason));
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
        let bridge = |(layer, &size): (usize, &usize)| linear(memory, size, 0.0, key.at(10 + layer as u64), device);
        Self {
            source: table(shape.source_vocabulary, shape.encoder.input_size, key.at(0), device),
            encoder: Stack::new(shape.encoder, key.at(1), device),
            summary: Summary::new(Pooling::Last, memory, key.at(2), device),
            bridges: shape.decoder.hidden_sizes.iter().enumerate().map(bridge).collect(),
            target: table(shape.target_vocabulary, shape.decoder.input_size, key.at(3), device),
            decoder: Stack::new(shape.decoder, key.at(1 << 20), device),
            attention: Attention::new(shape.attention, query, memory, key.at(4), device),
            combine: linear(memory + query, query, 0.0, key.at(5), device),
            output: linear(query, shape.target_vocabulary, 0.0, key.at(6), device),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// Reads a source, `[batch, time]`, of which `lengths` are true.
    pub fn read(&self, source: Tensor<2, Int>, lengths: &[usize], noise: Option<Key>) -> Memory {
        let directions = self.encoder.shape().architecture.directions();
        let input = embed(&self.source, source, self.embedding_dropout, noise);
        let outputs = self.encoder.read(input, lengths, None, noise).outputs;
        let last = self.summary.forward(outputs.clone(), lengths, directions);
        let start = |bridge: &Linear| {
            let hidden = bridge.forward(last.clone()).tanh();
            let cell = Some(hidden.zeros_like());
            LayerState { forward: NamedState { hidden, cell }, backward: None }
        };
        Memory { outputs, lengths: lengths.to_vec(), states: self.bridges.iter().map(start).collect() }
    }

    /// Scores of what follows each token of `target`, `[batch, time]`, and the memory to go on from after the last.
    pub fn write(
        &self,
        memory: Memory,
        target: Tensor<2, Int>,
        lengths: &[usize],
        noise: Option<Key>,
    ) -> (Tensor<3>, Memory) {
        let Memory { outputs: source, lengths: source_lengths, states } = memory;
        let noise = noise.map(|key| key.at(key.first() ^ (1 << 62)));
        let input = embed(&self.target, target, self.embedding_dropout, noise);
        let written = self.decoder.read(input, lengths, Some(states), noise);
        let context = self.attention.forward(written.outputs.clone(), source.clone(), &source_lengths).context;
        let combined = each_step(&self.combine, Tensor::cat(vec![context, written.outputs], 2)).tanh();
        let memory = Memory { outputs: source, lengths: source_lengths, states: written.states };
        (each_step(&self.output, dropout(combined, self.dropout, noise)), memory)
    }

    /// Mean cross-entropy in nats per target token under teacher forcing: the decoder reads `begin` and the true tokens, and
    /// is to say the true ones; `target` is `[batch][length]`.
    ///
    /// # Panics
    /// If the targets do not fit the source or the vocabulary.
    pub fn loss(
        &self,
        source: Tensor<2, Int>,
        lengths: &[usize],
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

    /// The most probable next token at each step, from `begin` until `end` or `most` tokens; `end` is left out.
    pub fn greedy(
        &self,
        source: Tensor<2, Int>,
        lengths: &[usize],
        begin: usize,
        end: usize,
        most: usize,
    ) -> Vec<Vec<usize>> {
        let device = source.device();
        let batch = lengths.len();
        let mut memory = self.read(source, lengths, None);
        let mut written = vec![Vec::new(); batch];
        let mut done = vec![false; batch];
        let mut last = vec![begin as i32; batch];
        for _ in 0..most {
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(last, [batch, 1]), &device);
            let (scores, next) = self.write(memory, tokens, &vec![1; batch], None);
            memory = next;
            let best = scores.argmax(2).try_into_vec_as::<i64>().expect("a computed tensor can be read");
            last = best.iter().map(|&token| token as i32).collect();
            for (row, &token) in best.iter().enumerate() {
                done[row] |= token as usize == end;
                if !done[row] {
                    written[row].push(token as usize);
                }
            }
            if done.iter().all(|&done| done) {
                break;
            }
        }
        written
    }

    /// The likeliest things to write for one source, `[1, time]`, by beam search: at each step the `width` likeliest beginnings
    /// are kept, and those that have ended. Up to `most` tokens, `end` left out; the likeliest first. A beam of 1 is
    /// [`EncoderDecoder::greedy`].
    ///
    /// # Panics
    /// If `width` is 0.
    pub fn beam(
        &self,
        source: Tensor<2, Int>,
        length: usize,
        begin: usize,
        end: usize,
        most: usize,
        width: usize,
    ) -> Vec<Hypothesis> {
        assert!(width > 0, "a beam keeps at least one beginning");
        let device = source.device();
        let mut memory = self.read(source, &[length], None);
        let mut going = vec![Hypothesis { tokens: Vec::new(), log_probability: 0.0 }];
        let mut ended: Vec<Hypothesis> = Vec::new();
        for _ in 0..most {
            let last = |beginning: &Hypothesis| *beginning.tokens.last().unwrap_or(&begin) as i32;
            let last: Vec<i32> = going.iter().map(last).collect();
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(last, [going.len(), 1]), &device);
            let (scores, next) = self.write(memory, tokens, &vec![1; going.len()], None);
            let vocabulary = scores.dims()[2];
            let told = log_softmax(scores, 2).try_into_vec_as::<f32>().expect("a computed tensor can be read");
            let mut longer: Vec<(usize, usize, f64)> = Vec::new();
            for (parent, (beginning, told)) in going.iter().zip(told.chunks_exact(vocabulary)).enumerate() {
                longer.extend(
                    told.iter()
                        .enumerate()
                        .map(|(token, &log)| (parent, token, beginning.log_probability + f64::from(log))),
                );
            }
            // Stable, so that of equally likely ones the first stays first.
            longer.sort_by(|(_, _, one), (_, _, other)| other.total_cmp(one));
            longer.truncate(width);
            let (mut parents, mut kept) = (Vec::new(), Vec::new());
            for (parent, token, log_probability) in longer {
                let mut tokens = going[parent].tokens.clone();
                if token == end {
                    ended.push(Hypothesis { tokens, log_probability });
                } else {
                    tokens.push(token);
                    kept.push(Hypothesis { tokens, log_probability });
                    parents.push(parent);
                }
            }
            going = kept;
            // What has ended and is likelier than all that goes on cannot be overtaken.
            let best = ended.iter().map(|ended| ended.log_probability).fold(f64::NEG_INFINITY, f64::max);
            if ended.len() >= width && going.iter().all(|going| going.log_probability <= best) || going.is_empty() {
                break;
            }
            memory = next.select(&parents, &device);
        }
        ended.extend(going);
        ended.sort_by(|one, other| other.log_probability.total_cmp(&one.log_probability));
        ended.truncate(width);
        ended
    }
}
