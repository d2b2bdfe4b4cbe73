//! Weights shared by all cells.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::PackedWeights;
use seqzoo_random::Key;

use crate::init;
use crate::names::{FieldNames, names};

/// Input weights, recurrent weights and bias of all gates, concatenated in the last dimension.
///
/// `weight_ih` is `[input_size, gates · hidden_size]`, `weight_hh` is `[hidden_size, gates · hidden_size]` (fewer
/// columns if a cell stores the recurrent weights of its last gates separately), `bias` is `[gates · hidden_size]`.
///
/// Differences from PyTorch: matrices are stored transposed, there is one bias instead of two, and the initialization
/// is Glorot-uniform (input), orthogonal (recurrent) and constant per gate (bias) instead of uniform in
/// ±1/√hidden_size.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, cell::Weights};
///
/// let weights = Weights::new([3, 4], 2, [0.0, 1.0], Key::new(1, Purpose::Weights), &Device::flex());
/// assert_eq!((weights.weight_ih().dims(), weights.weight_hh().dims()), ([3, 8], [4, 8]));
/// assert_eq!(weights.project_input(Tensor::ones([5, 3], &Device::flex())).dims(), [5, 8]);
/// ```
#[derive(Module, Debug)]
pub struct Weights {
    weight_ih: Param<Tensor<2>>,
    weight_hh: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
    /// Cache of packed weights for kernels. It tracks parameter changes, so clones and updated copies may share it.
    #[module(skip)]
    packed: PackedWeights,
}

impl Weights {
    /// Names of the fields in checkpoints.
    pub(crate) const NAMES: FieldNames =
        names!(Weights { weight_ih: "weight_ih", weight_hh: "weight_hh", bias: "bias" });

    /// Glorot-uniform input weights, `recurrent` orthogonal blocks of recurrent weights, and one constant bias per
    /// gate.
    pub fn new<const GATES: usize>(
        [input_size, hidden_size]: [usize; 2],
        recurrent: usize,
        bias: [f32; GATES],
        key: Key,
        device: &Device,
    ) -> Self {
        Self {
            weight_ih: init::glorot_uniform([input_size, hidden_size], GATES, key.offset(0), device),
            weight_hh: init::orthogonal(hidden_size, recurrent, key.offset(1), device),
            bias: init::constant(&bias.map(|gate| vec![gate; hidden_size]).concat(), device),
            packed: PackedWeights::default(),
        }
    }

    /// Number of input features per time step.
    pub fn input_size(&self) -> usize {
        self.weight_ih.dims()[0]
    }

    /// Number of features of the hidden state.
    pub fn hidden_size(&self) -> usize {
        self.weight_hh.dims()[0]
    }

    /// Input product without bias, x W_ih: `[rows, input_size]` to `[rows, gates · hidden_size]`.
    pub fn project_input(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight_ih.val())
    }

    /// W_ih, `[input_size, gates · hidden_size]`.
    pub fn weight_ih(&self) -> Tensor<2> {
        self.weight_ih.val()
    }

    /// The bias, `[gates · hidden_size]`.
    pub fn bias(&self) -> Tensor<1> {
        self.bias.val()
    }

    /// W_hh, `[hidden_size, gates · hidden_size]`.
    pub fn weight_hh(&self) -> Tensor<2> {
        self.weight_hh.val()
    }

    /// The packed weights of this cell's kernel.
    pub fn packed(&self) -> &PackedWeights {
        &self.packed
    }

    /// Recurrent product, h W_hh: `[batch, hidden_size]` to `[batch, gates · hidden_size]`.
    pub fn project_hidden(&self, h: Tensor<2>) -> Tensor<2> {
        h.matmul(self.weight_hh.val())
    }
}

/// Splits `[batch, N · hidden_size]` into its gates.
pub fn split_gates<const N: usize>(all: Tensor<2>) -> [Tensor<2>; N] {
    let hidden_size = all.dims()[1] / N;
    std::array::from_fn(|gate| all.clone().narrow(1, gate * hidden_size, hidden_size))
}
