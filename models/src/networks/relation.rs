//! Relation classification between two marked spans of a text.

use std::ops::Range;

use burn::module::Module;
use burn::nn::Embedding;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::{Network, embed, table};
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{Linear, Pooling, SequencePooling, Stack, StackShape};
use crate::names::{FieldNames, names};

/// Relation classifier: embedding, recurrent stack, mean pooling over both marked spans, max pooling over the whole
/// sequence, linear layer.
///
/// ```text
/// h = stack(dropout(E[token_1] … E[token_length]))
/// logits = dropout([mean_{t ∈ first} h_t ; mean_{t ∈ second} h_t ; max_t h_t]) W + b
/// ```
///
/// Tokens are `[batch, time]`, `h` is `[batch, time, output_size]`, `W` is `[3 · output_size, labels]`, logits are
/// `[batch, labels]`.
///
/// After Zhang and Wang, "Relation classification via recurrent neural network", 2015.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{RelationClassifier, RelationShape};
///
/// let stack = StackShape::plain(Architecture::BiRnn, 8, vec![16]);
/// let shape = RelationShape { vocabulary: 100, stack, labels: 4, dropout: 0.5, embedding_dropout: 0.0 };
/// let classifier = RelationClassifier::new(shape, 1, &Device::flex());
/// let tokens = Tensor::<2, Int>::from_data([[5, 9, 2, 7, 4]], &Device::flex());
/// assert_eq!(classifier.forward(tokens, &[5], &[[0..2, 4..5]], None).dims(), [1, 4]);
/// ```
#[derive(Module, Debug)]
pub struct RelationClassifier {
    embedding: Embedding,
    stack: Stack,
    pooling: SequencePooling,
    output: Linear,
    dropout: f64,
    embedding_dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] =
    &[names!(RelationClassifier { embedding: "embedding", stack: "stack", pooling: "whole", output: "output" })];

/// The sizes of a [`RelationClassifier`].
#[derive(Debug, Clone, PartialEq)]
pub struct RelationShape {
    /// Number of distinct tokens.
    pub vocabulary: usize,
    /// The recurrent layers; their input is the embedding.
    pub stack: StackShape,
    /// Number of relations.
    pub labels: usize,
    /// Dropout rate of the embeddings and of the input of the output layer.
    pub dropout: f64,
    /// Embedding dropout rate: share of the vocabulary dropped in training.
    pub embedding_dropout: f64,
}

impl RelationShape {
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

impl RelationClassifier {
    /// A relation classifier with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`RelationShape::check`] fails.
    pub fn new(shape: RelationShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let RelationShape { vocabulary, stack, labels, dropout, embedding_dropout } = shape;
        let key = Key::new(seed, Purpose::Weights);
        let features = stack.output_size();
        Self {
            embedding: table(vocabulary, stack.input_size, key.with_first(0), device),
            stack: Stack::new(stack, key.with_first(1), device),
            pooling: SequencePooling::new(Pooling::Max, features, key.with_first(3), device),
            output: Linear::new(3 * features, labels, 0.0, key.with_first(2), device),
            dropout,
            embedding_dropout,
        }
    }

    /// Logits of the relation between the two `spans` of each row, `[batch, labels]`.
    ///
    /// `tokens` is `[batch, time]`, with `lengths` valid steps per sequence. `dropout_key` is the key of this step's dropout
    /// masks; `None` at inference.
    ///
    /// # Panics
    /// If there is not one pair of spans per row, or a span is empty or exceeds its row's length.
    pub fn forward(
        &self,
        tokens: Tensor<2, Int>,
        lengths: impl Into<Lengths>,
        spans: &[[Range<usize>; 2]],
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<2> {
        let (lengths, dropout_key) = (lengths.into(), dropout_key.into());
        let directions = self.stack.shape().architecture.directions();
        let input = embed(&self.embedding, tokens, self.embedding_dropout, &dropout_key);
        let input = dropout(input, self.dropout, dropout_key.offset(2));
        let outputs = self.stack.forward(input, &lengths, None, &dropout_key).outputs;
        let [batch, time, features] = outputs.dims();
        let is_valid = |(spans, &length): (&[Range<usize>; 2], &usize)| {
            spans.iter().all(|span| !span.is_empty() && span.end <= length)
        };
        assert!(
            spans.len() == batch && spans.iter().zip(lengths.iter()).all(is_valid),
            "spans {spans:?} must be nonempty and within lengths {lengths:?}"
        );
        let share = |span: &Range<usize>, step: usize| if span.contains(&step) { 1.0 / span.len() as f32 } else { 0.0 };
        let shares =
            spans.iter().flat_map(|spans| spans.iter().flat_map(|span| (0..time).map(|step| share(span, step))));
        let shares = TensorData::new(shares.collect::<Vec<f32>>(), [batch, 2, time]);
        let shares = Tensor::<3>::from_data(shares, (&outputs.device(), outputs.dtype()));
        let means = shares.matmul(outputs.clone()).reshape([batch, 2 * features]);
        let whole = self.pooling.forward(outputs, lengths, directions);
        let features = dropout(Tensor::cat(vec![means, whole], 1), self.dropout, dropout_key.offset(3));
        self.output.forward(features)
    }
}

impl Network for RelationClassifier {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        self.pooling.set_execution(execution);
        self.output.set_execution(execution);
    }
}
