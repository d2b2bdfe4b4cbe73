//! Automatic differentiation of the operations on whole sequences.
//!
//! Burn nodes have one differentiable output each, but a sequence has up to three: its outputs, the last hidden state and the last
//! cell state. The node of the whole sequence is that of the outputs. The last states are children of it, which hand their gradients
//! over through a [`Deferred`] value; the node of the sequence, which is always visited later, consumes them.

use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as Tape;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, TensorMetadata};

use super::operation::{Saved, SequenceOps};
use super::schedule::Shape;
use crate::engine::Activations;
use crate::kernel::Kernel;

/// A value handed over between nodes of a graph: the gradient of a last state, which the node of the whole sequence consumes
/// later, or what the forward pass saves.
#[derive(Debug)]
pub(super) struct Deferred<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Deferred<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Deferred<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Deferred<T> {
    pub(super) fn put(&self, tensor: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(tensor);
    }

    pub(super) fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A gradient of one zero, which adds nothing to whatever it is broadcast to.
fn no_gradient<B: Backend>(like: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros([1, 1, 1].into(), &like.device(), like.dtype().into())
}

/// The backward pass of the whole sequence; its node is that of the outputs.
#[derive(Debug)]
struct SequenceBackward;

/// What it needs from the forward pass.
#[derive(Debug, Clone)]
struct SequenceState<B: Backend> {
    kernel: Kernel,
    shape: Shape,
    activations: Activations,
    outputs: FloatTensor<B>,
    saved: Saved,
    inputs: [FloatTensor<B>; 7],
    of_hidden: Deferred<FloatTensor<B>>,
    of_cell: Deferred<FloatTensor<B>>,
}

impl<B: SequenceOps> Backward<B, 7> for SequenceBackward {
    type State = SequenceState<B>;

    fn backward(self, ops: Ops<Self::State, 7>, tape: &mut Tape, _: &mut Checkpointer) {
        let of_outputs = tape.consume::<B>(&ops.node);
        let SequenceState { kernel, shape, activations, outputs, saved, inputs, of_hidden, of_cell } = ops.state;
        let [input, weight_ih, bias, weight_hh, extra, hidden, cell] = inputs;
        let of_hidden = of_hidden.take().unwrap_or_else(|| no_gradient::<B>(&outputs));
        let of_cell = of_cell.take().unwrap_or_else(|| no_gradient::<B>(&outputs));
        let wants_input = ops.parents[0].is_some();
        let of_input_shape = input.shape();
        let (of_input, of_weight_ih, of_bias, of_weight_hh, of_extra, of_hidden, of_cell) = B::sequence_backward(
            of_outputs,
            of_hidden,
            of_cell,
            outputs,
            saved,
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

/// The backward pass of a last state, hidden or cell. Its node is a child of the outputs' node, to which it hands its gradient.
#[derive(Debug)]
struct LastStateBackward;

impl<B: SequenceOps> Backward<B, 1> for LastStateBackward {
    type State = Deferred<FloatTensor<B>>;

    fn backward(self, ops: Ops<Self::State, 1>, tape: &mut Tape, _: &mut Checkpointer) {
        let gradient = tape.consume::<B>(&ops.node);
        let [outputs] = ops.parents;
        if let Some(outputs) = outputs {
            tape.register::<B>(outputs.id, no_gradient::<B>(&gradient));
            ops.state.put(gradient);
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
        let (inputs, nodes): (Vec<_>, Vec<_>) = [input, weight_ih, bias, weight_hh, extra, hidden, cell]
            .map(|tensor| tensor.into_parts())
            .into_iter()
            .unzip();
        let inputs: [FloatTensor<B>; 7] = inputs.try_into().unwrap_or_else(|_| unreachable!("there are seven"));
        let nodes = nodes.try_into().unwrap_or_else(|_| unreachable!("there are seven"));
        let [input, weight_ih, bias, weight_hh, extra, hidden, cell] = inputs.clone();
        match SequenceBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let activations = Activations::current();
                let saved = Saved::default();
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
                    saved.clone(),
                );
                let (of_hidden, of_cell) = (Deferred::default(), Deferred::default());
                let state = SequenceState {
                    kernel,
                    shape,
                    activations,
                    outputs: outputs.clone(),
                    saved,
                    inputs,
                    of_hidden: of_hidden.clone(),
                    of_cell: of_cell.clone(),
                };
                let outputs = prepared.finish(state, outputs);
                let last = |state: FloatTensor<B>, deferred| match LastStateBackward
                    .prepare::<C>([outputs.node()])
                    .compute_bound()
                    .stateful()
                {
                    OpsKind::Tracked(prepared) => prepared.finish(deferred, state),
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
        _: Saved,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("called on inner backends only")
    }

    fn sequence_backward(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Saved,
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
        unreachable!("gradients are of first order")
    }
}
