//! Classification of series of numbers.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::Network;
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{Linear, Pooling, SequencePooling, Stack, StackShape};
use crate::names::{FieldNames, names};

/// Classifier of series: recurrent stack over the channels, pooling, dropout, linear layer.
///
/// ```text
/// s = pooling(stack(x_1 … x_length))      logits = dropout(s) W + b
/// ```
///
/// The input is `[batch, time, channels]`, `s` is `[batch, output_size]`, `W` is `[output_size, labels]`; logits are
/// `[batch, labels]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::{Pooling, StackShape};
/// use seqzoo_models::networks::{SeriesClassifier, SeriesClassifierShape};
///
/// let stack = StackShape::plain(Architecture::BiGru, 12, vec![16]);
/// let shape = SeriesClassifierShape { stack, pooling: Pooling::Mean, labels: 9, dropout: 0.2 };
/// let classifier = SeriesClassifier::new(shape, 1, &Device::flex());
/// let series = Tensor::ones([2, 20, 12], &Device::flex());
/// assert_eq!(classifier.forward(series, &[20, 7], None).dims(), [2, 9]);
/// ```
#[derive(Module, Debug)]
pub struct SeriesClassifier {
    stack: Stack,
    pooling: SequencePooling,
    output: Linear,
    dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] =
    &[names!(SeriesClassifier { stack: "stack", pooling: "pooling", output: "output" })];

/// The sizes of a [`SeriesClassifier`].
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesClassifierShape {
    /// The recurrent layers; their input are the channels.
    pub stack: StackShape,
    /// Pooling of the outputs into one vector.
    pub pooling: Pooling,
    /// Number of labels.
    pub labels: usize,
    /// Dropout rate of the pooled vector.
    pub dropout: f64,
}

impl SeriesClassifierShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: `labels`, the dropout rate, or a field of the stack.
    pub fn check(&self) -> Result<(), InvalidShape> {
        self.stack.check().map_err(|error| error.within("stack"))?;
        positive("labels", self.labels)?;
        probability("dropout", self.dropout)
    }
}

impl SeriesClassifier {
    /// A classifier with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`SeriesClassifierShape::check`] fails.
    pub fn new(shape: SeriesClassifierShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let features = shape.stack.output_size();
        Self {
            stack: Stack::new(shape.stack, key.with_first(1), device),
            pooling: SequencePooling::new(shape.pooling, features, key.with_first(3), device),
            output: Linear::new(features, shape.labels, 0.0, key.with_first(2), device),
            dropout: shape.dropout,
        }
    }

    /// Logits, `[batch, labels]`.
    ///
    /// `series` is `[batch, time, channels]`, with `lengths` valid steps per row. `dropout_key` is the key of this step's dropout
    /// masks; `None` at inference.
    ///
    /// # Panics
    /// If there is not one length per row, or a length is 0 or exceeds `time`.
    pub fn forward(
        &self,
        series: Tensor<3>,
        lengths: impl Into<Lengths>,
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<2> {
        let (lengths, dropout_key) = (lengths.into(), dropout_key.into());
        let outputs = self.stack.forward(series, &lengths, None, &dropout_key).outputs;
        let pooled = self.pooling.forward(outputs, lengths, self.stack.shape().architecture.directions());
        self.output.forward(dropout(pooled, self.dropout, dropout_key))
    }
}

impl Network for SeriesClassifier {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        self.pooling.set_execution(execution);
        self.output.set_execution(execution);
    }
}
