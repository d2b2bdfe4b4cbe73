//! Gated recurrent unit as in the paper: the reset gate acts before the recurrent product.

use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::Extra;
use seqzoo_random::Key;

use crate::cell::{Cell, CellInfo, Weights, split_gates};
use crate::init;
use crate::names::names;
use crate::state::HiddenState;

/// Gated recurrent unit (GRU) with the reset gate applied before the recurrent product.
///
/// ```text
/// r = σ(x W_ir + h W_hr + b_r)      u = σ(x W_iu + h W_hu + b_u)
/// n = tanh(x W_in + (r ⊙ h) W_hn + b_n)
/// h' = (1 − u) ⊙ h + u ⊙ n
/// ```
///
/// `x` is `[batch, input_size]`, `h` is `[batch, hidden_size]`. [`Weights`] holds three gates in the order r, u, n, but
/// recurrent weights for r and u only; `weight_hn` is `[hidden_size, hidden_size]`.
///
/// Differences from PyTorch's `GRU`, which is [`GruResetAfter`](super::GruResetAfter): the reset gate acts *before* the
/// product, u = 1 *replaces* the state (PyTorch's z = 1 keeps it), and the candidate has one bias. The update gate's
/// bias is initialized to −1, so that the unit initially keeps more of its state than it replaces (after Tallec and
/// Ollivier, ICLR 2018).
///
/// Cho et al., "Learning phrase representations using RNN encoder–decoder", EMNLP 2014, with the update gate inverted
/// as in Chung et al., "Empirical evaluation of gated recurrent neural networks on sequence modeling", 2014.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, cell::Cell, cells::Gru, state::HiddenState};
///
/// let device = Device::flex();
/// let cell = Gru::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let state = HiddenState { hidden: Tensor::zeros([2, 4], &device) };
/// let next = cell.step(cell.project(Tensor::ones([2, 3], &device)), state);
/// assert_eq!(next.hidden.dims(), [2, 4]);
/// ```
#[derive(Module, Debug)]
pub struct Gru {
    weights: Weights,
    weight_hn: Param<Tensor<2>>,
}

impl Cell for Gru {
    type State = HiddenState;

    const INFO: CellInfo = CellInfo {
        names: ["gru", "bigru"],
        summary: "reset and update gates, no separate cell state; the reset gate acts before the product",
        equations: "r = σ(x W_ir + h W_hr + b_r)      u = σ(x W_iu + h W_hu + b_u)\n\
                    n = tanh(x W_in + (r ⊙ h) W_hn + b_n)\n\
                    h' = (1 − u) ⊙ h + u ⊙ n",
        paper: "Cho et al., Learning phrase representations using RNN encoder-decoder, EMNLP 2014",
        file: "models/src/cells/gru.rs",
        gates: 3,
        other_parameters: 0,
        parameters: names!(Gru { weights: "weights", weight_hn: "weight_hn" }),
        layer_names: ["Gru", "BiGru"],
    };

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self {
            weights: Weights::new([input_size, hidden_size], 2, [0.0, -1.0, 0.0], key, device),
            weight_hn: init::orthogonal(hidden_size, 1, key.offset(2), device),
        }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn extra(&self) -> Extra {
        Extra::Weights(self.weight_hn.val())
    }

    fn step(&self, projected: Tensor<2>, HiddenState { hidden: h }: HiddenState) -> HiddenState {
        let [r, u, n] = split_gates(projected);
        let [recurrent_r, recurrent_u] = split_gates(self.weights.project_hidden(h.clone()));
        let (r, u) = (sigmoid(r + recurrent_r), sigmoid(u + recurrent_u));
        let n = (n + (r * h.clone()).matmul(self.weight_hn.val())).tanh();
        HiddenState { hidden: h.clone() + u * (n - h) }
    }
}
