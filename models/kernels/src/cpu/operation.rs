//! Whole sequences as differentiable operations on Burn's CPU backends.

#![allow(deprecated)] // Burn deprecates its ndarray backend, kept as a second CPU backend to compare with

#[cfg(feature = "flex")]
use burn::backend::Flex;
#[cfg(feature = "ndarray")]
use burn::backend::NdArray;
#[cfg(feature = "flex")]
use burn::backend::flex::FlexTensor;
#[cfg(feature = "ndarray")]
use burn::backend::ndarray::NdArrayTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

use super::autodiff::Deferred;
use super::backward::backward;
use super::buffer::Buffer;
use super::forward::forward;
use super::schedule::Shape;
use super::sequence::{InputGradients, Inputs, OutputGradients, Outputs};
#[cfg(feature = "flex")]
use super::slices::{flex_slices, flex_tensor};
#[cfg(feature = "ndarray")]
use super::slices::{ndarray_slices, ndarray_tensor};
use super::slices::{rows, vector};
use crate::engine::Activations;
use crate::kernel::{Kernel, for_kernel};

/// Whole sequences on a backend; layers call [`run`](crate::run). Tensors that a cell does not have are passed with one element.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait SequenceOps: Backend {
    /// Outputs, last hidden state and last cell state, computed from [`Inputs`](crate::Inputs).
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

    /// The same, with what the backward pass needs put into `saved`.
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
        saved: Saved,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of the inputs, in their order, from those of the outputs, the last hidden state and the last cell state. A
    /// gradient of one element stands for none.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn sequence_backward(
        of_outputs: FloatTensor<Self>,
        of_hidden: FloatTensor<Self>,
        of_cell: FloatTensor<Self>,
        outputs: FloatTensor<Self>,
        saved: Saved,
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

/// What the forward pass saves for the backward pass, in pooled memory instead of tensors.
#[derive(Debug, Clone, Default)]
pub struct Saved(Deferred<Buffer>);

impl Saved {
    fn put(&self, buffer: Buffer) {
        self.0.put(buffer);
    }

    fn take(&self) -> Buffer {
        self.0.take().expect("saved by the forward pass, and a graph is differentiated once")
    }
}

/// The buffer, or an empty one for an input that the cell does not have.
fn if_any(has: bool, buffer: &[f32]) -> &[f32] {
    if has { buffer } else { &[] }
}

/// Gradients of the results; empty where one element stands for none.
fn output_gradients<'a>(shape: &Shape, kernel: Kernel, [outputs, hidden, cell]: [&'a [f32]; 3]) -> OutputGradients<'a> {
    let states = shape.batch * shape.hidden;
    OutputGradients {
        outputs: if_any(outputs.len() == states * shape.time, outputs),
        hidden: if_any(hidden.len() == states, hidden),
        cell: if_any(kernel.has_cell() && cell.len() == states, cell),
    }
}

/// Implements the operations for a CPU backend, given the conversions between its tensors and slices.
macro_rules! implement_on_slices {
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
                let Outputs { outputs, hidden, cell, .. } = for_kernel!(kernel, Cell => forward::<Cell>(&shape, &inputs, None));
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
                saved: Saved,
            ) -> ($tensor, $tensor, $tensor) {
                $slice!(input, weight_ih, bias, weight_hh, extra, hidden, cell);
                let (extra, cell) = (if_any(kernel.has_extra(), extra), if_any(kernel.has_cell(), cell));
                let inputs = Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell };
                let Outputs { outputs, hidden, cell, saved: buffer } =
                    for_kernel!(kernel, Cell => forward::<Cell>(&shape, &inputs, Some(activations)));
                let Shape { batch, time, hidden: h, .. } = shape;
                let (outputs, hidden) = ($tensor_of(outputs, vec![batch, time, h]), $tensor_of(hidden, vec![batch, h]));
                saved.put(buffer);
                (outputs, hidden, rows(cell, batch, $tensor_of))
            }

            fn sequence_backward(
                of_outputs: $tensor,
                of_hidden: $tensor,
                of_cell: $tensor,
                outputs: $tensor,
                saved: Saved,
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
                let saved = saved.take();
                $slice!(input, weight_ih, bias, weight_hh, extra, hidden, cell);
                let gradients = output_gradients(&shape, kernel, [of_outputs, of_hidden, of_cell]);
                let (extra, cell) = (if_any(kernel.has_extra(), extra), if_any(kernel.has_cell(), cell));
                let inputs = Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell };
                let made = (outputs, &*saved);
                let InputGradients { input, weight_ih, bias, weight_hh, extra, hidden, cell } =
                    for_kernel!(kernel, Cell => backward::<Cell>(&shape, &inputs, made, gradients, activations, wants_input));
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
implement_on_slices!(Flex, FlexTensor, flex_slices, flex_tensor);

#[cfg(feature = "ndarray")]
implement_on_slices!(NdArray, NdArrayTensor, ndarray_slices, ndarray_tensor);
