//! The next token, from all before it.

use burn::module::{Module, Param};
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor};
use seqzoo_kernels::{self as kernels, Execution, Lengths, OutputLayer};
use seqzoo_random::{Key, Purpose};

use super::{Network, cross_entropy, embed, grade, mean_cross_entropy, spread};
use crate::init;
use crate::invalid_shape::{InvalidShape, expect_fit, positive, rate};
use crate::layers::dropout::dropout;
use crate::layers::stack::StackReading;
use crate::layers::{LayerState, Linear, Stack, StackShape, StackStream};

/// Language model: embedding, recurrent stack, and a score for each token of the vocabulary at each step.
///
/// ```text
/// score_t = dropout(stack(E[token_1] … E[token_t])) W + b        tied: W = Eᵀ
/// ```
///
/// Scores are `[batch, time, vocabulary]`. Tied embeddings (Press and Wolf, EACL 2017) save a matrix and need a stack as wide as
/// the embedding.
#[derive(Module, Debug)]
pub struct LanguageModel {
    embedding: Embedding,
    stack: Stack,
    output: Option<Linear>,
    tied_bias: Option<Param<Tensor<1>>>,
    dropout: f64,
    embedding_dropout: f64,
}

/// The sizes of a [`LanguageModel`].
#[derive(Debug, Clone, PartialEq)]
pub struct LanguageModelShape {
    /// Distinct tokens.
    pub vocabulary: usize,
    /// The recurrent layers; their input is the embedding.
    pub stack: StackShape,
    /// Whether the output reads with the embedding's own weights.
    pub tied: bool,
    /// Share of the stack's outputs dropped in training.
    pub dropout: f64,
    /// Share of the tokens that are dropped in training, each wherever it occurs.
    pub embedding_dropout: f64,
}

/// What a stretch of text was read as, and the states after it.
#[derive(Debug, Clone)]
pub struct Continuation {
    /// What the output layer reads at each step, `[batch, time, features]`.
    pub features: Tensor<3>,
    /// Of each layer, to go on from.
    pub states: Vec<LayerState>,
}

impl LanguageModelShape {
    /// Whether a language model of this shape makes sense.
    ///
    /// # Errors
    /// The field that does not: `vocabulary`, a rate, `tied`, or one of the stack's, whose `architecture` must read
    /// forward alone.
    pub fn check(&self) -> Result<(), InvalidShape> {
        let predicted = "the tokens that a language model is to predict";
        self.stack.check_forward(predicted).map_err(|invalid_shape| invalid_shape.within("stack"))?;
        positive("vocabulary", self.vocabulary)?;
        rate("dropout", self.dropout)?;
        rate("embedding_dropout", self.embedding_dropout)?;
        let (below, above) = (self.stack.input_size, self.stack.output_size());
        if self.tied && below != above {
            let reason = format!("tied embeddings need a stack as wide as the embedding: {above} is not {below}");
            return Err(InvalidShape::new("tied", reason));
        }
        Ok(())
    }
}

impl LanguageModel {
    /// A language model with weights drawn from the run's seed.
    ///
    /// # Panics
    /// If [`LanguageModelShape::check`] refuses the shape.
    pub fn new(shape: LanguageModelShape, seed: u64, device: &Device) -> Self {
        expect_fit(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let (vocabulary, features) = (shape.vocabulary, shape.stack.output_size());
        Self {
            embedding: spread(vocabulary, shape.stack.input_size, key.at(0), device),
            stack: Stack::new(shape.stack, key.at(1), device),
            output: (!shape.tied).then(|| Linear::new(features, vocabulary, 0.0, key.at(2), device)),
            tied_bias: shape.tied.then(|| init::constant(&vec![0.0; vocabulary], device)),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// How many recurrent layers it has.
    pub fn depth(&self) -> usize {
        self.stack.shape().hidden_sizes.len()
    }

    /// Reads tokens `[batch, time]`, going on from `states` or from nothing.
    pub fn read(
        &self,
        tokens: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        states: Option<Vec<LayerState>>,
        noise: Option<Key>,
    ) -> Continuation {
        let input = embed(&self.embedding, tokens, self.embedding_dropout, noise);
        let StackReading { outputs, states } = self.stack.read(input, lengths, states, noise);
        Continuation { features: dropout(outputs, self.dropout, noise), states }
    }

    /// Scores of what follows each step, `[batch, time, vocabulary]`, before softmax.
    pub fn scores(&self, features: Tensor<3>) -> Tensor<3> {
        if let Some(output) = &self.output {
            return output.forward(features);
        }
        let [batch, time, width] = features.dims();
        let (weight, bias) = self.output();
        let scores = features.reshape([batch * time, width]).matmul(weight) + bias.unsqueeze();
        let vocabulary = scores.dims()[1];
        scores.reshape([batch, time, vocabulary])
    }

    /// Mean cross-entropy in nats per token, where `next` `[batch · time]` follows each step.
    ///
    /// # Panics
    /// If `next` does not fit the features.
    pub fn mean_loss(&self, features: Tensor<3>, next: Vec<u32>) -> Tensor<1> {
        let [batch, time, width] = features.dims();
        let (weight, bias) = self.output();
        mean_cross_entropy(features.reshape([batch * time, width]), weight, bias, next, self.stack.execution())
    }

    /// Mean cross-entropy in nats per token, and how many tokens had the largest score, nothing to be learned from it.
    ///
    /// # Panics
    /// As [`LanguageModel::mean_loss`].
    pub fn grade(&self, features: Tensor<3>, next: &[u32]) -> (f64, usize) {
        let [batch, time, width] = features.dims();
        let (weight, bias) = self.output();
        grade(features.reshape([batch * time, width]), weight, bias, next, self.stack.execution())
    }

    /// Weights `[features, vocabulary]` and bias of the output layer.
    fn output(&self) -> (Tensor<2>, Tensor<1>) {
        match (&self.output, &self.tied_bias) {
            (Some(output), _) => (output.weight(), output.bias()),
            (None, Some(bias)) => (self.embedding.weight.val().transpose(), bias.val()),
            _ => unreachable!("there is a bias, of the output layer or of the tied one"),
        }
    }

    /// Mean cross-entropy in nats per token of what follows each token; `next` is `[batch][length]`.
    ///
    /// # Panics
    /// If `next` does not fit the tokens.
    pub fn loss(&self, tokens: Tensor<2, Int>, next: &[Vec<usize>], noise: Option<Key>) -> Tensor<1> {
        let lengths: Vec<usize> = next.iter().map(Vec::len).collect();
        let read = self.read(tokens, &lengths, None, noise);
        cross_entropy(self.scores(read.features), next)
    }
}

/// A language model that reads one text token by token, each step as it comes; on a CPU without allocating.
#[derive(Debug)]
pub struct TextReader<'a> {
    model: &'a LanguageModel,
    device: Device,
    way: Way,
}

/// How it reads.
#[derive(Debug)]
enum Way {
    /// By kernels, from numbers that were taken out of the tensors once.
    Stream {
        /// A row for each token.
        table: Vec<f32>,
        stack: StackStream,
        output: OutputLayer,
    },
    /// By tensors, from a state to the next.
    Tensors(Option<Vec<LayerState>>),
}

impl LanguageModel {
    /// Begins to read a text.
    pub fn reader(&self, device: &Device) -> TextReader<'_> {
        let (weight, bias) = self.output();
        let stream = self.stack.stream(None).zip(kernels::output_layer(&weight, &bias, self.stack.execution()));
        let way = match stream {
            Some((stack, output)) => {
                let table = self.embedding.weight.val().into_data();
                Way::Stream { table: table.try_into_vec().expect("a stack that streams is of f32"), stack, output }
            }
            None => Way::Tensors(None),
        };
        TextReader { model: self, device: device.clone(), way }
    }
}

impl TextReader<'_> {
    /// Reads a token; `scores` become those of what follows it, `[vocabulary]`.
    ///
    /// # Panics
    /// If the token is none of the vocabulary's.
    pub fn read(&mut self, token: u32, scores: &mut Vec<f32>) {
        match &mut self.way {
            Way::Stream { table, stack, output } => {
                let size = self.model.stack.shape().input_size;
                let features = stack.step(&table[token as usize * size..][..size]);
                scores.clear();
                scores.extend_from_slice(output.scores(features));
            }
            Way::Tensors(states) => {
                let tokens = Tensor::<2, Int>::from_data([[token as i32]], &self.device);
                let read = self.model.read(tokens, &[1], states.take(), None);
                *states = Some(read.states);
                let all = self.model.scores(read.features).into_data();
                *scores = all.try_into_vec().expect("scores are of f32");
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
