//! An output layer and the cross-entropy of its scores in one operation: the scores of many classes exist once, and become
//! their own gradient where they stand.
//!
//! ```text
//! score = h W + b        loss = mean of log Σⱼ exp(scoreⱼ) − score_target        d score = (softmax(score) − 1_target) / rows
//! ```

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
use burn::backend::ndarray::NdArrayTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
use burn::tensor::Tensor;
use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::engine::{Engine, InstructionSet, for_each_instruction_set};
use crate::math::exp;
use crate::product::{How, Onto, Out, Packed, Rows, Transposed};
use crate::slices::{Numbers, rows, vector};
#[cfg(feature = "flex")]
use crate::slices::{flex_slices, flex_tensor};
#[cfg(feature = "ndarray")]
use crate::slices::{ndarray_slices, ndarray_tensor};

/// Rows whose scores are made at once: whole blocks of the product, few enough to stay in the cache.
const ROWS: usize = 24;
/// Columns whose weights' gradient is taken at once.
const COLUMNS: usize = 512;

/// `hidden` `[rows, features]`, `weight` `[features, classes]`, `bias` `[classes]`, a class for each row.
struct Inputs<'a> {
    hidden: &'a [f32],
    weight: &'a [f32],
    bias: &'a [f32],
    targets: &'a [u32],
}

/// Gradients of the mean loss, each in its shape.
#[derive(Default)]
struct Gradients {
    hidden: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Turns scores to their gradient.
trait Normalise {
    /// A row's scores become (softmax − 1 at the target) · `scale`.
    fn normalise<const FUSED: bool>(scores: &mut [f32], target: usize, scale: f32, outcome: &mut Outcome);
}

/// How well a row was answered.
#[derive(Clone, Copy, Default)]
struct Outcome {
    /// Cross-entropy in nats.
    loss: f64,
    /// Whether the target has the largest score, before all that have as large a one.
    right: bool,
}

struct Softmax;

/// Sums that are kept side by side, one for each place of a vector.
const LANES: usize = 16;

fn lanes(scores: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = scores.as_chunks::<LANES>();
    let mut all = [start; LANES];
    for chunk in chunks {
        for (one, score) in all.iter_mut().zip(chunk) {
            *one = combine(*one, *score);
        }
    }
    all.into_iter().chain(rest.iter().copied()).fold(start, combine)
}

impl Normalise for Softmax {
    #[inline(always)]
    fn normalise<const FUSED: bool>(scores: &mut [f32], target: usize, scale: f32, outcome: &mut Outcome) {
        let largest = lanes(scores, f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        let wanted = scores[target];
        outcome.right = wanted == largest && !scores[..target].contains(&largest);
        for score in &mut *scores {
            *score = exp::<FUSED>(*score - largest);
        }
        let sum = lanes(scores, 0.0, |a, b| a + b);
        outcome.loss = f64::from(sum).ln() + f64::from(largest) - f64::from(wanted);
        let factor = scale / sum;
        scores.iter_mut().for_each(|score| *score *= factor);
        scores[target] -= scale;
    }
}

for_each_instruction_set!(normalise<N: Normalise>(
    scores: &mut [f32], target: usize, scale: f32, outcome: &mut Outcome,
));

/// The mean loss, how many rows were answered right, and gradients if they are wanted.
fn cross_entropy(inputs: &Inputs, learn: bool) -> (f64, usize, Gradients) {
    let &Inputs { hidden, weight, bias, targets } = inputs;
    let (count, classes) = (targets.len(), bias.len());
    let features = hidden.len() / count.max(1);
    let set = InstructionSet::current();
    let (alone, all) = (How { set, threads: 1 }, How { set, threads: rayon::current_num_threads() });
    let forward = Packed::new(all, weight, classes, features, classes);
    let backward = if learn { Packed::transposed(all, weight, classes, classes, features) } else { Packed::default() };
    let mut gradients = Gradients::default();
    let mut scores = Buffer::take(if learn { count * classes } else { 0 });
    let mut outcomes = vec![Outcome::default(); count];
    gradients.hidden = vec![0.0; if learn { hidden.len() } else { 0 }];
    let starts: Vec<usize> = (0..ROWS).map(|row| row * features).collect();
    let score_starts: Vec<usize> = (0..ROWS).map(|row| row * classes).collect();
    let block =
        |hidden: &[f32], targets: &[u32], scores: &mut [f32], outcomes: &mut [Outcome], of_hidden: &mut [f32]| {
            let rows = targets.len();
            let left = Rows { values: hidden, starts: &starts };
            forward.multiply(alone, 0..features, &left, rows, Out::matrix(scores, classes, Onto::Row(bias)));
            for ((scores, target), outcome) in scores.chunks_exact_mut(classes).zip(targets).zip(outcomes) {
                normalise::<Softmax>(set, scores, *target as usize, 1.0 / count as f32, outcome);
            }
            if learn {
                let left = Rows { values: scores, starts: &score_starts };
                backward.multiply(alone, 0..classes, &left, rows, Out::matrix(of_hidden, features, Onto::Nothing));
            }
        };
    let blocks = hidden
        .par_chunks(ROWS * features)
        .zip(targets.par_chunks(ROWS))
        .zip(outcomes.par_chunks_mut(ROWS))
        .with_min_len(count.div_ceil(ROWS).div_ceil(8 * all.threads).max(1));
    if learn {
        blocks
            .zip(scores.par_chunks_mut(ROWS * classes))
            .zip(gradients.hidden.par_chunks_mut(ROWS * features))
            .for_each(|((((hidden, targets), outcomes), scores), of_hidden)| {
                block(hidden, targets, scores, outcomes, of_hidden);
            });
        of_output(all, hidden, &scores, [count, features, classes], &mut gradients);
    } else {
        blocks.for_each_init(
            || Buffer::take(ROWS * classes),
            |scores, ((hidden, targets), outcomes)| {
                block(hidden, targets, &mut scores[..targets.len() * classes], outcomes, &mut []);
            },
        );
    }
    let loss = outcomes.iter().map(|outcome| outcome.loss).sum::<f64>() / count.max(1) as f64;
    (loss, outcomes.iter().filter(|outcome| outcome.right).count(), gradients)
}

/// Gradients of weights and bias, the latter as a row more: that of a feature which is always 1.
fn of_output(how: How, hidden: &[f32], scores: &[f32], [count, features, classes]: [usize; 3], made: &mut Gradients) {
    let mut widened = Vec::with_capacity(count * (features + 1));
    for row in hidden.chunks_exact(features) {
        widened.extend_from_slice(row);
        widened.push(1.0);
    }
    let (mut left, mut right) = (Transposed::default(), Packed::default());
    left.fill(count, features + 1, |k| &widened[k * (features + 1)..][..features + 1]);
    made.weight = vec![0.0; (features + 1) * classes];
    for from in (0..classes).step_by(COLUMNS) {
        let width = COLUMNS.min(classes - from);
        right.fill(how, count, width, |k, column| &scores[k * classes + from + column..]);
        let out = Out::planes(&mut made.weight[from..], width, classes, 0, Onto::Nothing);
        right.multiply(how, 0..count, &left, features + 1, out);
    }
    made.bias = made.weight.split_off(features * classes);
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
    ) -> FloatTensor<Self>;

    /// The same, and its gradients by hidden states, weights and bias.
    fn cross_entropy_learn(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        targets: Vec<u32>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// A tensor times a single number, which costs nothing if that is 1.
    fn scaled(tensor: FloatTensor<Self>, number: FloatTensor<Self>) -> FloatTensor<Self>;
}

macro_rules! on_slices {
    ($backend:ty, $tensor:ty, $slice:ident, $tensor_of:ident) => {
        impl CrossEntropyOps for $backend {
            fn cross_entropy(hidden: $tensor, weight: $tensor, bias: $tensor, targets: Vec<u32>) -> $tensor {
                $slice!(hidden, weight, bias);
                let inputs = Inputs { hidden, weight, bias, targets: &targets };
                vector(vec![cross_entropy(&inputs, false).0 as f32], $tensor_of)
            }

            fn cross_entropy_learn(
                hidden: $tensor,
                weight: $tensor,
                bias: $tensor,
                targets: Vec<u32>,
            ) -> ($tensor, $tensor, $tensor, $tensor) {
                $slice!(hidden, weight, bias);
                let inputs = Inputs { hidden, weight, bias, targets: &targets };
                let (loss, _, made) = cross_entropy(&inputs, true);
                let features = made.weight.len() / made.bias.len();
                (
                    vector(vec![loss as f32], $tensor_of),
                    rows(made.hidden, targets.len(), $tensor_of),
                    rows(made.weight, features, $tensor_of),
                    vector(made.bias, $tensor_of),
                )
            }

            fn scaled(tensor: $tensor, number: $tensor) -> $tensor {
                let kept = number.clone();
                $slice!(number);
                if number == [1.0] {
                    return tensor;
                }
                let rank = burn::backend::TensorMetadata::rank(&tensor);
                <$backend>::float_mul(tensor, <$backend>::float_reshape(kept, vec![1; rank].into()))
            }
        }
    };
}

#[cfg(feature = "flex")]
use burn::backend::ops::FloatTensorOps as _;
#[cfg(feature = "flex")]
on_slices!(Flex, FlexTensor, flex_slices, flex_tensor);

#[cfg(feature = "ndarray")]
on_slices!(NdArray, NdArrayTensor, ndarray_slices, ndarray_tensor);

/// Its gradients are known by the forward pass.
#[derive(Debug)]
struct Known;

impl<B: CrossEntropyOps> Backward<B, 3> for Known {
    type State = [FloatTensor<B>; 3];

    fn backward(self, ops: Ops<Self::State, 3>, tape: &mut Tape, _: &mut Checkpointer) {
        let slope = tape.consume::<B>(&ops.node);
        for (node, gradient) in ops.parents.into_iter().zip(ops.state) {
            if let Some(node) = node {
                tape.register::<B>(node.id, B::scaled(gradient, slope.clone()));
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
    ) -> FloatTensor<Self> {
        let (hidden, of_hidden) = hidden.into_parts();
        let (weight, of_weight) = weight.into_parts();
        let (bias, of_bias) = bias.into_parts();
        match Known.prepare::<C>([of_hidden, of_weight, of_bias]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let (loss, of_hidden, of_weight, of_bias) = B::cross_entropy_learn(hidden, weight, bias, targets);
                prepared.finish([of_hidden, of_weight, of_bias], loss)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(B::cross_entropy(hidden, weight, bias, targets)),
        }
    }

    fn cross_entropy_learn(
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: FloatTensor<Self>,
        _: Vec<u32>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("called on inner backends alone")
    }

    fn scaled(_: FloatTensor<Self>, _: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("called on inner backends alone")
    }
}

/// Mean cross-entropy in nats, `[1]`, of the scores `hidden · weight + bias` for a target class each row, differentiably.
///
/// `hidden` is `[rows, features]`, `weight` `[features, classes]`, `bias` `[classes]`. A NaN or an infinity in any of them makes
/// the loss one that is not finite.
///
/// # Panics
/// If [`serves`](crate::serves) does not hold, shapes do not fit, or a target is no class.
pub fn mean_cross_entropy(hidden: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>, targets: Vec<u32>) -> Tensor<1> {
    expect_fit(&hidden, &weight, &bias, &targets);
    Tensor::from_dispatch(Dispatch::cross_entropy(
        hidden.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        targets,
    ))
}

/// The mean cross-entropy, as [`mean_cross_entropy`] has it, and how many targets have the largest score; nothing to
/// differentiate, and no more than a few rows' scores at a time. `None` where no kernel serves.
///
/// # Panics
/// As [`mean_cross_entropy`].
pub fn grade(hidden: &Tensor<2>, weight: &Tensor<2>, bias: &Tensor<1>, targets: &[u32]) -> Option<(f64, usize)> {
    if Engine::current() == Engine::Reference {
        return None;
    }
    expect_fit(hidden, weight, bias, targets);
    let (hidden, weight, bias) = (Numbers::of(hidden)?, Numbers::of(weight)?, Numbers::of(bias)?);
    let inputs = Inputs { hidden: hidden.slice(), weight: weight.slice(), bias: bias.slice(), targets };
    let (loss, right, _) = cross_entropy(&inputs, false);
    Some((loss, right))
}

fn expect_fit(hidden: &Tensor<2>, weight: &Tensor<2>, bias: &Tensor<1>, targets: &[u32]) {
    let ([rows, features], [inputs, classes]) = (hidden.dims(), weight.dims());
    let sound = rows == targets.len() && features == inputs && bias.dims() == [classes] && rows > 0;
    assert!(sound, "[{rows}, {features}] times [{inputs}, {classes}] for {} targets", targets.len());
    assert!(targets.iter().all(|&target| (target as usize) < classes), "targets are below {classes}");
}
