//! Long short-term memory.

use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Bool, Device, Tensor};
use seqzoo_random::Key;

use super::Card;
use crate::cell::{Cell, State};
use crate::init;

/// Long short-term memory with a forget gate: a cell that a forget gate of 1 and an input gate of 0 preserve for ever.
///
/// ```text
/// i = σ(x W_ii + h W_hi + b_i)      f = σ(x W_if + h W_hf + b_f)
/// g = tanh(x W_ig + h W_hg + b_g)   o = σ(x W_io + h W_ho + b_o)
/// c' = f ⊙ c + i ⊙ g
/// h' = o ⊙ tanh(c')
/// ```
///
/// `x` is `[batch, input_size]`, `h` and `c` `[batch, hidden_size]`. The four gates stand side by side, in the order
/// i, f, g, o: `weight_ih` is `[input_size, 4 · hidden_size]`, `weight_hh` `[hidden_size, 4 · hidden_size]`, `bias`
/// `[4 · hidden_size]`.
///
/// Differs from PyTorch: weights are stored transposed, there is one bias instead of two that are added, and the forget
/// gate's bias starts at 1 (Jozefowicz et al. 2015).
///
/// Hochreiter and Schmidhuber, Neural Computation 9, 1997; forget gate: Gers et al., Neural Computation 12, 2000.
#[derive(Module, Debug)]
pub struct Lstm {
    weight_ih: Param<Tensor<2>>,
    weight_hh: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

/// The state of an [`Lstm`].
#[derive(Debug, Clone)]
pub struct LstmState {
    /// What the cell shows, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// What the cell keeps, `[batch, hidden_size]`.
    pub cell: Tensor<2>,
}

impl Cell for Lstm {
    type State = LstmState;

    const CARD: Card = Card {
        summary: "a cell kept apart from the output, with gates that decide what enters, stays and shows",
        equations: "i = σ(x W_ii + h W_hi + b_i)      f = σ(x W_if + h W_hf + b_f)\n\
                    g = tanh(x W_ig + h W_hg + b_g)   o = σ(x W_io + h W_ho + b_o)\n\
                    c' = f ⊙ c + i ⊙ g\n\
                    h' = o ⊙ tanh(c')",
        paper: "Hochreiter and Schmidhuber, Neural Computation 9, 1997; forget gate: Gers et al. 2000",
        file: "models/src/cells/lstm.rs",
        gates: 4,
    };

    /// A cell with Glorot-uniform input weights, orthogonal recurrent weights (each gate its own) and zero bias except
    /// the forget gate's, which is 1; all drawn from `key`.
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        let bias = [0.0, 1.0, 0.0, 0.0].map(|gate| [gate].repeat(hidden_size)).concat();
        Self {
            weight_ih: init::glorot_uniform([input_size, hidden_size], 4, key.place(0), device),
            weight_hh: init::orthogonal(hidden_size, 4, key.place(1), device),
            bias: init::constant(&bias, device),
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

    fn step(&self, projected: Tensor<2>, LstmState { hidden: h, cell: c }: LstmState) -> LstmState {
        let gates = projected + h.matmul(self.weight_hh.val());
        let [i, f, g, o] = gates.chunk(4, 1).try_into().expect("four gates of hidden_size columns each");
        let cell = sigmoid(f) * c + sigmoid(i) * g.tanh();
        LstmState { hidden: sigmoid(o) * cell.clone().tanh(), cell }
    }
}

impl State for LstmState {
    fn zeros(batch: usize, hidden_size: usize, device: &Device) -> Self {
        let zeros = Tensor::zeros([batch, hidden_size], device);
        Self { hidden: zeros.clone(), cell: zeros }
    }

    fn hidden(&self) -> Tensor<2> {
        self.hidden.clone()
    }

    fn unless(self, finished: Tensor<2, Bool>, old: Self) -> Self {
        Self {
            hidden: self.hidden.mask_where(finished.clone(), old.hidden),
            cell: self.cell.mask_where(finished, old.cell),
        }
    }
}
