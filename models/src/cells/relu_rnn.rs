//! The vanilla RNN with rectified units.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Extra, Recurrence};
use seqzoo_random::Key;

use super::{Card, Weights};
use crate::cell::Cell;
use crate::state::HiddenState;

/// Vanilla recurrent cell with rectified linear units: its state can grow without bound, its gradient need not fade.
///
/// ```text
/// h' = max(0, x W_ih + h W_hh + b)
/// ```
///
/// `x` is `[batch, input_size]`, `h` `[batch, hidden_size]`; one gate in [`Weights`].
///
/// Differs from PyTorch's `RNN(nonlinearity="relu")` as [`Weights`] says, and starts from orthogonal recurrent weights,
/// close in spirit to the identity of the paper.
///
/// Le, Jaitly and Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015.
#[derive(Module, Debug)]
pub struct ReluRnn {
    weights: Weights,
}

impl Cell for ReluRnn {
    type State = HiddenState;

    const CARD: Card = Card {
        summary: "a vanilla RNN of rectified units; its state can grow without bound",
        equations: "h' = max(0, x W_ih + h W_hh + b)",
        paper: "Le, Jaitly and Hinton, A simple way to initialize recurrent networks of rectified linear units, 2015",
        file: "models/src/cells/relu_rnn.rs",
        gates: 1,
        own: 0,
    };

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self { weights: Weights::new([input_size, hidden_size], 1, [0.0], key, device) }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn kernel(&self) -> Option<Recurrence> {
        Some(Recurrence { cell: "relu-rnn", extra: Extra::None })
    }

    fn step(&self, projected: Tensor<2>, HiddenState { hidden: h }: HiddenState) -> HiddenState {
        HiddenState { hidden: relu(projected + self.weights.recur(h)) }
    }
}
