//! Language modeling: next-token prediction.

use burn::module::{Module, Param};
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor};
use seqzoo_kernels::{self as kernels, Execution, Lengths, OutputLayer, PackedWeights};
use seqzoo_random::{Key, Purpose};

use super::{Network, cross_entropy, embed, evaluate_cross_entropy, mean_cross_entropy, spread};
use crate::dropout_key::DropoutKey;
use crate::init;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{LayerState, Linear, Stack, StackOutput, StackShape, StackStream, StreamState, product};
use crate::names::{FieldNames, names};

/// Language model: embedding, recurrent stack, dropout, linear layer to the vocabulary.
///
/// ```text
/// score_t = dropout(stack(E[token_1] … E[token_t])) W + b        tied: W = Eᵀ
/// ```
///
/// `E` is `[vocabulary, embedding_size]`, `W` is `[output_size, vocabulary]`; scores are `[batch, time, vocabulary]`.
/// Tied embeddings need equal embedding and output sizes.
///
/// Tied embeddings: Press and Wolf, "Using the output embedding to improve language models", EACL 2017.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{LanguageModel, LanguageModelShape};
///
/// let stack = StackShape::plain(Architecture::Lstm, 16, vec![16]);
/// let shape = LanguageModelShape { vocabulary: 50, stack, tied: true, dropout: 0.2, embedding_dropout: 0.0 };
/// let model = LanguageModel::new(shape, 1, &Device::flex());
/// let tokens = Tensor::<2, Int>::from_data([[5, 9, 2], [7, 1, 4]], &Device::flex());
/// let output = model.forward(tokens, &[3, 3], None, None);
/// assert_eq!(model.scores(output.features).dims(), [2, 3, 50]);
/// ```
#[derive(Module, Debug)]
pub struct LanguageModel {
    embedding: Embedding,
    stack: Stack,
    output: Option<Linear>,
    tied_bias: Option<Param<Tensor<1>>>,
    dropout: f64,
    embedding_dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] =
    &[names!(LanguageModel { embedding: "embedding", stack: "stack", output: "output", tied_bias: "tied_bias" })];

/// The sizes of a [`LanguageModel`].
#[derive(Debug, Clone, PartialEq)]
pub struct LanguageModelShape {
    /// Number of distinct tokens.
    pub vocabulary: usize,
    /// The recurrent layers; their input is the embedding.
    pub stack: StackShape,
    /// Whether the output layer shares its weights with the embedding.
    pub tied: bool,
    /// Dropout rate of the stack's outputs.
    pub dropout: f64,
    /// Embedding dropout rate: share of the vocabulary dropped in training.
    pub embedding_dropout: f64,
}

/// Output of [`LanguageModel::forward`]: features and final states.
#[derive(Debug, Clone)]
pub struct LanguageModelOutput {
    /// Input of the output layer, `[batch, time, features]`.
    pub features: Tensor<3>,
    /// Final state of each layer, from which the next segment can resume.
    pub states: Vec<LayerState>,
}

impl LanguageModelShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: `vocabulary`, a dropout rate, `tied`, or a field of the stack, whose `architecture`
    /// must be unidirectional.
    pub fn check(&self) -> Result<(), InvalidShape> {
        let predicted = "the tokens that a language model predicts";
        self.stack.check_unidirectional(predicted).map_err(|error| error.within("stack"))?;
        positive("vocabulary", self.vocabulary)?;
        probability("dropout", self.dropout)?;
        probability("embedding_dropout", self.embedding_dropout)?;
        let (below, above) = (self.stack.input_size, self.stack.output_size());
        if self.tied && below != above {
            let reason = format!("tied embeddings need equal output and embedding sizes, got {above} and {below}");
            return Err(InvalidShape::new("tied", reason));
        }
        Ok(())
    }
}

impl LanguageModel {
    /// A language model with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`LanguageModelShape::check`] fails.
    pub fn new(shape: LanguageModelShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let (vocabulary, features) = (shape.vocabulary, shape.stack.output_size());
        Self {
            embedding: spread(vocabulary, shape.stack.input_size, key.with_first(0), device),
            stack: Stack::new(shape.stack, key.with_first(1), device),
            output: (!shape.tied).then(|| Linear::new(features, vocabulary, 0.0, key.with_first(2), device)),
            tied_bias: shape.tied.then(|| init::constant(&vec![0.0; vocabulary], device)),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// Number of recurrent layers.
    pub fn depth(&self) -> usize {
        self.stack.shape().hidden_sizes.len()
    }

    /// Applies embedding and stack to `tokens`, `[batch, time]`, with `lengths` valid steps per sequence.
    ///
    /// `states` has one initial state per layer; `None` means zeros. `dropout_key` is the key of this step's dropout
    /// masks; `None` at inference.
    pub fn forward(
        &self,
        tokens: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        states: Option<Vec<LayerState>>,
        dropout_key: impl Into<DropoutKey>,
    ) -> LanguageModelOutput {
        let dropout_key = dropout_key.into();
        let input = embed(&self.embedding, tokens, self.embedding_dropout, &dropout_key);
        let StackOutput { outputs, states } = self.stack.forward(input, lengths, states, &dropout_key);
        LanguageModelOutput { features: dropout(outputs, self.dropout, dropout_key), states }
    }

    /// Scores of the next token at each time step, before softmax, `[batch, time, vocabulary]`.
    pub fn scores(&self, features: Tensor<3>) -> Tensor<3> {
        if let Some(output) = &self.output {
            return output.forward(features);
        }
        let (weight, bias) = self.output();
        product(features, weight, Some(bias), &PackedWeights::default(), self.stack.execution())
    }

    /// Mean cross-entropy in nats per token; `next`, `[batch · time]`, holds the next token at each time step.
    ///
    /// # Panics
    /// If `next` does not match the features.
    pub fn mean_loss(&self, features: Tensor<3>, next: Vec<u32>) -> Tensor<1> {
        let [batch, time, width] = features.dims();
        let (weight, bias) = self.output();
        mean_cross_entropy(features.reshape([batch * time, width]), weight, bias, next, self.stack.execution())
    }

    /// Mean cross-entropy in nats per token, and the number of correctly predicted tokens; not differentiable.
    ///
    /// # Panics
    /// As [`LanguageModel::mean_loss`].
    pub fn evaluate(&self, features: Tensor<3>, next: &[u32]) -> (f64, usize) {
        let [batch, time, width] = features.dims();
        let (weight, bias) = self.output();
        evaluate_cross_entropy(features.reshape([batch * time, width]), weight, bias, next, self.stack.execution())
    }

    /// Weights `[features, vocabulary]` and bias of the output layer.
    fn output(&self) -> (Tensor<2>, Tensor<1>) {
        match (&self.output, &self.tied_bias) {
            (Some(output), _) => (output.weight(), output.bias()),
            (None, Some(bias)) => (self.embedding.weight.val().transpose(), bias.val()),
            _ => unreachable!("a model has an output layer or a tied bias"),
        }
    }

    /// Mean cross-entropy in nats per token; `tokens` is `[batch, time]`, `next` is `[batch][length]`, the next token
    /// at each time step.
    ///
    /// # Panics
    /// If `next` does not match the tokens.
    pub fn loss(&self, tokens: Tensor<2, Int>, next: &[Vec<usize>], dropout_key: impl Into<DropoutKey>) -> Tensor<1> {
        let lengths: Vec<usize> = next.iter().map(Vec::len).collect();
        let result = self.forward(tokens, &lengths, None, dropout_key);
        cross_entropy(self.scores(result.features), next)
    }
}

/// A language model that processes one text token by token; on a CPU without allocating.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{LanguageModel, LanguageModelShape};
///
/// let stack = StackShape::plain(Architecture::Gru, 8, vec![16]);
/// let shape = LanguageModelShape { vocabulary: 50, stack, tied: false, dropout: 0.0, embedding_dropout: 0.0 };
/// let model = LanguageModel::new(shape, 1, &Device::flex());
/// let (mut stream, mut scores) = (model.stream(&Device::flex()), Vec::new());
/// [5, 9, 2].into_iter().for_each(|token| stream.step(token, &mut scores));
/// assert_eq!(scores.len(), 50);
/// ```
#[derive(Debug)]
pub struct LanguageModelStream<'a> {
    model: &'a LanguageModel,
    device: Device,
    mode: ReaderMode,
}

/// How a [`LanguageModelStream`] computes a step.
#[derive(Debug)]
enum ReaderMode {
    /// With kernels, from weights copied out of the tensors once.
    Stream {
        /// The embedding table, one row per token.
        table: Vec<f32>,
        stack: StackStream,
        output: OutputLayer,
    },
    /// With tensors; the state of each layer.
    Tensors(Option<Vec<LayerState>>),
}

impl LanguageModel {
    /// Starts a new text, with zero states.
    pub fn stream(&self, device: &Device) -> LanguageModelStream<'_> {
        let (weight, bias) = self.output();
        let stream = self.stack.stream(None).zip(kernels::output_layer(&weight, &bias, self.stack.execution()));
        let mode = match stream {
            Some((stack, output)) => {
                let table = self.embedding.weight.val().into_data();
                ReaderMode::Stream { table: table.try_into_vec().expect("a streaming stack is f32"), stack, output }
            }
            None => ReaderMode::Tensors(None),
        };
        LanguageModelStream { model: self, device: device.clone(), mode }
    }
}

/// What a [`LanguageModelStream`] has read, to continue from there.
#[derive(Debug, Clone)]
pub struct TextState(StateMode);

#[derive(Debug, Clone)]
enum StateMode {
    Stream(Vec<StreamState>),
    Tensors(Option<Vec<LayerState>>),
}

impl LanguageModelStream<'_> {
    /// A copy of the state after the tokens processed so far.
    pub fn state(&self) -> TextState {
        TextState(match &self.mode {
            ReaderMode::Stream { stack, .. } => StateMode::Stream(stack.states()),
            ReaderMode::Tensors(states) => StateMode::Tensors(states.clone()),
        })
    }

    /// Continues from a state of a stream of the same model.
    ///
    /// # Panics
    /// If the state is one of another model.
    pub fn set_state(&mut self, state: &TextState) {
        match (&mut self.mode, &state.0) {
            (ReaderMode::Stream { stack, .. }, StateMode::Stream(states)) => stack.set_states(states),
            (ReaderMode::Tensors(own), StateMode::Tensors(states)) => own.clone_from(states),
            _ => panic!("the state is one of another model"),
        }
    }

    /// Processes one token; `scores` is set to the scores of the next token, `[vocabulary]`.
    ///
    /// # Panics
    /// If the token is not in the vocabulary.
    pub fn step(&mut self, token: u32, scores: &mut Vec<f32>) {
        match &mut self.mode {
            ReaderMode::Stream { table, stack, output } => {
                let size = self.model.stack.shape().input_size;
                let features = stack.step(&table[token as usize * size..][..size]);
                scores.clear();
                scores.extend_from_slice(output.scores(features));
            }
            ReaderMode::Tensors(states) => {
                let tokens = Tensor::<2, Int>::from_data([[token as i32]], &self.device);
                let result = self.model.forward(tokens, &[1], states.take(), None);
                *states = Some(result.states);
                let all = self.model.scores(result.features).into_data();
                *scores = all.try_into_vec().expect("scores are f32");
            }
        }
    }
}

impl Network for LanguageModel {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        if let Some(output) = &mut self.output {
            output.set_execution(execution);
        }
    }
}
