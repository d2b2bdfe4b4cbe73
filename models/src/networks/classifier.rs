//! Sequence classification.

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::{Network, embed, table};
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{Linear, Pooling, SequencePooling, Stack, StackShape};
use crate::names::{FieldNames, names};
use crate::probe::gradient_norms;

/// Sequence classifier: embedding, recurrent stack, pooling, dropout, linear layer.
///
/// ```text
/// x_t = E[token_t]      s = pooling(stack(x_1 … x_length))      logits = dropout(s) W + b
/// ```
///
/// `E` is `[vocabulary, embedding_size]`, `s` is `[batch, output_size]`, `W` is `[output_size, labels]`; logits are
/// `[batch, labels]`.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::{Pooling, StackShape};
/// use seqzoo_models::networks::{Classifier, ClassifierShape};
///
/// let stack = StackShape::plain(Architecture::BiLstm, 8, vec![16]);
/// let (pooling, dropout, embedding_dropout) = (Pooling::Max, 0.5, 0.1);
/// let shape = ClassifierShape { vocabulary: 100, stack, pooling, labels: 3, dropout, embedding_dropout };
/// let classifier = Classifier::new(shape, 1, &Device::flex());
/// let tokens = Tensor::<2, Int>::from_data([[5, 9, 2], [7, 1, 0]], &Device::flex());
/// assert_eq!(classifier.forward(tokens, &[3, 2], None).dims(), [2, 3]);
/// ```
#[derive(Module, Debug)]
pub struct Classifier {
    embedding: Embedding,
    stack: Stack,
    pooling: SequencePooling,
    output: Linear,
    dropout: f64,
    embedding_dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] =
    &[names!(Classifier { embedding: "embedding", stack: "stack", pooling: "summary", output: "output" })];

/// The sizes of a [`Classifier`].
#[derive(Debug, Clone, PartialEq)]
pub struct ClassifierShape {
    /// Number of distinct tokens, padding and unknown included.
    pub vocabulary: usize,
    /// The recurrent layers; their input is the embedding.
    pub stack: StackShape,
    /// Pooling of the outputs into one vector.
    pub pooling: Pooling,
    /// Number of labels.
    pub labels: usize,
    /// Dropout rate of the pooled vector.
    pub dropout: f64,
    /// Embedding dropout rate: share of the vocabulary dropped in training.
    pub embedding_dropout: f64,
}

impl ClassifierShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: `vocabulary`, `labels`, a dropout rate, or a field of the stack.
    pub fn check(&self) -> Result<(), InvalidShape> {
        self.stack.check().map_err(|error| error.within("stack"))?;
        positive("vocabulary", self.vocabulary)?;
        positive("labels", self.labels)?;
        probability("dropout", self.dropout)?;
        probability("embedding_dropout", self.embedding_dropout)
    }
}

impl Classifier {
    /// A classifier with initial weights drawn from `seed`: embeddings uniform in ±0.05, as in Keras; the output layer
    /// Glorot-uniform with zero bias.
    ///
    /// # Panics
    /// If [`ClassifierShape::check`] fails.
    pub fn new(shape: ClassifierShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let features = shape.stack.output_size();
        Self {
            embedding: table(shape.vocabulary, shape.stack.input_size, key.with_first(0), device),
            stack: Stack::new(shape.stack, key.with_first(1), device),
            pooling: SequencePooling::new(shape.pooling, features, key.with_first(3), device),
            output: Linear::new(features, shape.labels, 0.0, key.with_first(2), device),
            dropout: shape.dropout,
            embedding_dropout: shape.embedding_dropout,
        }
    }

    /// Gradient norms of the loss by distance from the end, see [`gradient_norms`]; the classifier must be on an
    /// autodiff device.
    ///
    /// # Panics
    /// If the labels do not match the tokens.
    pub fn gradient_norms(&self, tokens: Tensor<2, Int>, lengths: impl Into<Lengths>, labels: &[usize]) -> Vec<f64> {
        let lengths = lengths.into();
        let input = embed(&self.embedding, tokens, 0.0, &DropoutKey::NONE);
        let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let labels = Tensor::<2, Int>::from_data(TensorData::new(labels, [lengths.len(), 1]), &input.device());
        gradient_norms(&self.stack, input, &lengths, |outputs| {
            let directions = self.stack.shape().architecture.directions();
            let scores = self.output.forward(self.pooling.forward(outputs, &lengths, directions));
            log_softmax(scores, 1).gather(1, labels).sum().neg()
        })
    }

    /// Logits, `[batch, labels]`.
    ///
    /// `tokens` is `[batch, time]`, with `lengths` valid steps per sequence. `dropout_key` is the key of this step's dropout
    /// masks; `None` at inference.
    ///
    /// # Panics
    /// If there is not one length per row, or a length is 0 or exceeds `time`.
    pub fn forward(
        &self,
        tokens: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<2> {
        let (lengths, dropout_key) = (lengths.into(), dropout_key.into());
        let input = embed(&self.embedding, tokens, self.embedding_dropout, &dropout_key);
        let outputs = self.stack.forward(input, &lengths, None, &dropout_key).outputs;
        let pooled = self.pooling.forward(outputs, lengths, self.stack.shape().architecture.directions());
        self.output.forward(dropout(pooled, self.dropout, dropout_key))
    }
}

impl Network for Classifier {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        self.pooling.set_execution(execution);
        self.output.set_execution(execution);
    }
}
