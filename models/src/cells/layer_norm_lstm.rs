//! LSTM with layer normalization.

use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use seqzoo_random::Key;

use crate::cell::{Cell, CellInfo, Weights, split_gates};
use crate::init;
use crate::names::names;
use crate::state::LstmState;

/// Added to the variance for numerical stability; the default of PyTorch's `LayerNorm`.
const EPSILON: f64 = 1e-5;

/// Long short-term memory (LSTM) with layer normalization of both products and of the cell state.
///
/// ```text
/// LN(a; γ) = γ ⊙ (a − mean(a)) / √(var(a) + 1e-5)
/// [i f g o] = LN(x W_ih; γ_ih) + LN(h W_hh; γ_hh) + b
/// c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)
/// h' = σ(o) ⊙ tanh(LN(c'; γ_c) + b_c)
/// ```
///
/// `x` is `[batch, input_size]`, `h` and `c` are `[batch, hidden_size]`. [`Weights`] holds four gates in the order i,
/// f, g, o. `γ_ih` and `γ_hh` are `[4 · hidden_size]`, since each product is normalized over all gates together; `γ_c`
/// and `b_c` are `[hidden_size]`. The first two normalizations share the bias `b`. Gains are initialized to 1, `b_c` to
/// 0, and the forget gate's bias to 1 (Jozefowicz et al. 2015). PyTorch has no such cell.
///
/// Ba, Kiros and Hinton, "Layer normalization", 2016, equations 20 to 22.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, cell::Cell, cells::LayerNormLstm, state::LstmState};
///
/// let device = Device::flex();
/// let cell = LayerNormLstm::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let state = LstmState { hidden: Tensor::zeros([2, 4], &device), cell: Tensor::zeros([2, 4], &device) };
/// let next = cell.step(cell.project(Tensor::ones([2, 3], &device)), state);
/// assert_eq!((next.hidden.dims(), next.cell.dims()), ([2, 4], [2, 4]));
/// ```
#[derive(Module, Debug)]
pub struct LayerNormLstm {
    weights: Weights,
    gain_ih: Param<Tensor<1>>,
    gain_hh: Param<Tensor<1>>,
    gain_cell: Param<Tensor<1>>,
    bias_cell: Param<Tensor<1>>,
}

impl Cell for LayerNormLstm {
    type State = LstmState;

    const INFO: CellInfo = CellInfo {
        names: ["layer-norm-lstm", "bilayer-norm-lstm"],
        summary: "an LSTM with layer normalization of its products and its cell state",
        equations: "LN(a; γ) = γ ⊙ (a − mean(a)) / √(var(a) + 1e-5)\n\
                    [i f g o] = LN(x W_ih; γ_ih) + LN(h W_hh; γ_hh) + b\n\
                    c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)\n\
                    h' = σ(o) ⊙ tanh(LN(c'; γ_c) + b_c)",
        paper: "Ba, Kiros and Hinton, Layer normalization, 2016",
        file: "models/src/cells/layer_norm_lstm.rs",
        gates: 4,
        other_parameters: 10,
        parameters: names!(LayerNormLstm {
            weights: "weights",
            gain_ih: "gain_ih",
            gain_hh: "gain_hh",
            gain_cell: "gain_cell",
            bias_cell: "bias_cell"
        }),
        layer_names: ["LayerNormLstm", "BiLayerNormLstm"],
    };

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        let constant = |value: f32, count: usize| init::constant(&vec![value; count], device);
        Self {
            weights: Weights::new([input_size, hidden_size], 4, [0.0, 1.0, 0.0, 0.0], key, device),
            gain_ih: constant(1.0, 4 * hidden_size),
            gain_hh: constant(1.0, 4 * hidden_size),
            gain_cell: constant(1.0, hidden_size),
            bias_cell: constant(0.0, hidden_size),
        }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn project(&self, x: Tensor<2>) -> Tensor<2> {
        normalized(self.weights.project_input(x), &self.gain_ih) + self.weights.bias().unsqueeze()
    }

    fn step(&self, projected: Tensor<2>, LstmState { hidden: h, cell: c }: LstmState) -> LstmState {
        let [i, f, g, o] = split_gates(projected + normalized(self.weights.project_hidden(h), &self.gain_hh));
        let cell = sigmoid(f) * c + sigmoid(i) * g.tanh();
        let normalized_cell = normalized(cell.clone(), &self.gain_cell) + self.bias_cell.val().unsqueeze();
        LstmState { hidden: sigmoid(o) * normalized_cell.tanh(), cell }
    }
}

fn normalized(a: Tensor<2>, gain: &Param<Tensor<1>>) -> Tensor<2> {
    let centered = a.clone() - a.mean_dim(1);
    let variance = centered.clone().square().mean_dim(1);
    centered / (variance + EPSILON).sqrt() * gain.val().unsqueeze()
}
