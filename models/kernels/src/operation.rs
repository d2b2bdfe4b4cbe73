//! Whole sequences as differentiable operations on Burn's CPU backends.

#![cfg_attr(not(any(feature = "flex", feature = "ndarray")), allow(unused))] // there is no one to compute for
#![allow(deprecated)] // Burn deprecates its ndarray backend, still asked for as a second CPU opinion

#[cfg(feature = "flex")]
use burn::backend::Flex;
#[cfg(feature = "ndarray")]
use burn::backend::NdArray;
use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as Tape;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
#[cfg(feature = "flex")]
use burn::backend::flex::FlexTensor;
#[cfg(feature = "ndarray")]
use burn::backend::ndarray::{NdArrayTensor, SharedArray};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::{DType, Device, Tensor};

use crate::backend::is_cpu;
use crate::gru_reset_after::GruResetAfter;
use crate::lstm::Lstm;
use crate::rnn::{ReluRnn, Rnn};
use crate::sequence::{self, Gradients, Inputs, Made, Outputs, Pointwise, Shape};

/// The cells that have a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// Vanilla RNN.
    Rnn,
    /// Vanilla RNN of rectified units.
    ReluRnn,
    /// LSTM.
    Lstm,
    /// GRU, reset after the product.
    GruResetAfter,
}

impl Kernel {
    fn splits(self) -> bool {
        self == Kernel::GruResetAfter
    }

    fn carries(self) -> bool {
        self == Kernel::Lstm
    }

    fn gates(self) -> usize {
        match self {
            Kernel::Rnn | Kernel::ReluRnn => 1,
            Kernel::Lstm => Lstm::GATES,
            Kernel::GruResetAfter => GruResetAfter::GATES,
        }
    }

    fn forward(self, shape: &Shape, inputs: &Inputs, keep: bool) -> Outputs {
        match self {
            Kernel::Rnn => sequence::forward::<Rnn>(shape, inputs, keep),
            Kernel::ReluRnn => sequence::forward::<ReluRnn>(shape, inputs, keep),
            Kernel::Lstm => sequence::forward::<Lstm>(shape, inputs, keep),
            Kernel::GruResetAfter => sequence::forward::<GruResetAfter>(shape, inputs, keep),
        }
    }

    fn backward(self, shape: &Shape, inputs: &Inputs, made: &Made, slopes: &[f32]) -> Gradients {
        match self {
            Kernel::Rnn => sequence::backward::<Rnn>(shape, inputs, made, slopes),
            Kernel::ReluRnn => sequence::backward::<ReluRnn>(shape, inputs, made, slopes),
            Kernel::Lstm => sequence::backward::<Lstm>(shape, inputs, made, slopes),
            Kernel::GruResetAfter => sequence::backward::<GruResetAfter>(shape, inputs, made, slopes),
        }
    }
}

/// Whole sequences on a backend; [`run`] is what layers call.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait SequenceOps: Backend {
    /// Outputs and last states, packed into one tensor, which is what can be differentiated.
    fn sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kernel: Kernel,
        shape: Shape,
    ) -> FloatTensor<Self>;

    /// As [`sequence`](SequenceOps::sequence), with the gates and what else the backward pass needs.
    fn sequence_forward(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kernel: Kernel,
        shape: Shape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of the projected input and of the recurrent product, the left factor of the weights' gradient, and the
    /// gradients of hidden state and cell before the first step.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn sequence_backward(
        slopes: FloatTensor<Self>,
        packed: FloatTensor<Self>,
        gates: FloatTensor<Self>,
        kept: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kernel: Kernel,
        shape: Shape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// An empty buffer where a kernel has none, else all of it.
fn if_any(has: bool, buffer: &[f32]) -> &[f32] {
    if has { buffer } else { &[] }
}

/// Implements the operations for a CPU backend, given how its tensors become slices and back.
macro_rules! on_slices {
    ($backend:ty, $tensor:ty, $slice:ident, $tensor_of:ident) => {
        impl SequenceOps for $backend {
            fn sequence(
                projected: $tensor,
                weight: $tensor,
                extra: $tensor,
                hidden: $tensor,
                cell: $tensor,
                kernel: Kernel,
                shape: Shape,
            ) -> $tensor {
                $slice!(projected, weight, extra, hidden, cell);
                let (extra, cell) = (if_any(kernel.splits(), extra), if_any(kernel.carries(), cell));
                $tensor_of(kernel.forward(&shape, &Inputs { projected, weight, extra, hidden, cell }, false).packed)
            }

            fn sequence_forward(
                projected: $tensor,
                weight: $tensor,
                extra: $tensor,
                hidden: $tensor,
                cell: $tensor,
                kernel: Kernel,
                shape: Shape,
            ) -> ($tensor, $tensor, $tensor) {
                $slice!(projected, weight, extra, hidden, cell);
                let (extra, cell) = (if_any(kernel.splits(), extra), if_any(kernel.carries(), cell));
                let inputs = Inputs { projected, weight, extra, hidden, cell };
                let Outputs { packed, gates, kept } = kernel.forward(&shape, &inputs, true);
                ($tensor_of(packed), $tensor_of(gates), $tensor_of(kept))
            }

            fn sequence_backward(
                slopes: $tensor,
                packed: $tensor,
                gates: $tensor,
                kept: $tensor,
                weight: $tensor,
                hidden: $tensor,
                cell: $tensor,
                kernel: Kernel,
                shape: Shape,
            ) -> ($tensor, $tensor, $tensor, $tensor, $tensor) {
                $slice!(slopes, packed, gates, kept, weight, hidden, cell);
                let inputs =
                    Inputs { projected: &[], weight, extra: &[], hidden, cell: if_any(kernel.carries(), cell) };
                let made = Made { packed, gates, kept };
                let Gradients { projected, recurrent, before, hidden, cell } =
                    kernel.backward(&shape, &inputs, &made, slopes);
                ($tensor_of(projected), $tensor_of(recurrent), $tensor_of(before), $tensor_of(hidden), $tensor_of(cell))
            }
        }
    };
}

/// Contiguous slices of flex tensors, under their own names.
#[cfg(feature = "flex")]
macro_rules! flex_slices {
    ($($name:ident),*) => {
        $(let $name = $name.to_contiguous();)*
        $(let $name = $name.as_slice::<f32>().expect("serves() lets only f32 through");)*
    };
}

#[cfg(feature = "flex")]
fn flex_tensor(values: Vec<f32>) -> FlexTensor {
    let count = values.len();
    FlexTensor::from_data(burn::tensor::TensorData::new(values, [count]))
}

#[cfg(feature = "flex")]
on_slices!(Flex, FlexTensor, flex_slices, flex_tensor);

/// Contiguous slices of ndarray tensors, under their own names.
#[cfg(feature = "ndarray")]
macro_rules! ndarray_slices {
    ($($name:ident),*) => {
        $(let $name = shared($name);)*
        $(let $name = $name.as_slice().expect("made contiguous");)*
    };
}

#[cfg(feature = "ndarray")]
fn shared(tensor: NdArrayTensor) -> SharedArray<f32> {
    match tensor {
        NdArrayTensor::F32(storage) => {
            let array = storage.into_shared();
            if array.is_standard_layout() { array } else { array.as_standard_layout().to_shared() }
        }
        _ => panic!("serves() lets only f32 through"),
    }
}

#[cfg(feature = "ndarray")]
fn ndarray_tensor(values: Vec<f32>) -> NdArrayTensor {
    let count = values.len();
    SharedArray::from_shape_vec(ndarray::IxDyn(&[count]), values).expect("as many as it says").into()
}

#[cfg(feature = "ndarray")]
on_slices!(NdArray, NdArrayTensor, ndarray_slices, ndarray_tensor);

impl<B: SequenceOps, C: CheckpointStrategy> SequenceOps for Autodiff<B, C> {
    fn sequence(
        projected: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kernel: Kernel,
        shape: Shape,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Whole;

        impl<B: SequenceOps> Backward<B, 5> for Whole {
            type State = (Kernel, Shape, [FloatTensor<B>; 6]);

            fn backward(self, ops: Ops<Self::State, 5>, tape: &mut Tape, _: &mut Checkpointer) {
                let [of_projected, of_weight, of_extra, of_hidden, of_cell] = ops.parents;
                let slopes = tape.consume::<B>(&ops.node);
                let (kernel, shape, [packed, gates, kept, weight, hidden, cell]) = ops.state;
                let Shape { batch, time, hidden: h, .. } = shape;
                let (projected, recurrent, before, hidden, cell) =
                    B::sequence_backward(slopes, packed, gates, kept, weight, hidden, cell, kernel, shape);
                let width = kernel.gates() * h;
                let rows = |tensor, width| B::float_reshape(tensor, [batch * time, width].into());
                let product = rows(if kernel.splits() { recurrent } else { projected.clone() }, width);
                if let (Some(node), true) = (of_extra, kernel.splits()) {
                    // The bias of the last gate's recurrent product.
                    let last = B::float_slice(product.clone(), &[(0..batch * time).into(), (width - h..width).into()]);
                    tape.register::<B>(node.id, B::float_reshape(B::float_sum_dim(last, 0), [h].into()));
                }
                if let Some(node) = of_weight {
                    let before = B::float_transpose(rows(before, h));
                    tape.register::<B>(node.id, B::float_matmul(before, product));
                }
                if let Some(node) = of_projected {
                    tape.register::<B>(node.id, B::float_reshape(projected, [batch, time, width].into()));
                }
                if let Some(node) = of_hidden {
                    tape.register::<B>(node.id, B::float_reshape(hidden, [batch, h].into()));
                }
                if let (Some(node), true) = (of_cell, kernel.carries()) {
                    tape.register::<B>(node.id, B::float_reshape(cell, [batch, h].into()));
                }
            }
        }

        let (projected, of_projected) = projected.into_parts();
        let (weight, of_weight) = weight.into_parts();
        let (extra, of_extra) = extra.into_parts();
        let (hidden, of_hidden) = hidden.into_parts();
        let (cell, of_cell) = cell.into_parts();
        match Whole.prepare::<C>([of_projected, of_weight, of_extra, of_hidden, of_cell]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (packed, gates, kept) = B::sequence_forward(
                    projected,
                    weight.clone(),
                    extra,
                    hidden.clone(),
                    cell.clone(),
                    kernel,
                    shape.clone(),
                );
                prepared.finish((kernel, shape, [packed.clone(), gates, kept, weight, hidden, cell]), packed)
            }
            OpsKind::UnTracked(prepared) => {
                prepared.finish(B::sequence(projected, weight, extra, hidden, cell, kernel, shape))
            }
        }
    }

    fn sequence_forward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Kernel,
        _: Shape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("called on inner backends alone")
    }

    fn sequence_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Kernel,
        _: Shape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients are of the first order")
    }
}

/// Whether kernels serve tensors of this type on this device.
pub fn serves(device: &Device, dtype: DType) -> bool {
    dtype == DType::F32 && is_cpu(device)
}

/// What a cell has read.
#[derive(Debug, Clone)]
pub struct Read {
    /// Hidden states after each step, `[batch, time, hidden_size]`; zero at padding.
    pub outputs: Tensor<3>,
    /// After each row's last step that was read, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// The same of the cell, if it has one.
    pub cell: Option<Tensor<2>>,
}

/// What a kernel reads.
#[derive(Debug)]
pub struct Given {
    /// Input product and bias, `[batch, time, gates · hidden_size]`.
    pub projected: Tensor<3>,
    /// `[hidden_size, gates · hidden_size]`.
    pub weight: Tensor<2>,
    /// The bias of a GRU's recurrent candidate, `[hidden_size]`.
    pub extra: Option<Tensor<1>>,
    /// The hidden state before the first step, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// The cell before it, if there is one.
    pub cell: Option<Tensor<2>>,
}

/// Reads whole sequences, whose rows have `lengths` true steps, differentiably; `backward` from the last of them to the first.
///
/// # Panics
/// If [`serves`] does not hold, or a tensor that the kernel needs is not there.
pub fn run(kernel: Kernel, given: Given, lengths: &[usize], backward: bool) -> Read {
    let Given { projected, weight, extra, hidden, cell } = given;
    let ([batch, time, _], [_, h]) = (projected.dims(), hidden.dims());
    let shape = Shape { batch, time, hidden: h, lengths: lengths.to_vec(), backward };
    assert!(extra.is_some() == kernel.splits() && cell.is_some() == kernel.carries(), "{kernel:?} has its own tensors");
    let none = Tensor::<1>::zeros([1], &projected.device());
    let packed: Tensor<1> = Tensor::from_dispatch(Dispatch::sequence(
        projected.into_dispatch(),
        weight.into_dispatch(),
        extra.unwrap_or_else(|| none.clone()).into_dispatch(),
        hidden.into_dispatch(),
        cell.map_or_else(|| none.into_dispatch(), Tensor::into_dispatch),
        kernel,
        shape,
    ));
    let state = |place: usize| packed.clone().narrow(0, batch * h * (time + place), batch * h).reshape([batch, h]);
    Read {
        outputs: packed.clone().narrow(0, 0, batch * time * h).reshape([batch, time, h]),
        hidden: state(0),
        cell: kernel.carries().then(|| state(1)),
    }
}
