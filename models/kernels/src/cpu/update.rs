//! Single passes over parameters and gradients: sum of squares, finiteness check, optimizer update.

use std::mem::MaybeUninit;
use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::math::fma;
use super::slices::CpuSlice;
use crate::execution::Execution;
use crate::instructions::{InstructionSet, for_each_instruction_set};
use crate::kernel::{Parameter, Updated};
use crate::update::{Rule, Step};

/// Elements that a thread processes at a time.
const CHUNK: usize = 1 << 12;
/// Number of chunks that are worth waking another thread for.
const MIN_CHUNKS: usize = 16;

/// Σ x² in f64. Chunks are summed on their own and added in order, so the result does not depend on the threads.
pub(super) fn sum_of_squares(values: &[f32], execution: Execution) -> f64 {
    let mut sums = vec![0.0; values.len().div_ceil(CHUNK)];
    let chunks = values.par_chunks(CHUNK).zip(sums.par_iter_mut()).with_min_len(MIN_CHUNKS);
    chunks.for_each(|(chunk, sum)| squares::<Reduce>(execution.instructions, chunk, sum));
    sums.iter().sum()
}

/// Whether all elements are finite.
pub(super) fn is_finite(values: &[f32], execution: Execution) -> bool {
    let chunks = values.par_chunks(CHUNK).with_min_len(MIN_CHUNKS);
    chunks.all(|chunk| {
        let mut sum = 0.0;
        zeros::<Reduce>(execution.instructions, chunk, &mut sum);
        sum == 0.0
    })
}

trait Reduction {
    fn squares<const FUSED: bool>(values: &[f32], sum: &mut f64);

    /// Σ 0 · x, which is zero if all elements are finite and NaN otherwise.
    fn zeros<const FUSED: bool>(values: &[f32], sum: &mut f32);
}

struct Reduce;

impl Reduction for Reduce {
    #[inline(always)]
    fn squares<const FUSED: bool>(values: &[f32], sum: &mut f64) {
        let (chunks, rest) = values.as_chunks::<16>();
        let mut sums = [0.0f64; 16];
        for chunk in chunks {
            for (sum, &value) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(value) * f64::from(value);
            }
        }
        let rest = rest.iter().map(|&value| f64::from(value) * f64::from(value));
        *sum = sums.into_iter().chain(rest).sum();
    }

    #[inline(always)]
    fn zeros<const FUSED: bool>(values: &[f32], sum: &mut f32) {
        let (chunks, rest) = values.as_chunks::<16>();
        let mut sums = [0.0f32; 16];
        for chunk in chunks {
            for (sum, value) in sums.iter_mut().zip(chunk) {
                *sum += value * 0.0;
            }
        }
        *sum = sums.into_iter().chain(rest.iter().map(|value| value * 0.0)).sum();
    }
}

for_each_instruction_set!(squares<R: Reduction>(values: &[f32], sum: &mut f64));
for_each_instruction_set!(zeros<R: Reduction>(values: &[f32], sum: &mut f32));

/// Computes a parameter and its state variables after an update, in one pass; `None` if a tensor is not on the CPU.
pub(super) fn update(rule: Rule, step: Step, parameter: Parameter, execution: Execution) -> Option<Updated> {
    let Parameter { value, gradient, state } = parameter;
    let (old, gradient) = (CpuSlice::of(value)?, CpuSlice::of(gradient)?);
    let state: Option<Vec<CpuSlice>> = state.iter().map(CpuSlice::of).collect();
    let (state, count) = (state?, old.slice().len());
    let instructions = execution.instructions;
    let old_state = |index: usize| state.get(index).map_or(&[][..], CpuSlice::slice);
    let new_len = |index: usize| if index < state.len() { count } else { 0 };
    let mut new = [count, new_len(0), new_len(1)].map(Box::new_uninit_slice);
    let [new_value, new_first, new_second] = &mut new;
    // An empty buffer has empty chunks, so that chunks of all buffers pair up.
    let (firsts, seconds) = (chunks(new_first, count), chunks(new_second, count));
    let all = new_value.par_chunks_mut(CHUNK).zip(firsts).zip(seconds).with_min_len(MIN_CHUNKS).enumerate();
    all.for_each(|(number, ((new_value, new_first), new_second))| {
        let here = number * CHUNK..number * CHUNK + new_value.len();
        let value = copy_chunk(old.slice(), &here, new_value);
        let parts = [value, copy_chunk(old_state(0), &here, new_first), copy_chunk(old_state(1), &here, new_second)];
        let gradient = &gradient.slice()[here.clone()];
        match rule {
            Rule::Sgd => apply::<Sgd>(instructions, rule, step, gradient, parts),
            Rule::Momentum { .. } => apply::<Momentum>(instructions, rule, step, gradient, parts),
            Rule::Adam { .. } => apply::<Adam>(instructions, rule, step, gradient, parts),
        }
    });
    let device = value.device();
    let mut new = new.into_iter().map(|buffer| {
        // SAFETY: every chunk was initialized by `copy_chunk`.
        #[allow(unsafe_code)]
        let values = unsafe { buffer.assume_init() }.into_vec();
        let count = values.len();
        Tensor::<1>::from_data(TensorData::new(values, [count]), &device)
    });
    let value = new.next()?;
    Some(Updated { value, state: new.take(state.len()).collect() })
}

/// Initializes a chunk as a copy of the old values.
fn copy_chunk<'a>(from: &[f32], here: &Range<usize>, to: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
    if to.is_empty() { &mut [] } else { to.write_copy_of_slice(&from[here.clone()]) }
}

/// The chunks of a buffer of `count` elements, or as many empty ones.
fn chunks(buffer: &mut [MaybeUninit<f32>], count: usize) -> Vec<&mut [MaybeUninit<f32>]> {
    if buffer.is_empty() {
        (0..count.div_ceil(CHUNK)).map(|_| Default::default()).collect()
    } else {
        buffer.chunks_mut(CHUNK).collect()
    }
}

/// The elementwise part of a rule. `parts` are the parameter and its state variables, of equal length; the rule does not touch
/// those that it does not have.
trait Update {
    fn apply<const FUSED: bool>(rule: Rule, step: Step, gradient: &[f32], parts: [&mut [f32]; 3]);
}

for_each_instruction_set!(apply<U: Update>(
    rule: Rule, step: Step, gradient: &[f32], parts: [&mut [f32]; 3],
));

struct Sgd;
struct Momentum;
struct Adam;

/// The gradient after clipping and weight decay.
#[inline(always)]
fn effective_gradient<const FUSED: bool>(step: &Step, gradient: f32, value: f32) -> f32 {
    fma::<FUSED>(gradient, step.clip_factor, step.decay * value)
}

impl Update for Sgd {
    #[inline(always)]
    fn apply<const FUSED: bool>(_: Rule, step: Step, gradient: &[f32], [value, ..]: [&mut [f32]; 3]) {
        for (value, gradient) in value.iter_mut().zip(gradient) {
            let change = step.learning_rate * effective_gradient::<FUSED>(&step, *gradient, *value);
            *value -= fma::<FUSED>(step.shrink, *value, change);
        }
    }
}

impl Update for Momentum {
    #[inline(always)]
    fn apply<const FUSED: bool>(rule: Rule, step: Step, gradient: &[f32], [value, velocity, _]: [&mut [f32]; 3]) {
        let Rule::Momentum { momentum } = rule else { unreachable!("chosen by the rule") };
        for ((value, gradient), velocity) in value.iter_mut().zip(gradient).zip(velocity) {
            *velocity = fma::<FUSED>(*velocity, momentum, effective_gradient::<FUSED>(&step, *gradient, *value));
            *value -= fma::<FUSED>(step.shrink, *value, step.learning_rate * *velocity);
        }
    }
}

impl Update for Adam {
    #[inline(always)]
    fn apply<const FUSED: bool>(rule: Rule, step: Step, gradient: &[f32], [value, mean, square]: [&mut [f32]; 3]) {
        let Rule::Adam { beta_1, beta_2, epsilon } = rule else { unreachable!("chosen by the rule") };
        let (new_1, new_2) = (1.0 - beta_1, 1.0 - beta_2);
        for (((value, gradient), mean), square) in value.iter_mut().zip(gradient).zip(mean).zip(square) {
            let g = effective_gradient::<FUSED>(&step, *gradient, *value);
            *mean = fma::<FUSED>(*mean, beta_1, new_1 * g);
            *square = fma::<FUSED>(*square, beta_2, new_2 * g * g);
            let change = step.learning_rate * *mean / (square.sqrt() + epsilon);
            *value -= fma::<FUSED>(step.shrink, *value, change);
        }
    }
}
