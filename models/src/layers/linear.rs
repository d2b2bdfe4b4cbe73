//! Linear layers.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, module};
use seqzoo_kernels::{self as kernels, Execution, LinearInputs, PackedWeights};
use seqzoo_random::Key;

use crate::init;
use crate::names::{FieldNames, names};

/// Linear layer.
///
/// ```text
/// y = x W + b
/// ```
///
/// `W` is `[input_size, output_size]`, `b` is `[output_size]`.
///
/// Differences from PyTorch's `Linear`: the matrix is stored transposed, weights are initialized Glorot-uniform and
/// biases to a constant.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, layers::Linear};
///
/// let device = Device::flex();
/// let linear = Linear::new(3, 4, 0.0, Key::new(1, Purpose::Weights), &device);
/// assert_eq!(linear.forward(Tensor::<3>::ones([2, 5, 3], &device)).dims(), [2, 5, 4]);
/// ```
#[derive(Module, Debug)]
pub struct Linear {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    /// Cache of packed weights for kernels. It tracks parameter changes, so clones and updated copies may share it.
    #[module(skip)]
    packed: PackedWeights,
    #[module(skip)]
    execution: Execution,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[names!(Linear { weight: "weight", bias: "bias" })];

/// Burn's linear layer with Glorot-uniform weights and a constant bias.
pub fn linear(input_size: usize, output_size: usize, bias: f32, key: Key, device: &Device) -> burn::nn::Linear {
    burn::nn::Linear {
        weight: init::glorot_uniform([input_size, output_size], 1, key, device),
        bias: Some(init::constant(&vec![bias; output_size], device)),
    }
}

impl Linear {
    /// A layer with Glorot-uniform weights and a constant bias.
    pub fn new(input_size: usize, output_size: usize, bias: f32, key: Key, device: &Device) -> Self {
        Self {
            weight: init::glorot_uniform([input_size, output_size], 1, key, device),
            bias: init::constant(&vec![bias; output_size], device),
            packed: PackedWeights::default(),
            execution: Execution::default(),
        }
    }

    /// Applies the layer to the last dimension: `[…, input_size]` to `[…, output_size]`.
    pub fn forward<const D: usize>(&self, input: Tensor<D>) -> Tensor<D> {
        product(input, self.weight.val(), Some(self.bias.val()), &self.packed, self.execution)
    }

    /// W, `[input_size, output_size]`.
    pub fn weight(&self) -> Tensor<2> {
        self.weight.val()
    }

    /// b, `[output_size]`.
    pub fn bias(&self) -> Tensor<1> {
        self.bias.val()
    }

    /// Sets how the layer is computed.
    pub fn set_execution(&mut self, execution: Execution) {
        self.execution = execution;
    }
}

/// x W + b over the last dimension: `[…, input_size]` to `[…, output_size]`. Uses the kernel of linear layers if
/// available, so a row has the same bits alone and in a batch.
pub(crate) fn product<const D: usize>(
    input: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    packed: &PackedWeights,
    execution: Execution,
) -> Tensor<D> {
    let [features, columns] = weight.dims();
    let mut shape = input.dims();
    let rows = shape[..D - 1].iter().product();
    let input = input.reshape([rows, features]);
    let zeros = || Tensor::zeros([columns], (&input.device(), input.dtype()));
    let kernel_bias = bias.clone().unwrap_or_else(zeros);
    let inputs = LinearInputs { input: &input, weight: &weight, bias: &kernel_bias };
    let output = kernels::linear(inputs, packed, execution).unwrap_or_else(|| module::linear(input, weight, bias));
    shape[D - 1] = columns;
    output.reshape(shape)
}
