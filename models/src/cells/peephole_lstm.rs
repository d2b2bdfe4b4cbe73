//! LSTM with peephole connections.

use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use seqzoo_random::Key;

use crate::cell::{Cell, CellInfo, Weights, split_gates};
use crate::init;
use crate::names::names;
use crate::state::LstmState;

/// Long short-term memory (LSTM) with peephole connections: the gates also depend on the cell state, the output gate on
/// the *new* one.
///
/// ```text
/// i = σ(x W_ii + h W_hi + p_i ⊙ c + b_i)      f = σ(x W_if + h W_hf + p_f ⊙ c + b_f)
/// g = tanh(x W_ig + h W_hg + b_g)
/// c' = f ⊙ c + i ⊙ g
/// o = σ(x W_io + h W_ho + p_o ⊙ c' + b_o)
/// h' = o ⊙ tanh(c')
/// ```
///
/// `x` is `[batch, input_size]`, `h` and `c` are `[batch, hidden_size]`. [`Weights`] holds four gates in the order i,
/// f, g, o. Each peephole is `[hidden_size]` and initialized to 0, so that the cell initially equals an
/// [`Lstm`](super::Lstm). The forget gate's bias is initialized to 1 (Jozefowicz et al. 2015). PyTorch has no such
/// cell.
///
/// Gers and Schmidhuber, "Recurrent nets that time and count", IJCNN 2000.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, cell::Cell, cells::PeepholeLstm, state::LstmState};
///
/// let device = Device::flex();
/// let cell = PeepholeLstm::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let state = LstmState { hidden: Tensor::zeros([2, 4], &device), cell: Tensor::zeros([2, 4], &device) };
/// let next = cell.step(cell.project(Tensor::ones([2, 3], &device)), state);
/// assert_eq!((next.hidden.dims(), next.cell.dims()), ([2, 4], [2, 4]));
/// ```
#[derive(Module, Debug)]
pub struct PeepholeLstm {
    weights: Weights,
    peephole_i: Param<Tensor<1>>,
    peephole_f: Param<Tensor<1>>,
    peephole_o: Param<Tensor<1>>,
}

impl Cell for PeepholeLstm {
    type State = LstmState;

    const INFO: CellInfo = CellInfo {
        names: ["peephole-lstm", "bipeephole-lstm"],
        summary: "an LSTM whose gates also see the cell state; can learn to time and count",
        equations: "i = σ(x W_ii + h W_hi + p_i ⊙ c + b_i)      f = σ(x W_if + h W_hf + p_f ⊙ c + b_f)\n\
                    g = tanh(x W_ig + h W_hg + b_g)\n\
                    c' = f ⊙ c + i ⊙ g\n\
                    o = σ(x W_io + h W_ho + p_o ⊙ c' + b_o)\n\
                    h' = o ⊙ tanh(c')",
        paper: "Gers and Schmidhuber, Recurrent nets that time and count, IJCNN 2000",
        file: "models/src/cells/peephole_lstm.rs",
        gates: 4,
        other_parameters: 3,
        parameters: names!(PeepholeLstm {
            weights: "weights",
            peephole_i: "peephole_i",
            peephole_f: "peephole_f",
            peephole_o: "peephole_o"
        }),
        layer_names: ["PeepholeLstm", "BiPeepholeLstm"],
    };

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        let zeros = || init::constant(&vec![0.0; hidden_size], device);
        Self {
            weights: Weights::new([input_size, hidden_size], 4, [0.0, 1.0, 0.0, 0.0], key, device),
            peephole_i: zeros(),
            peephole_f: zeros(),
            peephole_o: zeros(),
        }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn step(&self, projected: Tensor<2>, LstmState { hidden: h, cell: c }: LstmState) -> LstmState {
        let [i, f, g, o] = split_gates(projected + self.weights.project_hidden(h));
        let peep = |c: &Tensor<2>, peephole: &Param<Tensor<1>>| c.clone() * peephole.val().unsqueeze();
        let i = sigmoid(i + peep(&c, &self.peephole_i));
        let f = sigmoid(f + peep(&c, &self.peephole_f));
        let cell = f * c + i * g.tanh();
        let o = sigmoid(o + peep(&cell, &self.peephole_o));
        LstmState { hidden: o * cell.clone().tanh(), cell }
    }
}
