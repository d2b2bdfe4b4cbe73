//! Gated recurrent unit as in PyTorch and cuDNN: the reset gate acts after the recurrent product.

use burn::module::{Module, Param};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::Extra;
use seqzoo_random::Key;

use crate::cell::{Cell, CellInfo, Weights, split_gates};
use crate::init;
use crate::names::names;
use crate::state::HiddenState;

/// Gated recurrent unit (GRU) with the reset gate applied after the recurrent product: one product per step instead of
/// two.
///
/// ```text
/// r = σ(x W_ir + h W_hr + b_r)      z = σ(x W_iz + h W_hz + b_z)
/// n = tanh(x W_in + b_n + r ⊙ (h W_hn + b_hn))
/// h' = (1 − z) ⊙ n + z ⊙ h
/// ```
///
/// `x` is `[batch, input_size]`, `h` is `[batch, hidden_size]`. [`Weights`] holds three gates in the order r, z, n;
/// `bias_hn` is `[hidden_size]`. z = 1 *keeps* the state.
///
/// Differences from PyTorch's `GRU`: those of [`Weights`], except that the candidate keeps its second bias, which r
/// multiplies; and the bias of z is initialized to 1, so that the unit initially keeps more of its state than it
/// replaces (after Tallec and Ollivier, ICLR 2018).
///
/// After Cho et al., EMNLP 2014, in the form of cuDNN; `reset_after=True` in Keras.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::{Key, Purpose, cell::Cell, cells::GruResetAfter, state::HiddenState};
///
/// let device = Device::flex();
/// let cell = GruResetAfter::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let state = HiddenState { hidden: Tensor::zeros([2, 4], &device) };
/// let next = cell.step(cell.project(Tensor::ones([2, 3], &device)), state);
/// assert_eq!(next.hidden.dims(), [2, 4]);
/// ```
#[derive(Module, Debug)]
pub struct GruResetAfter {
    weights: Weights,
    bias_hn: Param<Tensor<1>>,
}

impl Cell for GruResetAfter {
    type State = HiddenState;

    const INFO: CellInfo = CellInfo {
        names: ["gru-reset-after", "bigru-reset-after"],
        summary: "the GRU of PyTorch and cuDNN: the reset gate acts after the product",
        equations: "r = σ(x W_ir + h W_hr + b_r)      z = σ(x W_iz + h W_hz + b_z)\n\
                    n = tanh(x W_in + b_n + r ⊙ (h W_hn + b_hn))\n\
                    h' = (1 − z) ⊙ n + z ⊙ h",
        paper: "after Cho et al., EMNLP 2014, in the form of cuDNN",
        file: "models/src/cells/gru_reset_after.rs",
        gates: 3,
        other_parameters: 1,
        parameters: names!(GruResetAfter { weights: "weights", bias_hn: "bias_hn" }),
        layer_names: ["GruResetAfter", "BiGruResetAfter"],
    };

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self {
            weights: Weights::new([input_size, hidden_size], 3, [0.0, 1.0, 0.0], key, device),
            bias_hn: init::constant(&vec![0.0; hidden_size], device),
        }
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }

    fn extra(&self) -> Extra {
        Extra::Bias(self.bias_hn.val())
    }

    fn step(&self, projected: Tensor<2>, HiddenState { hidden: h }: HiddenState) -> HiddenState {
        let [r, z, n] = split_gates(projected);
        let [recurrent_r, recurrent_z, recurrent_n] = split_gates(self.weights.project_hidden(h.clone()));
        let (r, z) = (sigmoid(r + recurrent_r), sigmoid(z + recurrent_z));
        let n = (n + r * (recurrent_n + self.bias_hn.val().unsqueeze())).tanh();
        HiddenState { hidden: n.clone() + z * (h - n) }
    }
}
