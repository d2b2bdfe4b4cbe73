//! Vanilla RNN with ReLU.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use seqzoo_random::Key;

use crate::cell::{Cell, CellInfo, Weights};
use crate::names::names;
use crate::state::HiddenState;

/// Vanilla recurrent cell with rectified linear units: the state is unbounded, and the gradient need not vanish.
///
/// ```text
/// h' = max(0, x W_ih + h W_hh + b)
/// ```
///
/// `x` is `[batch, input_size]`, `h` is `[batch, hidden_size]`. [`Weights`] holds one gate.
///
/// Differences from PyTorch's `RNN(nonlinearity="relu")`: those of [`Weights`]; the bias is initialized to 0. Recurrent
/// weights are initialized to an orthogonal matrix, where the paper uses the identity.
///
/// Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, cell::Cell, cells::ReluRnn, state::HiddenState};
///
/// let device = Device::flex();
/// let cell = ReluRnn::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let state = HiddenState { hidden: Tensor::zeros([2, 4], &device) };
/// let next = cell.step(cell.project(Tensor::ones([2, 3], &device)), state);
/// assert_eq!(next.hidden.dims(), [2, 4]);
/// ```
#[derive(Module, Debug)]
pub struct ReluRnn {
    weights: Weights,
}

impl Cell for ReluRnn {
    type State = HiddenState;

    const INFO: CellInfo = CellInfo {
        names: ["relu-rnn", "birelu-rnn"],
        summary: "a vanilla RNN with ReLU; its state can grow without bound",
        equations: "h' = max(0, x W_ih + h W_hh + b)",
        paper: "Le, Jaitly and Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015",
        file: "models/src/cells/relu_rnn.rs",
        gates: 1,
        other_parameters: 0,
        parameters: names!(ReluRnn { weights: "weights" }),
        layer_names: ["ReluRnn", "BiReluRnn"],
    };

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self { weights: Weights::new([input_size, hidden_size], 1, [0.0], key, device) }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn step(&self, projected: Tensor<2>, HiddenState { hidden: h }: HiddenState) -> HiddenState {
        HiddenState { hidden: relu(projected + self.weights.project_hidden(h)) }
    }
}
