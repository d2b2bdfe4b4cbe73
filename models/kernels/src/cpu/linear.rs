//! Linear layers: y = x W + b, differentiable.
//!
//! ```text
//! dx = dy Wᵀ        dW = xᵀ dy        db = Σ dy over rows
//! ```

#![allow(deprecated)] // Burn deprecates its ndarray backend, kept as a second CPU backend to compare with

use std::sync::Arc;

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as Tape;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

use super::packed_weights::PackedLinear;
use super::product::{Accumulate, OutputMatrix, PackedMatrix, Resources, Rows, Transposed};
use super::slices::cpu_backends::*;
use super::slices::{CpuSlice, for_each_cpu_backend, rows, vector};
use crate::execution::Execution;

/// Columns of the weights whose gradient is computed together.
const COLUMNS: usize = 512;

/// What a call needs besides tensors.
#[derive(Debug, Clone)]
pub struct LinearCall {
    pub(super) execution: Execution,
    pub(super) packed: Arc<PackedLinear>,
    /// `[rows, features, classes]`
    pub(super) sizes: [usize; 3],
}

impl LinearCall {
    fn resources(&self) -> Resources {
        Resources { instructions: self.execution.instructions, threads: self.execution.thread_count() }
    }

    fn forward(&self, input: &CpuSlice, weight: &CpuSlice, bias: &CpuSlice) -> Vec<f32> {
        let [count, features, classes] = self.sizes;
        let pack = || PackedMatrix::pack(self.resources(), weight.slice(), classes, features, classes);
        let packed = self.packed.forward.get(&[weight], pack);
        let mut output = vec![0.0; count * classes];
        let offsets: Vec<usize> = (0..count).map(|row| row * features).collect();
        let left = Rows { values: input.slice(), offsets: &offsets };
        let out = OutputMatrix::matrix(&mut output, classes, Accumulate::Row(bias.slice()));
        packed.multiply(self.resources(), 0..features, &left, count, out);
        output
    }

    /// The gradient of the input.
    fn input_gradient(&self, output: &CpuSlice, weight: &CpuSlice) -> Vec<f32> {
        let [count, features, classes] = self.sizes;
        let pack = || PackedMatrix::pack_transposed(self.resources(), weight.slice(), classes, classes, features);
        let packed = self.packed.backward.get(&[weight], pack);
        let mut gradient = vec![0.0; count * features];
        let offsets: Vec<usize> = (0..count).map(|row| row * classes).collect();
        let left = Rows { values: output.slice(), offsets: &offsets };
        let out = OutputMatrix::matrix(&mut gradient, features, Accumulate::Overwrite);
        packed.multiply(self.resources(), 0..classes, &left, count, out);
        gradient
    }
}

/// Gradients of weights `[features, classes]` and bias `[classes]`, from the inputs `[rows, features]` and the gradients of the
/// outputs `[rows, classes]`. The bias is treated as the weights of one more feature, which is always 1.
pub(super) fn weight_gradients(
    resources: Resources,
    input: &[f32],
    output: &[f32],
    [count, features, classes]: [usize; 3],
) -> (Vec<f32>, Vec<f32>) {
    let mut widened = Vec::with_capacity(count * (features + 1));
    for row in input.chunks_exact(features) {
        widened.extend_from_slice(row);
        widened.push(1.0);
    }
    let (mut left, mut right) = (Transposed::default(), PackedMatrix::default());
    left.fill(count, features + 1, |k| &widened[k * (features + 1)..][..features + 1]);
    let mut weight = vec![0.0; (features + 1) * classes];
    for from in (0..classes).step_by(COLUMNS) {
        let width = COLUMNS.min(classes - from);
        right.repack(resources, count, width, |k, column| &output[k * classes + from + column..]);
        let out = OutputMatrix::planes(&mut weight[from..], width, classes, 0, Accumulate::Overwrite);
        right.multiply(resources, 0..count, &left, features + 1, out);
    }
    let bias = weight.split_off(features * classes);
    (weight, bias)
}

/// Linear layers on a backend.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait LinearOps: Backend {
    /// `[rows, classes]`, from `input` `[rows, features]`, `weight` `[features, classes]` and `bias` `[classes]`.
    fn linear_forward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: LinearCall,
    ) -> FloatTensor<Self>;

    /// The gradient of the input.
    fn linear_input_gradient(
        output: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        call: LinearCall,
    ) -> FloatTensor<Self>;

    /// The gradients of weights and bias.
    fn linear_weight_gradients(
        output: FloatTensor<Self>,
        input: FloatTensor<Self>,
        call: LinearCall,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);
}

/// Implements the operations for a CPU backend, given the conversion to its tensors.
macro_rules! implement_on_slices {
    ($backend:ty, $tensor:ty, $tensor_of:path) => {
        impl LinearOps for $backend {
            fn linear_forward(input: $tensor, weight: $tensor, bias: $tensor, call: LinearCall) -> $tensor {
                let [input, weight, bias] = [input, weight, bias].map(CpuSlice::from);
                let [count, _, classes] = call.sizes;
                $tensor_of(call.forward(&input, &weight, &bias), vec![count, classes])
            }

            fn linear_input_gradient(output: $tensor, weight: $tensor, call: LinearCall) -> $tensor {
                let [output, weight] = [output, weight].map(CpuSlice::from);
                let [count, features, _] = call.sizes;
                $tensor_of(call.input_gradient(&output, &weight), vec![count, features])
            }

            fn linear_weight_gradients(output: $tensor, input: $tensor, call: LinearCall) -> ($tensor, $tensor) {
                let [output, input] = [output, input].map(CpuSlice::from);
                let (weight, bias) = weight_gradients(call.resources(), input.slice(), output.slice(), call.sizes);
                (rows(weight, call.sizes[1], $tensor_of), vector(bias, $tensor_of))
            }
        }
    };
}

for_each_cpu_backend!(implement_on_slices);

/// The backward pass.
#[derive(Debug)]
struct LinearBackward;

impl<B: LinearOps> Backward<B, 3> for LinearBackward {
    type State = (FloatTensor<B>, FloatTensor<B>, LinearCall);

    fn backward(self, ops: Ops<Self::State, 3>, tape: &mut Tape, _: &mut Checkpointer) {
        let output = tape.consume::<B>(&ops.node);
        let (input, weight, call) = ops.state;
        let [input_node, weight_node, bias_node] = ops.parents;
        if let Some(node) = input_node {
            tape.register::<B>(node.id, B::linear_input_gradient(output.clone(), weight, call.clone()));
        }
        if weight_node.is_some() || bias_node.is_some() {
            let (weight, bias) = B::linear_weight_gradients(output, input, call);
            for (node, gradient) in [(weight_node, weight), (bias_node, bias)] {
                if let Some(node) = node {
                    tape.register::<B>(node.id, gradient);
                }
            }
        }
    }
}

impl<B: LinearOps, C: CheckpointStrategy> LinearOps for Autodiff<B, C> {
    fn linear_forward(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        call: LinearCall,
    ) -> FloatTensor<Self> {
        let (input, input_node) = input.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_parts();
        match LinearBackward.prepare::<C>([input_node, weight_node, bias_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let output = B::linear_forward(input.clone(), weight.clone(), bias, call.clone());
                prepared.finish((input, weight, call), output)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::linear_forward(input, weight, bias, call)),
        }
    }

    fn linear_input_gradient(_: FloatTensor<Self>, _: FloatTensor<Self>, _: LinearCall) -> FloatTensor<Self> {
        unreachable!("gradients are of first order")
    }

    fn linear_weight_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: LinearCall,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("gradients are of first order")
    }
}
