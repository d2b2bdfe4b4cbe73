//! Multilayer perceptron over a window of fixed length: a baseline for recurrent networks.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::Execution;
use seqzoo_random::Key;

use super::Linear;
use crate::invalid_shape::{InvalidShape, positive};
use crate::names::{FieldNames, names};

/// Multilayer perceptron with ReLU over all time steps of a window, concatenated.
///
/// ```text
/// h_0 = [x_1 ; … ; x_window]        h_l = max(0, h_{l−1} W_l + b_l)
/// ```
///
/// Input `[batch, window, features]`, output `[batch, last hidden size]`.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::layers::{Perceptron, PerceptronShape};
/// use seqzoo_models::{Key, Purpose};
///
/// let shape = PerceptronShape { window: 5, features: 2, hidden_sizes: vec![8, 4] };
/// let perceptron = Perceptron::new(&shape, Key::new(1, Purpose::Weights), &Device::flex());
/// assert_eq!(perceptron.forward(Tensor::ones([3, 5, 2], &Device::flex())).dims(), [3, 4]);
/// ```
#[derive(Module, Debug)]
pub struct Perceptron {
    layers: Vec<Linear>,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(Perceptron { layers: "layers" })];

/// The sizes of a [`Perceptron`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerceptronShape {
    /// Number of time steps.
    pub window: usize,
    /// Number of features per time step.
    pub features: usize,
    /// Number of units of each layer, first layer first.
    pub hidden_sizes: Vec<usize>,
}

impl PerceptronShape {
    /// Checks the sizes.
    ///
    /// # Errors
    /// The first invalid field: `window`, `features` or `hidden_sizes`.
    pub fn check(&self) -> Result<(), InvalidShape> {
        positive("window", self.window)?;
        positive("features", self.features)?;
        if self.hidden_sizes.is_empty() {
            return Err(InvalidShape::new("hidden_sizes", "a perceptron needs at least one layer"));
        }
        self.hidden_sizes.iter().try_for_each(|&size| positive("hidden_sizes", size))
    }

    /// Number of output features.
    ///
    /// # Panics
    /// If there is no layer.
    pub fn output_size(&self) -> usize {
        *self.hidden_sizes.last().expect("a perceptron has a layer")
    }
}

impl Perceptron {
    /// A perceptron with Glorot-uniform weights drawn from `key` and zero biases.
    pub fn new(shape: &PerceptronShape, key: Key, device: &Device) -> Self {
        let mut below = shape.window * shape.features;
        let layer = |(index, &size): (u64, &usize)| {
            let layer = Linear::new(below, size, 0.0, key.offset(index), device);
            below = size;
            layer
        };
        Self { layers: (0..).zip(&shape.hidden_sizes).map(layer).collect() }
    }

    /// Sets how the layers are computed.
    pub fn set_execution(&mut self, execution: Execution) {
        self.layers.iter_mut().for_each(|layer| layer.set_execution(execution));
    }

    /// Output of the last layer for `[batch, window, features]`: `[batch, last hidden size]`.
    ///
    /// # Panics
    /// If window · features does not match the shape.
    pub fn forward(&self, window: Tensor<3>) -> Tensor<2> {
        let [batch, time, features] = window.dims();
        let flat = window.reshape([batch, time * features]);
        self.layers.iter().fold(flat, |below, layer| relu(layer.forward(below)))
    }
}
