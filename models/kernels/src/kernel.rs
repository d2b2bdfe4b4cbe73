//! The contract of kernels: which cells have one, what it takes and what it returns.

use burn::backend::Dispatch;
use burn::tensor::{DType, Device, Tensor};

use crate::backend::is_cpu;
use crate::cpu::{SequenceOps, Shape};

/// The cells that have a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Vanilla RNN.
    Rnn,
    /// Vanilla RNN of rectified units.
    ReluRnn,
    /// LSTM.
    Lstm,
    /// GRU, reset before the product.
    Gru,
    /// GRU, reset after the product.
    GruResetAfter,
}

/// Evaluates an expression in which a name stands for the kernel's [`Elementwise`](crate::cpu::elementwise::Elementwise) type.
macro_rules! for_kernel {
    ($kernel:expr, $cell:ident => $act:expr) => {
        match $kernel {
            $crate::Kernel::Rnn => {
                type $cell = $crate::cpu::cells::rnn::Rnn;
                $act
            }
            $crate::Kernel::ReluRnn => {
                type $cell = $crate::cpu::cells::relu_rnn::ReluRnn;
                $act
            }
            $crate::Kernel::Lstm => {
                type $cell = $crate::cpu::cells::lstm::Lstm;
                $act
            }
            $crate::Kernel::Gru => {
                type $cell = $crate::cpu::cells::gru::Gru;
                $act
            }
            $crate::Kernel::GruResetAfter => {
                type $cell = $crate::cpu::cells::gru_reset_after::GruResetAfter;
                $act
            }
        }
    };
}
pub(crate) use for_kernel;

impl Kernel {
    /// Whether it has an [`Extra`] input.
    pub(crate) fn has_extra(self) -> bool {
        matches!(self, Kernel::Gru | Kernel::GruResetAfter)
    }

    pub(crate) fn has_cell(self) -> bool {
        self == Kernel::Lstm
    }
}

/// Whether there are kernels for tensors of this type on this device.
pub fn supports(device: &Device, dtype: DType) -> bool {
    dtype == DType::F32 && is_cpu(device)
}

/// Outputs of a cell over whole sequences.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Hidden states after each step, `[batch, time, hidden_size]`; zero at padding.
    pub outputs: Tensor<3>,
    /// After each row's last valid step in the direction of processing, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// The same for the cell state, if there is one.
    pub cell: Option<Tensor<2>>,
}

/// Inputs of a cell over whole sequences.
#[derive(Debug)]
pub struct Inputs {
    /// `[batch, time, input_size]`; padding is never read.
    pub input: Tensor<3>,
    /// `[input_size, gates · hidden_size]`.
    pub weight_ih: Tensor<2>,
    /// `[gates · hidden_size]`.
    pub bias: Tensor<1>,
    /// `[hidden_size, gates · hidden_size]`; one gate less if `extra` holds its weights.
    pub weight_hh: Tensor<2>,
    /// Parameters that only some cells have.
    pub extra: Extra,
    /// The hidden state before the first step, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// The cell state before the first step, if there is one.
    pub cell: Option<Tensor<2>>,
}

/// Parameters of the last gate of a GRU.
#[derive(Debug)]
pub enum Extra {
    /// None: all other cells.
    None,
    /// The bias of the recurrent product, inside the reset gate's reach, `[hidden_size]`.
    Bias(Tensor<1>),
    /// Recurrent weights of the candidate, `[hidden_size, hidden_size]`.
    Weights(Tensor<2>),
}

/// Computes a cell over whole sequences with `lengths` valid steps, differentiably; `backward` processes each from its last valid
/// step to its first.
///
/// # Panics
/// If the device and type are not [supported](supports), or a tensor that the cell needs is missing.
pub fn run(kernel: Kernel, inputs: Inputs, lengths: &[usize], backward: bool) -> Outputs {
    let Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell } = inputs;
    let ([batch, time, features], [_, h]) = (input.dims(), hidden.dims());
    let shape = Shape { batch, time, input: features, hidden: h, lengths: lengths.to_vec(), backward };
    let none = Tensor::<1>::zeros([1], &input.device());
    let extra = match (kernel, extra) {
        (Kernel::GruResetAfter, Extra::Bias(bias)) => bias.into_dispatch(),
        (Kernel::Gru, Extra::Weights(weights)) => weights.into_dispatch(),
        (_, Extra::None) if !kernel.has_extra() => none.clone().into_dispatch(),
        (_, extra) => panic!("{kernel:?} does not take {extra:?}"),
    };
    assert!(cell.is_some() == kernel.has_cell(), "{kernel:?} needs a cell state if and only if it has one");
    let (outputs, hidden, cell) = Dispatch::sequence(
        input.into_dispatch(),
        weight_ih.into_dispatch(),
        bias.into_dispatch(),
        weight_hh.into_dispatch(),
        extra,
        hidden.into_dispatch(),
        cell.map_or_else(|| none.into_dispatch(), Tensor::into_dispatch),
        kernel,
        shape,
    );
    Outputs {
        outputs: Tensor::from_dispatch(outputs),
        hidden: Tensor::from_dispatch(hidden),
        cell: kernel.has_cell().then(|| Tensor::from_dispatch(cell)),
    }
}
