//! Long short-term memory.

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use seqzoo_random::Key;

use crate::cell::{Cell, CellInfo, Weights, split_gates};
use crate::names::names;
use crate::state::LstmState;

/// Long short-term memory (LSTM) with a forget gate.
///
/// ```text
/// i = σ(x W_ii + h W_hi + b_i)      f = σ(x W_if + h W_hf + b_f)
/// g = tanh(x W_ig + h W_hg + b_g)   o = σ(x W_io + h W_ho + b_o)
/// c' = f ⊙ c + i ⊙ g
/// h' = o ⊙ tanh(c')
/// ```
///
/// `x` is `[batch, input_size]`, `h` and `c` are `[batch, hidden_size]`. [`Weights`] holds four gates in the order i,
/// f, g, o.
///
/// Differences from PyTorch's `LSTM`: those of [`Weights`]; the forget gate's bias is initialized to 1 (Jozefowicz et
/// al. 2015).
///
/// Hochreiter and Schmidhuber, Neural Computation 9, 1997; forget gate: Gers et al., Neural Computation 12, 2000.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, cell::Cell, cells::Lstm, state::LstmState};
///
/// let device = Device::flex();
/// let cell = Lstm::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let state = LstmState { hidden: Tensor::zeros([2, 4], &device), cell: Tensor::zeros([2, 4], &device) };
/// let next = cell.step(cell.project(Tensor::ones([2, 3], &device)), state);
/// assert_eq!((next.hidden.dims(), next.cell.dims()), ([2, 4], [2, 4]));
/// ```
#[derive(Module, Debug)]
pub struct Lstm {
    weights: Weights,
}

impl Cell for Lstm {
    type State = LstmState;

    const INFO: CellInfo = CellInfo {
        names: ["lstm", "bilstm"],
        summary: "input, forget and output gates control a separate cell state",
        equations: "i = σ(x W_ii + h W_hi + b_i)      f = σ(x W_if + h W_hf + b_f)\n\
                    g = tanh(x W_ig + h W_hg + b_g)   o = σ(x W_io + h W_ho + b_o)\n\
                    c' = f ⊙ c + i ⊙ g\n\
                    h' = o ⊙ tanh(c')",
        paper: "Hochreiter and Schmidhuber, Neural Computation 9, 1997; forget gate: Gers et al. 2000",
        file: "models/src/cells/lstm.rs",
        gates: 4,
        other_parameters: 0,
        parameters: names!(Lstm { weights: "weights" }),
        layer_names: ["Lstm", "BiLstm"],
    };

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self { weights: Weights::new([input_size, hidden_size], 4, [0.0, 1.0, 0.0, 0.0], key, device) }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn step(&self, projected: Tensor<2>, LstmState { hidden: h, cell: c }: LstmState) -> LstmState {
        let [i, f, g, o] = split_gates(projected + self.weights.project_hidden(h));
        let cell = sigmoid(f) * c + sigmoid(i) * g.tanh();
        LstmState { hidden: sigmoid(o) * cell.clone().tanh(), cell }
    }
}
