//! The vanilla (Elman) RNN.

use burn::module::{Module, Param};
use burn::tensor::{Bool, Device, Tensor};
use seqzoo_random::Key;

use super::Card;
use crate::cell::{Cell, State};
use crate::init;

/// Vanilla recurrent cell: one hidden state that is memory and output at once.
///
/// ```text
/// h' = tanh(x W_ih + h W_hh + b)
/// ```
///
/// `x` is `[batch, input_size]`, `h` `[batch, hidden_size]`, `W_ih` `[input_size, hidden_size]`, `W_hh`
/// `[hidden_size, hidden_size]`, `b` `[hidden_size]`.
///
/// Differs from PyTorch: weights are stored transposed, and there is one bias instead of two that are added.
///
/// Elman, "Finding structure in time", Cognitive Science 14, 1990.
#[derive(Module, Debug)]
pub struct Rnn {
    weight_ih: Param<Tensor<2>>,
    weight_hh: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// The state of an [`Rnn`].
#[derive(Debug, Clone)]
pub struct RnnState {
    /// `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
}

impl Cell for Rnn {
    type State = RnnState;

    const CARD: Card = Card {
        summary: "one hidden state, memory and output at once; distant information fades",
        equations: "h' = tanh(x W_ih + h W_hh + b)",
        paper: "Elman, Finding structure in time, Cognitive Science 14, 1990",
        file: "models/src/cells/rnn.rs",
        gates: 1,
    };

    /// A cell with Glorot-uniform input weights, orthogonal recurrent weights and zero bias, all drawn from `key`.
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self {
            weight_ih: init::glorot_uniform([input_size, hidden_size], 1, key.place(0), device),
            weight_hh: init::orthogonal(hidden_size, 1, key.place(1), device),
            bias: init::constant(&[0.0].repeat(hidden_size), device),
        }
    }

    fn input_size(&self) -> usize {
        self.weight_ih.dims()[0]
    }

    fn hidden_size(&self) -> usize {
        self.weight_hh.dims()[0]
    }

    fn project(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight_ih.val()) + self.bias.val().unsqueeze()
    }

    fn step(&self, projected: Tensor<2>, RnnState { hidden: h }: RnnState) -> RnnState {
        RnnState { hidden: (projected + h.matmul(self.weight_hh.val())).tanh() }
    }
}

impl State for RnnState {
    fn zeros(batch: usize, hidden_size: usize, device: &Device) -> Self {
        Self { hidden: Tensor::zeros([batch, hidden_size], device) }
    }

    fn hidden(&self) -> Tensor<2> {
        self.hidden.clone()
    }

    fn unless(self, finished: Tensor<2, Bool>, old: Self) -> Self {
        Self { hidden: self.hidden.mask_where(finished, old.hidden) }
    }
}
