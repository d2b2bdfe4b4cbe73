//! Whole sequences as differentiable operations on Burn's CPU backends.

#![allow(deprecated)] // Burn deprecates its ndarray backend, still asked for as a second CPU opinion

use std::sync::{Arc, Mutex, PoisonError};

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
use burn::backend::ndarray::NdArrayTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{DType, Device, Tensor};

use crate::backend::is_cpu;
use crate::buffer::Buffer;
use crate::engine::Activations;
use crate::plan::Shape;
use crate::sequence::{self, Gradients, Inputs, Outputs, Slopes};
#[cfg(feature = "flex")]
use crate::slices::{flex_slices, flex_tensor};
#[cfg(feature = "ndarray")]
use crate::slices::{ndarray_slices, ndarray_tensor};
use crate::slices::{rows, vector};

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

/// An expression in which a name stands for the cell of a kernel.
macro_rules! for_kernel {
    ($kernel:expr, $cell:ident => $act:expr) => {
        match $kernel {
            $crate::Kernel::Rnn => {
                type $cell = $crate::rnn::Rnn;
                $act
            }
            $crate::Kernel::ReluRnn => {
                type $cell = $crate::rnn::ReluRnn;
                $act
            }
            $crate::Kernel::Lstm => {
                type $cell = $crate::lstm::Lstm;
                $act
            }
            $crate::Kernel::Gru => {
                type $cell = $crate::gru::Gru;
                $act
            }
            $crate::Kernel::GruResetAfter => {
                type $cell = $crate::gru_reset_after::GruResetAfter;
                $act
            }
        }
    };
}
pub(crate) use for_kernel;

impl Kernel {
    /// Whether it reads a tensor beside [`Given`]'s others.
    fn has_extra(self) -> bool {
        matches!(self, Kernel::Gru | Kernel::GruResetAfter)
    }

    fn has_cell(self) -> bool {
        self == Kernel::Lstm
    }
}

/// Whole sequences on a backend; [`run`] is what layers call. Tensors that a kernel does not have are of one number.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait SequenceOps: Backend {
    /// Outputs, last hidden state and last cell of what [`Given`] lists.
    #[allow(clippy::too_many_arguments)]
    fn sequence(
        input: FloatTensor<Self>,
        weight_ih: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weight_hh: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kernel: Kernel,
        shape: Shape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The same; what the backward pass needs beside them is put into `stored`.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn sequence_forward(
        input: FloatTensor<Self>,
        weight_ih: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weight_hh: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kernel: Kernel,
        shape: Shape,
        activations: Activations,
        stored: Stored,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of all that is read, in that order, from those of outputs, last hidden state and last cell, one number of
    /// which stands for none.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn sequence_backward(
        of_outputs: FloatTensor<Self>,
        of_hidden: FloatTensor<Self>,
        of_cell: FloatTensor<Self>,
        outputs: FloatTensor<Self>,
        stored: Stored,
        input: FloatTensor<Self>,
        weight_ih: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weight_hh: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kernel: Kernel,
        shape: Shape,
        activations: Activations,
        wants_input: bool,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );
}

/// What the forward pass keeps for the backward pass, outside of tensors: its memory goes from step to step.
#[derive(Debug, Clone, Default)]
pub struct Stored(Waiting<Buffer>);

impl Stored {
    fn put(&self, buffer: Buffer) {
        self.0.put(buffer);
    }

    fn take(&self) -> Buffer {
        self.0.take().expect("the forward pass has put it there, and a graph is walked once")
    }
}

/// An empty buffer where a kernel has none, else all of it.
fn if_any(has: bool, buffer: &[f32]) -> &[f32] {
    if has { buffer } else { &[] }
}

/// The gradients of results, of which one number stands for none.
fn slopes<'a>(shape: &Shape, kernel: Kernel, [outputs, hidden, cell]: [&'a [f32]; 3]) -> Slopes<'a> {
    let states = shape.batch * shape.hidden;
    Slopes {
        outputs: if_any(outputs.len() == states * shape.time, outputs),
        hidden: if_any(hidden.len() == states, hidden),
        cell: if_any(kernel.has_cell() && cell.len() == states, cell),
    }
}

/// Implements the operations for a CPU backend, given how its tensors become slices and back.
macro_rules! on_slices {
    ($backend:ty, $tensor:ty, $slice:ident, $tensor_of:ident) => {
        impl SequenceOps for $backend {
            fn sequence(
                input: $tensor,
                weight_ih: $tensor,
                bias: $tensor,
                weight_hh: $tensor,
                extra: $tensor,
                hidden: $tensor,
                cell: $tensor,
                kernel: Kernel,
                shape: Shape,
            ) -> ($tensor, $tensor, $tensor) {
                $slice!(input, weight_ih, bias, weight_hh, extra, hidden, cell);
                let (extra, cell) = (if_any(kernel.has_extra(), extra), if_any(kernel.has_cell(), cell));
                let inputs = Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell };
                let Outputs { outputs, hidden, cell, .. } = for_kernel!(kernel, Cell => sequence::read::<Cell>(&shape, &inputs, None));
                let Shape { batch, time, hidden: h, .. } = shape;
                (
                    $tensor_of(outputs, vec![batch, time, h]),
                    $tensor_of(hidden, vec![batch, h]),
                    rows(cell, batch, $tensor_of),
                )
            }

            fn sequence_forward(
                input: $tensor,
                weight_ih: $tensor,
                bias: $tensor,
                weight_hh: $tensor,
                extra: $tensor,
                hidden: $tensor,
                cell: $tensor,
                kernel: Kernel,
                shape: Shape,
                activations: Activations,
                store: Stored,
            ) -> ($tensor, $tensor, $tensor) {
                $slice!(input, weight_ih, bias, weight_hh, extra, hidden, cell);
                let (extra, cell) = (if_any(kernel.has_extra(), extra), if_any(kernel.has_cell(), cell));
                let inputs = Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell };
                let Outputs { outputs, hidden, cell, stored } =
                    for_kernel!(kernel, Cell => sequence::read::<Cell>(&shape, &inputs, Some(activations)));
                let Shape { batch, time, hidden: h, .. } = shape;
                let (outputs, hidden) = ($tensor_of(outputs, vec![batch, time, h]), $tensor_of(hidden, vec![batch, h]));
                store.put(stored);
                (outputs, hidden, rows(cell, batch, $tensor_of))
            }

            fn sequence_backward(
                of_outputs: $tensor,
                of_hidden: $tensor,
                of_cell: $tensor,
                outputs: $tensor,
                stored: Stored,
                input: $tensor,
                weight_ih: $tensor,
                bias: $tensor,
                weight_hh: $tensor,
                extra: $tensor,
                hidden: $tensor,
                cell: $tensor,
                kernel: Kernel,
                shape: Shape,
                activations: Activations,
                wants_input: bool,
            ) -> ($tensor, $tensor, $tensor, $tensor, $tensor, $tensor, $tensor) {
                $slice!(of_outputs, of_hidden, of_cell, outputs);
                let stored = stored.take();
                $slice!(input, weight_ih, bias, weight_hh, extra, hidden, cell);
                let slopes = slopes(&shape, kernel, [of_outputs, of_hidden, of_cell]);
                let (extra, cell) = (if_any(kernel.has_extra(), extra), if_any(kernel.has_cell(), cell));
                let inputs = Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell };
                let made = (outputs, &*stored);
                let Gradients { input, weight_ih, bias, weight_hh, extra, hidden, cell } =
                    for_kernel!(kernel, Cell => sequence::learn::<Cell>(&shape, &inputs, made, slopes, activations, wants_input));
                let of_input = rows(input, shape.batch * shape.time, $tensor_of);
                let of_extra = if kernel == Kernel::Gru {
                    rows(extra, shape.hidden, $tensor_of)
                } else {
                    vector(extra, $tensor_of)
                };
                (
                    of_input,
                    rows(weight_ih, shape.input, $tensor_of),
                    vector(bias, $tensor_of),
                    rows(weight_hh, shape.hidden, $tensor_of),
                    of_extra,
                    rows(hidden, shape.batch, $tensor_of),
                    rows(cell, shape.batch, $tensor_of),
                )
            }
        }
    };
}

#[cfg(feature = "flex")]
on_slices!(Flex, FlexTensor, flex_slices, flex_tensor);

#[cfg(feature = "ndarray")]
on_slices!(NdArray, NdArrayTensor, ndarray_slices, ndarray_tensor);

/// Where the gradient of a last state waits until the whole sequence's turn comes in the backward pass.
#[derive(Debug)]
struct Waiting<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Waiting<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Waiting<T> {
    fn put(&self, tensor: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tensor);
    }

    fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A single zero: a gradient that adds nothing, whatever it is added to.
fn nothing<B: Backend>(like: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros([1, 1, 1].into(), &like.device(), like.dtype().into())
}

/// The whole sequence, whose node is that of its outputs.
#[derive(Debug)]
struct Whole;

/// What its backward pass reads.
#[derive(Debug, Clone)]
struct Seen<B: Backend> {
    kernel: Kernel,
    shape: Shape,
    activations: Activations,
    outputs: FloatTensor<B>,
    stored: Stored,
    read: [FloatTensor<B>; 7],
    of_hidden: Waiting<FloatTensor<B>>,
    of_cell: Waiting<FloatTensor<B>>,
}

impl<B: SequenceOps> Backward<B, 7> for Whole {
    type State = Seen<B>;

    fn backward(self, ops: Ops<Self::State, 7>, tape: &mut Tape, _: &mut Checkpointer) {
        let of_outputs = tape.consume::<B>(&ops.node);
        let Seen { kernel, shape, activations, outputs, stored, read, of_hidden, of_cell } = ops.state;
        let [input, weight_ih, bias, weight_hh, extra, hidden, cell] = read;
        let of_hidden = of_hidden.take().unwrap_or_else(|| nothing::<B>(&outputs));
        let of_cell = of_cell.take().unwrap_or_else(|| nothing::<B>(&outputs));
        let wants_input = ops.parents[0].is_some();
        let of_input_shape = input.shape();
        let (of_input, of_weight_ih, of_bias, of_weight_hh, of_extra, of_hidden, of_cell) = B::sequence_backward(
            of_outputs,
            of_hidden,
            of_cell,
            outputs,
            stored,
            input,
            weight_ih,
            bias,
            weight_hh,
            extra,
            hidden,
            cell,
            kernel,
            shape,
            activations,
            wants_input,
        );
        let of_extra = kernel.has_extra().then_some(of_extra);
        let of_cell = kernel.has_cell().then_some(of_cell);
        let gradients = [
            wants_input.then(|| B::float_reshape(of_input, of_input_shape)),
            Some(of_weight_ih),
            Some(of_bias),
            Some(of_weight_hh),
            of_extra,
            Some(of_hidden),
            of_cell,
        ];
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                tape.register::<B>(node.id, gradient);
            }
        }
    }
}

/// The last state, hidden or cell: a child of the outputs, to whose gradient it adds nothing but its own.
#[derive(Debug)]
struct Last;

impl<B: SequenceOps> Backward<B, 1> for Last {
    type State = Waiting<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 1>, tape: &mut Tape, _: &mut Checkpointer) {
        let slope = tape.consume::<B>(&ops.node);
        let [outputs] = ops.parents;
        if let Some(outputs) = outputs {
            tape.register::<B>(outputs.id, nothing::<B>(&slope));
            ops.state.put(slope);
        }
    }
}

impl<B: SequenceOps, C: CheckpointStrategy> SequenceOps for Autodiff<B, C> {
    fn sequence(
        input: FloatTensor<Self>,
        weight_ih: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weight_hh: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        kernel: Kernel,
        shape: Shape,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (read, nodes): (Vec<_>, Vec<_>) = [input, weight_ih, bias, weight_hh, extra, hidden, cell]
            .map(|tensor| tensor.into_parts())
            .into_iter()
            .unzip();
        let read: [FloatTensor<B>; 7] = read.try_into().unwrap_or_else(|_| unreachable!("seven of seven"));
        let nodes = nodes.try_into().unwrap_or_else(|_| unreachable!("seven of seven"));
        let [input, weight_ih, bias, weight_hh, extra, hidden, cell] = read.clone();
        match Whole.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let activations = Activations::current();
                let stored = Stored::default();
                let (outputs, last_hidden, last_cell) = B::sequence_forward(
                    input,
                    weight_ih,
                    bias,
                    weight_hh,
                    extra,
                    hidden,
                    cell,
                    kernel,
                    shape.clone(),
                    activations,
                    stored.clone(),
                );
                let (of_hidden, of_cell) = (Waiting::default(), Waiting::default());
                let seen = Seen {
                    kernel,
                    shape,
                    activations,
                    outputs: outputs.clone(),
                    stored,
                    read,
                    of_hidden: of_hidden.clone(),
                    of_cell: of_cell.clone(),
                };
                let outputs = prepared.finish(seen, outputs);
                let last = |state: FloatTensor<B>, waiting| match Last
                    .prepare::<C>([outputs.node()])
                    .compute_bound()
                    .stateful()
                {
                    OpsKind::Tracked(prepared) => prepared.finish(waiting, state),
                    OpsKind::UnTracked(prepared) => prepared.finish(state),
                };
                let (hidden, cell) = (last(last_hidden, of_hidden), last(last_cell, of_cell));
                (outputs, hidden, cell)
            }
            OpsKind::UnTracked(prepared) => {
                let (outputs, hidden, cell) =
                    B::sequence(input, weight_ih, bias, weight_hh, extra, hidden, cell, kernel, shape);
                (prepared.finish(outputs), Self::from_inner(hidden), Self::from_inner(cell))
            }
        }
    }

    fn sequence_forward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Kernel,
        _: Shape,
        _: Activations,
        _: Stored,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("called on inner backends alone")
    }

    fn sequence_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Stored,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Kernel,
        _: Shape,
        _: Activations,
        _: bool,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
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
    /// `[batch, time, input_size]`; what lies beyond a row's length is never looked at.
    pub input: Tensor<3>,
    /// `[input_size, gates · hidden_size]`.
    pub weight_ih: Tensor<2>,
    /// `[gates · hidden_size]`.
    pub bias: Tensor<1>,
    /// `[hidden_size, gates · hidden_size]`, or one gate less if `extra` has its weights.
    pub weight_hh: Tensor<2>,
    /// What the last gate has beside these.
    pub extra: Extra,
    /// The hidden state before the first step, `[batch, hidden_size]`.
    pub hidden: Tensor<2>,
    /// The cell before it, if there is one.
    pub cell: Option<Tensor<2>>,
}

/// What the last gate of a GRU has beside the others.
#[derive(Debug)]
pub enum Extra {
    /// Nothing: all other cells.
    None,
    /// A bias in the product that the reset gate multiplies, `[hidden_size]`.
    Bias(Tensor<1>),
    /// Recurrent weights of its own, `[hidden_size, hidden_size]`.
    Weights(Tensor<2>),
}

/// Reads whole sequences, whose rows have `lengths` true steps, differentiably; `backward` from the last of them to the first.
///
/// # Panics
/// If [`serves`] does not hold, or a tensor that the kernel needs is not there.
pub fn run(kernel: Kernel, given: Given, lengths: &[usize], backward: bool) -> Read {
    let Given { input, weight_ih, bias, weight_hh, extra, hidden, cell } = given;
    let ([batch, time, features], [_, h]) = (input.dims(), hidden.dims());
    let shape = Shape { batch, time, input: features, hidden: h, lengths: lengths.to_vec(), backward };
    let none = Tensor::<1>::zeros([1], &input.device());
    let extra = match (kernel, extra) {
        (Kernel::GruResetAfter, Extra::Bias(bias)) => bias.into_dispatch(),
        (Kernel::Gru, Extra::Weights(weights)) => weights.into_dispatch(),
        (_, Extra::None) if !kernel.has_extra() => none.clone().into_dispatch(),
        (_, extra) => panic!("{kernel:?} has its own tensors, not {extra:?}"),
    };
    assert!(cell.is_some() == kernel.has_cell(), "{kernel:?} has its own tensors");
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
    Read {
        outputs: Tensor::from_dispatch(outputs),
        hidden: Tensor::from_dispatch(hidden),
        cell: kernel.has_cell().then(|| Tensor::from_dispatch(cell)),
    }
}
