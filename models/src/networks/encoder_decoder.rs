//! Sequence transduction (seq2seq).

mod copying;
mod decoding;
mod training;

pub use decoding::{Generation, Hypothesis};
pub use training::Targets;

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use self::copying::Copies;
use super::{Network, embed, table};
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{Attention, AttentionScore, LayerState, Linear, Pooling, SequencePooling, Stack, StackShape};
use crate::names::{FieldNames, names};
use crate::state::NamedState;

/// Encoder–decoder with attention: encodes the source sequence, then generates the target token by token.
///
/// The source is a sequence of tokens, which are embedded, or of feature vectors, such as the rows of an image: x = tanh(source W_x + b_x). Of a
/// grid of feature vectors, such as the patches of an image, the encoder reads each row, and a second stack of the same shape each column of the
/// result (Visin et al. 2015, "ReNet: a recurrent neural network based alternative to convolutional networks", with the cells of the recipe):
///
/// ```text
/// r_i = encoder(x_i1 … x_iJ)             m_j = columns(r_1j … r_Ij)
/// ```
///
/// ```text
/// m = encoder(x)                         s⁰_l = tanh(last(m) W_l + b_l) for each layer l of the decoder
/// h_u = decoder(E[target_1] … E[target_u])          context_u = attention(h_u, m)
/// score_u = dropout(tanh([context_u ; h_u] W_c + b_c)) W + b
/// ```
///
/// `m` is `[batch, source time, encoder output size]`, `h` is `[batch, target time, decoder output size]`; scores are
/// `[batch, target time, target_vocabulary]`. `last(m)` is the encoder's final hidden state, or the mean of m over a grid; cell states of an
/// LSTM decoder start at zero. There is no input feeding.
///
/// With [`copy`](EncoderDecoderShape::copy), the decoder may also copy source tokens, also those outside the target vocabulary (pointer-generator;
/// E is the embedding of the decoder's input, a the attention weights):
///
/// ```text
/// p_u = σ([context_u ; h_u ; E_u] w + b)
/// P(v) = p_u softmax(score_u)_v + (1 - p_u) Σ_{t: source_t = v} a_ut
/// ```
///
/// Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation", EMNLP 2015; See, Liu and Manning, "Get to the
/// point: summarization with pointer-generator networks", ACL 2017 (without coverage).
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
///     copy: false,
///     dropout: 0.2,
///     embedding_dropout: 0.0,
/// };
/// let model = EncoderDecoder::new(shape, 1, &Device::flex());
/// let source = || Tensor::<2, Int>::from_data([[5, 9, 2, 7]], &Device::flex());
/// let target = Tensor::from_data([[1, 8, 3]], &Device::flex());
/// let (scores, _) = model.decode(model.encode(source(), &[4], None), target, &[3], None);
/// assert_eq!(scores.dims(), [1, 3, 20]);
/// let generation = Generation { bos: 1, eos: 2, suppressed: &[0], max_length: 10, length_penalty: 0.0 };
/// let hypotheses = model.beam_search(model.encode(source(), &[4], None), &generation, 3);
/// assert!(hypotheses[0].len() <= 3);
/// ```
#[derive(Module, Debug)]
pub struct EncoderDecoder {
    source: Option<Embedding>,
    projection: Option<Linear>,
    encoder: Stack,
    /// Reads the columns of a grid; `None` if the source is a sequence.
    columns: Option<Stack>,
    pooling: SequencePooling,
    bridges: Vec<Linear>,
    target: Embedding,
    decoder: Stack,
    attention: Attention,
    combine: Linear,
    output: Linear,
    /// Logit of p_u, the probability to generate rather than copy; `None` if the model does not copy.
    pointer: Option<Linear>,
    dropout: f64,
    embedding_dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(EncoderDecoder {
    source: "source",
    projection: "projection",
    encoder: "encoder",
    columns: "columns",
    pooling: "summary",
    bridges: "bridges",
    target: "target",
    decoder: "decoder",
    attention: "attention",
    combine: "combine",
    output: "output",
    pointer: "pointer"
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
    /// Whether the decoder may copy source tokens; then each encoded source needs [`EncodedSource::copying`].
    pub copy: bool,
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
    /// Grids of vectors with this number of features.
    Grid(usize),
}

/// A batch of source sequences.
#[derive(Debug, Clone)]
pub enum Source {
    /// Tokens, `[batch, time]`.
    Tokens(Tensor<2, Int>),
    /// Feature vectors, `[batch, time, features]`.
    Features(Tensor<3>),
    /// Grids of feature vectors, `[batch, rows, columns, features]`; each row of the grid follows the one above it in time.
    Grid(Tensor<4>),
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

impl From<Tensor<4>> for Source {
    fn from(grid: Tensor<4>) -> Self {
        Self::Grid(grid)
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
    /// The source tokens, if they can be copied.
    copies: Option<Copies>,
}

/// What the decoder computes for each token of a target.
struct Decoded {
    /// Inputs of the output layer, `[batch, time, decoder output size]`.
    features: Tensor<3>,
    /// Attention weights, `[batch, time, source time]`.
    weights: Tensor<3>,
    /// Logits of the probability to generate, `[batch, time, 1]`; `None` if the model does not copy.
    pointer: Option<Tensor<3>>,
    /// The source with the decoder's final state.
    encoded: EncodedSource,
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
            copies: self.copies.map(|copies| copies.select(indices)),
        }
    }

    /// The same values outside of the autodiff graph.
    fn inner(self) -> Self {
        let state = |LayerState { forward: NamedState { hidden, cell }, .. }: LayerState| LayerState {
            forward: NamedState { hidden: hidden.inner(), cell: cell.map(Tensor::inner) },
            backward: None,
        };
        Self {
            outputs: self.outputs.inner(),
            lengths: self.lengths,
            states: self.states.into_iter().map(state).collect(),
            copies: self.copies.map(Copies::inner),
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
            SourceShape::Features(features) | SourceShape::Grid(features) => positive("source_features", features)?,
        }
        positive("target_vocabulary", self.target_vocabulary)?;
        probability("dropout", self.dropout)?;
        probability("embedding_dropout", self.embedding_dropout)?;
        self.encoder.check().map_err(|error| error.within("encoder"))?;
        self.columns().map_or(Ok(()), |columns| columns.check()).map_err(|error| error.within("encoder"))?;
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

    /// The stack that reads the columns of a grid: that of the rows, over its outputs.
    fn columns(&self) -> Option<StackShape> {
        let is_grid = matches!(self.source, SourceShape::Grid(_));
        is_grid.then(|| StackShape { input_size: self.encoder.output_size(), ..self.encoder.clone() })
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
        let embedded = shape.decoder.input_size;
        let bridge =
            |(layer, &size): (usize, &usize)| Linear::new(memory, size, 0.0, key.with_first(10 + layer as u64), device);
        let (size, of_source) = (shape.encoder.input_size, key.with_first(0));
        let (source, projection) = match shape.source {
            SourceShape::Tokens(vocabulary) => (Some(table(vocabulary, size, of_source, device)), None),
            SourceShape::Features(features) | SourceShape::Grid(features) => {
                (None, Some(Linear::new(features, size, 0.0, of_source, device)))
            }
        };
        let columns = shape.columns().map(|shape| Stack::new(shape, key.with_first(1 << 21), device));
        let pooling = if columns.is_some() { Pooling::Mean } else { Pooling::Last };
        Self {
            source,
            projection,
            encoder: Stack::new(shape.encoder, key.with_first(1), device),
            columns,
            pooling: SequencePooling::new(pooling, memory, key.with_first(2), device),
            bridges: shape.decoder.hidden_sizes.iter().enumerate().map(bridge).collect(),
            target: table(shape.target_vocabulary, shape.decoder.input_size, key.with_first(3), device),
            decoder: Stack::new(shape.decoder, key.with_first(1 << 20), device),
            attention: Attention::new(shape.attention, query, memory, key.with_first(4), device),
            combine: Linear::new(memory + query, query, 0.0, key.with_first(5), device),
            output: Linear::new(query, shape.target_vocabulary, 0.0, key.with_first(6), device),
            pointer: shape.copy.then(|| Linear::new(memory + query + embedded, 1, 0.0, key.with_first(7), device)),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// Encodes `source`, tokens `[batch, time]`, features `[batch, time, features]`, or a grid `[batch, rows, columns, features]`, with `lengths`
    /// valid steps per sequence; those of a grid are all its elements.
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
        let outputs = match (source, &self.source, &self.projection, &self.columns) {
            (Source::Tokens(tokens), Some(table), ..) => {
                let input = embed(table, tokens, self.embedding_dropout, &dropout_key);
                self.encoder.forward(input, &lengths, None, dropout_key).outputs
            }
            (Source::Features(features), _, Some(projection), None) => {
                self.encoder.forward(projection.forward(features).tanh(), &lengths, None, dropout_key).outputs
            }
            (Source::Grid(grid), _, Some(projection), Some(columns)) => {
                self.encode_grid(grid, projection, columns, dropout_key)
            }
            (Source::Tokens(_), None, ..) => panic!("this encoder does not read tokens"),
            (Source::Features(_), ..) => panic!("this encoder does not read sequences of features"),
            (Source::Grid(_), ..) => panic!("this encoder does not read grids"),
        };
        let last = self.pooling.forward(outputs.clone(), &lengths, directions);
        let start = |bridge: &Linear| {
            let hidden = bridge.forward(last.clone()).tanh();
            let cell = Some(hidden.zeros_like());
            LayerState { forward: NamedState { hidden, cell }, backward: None }
        };
        EncodedSource { outputs, lengths, states: self.bridges.iter().map(start).collect(), copies: None }
    }

    /// Outputs for a grid `[batch, rows, columns, features]`, one row of the grid after the other: `[batch, rows * columns, features]`.
    fn encode_grid(&self, grid: Tensor<4>, projection: &Linear, columns: &Stack, dropout_key: DropoutKey) -> Tensor<3> {
        let [batch, height, width, features] = grid.dims();
        let rows = projection.forward(grid.reshape([batch * height, width, features])).tanh();
        let lengths = Lengths::full(batch * height, width);
        let read = self.encoder.forward(rows, &lengths, None, dropout_key.divided(height)).outputs;
        // [batch, first, second, features] as [batch * second, first, features].
        let turned = |outputs: Tensor<3>, [first, second]: [usize; 2]| {
            let features = outputs.dims()[2];
            let outputs = outputs.reshape([batch, first, second, features]).swap_dims(1, 2);
            outputs.reshape([batch * second, first, features])
        };
        let lengths = Lengths::full(batch * width, height);
        let dropout_key = dropout_key.part(1 << 61).divided(width);
        let read = columns.forward(turned(read, [height, width]), &lengths, None, dropout_key).outputs;
        let [_, _, features] = read.dims();
        turned(read, [width, height]).reshape([batch, height * width, features])
    }

    /// Scores of the token that follows each token of `target`, `[batch, time]`: `[batch, time, target_vocabulary]`;
    /// and the encoded source with the decoder's final state, from which decoding can resume.
    ///
    /// Scores of a model that copies are log-probabilities, also of the tokens beyond the target vocabulary; of tokens that are not in the
    /// source, these are -∞.
    ///
    /// # Panics
    /// If the model copies and the source was encoded without [`EncodedSource::copying`], or the reverse.
    pub fn decode(
        &self,
        encoded: EncodedSource,
        target: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> (Tensor<3>, EncodedSource) {
        let Decoded { features, weights, pointer, encoded } = self.decoded(encoded, target, lengths, dropout_key);
        let scores = self.output.forward(features);
        let scores = match (pointer, &encoded.copies) {
            (Some(pointer), Some(copies)) => copies.log_probabilities(scores, pointer, weights),
            _ => scores,
        };
        (scores, encoded)
    }

    /// Attention weights of the step that generates the token after each token of `target`, `[batch, time]`:
    /// `[batch, time, source time]`.
    pub fn attention_weights(
        &self,
        encoded: EncodedSource,
        target: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
    ) -> Tensor<3> {
        self.decoded(encoded, target, lengths, None).weights
    }

    fn decoded(
        &self,
        encoded: EncodedSource,
        target: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> Decoded {
        let EncodedSource { outputs: source, lengths: source_lengths, states, copies } = encoded;
        let is_complete = self.pointer.is_some() == copies.is_some();
        assert!(is_complete, "a model that copies needs the source tokens (`EncodedSource::copying`), others do not");
        let dropout_key = dropout_key.into().part(1 << 62);
        let target = match &copies {
            Some(copies) => copies.known(target, self.target_vocabulary()),
            None => target,
        };
        let input = embed(&self.target, target, self.embedding_dropout, &dropout_key);
        let decoded = self.decoder.forward(input.clone(), lengths, Some(states), &dropout_key);
        let attention = self.attention.forward(decoded.outputs.clone(), source.clone(), &source_lengths);
        let both = Tensor::cat(vec![attention.context, decoded.outputs], 2);
        let pointer = self.pointer.as_ref().map(|layer| layer.forward(Tensor::cat(vec![both.clone(), input], 2)));
        let combined = self.combine.forward(both).tanh();
        Decoded {
            features: dropout(combined, self.dropout, dropout_key),
            weights: attention.weights,
            pointer,
            encoded: EncodedSource { outputs: source, lengths: source_lengths, states: decoded.states, copies },
        }
    }

    /// Number of target tokens, without those that can only be copied.
    fn target_vocabulary(&self) -> usize {
        self.output.bias().dims()[0]
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

impl Network for EncoderDecoder {
    fn set_execution(&mut self, execution: Execution) {
        self.encoder.set_execution(execution);
        self.columns.iter_mut().for_each(|columns| columns.set_execution(execution));
        self.decoder.set_execution(execution);
        self.pooling.set_execution(execution);
        self.attention.set_execution(execution);
        let linear = self.bridges.iter_mut().chain([&mut self.combine, &mut self.output]);
        let linear = linear.chain(&mut self.projection).chain(&mut self.pointer);
        linear.for_each(|linear| linear.set_execution(execution));
    }
}
