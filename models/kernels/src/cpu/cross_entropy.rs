//! An output layer and the cross-entropy of its scores in one operation.
//!
//! The scores of many classes are large. They are computed once, a few rows at a time, and turned into their own gradient in place.
//!
//! ```text
//! score = h W + b        loss = mean of log Σⱼ exp(scoreⱼ) − score_target        d score = (softmax(score) − 1_target) / rows
//! ```

#![allow(deprecated)] // Burn deprecates its ndarray backend, kept as a second CPU backend to compare with

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients as Tape;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};
use rayon::prelude::*;

use super::buffer::Buffer;
use super::linear::weight_gradients;
use super::math::exp;
use super::product::{Accumulate, OutputMatrix, PackedMatrix, Resources, Rows};
use super::slices::cpu_backends::*;
use super::slices::{CpuSlice, for_each_cpu_backend, rows, vector};
use crate::execution::Execution;
use crate::instructions::{InstructionSet, for_each_instruction_set};
use crate::kernel::OutputInputs;

/// Rows whose scores are computed together: whole blocks of the product, few enough to stay in the cache.
const ROWS: usize = 24;

/// `hidden` `[rows, features]`, `weight` `[features, classes]`, `bias` `[classes]`, and a target class for each row.
struct Inputs<'a> {
    hidden: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    targets: &'a [u32],
}

impl<'a> Inputs<'a> {
    fn of(tensors: &'a [CpuSlice; 3], targets: &'a [u32]) -> Self {
        let [hidden, weight, bias] = tensors.each_ref().map(CpuSlice::slice);
        Self { hidden, weight, bias, targets }
    }
}

/// Gradients of the mean loss, each in its shape.
#[derive(Default)]
struct Gradients {
    hidden: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Turns scores into their gradient.
trait Softmax {
    /// Replaces a row's scores by (softmax − 1 at the target) · `scale`.
    fn softmax_gradient<const FUSED: bool>(scores: &mut [f32], target: usize, scale: f32, outcome: &mut Outcome);
}

/// The loss of a row, and whether it was predicted correctly.
#[derive(Clone, Copy, Default)]
struct Outcome {
    /// Cross-entropy in nats.
    loss: f64,
    /// Whether the target is the first class with the largest score.
    correct: bool,
}

struct StableSoftmax;

/// Partial results that are kept side by side, one for each lane of a vector.
const LANES: usize = 16;

/// Reduces scores in a fixed order that vectorizes.
fn reduce(scores: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut all = [start; LANES];
    for chunk in chunks {
        for (one, score) in all.iter_mut().zip(chunk) {
            *one = combine(*one, *score);
        }
    }
    all.into_iter().chain(rest.iter().copied()).fold(start, combine)
}

impl Softmax for StableSoftmax {
    #[inline(always)]
    fn softmax_gradient<const FUSED: bool>(scores: &mut [f32], target: usize, scale: f32, outcome: &mut Outcome) {
        let largest = reduce(scores, f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        let of_target = scores[target];
        outcome.correct = of_target == largest && !scores[..target].contains(&largest);
        for score in &mut *scores {
            *score = exp::<FUSED>(*score - largest);
        }
        let sum = reduce(scores, 0.0, |a, b| a + b);
        outcome.loss = f64::from(sum).ln() + f64::from(largest) - f64::from(of_target);
        let factor = scale / sum;
        scores.iter_mut().for_each(|score| *score *= factor);
        scores[target] -= scale;
    }
}

for_each_instruction_set!(softmax_gradient<S: Softmax>(
    scores: &mut [f32], target: usize, scale: f32, outcome: &mut Outcome,
));

/// The mean loss, the number of correctly predicted rows, and the gradients if they are wanted.
fn cross_entropy(inputs: &Inputs, execution: Execution, wants_gradients: bool) -> (f64, usize, Gradients) {
    let &Inputs { hidden, weight, bias, targets } = inputs;
    let (count, classes) = (targets.len(), bias.len());
    let features = hidden.len() / count.max(1);
    let instructions = execution.instructions;
    let (alone, all) =
        (Resources { instructions, threads: 1 }, Resources { instructions, threads: execution.thread_count() });
    let forward = PackedMatrix::pack(all, weight, classes, features, classes);
    let backward = if wants_gradients {
        PackedMatrix::pack_transposed(all, weight, classes, classes, features)
    } else {
        PackedMatrix::default()
    };
    let mut gradients = Gradients::default();
    let mut scores = Buffer::take(if wants_gradients { count * classes } else { 0 });
    let mut outcomes = vec![Outcome::default(); count];
    gradients.hidden = vec![0.0; if wants_gradients { hidden.len() } else { 0 }];
    let offsets: Vec<usize> = (0..ROWS).map(|row| row * features).collect();
    let score_offsets: Vec<usize> = (0..ROWS).map(|row| row * classes).collect();
    let block = |hidden: &[f32],
                 targets: &[u32],
                 scores: &mut [f32],
                 outcomes: &mut [Outcome],
                 hidden_gradient: &mut [f32]| {
        let rows = targets.len();
        let left = Rows { values: hidden, offsets: &offsets };
        forward.multiply(alone, 0..features, &left, rows, OutputMatrix::matrix(scores, classes, Accumulate::Row(bias)));
        for ((scores, target), outcome) in scores.chunks_exact_mut(classes).zip(targets).zip(outcomes) {
            softmax_gradient::<StableSoftmax>(instructions, scores, *target as usize, 1.0 / count as f32, outcome);
        }
        if wants_gradients {
            let left = Rows { values: scores, offsets: &score_offsets };
            backward.multiply(
                alone,
                0..classes,
                &left,
                rows,
                OutputMatrix::matrix(hidden_gradient, features, Accumulate::Overwrite),
            );
        }
    };
    let blocks = hidden
        .par_chunks(ROWS * features)
        .zip(targets.par_chunks(ROWS))
        .zip(outcomes.par_chunks_mut(ROWS))
        .with_min_len(count.div_ceil(ROWS).div_ceil(8 * all.threads).max(1));
    if wants_gradients {
        blocks
            .zip(scores.par_chunks_mut(ROWS * classes))
            .zip(gradients.hidden.par_chunks_mut(ROWS * features))
            .for_each(|((((hidden, targets), outcomes), scores), hidden_gradient)| {
                block(hidden, targets, scores, outcomes, hidden_gradient);
            });
        (gradients.weight, gradients.bias) = weight_gradients(all, hidden, &scores, [count, features, classes]);
    } else {
        blocks.for_each_init(
            || Buffer::take(ROWS * classes),
            |scores, ((hidden, targets), outcomes)| {
                block(hidden, targets, &mut scores[..targets.len() * classes], outcomes, &mut []);
            },
        );
    }
    let loss = outcomes.iter().map(|outcome| outcome.loss).sum::<f64>() / count.max(1) as f64;
    (loss, outcomes.iter().filter(|outcome| outcome.correct).count(), gradients)
}

/// The operation on a backend.
#[backend_extension(Flex: cfg(feature = "flex"), NdArray: cfg(feature = "ndarray"), Autodiff)]
pub trait CrossEntropyOps: Backend {
    /// The mean loss, `[1]`.
    fn cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: Vec<u32>,
        execution: Execution,
    ) -> FloatTensor<Self>;

    /// The same, and its gradients by hidden states, weights and bias.
    fn cross_entropy_with_gradients(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: Vec<u32>,
        execution: Execution,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// A tensor times a single number, which costs nothing if that is 1.
    fn scaled(tensor: FloatTensor<Self>, number: FloatTensor<Self>) -> FloatTensor<Self>;
}

macro_rules! implement_on_slices {
    ($backend:ty, $tensor:ty, $tensor_of:path) => {
        impl CrossEntropyOps for $backend {
            fn cross_entropy(
                hidden: $tensor,
                weight: $tensor,
                bias: $tensor,
                targets: Vec<u32>,
                execution: Execution,
            ) -> $tensor {
                let tensors = [hidden, weight, bias].map(CpuSlice::from);
                let inputs = Inputs::of(&tensors, &targets);
                vector(vec![cross_entropy(&inputs, execution, false).0 as f32], $tensor_of)
            }

            fn cross_entropy_with_gradients(
                hidden: $tensor,
                weight: $tensor,
                bias: $tensor,
                targets: Vec<u32>,
                execution: Execution,
            ) -> ($tensor, $tensor, $tensor, $tensor) {
                let tensors = [hidden, weight, bias].map(CpuSlice::from);
                let inputs = Inputs::of(&tensors, &targets);
                let (loss, _, gradients) = cross_entropy(&inputs, execution, true);
                let features = gradients.weight.len() / gradients.bias.len();
                (
                    vector(vec![loss as f32], $tensor_of),
                    rows(gradients.hidden, targets.len(), $tensor_of),
                    rows(gradients.weight, features, $tensor_of),
                    vector(gradients.bias, $tensor_of),
                )
            }

            fn scaled(tensor: $tensor, number: $tensor) -> $tensor {
                let kept = number.clone();
                if CpuSlice::from(number).slice() == [1.0] {
                    return tensor;
                }
                let rank = burn::backend::TensorMetadata::rank(&tensor);
                <$backend as FloatTensorOps<$backend>>::float_mul(
                    tensor,
                    <$backend as FloatTensorOps<$backend>>::float_reshape(kept, vec![1; rank].into()),
                )
            }
        }
    };
}

for_each_cpu_backend!(implement_on_slices);

/// The backward pass; the gradients were computed by the forward pass.
#[derive(Debug)]
struct CrossEntropyBackward;

impl<B: CrossEntropyOps> Backward<B, 3> for CrossEntropyBackward {
    type State = [FloatTensor<B>; 3];

    fn backward(self, ops: Ops<Self::State, 3>, tape: &mut Tape, _: &mut Checkpointer) {
        let upstream = tape.consume::<B>(&ops.node);
        for (node, gradient) in ops.parents.into_iter().zip(ops.state) {
            if let Some(node) = node {
                tape.register::<B>(node.id, B::scaled(gradient, upstream.clone()));
            }
        }
    }
}

impl<B: CrossEntropyOps, C: CheckpointStrategy> CrossEntropyOps for Autodiff<B, C> {
    fn cross_entropy(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: Vec<u32>,
        execution: Execution,
    ) -> FloatTensor<Self> {
        let (hidden, hidden_node) = hidden.into_parts();
        let (weight, weight_node) = weight.into_parts();
        let (bias, bias_node) = bias.into_parts();
        match CrossEntropyBackward.prepare::<C>([hidden_node, weight_node, bias_node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (loss, hidden_gradient, weight_gradient, bias_gradient) =
                    B::cross_entropy_with_gradients(hidden, weight, bias, targets, execution);
                prepared.finish([hidden_gradient, weight_gradient, bias_gradient], loss)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::cross_entropy(hidden, weight, bias, targets, execution)),
        }
    }

    fn cross_entropy_with_gradients(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Vec<u32>,
        _: Execution,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("called on inner backends only")
    }

    fn scaled(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("called on inner backends only")
    }
}

/// The mean loss and the number of correctly predicted rows; `None` if a tensor is not on the CPU.
pub(super) fn evaluate(inputs: &OutputInputs, execution: Execution) -> Option<(f64, usize)> {
    let OutputInputs { hidden, weight, bias, targets } = inputs;
    let tensors = [CpuSlice::of(hidden)?, CpuSlice::of(weight)?, CpuSlice::of(bias)?];
    let (loss, correct, _) = cross_entropy(&Inputs::of(&tensors, targets), execution, false);
    Some((loss, correct))
}
