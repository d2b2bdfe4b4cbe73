//! Vanilla (Elman) RNN.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_random::Key;

use crate::cell::{Cell, CellInfo, Weights};
use crate::names::names;
use crate::state::HiddenState;

/// Vanilla recurrent cell (Elman RNN) with a tanh nonlinearity: the hidden state is both memory and output.
///
/// ```text
/// h' = tanh(x W_ih + h W_hh + b)
/// ```
///
/// `x` is `[batch, input_size]`, `h` is `[batch, hidden_size]`. [`Weights`] holds one gate.
///
/// Differences from PyTorch's `RNN`: those of [`Weights`]; the bias is initialized to 0.
///
/// Elman, "Finding structure in time", Cognitive Science 14, 1990.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, cell::Cell, cells::Rnn, state::HiddenState};
///
/// let device = Device::flex();
/// let cell = Rnn::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let state = HiddenState { hidden: Tensor::zeros([2, 4], &device) };
/// let next = cell.step(cell.project(Tensor::ones([2, 3], &device)), state);
/// assert_eq!(next.hidden.dims(), [2, 4]);
/// ```
#[derive(Module, Debug)]
pub struct Rnn {
    weights: Weights,
}

impl Cell for Rnn {
    type State = HiddenState;

    const INFO: CellInfo = CellInfo {
        names: ["rnn", "birnn"],
        summary: "a single hidden state is both memory and output; gradients vanish over long distances",
        equations: "h' = tanh(x W_ih + h W_hh + b)",
        paper: "Elman, Finding structure in time, Cognitive Science 14, 1990",
        file: "models/src/cells/rnn.rs",
        gates: 1,
        other_parameters: 0,
        parameters: names!(Rnn { weights: "weights" }),
        layer_names: ["Rnn", "BiRnn"],
    };

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self { weights: Weights::new([input_size, hidden_size], 1, [0.0], key, device) }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn step(&self, projected: Tensor<2>, HiddenState { hidden: h }: HiddenState) -> HiddenState {
        HiddenState { hidden: (projected + self.weights.project_hidden(h)).tanh() }
    }
}
