//! Automatic differentiation of the operations on whole sequences.
//!
//! A node of Burn's graph has one differentiable output, but a sequence has up to three: its outputs, the last hidden state and the
//! last cell state. The node of the sequence is that of the outputs. The last states are children of it, which pass their gradients
//! on through a [`Deferred`] value; the node of the sequence, which is always visited later, consumes them.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as Tape;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{AutodiffBackend, Backend, TensorMetadata};

use super::deferred::Deferred;
use super::operation::{Call, Saved, SequenceOps};

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
    call: Call,
    outputs: FloatTensor<B>,
    saved: Saved,
    inputs: [FloatTensor<B>; 7],
    hidden_gradient: Deferred<FloatTensor<B>>,
    cell_gradient: Deferred<FloatTensor<B>>,
}

impl<B: SequenceOps> Backward<B, 7> for SequenceBackward {
    type State = SequenceState<B>;

    fn backward(self, ops: Ops<Self::State, 7>, tape: &mut Tape, _: &mut Checkpointer) {
        let outputs_gradient = tape.consume::<B>(&ops.node);
        let SequenceState { call, outputs, saved, inputs, hidden_gradient, cell_gradient } = ops.state;
        let [input, weight_ih, bias, weight_hh, extra, hidden, cell] = inputs;
        let hidden_gradient = hidden_gradient.take().unwrap_or_else(|| no_gradient::<B>(&outputs));
        let cell_gradient = cell_gradient.take().unwrap_or_else(|| no_gradient::<B>(&outputs));
        let wants_input = ops.parents[0].is_some();
        let input_shape = input.shape();
        let (has_extra, has_cell_state) = (call.has_extra(), call.has_cell_state());
        let (input, weight_ih, bias, weight_hh, extra, hidden, cell) = B::sequence_backward(
            outputs_gradient,
            hidden_gradient,
            cell_gradient,
            outputs,
            saved,
            input,
            weight_ih,
            bias,
            weight_hh,
            extra,
            hidden,
            cell,
            call,
            wants_input,
        );
        let gradients = [
            wants_input.then(|| B::float_reshape(input, input_shape)),
            Some(weight_ih),
            Some(bias),
            Some(weight_hh),
            has_extra.then_some(extra),
            Some(hidden),
            has_cell_state.then_some(cell),
        ];
        for (node, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                tape.register::<B>(node.id, gradient);
            }
        }
    }
}

/// The backward pass of a last state, hidden or cell. Its node is a child of the outputs' node, to which it passes its gradient.
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
        call: Call,
        _: Option<Saved>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (inputs, nodes): (Vec<_>, Vec<_>) = [input, weight_ih, bias, weight_hh, extra, hidden, cell]
            .map(|tensor| tensor.into_parts())
            .into_iter()
            .unzip();
        let inputs: [FloatTensor<B>; 7] = inputs.try_into().unwrap_or_else(|_| unreachable!("there are seven"));
        let nodes = nodes.try_into().unwrap_or_else(|_| unreachable!("there are seven"));
        let [input, weight_ih, bias, weight_hh, extra, hidden, cell] = inputs.clone();
        let forward = |call, saved| B::sequence(input, weight_ih, bias, weight_hh, extra, hidden, cell, call, saved);
        match SequenceBackward.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let saved = Saved::default();
                let (outputs, last_hidden, last_cell) = forward(call.clone(), Some(saved.clone()));
                let (hidden_gradient, cell_gradient) = (Deferred::default(), Deferred::default());
                let state = SequenceState {
                    call,
                    outputs: outputs.clone(),
                    saved,
                    inputs,
                    hidden_gradient: hidden_gradient.clone(),
                    cell_gradient: cell_gradient.clone(),
                };
                let outputs = prepared.finish(state, outputs);
                let last = |state: FloatTensor<B>, gradient| match LastStateBackward
                    .prepare::<C>([outputs.node()])
                    .compute_bound()
                    .stateful()
                {
                    OpsKind::Tracked(prepared) => prepared.finish(gradient, state),
                    OpsKind::UnTracked(prepared) => prepared.finish(state),
                };
                let (hidden, cell) = (last(last_hidden, hidden_gradient), last(last_cell, cell_gradient));
                (outputs, hidden, cell)
            }
            OpsKind::UnTracked(prepared) => {
                let (outputs, hidden, cell) = forward(call, None);
                (prepared.finish(outputs), Self::from_inner(hidden), Self::from_inner(cell))
            }
        }
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
        _: Call,
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
