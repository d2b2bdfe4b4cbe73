//! Predictions at some steps of a sequence.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_kernels::{Execution, Lengths};
use seqzoo_random::{Key, Purpose};

use super::{Network, mean_cross_entropy};
use crate::dropout_key::DropoutKey;
use crate::invalid_shape::{InvalidShape, expect_valid, positive, probability};
use crate::layers::dropout::dropout;
use crate::layers::{Linear, Stack, StackShape};
use crate::names::{FieldNames, names};

/// Classifier, or regressor, of some steps of a sequence: recurrent stack, dropout, and a linear layer at those steps.
///
/// ```text
/// h_t = dropout(stack(x_1 … x_t))
/// classes:  p(class c at step t) = softmax(h_t W + b)_c
/// numbers:  y_t = h_t W + b
/// ```
///
/// The input is `[batch, time, features]`, `W` is `[output_size, outputs]`. A prediction depends on the steps up to its own only.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::Architecture;
/// use seqzoo_models::layers::StackShape;
/// use seqzoo_models::networks::{StepClassifier, StepClassifierShape};
///
/// let stack = StackShape::plain(Architecture::Gru, 3, vec![16]);
/// let classifier = StepClassifier::new(StepClassifierShape { stack, outputs: 2, dropout: 0.0 }, 1, &Device::flex());
/// let inputs = Tensor::ones([2, 5, 3], &Device::flex());
/// // The last two steps of the first sequence, and the last step of the second one.
/// let features = classifier.features(inputs, &[5, 4], &[3, 4, 5 + 3], None);
/// assert_eq!(classifier.outputs(features).dims(), [3, 2]);
/// ```
#[derive(Module, Debug)]
pub struct StepClassifier {
    stack: Stack,
    output: Linear,
    dropout: f64,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(StepClassifier { stack: "stack", output: "output" })];

/// The sizes of a [`StepClassifier`].
#[derive(Debug, Clone, PartialEq)]
pub struct StepClassifierShape {
    /// The recurrent layers; their input are the features of a step.
    pub stack: StackShape,
    /// Number of classes, or 1 for a number.
    pub outputs: usize,
    /// Dropout rate of the stack's outputs.
    pub dropout: f64,
}

impl StepClassifierShape {
    /// Checks the shape.
    ///
    /// # Errors
    /// The first invalid field: `outputs`, the dropout rate, or a field of the stack, whose `architecture` must be unidirectional.
    pub fn check(&self) -> Result<(), InvalidShape> {
        let later = "the steps after the one that is predicted";
        self.stack.check_unidirectional(later).map_err(|error| error.within("stack"))?;
        positive("outputs", self.outputs)?;
        probability("dropout", self.dropout)
    }
}

impl StepClassifier {
    /// A classifier with initial weights drawn from `seed`.
    ///
    /// # Panics
    /// If [`StepClassifierShape::check`] fails.
    pub fn new(shape: StepClassifierShape, seed: u64, device: &Device) -> Self {
        expect_valid(shape.check());
        let key = Key::new(seed, Purpose::Weights);
        let features = shape.stack.output_size();
        Self {
            stack: Stack::new(shape.stack, key.with_first(1), device),
            output: Linear::new(features, shape.outputs, 0.0, key.with_first(2), device),
            dropout: shape.dropout,
        }
    }

    /// Features of the steps to predict, `[steps, output_size]`.
    ///
    /// `inputs` is `[batch, time, features]`, with `lengths` valid steps per row. `steps` has the index `row · time + step` of each step to
    /// predict. `dropout_key` is the key of this step's dropout masks; `None` at inference.
    ///
    /// # Panics
    /// As [`Stack::forward`].
    pub fn features(
        &self,
        inputs: Tensor<3>,
        lengths: impl Into<Lengths>,
        steps: &[usize],
        dropout_key: impl Into<DropoutKey>,
    ) -> Tensor<2> {
        let dropout_key = dropout_key.into();
        let outputs = self.stack.forward(inputs, lengths, None, &dropout_key).outputs;
        let outputs = dropout(outputs, self.dropout, dropout_key);
        let [batch, time, width] = outputs.dims();
        let indices: Vec<i32> = steps.iter().map(|&step| step as i32).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [steps.len()]), &outputs.device());
        outputs.reshape([batch * time, width]).select(0, indices)
    }

    /// Logits of the classes, or numbers, `[steps, outputs]`, from `features`, `[steps, output_size]`.
    pub fn outputs(&self, features: Tensor<2>) -> Tensor<2> {
        self.output.forward(features)
    }

    /// Mean cross-entropy in nats, `[1]`; `targets` has one class per row of `features`, `[steps, output_size]`.
    pub fn cross_entropy(&self, features: Tensor<2>, targets: Vec<u32>) -> Tensor<1> {
        mean_cross_entropy(features, self.output.weight(), self.output.bias(), targets, self.stack.execution())
    }

    /// Mean squared error, `[1]`; `targets` has one number per row of `features`, `[steps, output_size]`.
    ///
    /// # Panics
    /// If there is more than one output, or not one target per row.
    pub fn squared_error(&self, features: Tensor<2>, targets: Vec<f32>) -> Tensor<1> {
        let outputs = self.outputs(features);
        assert_eq!(outputs.dims(), [targets.len(), 1], "one number per target");
        let targets = TensorData::new(targets, outputs.dims());
        let error = outputs.clone() - Tensor::from_data(targets, (&outputs.device(), outputs.dtype()));
        (error.clone() * error).mean()
    }
}

impl Network for StepClassifier {
    fn set_execution(&mut self, execution: Execution) {
        self.stack.set_execution(execution);
        self.output.set_execution(execution);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;
    use seqzoo_kernels::devices;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    fn classifier(outputs: usize, device: &Device) -> StepClassifier {
        let stack = StackShape::plain(Architecture::Lstm, 3, vec![7]);
        StepClassifier::new(StepClassifierShape { stack, outputs, dropout: 0.0 }, 3, device)
    }

    fn inputs(change: f32, device: &Device) -> Tensor<3> {
        let mut values: Vec<f32> = (0..24).map(|index| (index as f32 * 0.7).sin()).collect();
        // The third step of the first sequence.
        values[6] += change;
        Tensor::from_data(TensorData::new(values, [2, 4, 3]), device)
    }

    #[test]
    fn a_step_depends_on_earlier_steps_of_its_sequence_only() {
        for (name, device) in devices() {
            let classifier = classifier(4, &device);
            let of = |change| {
                values(classifier.outputs(classifier.features(inputs(change, &device), &[4, 3], &[1, 2, 6], None)))
            };
            let (found, changed) = (of(0.0), of(1.0));
            assert_eq!(found[..4], changed[..4], "{name:?}: before the change");
            assert_ne!(found[4..8], changed[4..8], "{name:?}: the step of the change");
            assert_eq!(found[8..], changed[8..], "{name:?}: another sequence");
        }
    }

    #[test]
    fn losses_are_means_over_the_steps() {
        for (name, device) in devices() {
            let model = classifier(4, &device);
            let features = || model.features(inputs(0.0, &device), &[4, 4], &[0, 7], None);
            let logits = values(model.outputs(features()));
            let nll = |row: &[f32], target: usize| row.iter().map(|logit| logit.exp()).sum::<f32>().ln() - row[target];
            let expected = (nll(&logits[..4], 2) + nll(&logits[4..], 0)) / 2.0;
            let loss: f32 = model.cross_entropy(features(), vec![2, 0]).into_scalar();
            assert!((loss - expected).abs() < 1e-5, "{name:?}: {loss} is not {expected}");
            let model = classifier(1, &device);
            let features = || model.features(inputs(0.0, &device), &[4, 4], &[0, 7], None);
            let found = values(model.outputs(features()));
            let expected = ((found[0] - 1.5).powi(2) + (found[1] + 0.5).powi(2)) / 2.0;
            let loss: f32 = model.squared_error(features(), vec![1.5, -0.5]).into_scalar();
            assert!((loss - expected).abs() < 1e-5, "{name:?}: {loss} is not {expected}");
        }
    }
}
