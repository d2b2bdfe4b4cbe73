//! Whole sequences as operations on Burn's CPU backends.

#![allow(deprecated)] // Burn deprecates its ndarray backend, kept as a second CPU backend to compare with

use std::sync::Arc;

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

use super::buffer::Buffer;
use super::cells::SequenceKernel;
use super::deferred::Deferred;
use super::elementwise::SeparateGate;
use super::packed_weights::{PackedRecurrent, WeightSources};
use super::schedule::Shape;
use super::sequence::{InputGradients, Inputs, OutputGradients, Outputs};
use super::slices::cpu_backends::*;
use super::slices::{CpuSlice, for_each_cpu_backend, rows, vector};
use crate::execution::Execution;

/// What a call needs besides tensors.
#[derive(Debug, Clone)]
pub struct Call {
    pub(super) kernel: &'static dyn SequenceKernel,
    pub(super) shape: Shape,
    pub(super) execution: Execution,
    pub(super) packed: Arc<PackedRecurrent>,
}

/// Whole sequences on a backend. Tensors that a cell does not have are passed with one element.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait SequenceOps: Backend {
    /// Outputs, last hidden state and last cell state. If there is a backward pass, what it needs is put into `saved`.
    #[allow(clippy::too_many_arguments)]
    fn sequence(
        input: FloatTensor<Self>,
        weight_ih: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weight_hh: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        call: Call,
        saved: Option<Saved>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of the inputs, in their order, from those of the outputs, the last hidden state and the last cell state. A
    /// gradient of one element stands for none.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn sequence_backward(
        outputs_gradient: FloatTensor<Self>,
        hidden_gradient: FloatTensor<Self>,
        cell_gradient: FloatTensor<Self>,
        outputs: FloatTensor<Self>,
        saved: Saved,
        input: FloatTensor<Self>,
        weight_ih: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        weight_hh: FloatTensor<Self>,
        extra: FloatTensor<Self>,
        hidden: FloatTensor<Self>,
        cell: FloatTensor<Self>,
        call: Call,
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

/// What the forward pass saves for the backward pass, in pooled memory instead of tensors. Released after the backward pass, or
/// with the graph.
#[derive(Debug, Clone, Default)]
pub struct Saved(Deferred<Buffer>);

impl Call {
    pub(super) fn has_extra(&self) -> bool {
        self.kernel.separate_gate() != SeparateGate::None
    }

    pub(super) fn has_cell_state(&self) -> bool {
        self.kernel.has_cell_state()
    }

    /// The inputs, with empty slices for those that the cell does not have.
    fn inputs<'a>(&self, tensors: &'a [CpuSlice; 7]) -> Inputs<'a> {
        let [input, weight_ih, bias, weight_hh, extra, hidden, cell] = tensors.each_ref().map(CpuSlice::slice);
        let (extra, cell) = (if_any(self.has_extra(), extra), if_any(self.has_cell_state(), cell));
        Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell }
    }

    /// The tensors that weights are packed from.
    fn sources<'a>(&'a self, tensors: &'a [CpuSlice; 7]) -> WeightSources<'a> {
        let [_, weight_ih, _, weight_hh, extra, ..] = tensors;
        WeightSources::new(self.kernel.separate_gate(), [weight_ih, weight_hh, extra], &self.packed)
    }

    fn forward(&self, tensors: &[CpuSlice; 7], saved: Option<Saved>) -> Outputs {
        let (inputs, sources) = (self.inputs(tensors), self.sources(tensors));
        let mut outputs = self.kernel.forward(&self.shape, &inputs, sources, self.execution, saved.is_some());
        if let Some(saved) = saved {
            saved.0.put(std::mem::take(&mut outputs.saved));
        }
        outputs
    }

    /// The gradients of the inputs; `results` are those of the outputs, the last hidden state and the last cell state.
    fn backward(
        &self,
        tensors: &[CpuSlice; 7],
        outputs: &CpuSlice,
        saved: &Saved,
        gradients: &[CpuSlice; 3],
        wants_input: bool,
    ) -> InputGradients {
        let [of_outputs, of_hidden, of_cell] = gradients.each_ref().map(CpuSlice::slice);
        let states = self.shape.batch * self.shape.hidden;
        let gradients = OutputGradients {
            outputs: if_any(of_outputs.len() == states * self.shape.time, of_outputs),
            hidden: if_any(of_hidden.len() == states, of_hidden),
            cell: if_any(self.has_cell_state() && of_cell.len() == states, of_cell),
        };
        let saved = saved.0.take().expect("saved by the forward pass, and a graph is differentiated once");
        let (inputs, sources) = (self.inputs(tensors), self.sources(tensors));
        let results = (outputs.slice(), &*saved);
        self.kernel.backward(&self.shape, &inputs, sources, results, gradients, self.execution, wants_input)
    }
}

/// The buffer, or an empty one.
fn if_any(has: bool, buffer: &[f32]) -> &[f32] {
    if has { buffer } else { &[] }
}

/// Implements the operations for a CPU backend, given the conversion to its tensors.
macro_rules! implement_on_slices {
    ($backend:ty, $tensor:ty, $tensor_of:path) => {
        impl SequenceOps for $backend {
            fn sequence(
                input: $tensor,
                weight_ih: $tensor,
                bias: $tensor,
                weight_hh: $tensor,
                extra: $tensor,
                hidden: $tensor,
                cell: $tensor,
                call: Call,
                saved: Option<Saved>,
            ) -> ($tensor, $tensor, $tensor) {
                let inputs = [input, weight_ih, bias, weight_hh, extra, hidden, cell].map(CpuSlice::from);
                let Outputs { outputs, hidden, cell, .. } = call.forward(&inputs, saved);
                let Shape { batch, time, hidden: h, .. } = call.shape;
                (
                    $tensor_of(outputs, vec![batch, time, h]),
                    $tensor_of(hidden, vec![batch, h]),
                    rows(cell, batch, $tensor_of),
                )
            }

            fn sequence_backward(
                outputs_gradient: $tensor,
                hidden_gradient: $tensor,
                cell_gradient: $tensor,
                outputs: $tensor,
                saved: Saved,
                input: $tensor,
                weight_ih: $tensor,
                bias: $tensor,
                weight_hh: $tensor,
                extra: $tensor,
                hidden: $tensor,
                cell: $tensor,
                call: Call,
                wants_input: bool,
            ) -> ($tensor, $tensor, $tensor, $tensor, $tensor, $tensor, $tensor) {
                let inputs = [input, weight_ih, bias, weight_hh, extra, hidden, cell].map(CpuSlice::from);
                let gradients = [outputs_gradient, hidden_gradient, cell_gradient].map(CpuSlice::from);
                let InputGradients { input, weight_ih, bias, weight_hh, extra, hidden, cell } =
                    call.backward(&inputs, &CpuSlice::from(outputs), &saved, &gradients, wants_input);
                let Shape { batch, time, input: input_size, hidden: h, .. } = call.shape;
                let is_matrix = call.kernel.separate_gate() == SeparateGate::Factor;
                (
                    rows(input, batch * time, $tensor_of),
                    rows(weight_ih, input_size, $tensor_of),
                    vector(bias, $tensor_of),
                    rows(weight_hh, h, $tensor_of),
                    if is_matrix { rows(extra, h, $tensor_of) } else { vector(extra, $tensor_of) },
                    rows(hidden, batch, $tensor_of),
                    rows(cell, batch, $tensor_of),
                )
            }
        }
    };
}

for_each_cpu_backend!(implement_on_slices);
