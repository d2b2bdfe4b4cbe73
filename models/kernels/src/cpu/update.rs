//! Single passes over parameters and gradients: sum of squares, finiteness check, optimizer update.

use std::mem::MaybeUninit;
use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use super::math::fma;
use super::slices::CpuSlice;
use crate::engine::{Engine, InstructionSet, for_each_instruction_set};

/// Elements that a thread processes at a time.
const CHUNK: usize = 1 << 12;
/// Number of chunks that are worth waking another thread for.
const MIN_CHUNKS: usize = 16;

/// The elements of a tensor, if kernels support it and are enabled.
fn elements(tensor: &Tensor<1>) -> Option<CpuSlice> {
    if Engine::current() == Engine::Reference { None } else { CpuSlice::of(tensor) }
}

/// Σ x² in f64, which finite f32 values cannot overflow: finite if and only if all elements are. `None` where there is no kernel.
pub fn sum_of_squares(tensor: &Tensor<1>) -> Option<f64> {
    let values = elements(tensor)?;
    let mut sums = vec![0.0; values.slice().len().div_ceil(CHUNK)];
    let set = InstructionSet::current();
    let chunks = values.slice().par_chunks(CHUNK).zip(sums.par_iter_mut()).with_min_len(MIN_CHUNKS);
    chunks.for_each(|(chunk, sum)| squares::<Reduce>(set, chunk, sum));
    Some(sums.iter().sum())
}

/// Whether all elements are finite. `None` where there is no kernel.
pub fn is_finite(tensor: &Tensor<1>) -> Option<bool> {
    let values = elements(tensor)?;
    let set = InstructionSet::current();
    let chunks = values.slice().par_chunks(CHUNK).with_min_len(MIN_CHUNKS);
    Some(chunks.all(|chunk| {
        let mut sum = 0.0;
        zeros::<Reduce>(set, chunk, &mut sum);
        sum == 0.0
    }))
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

/// Update rule of an optimizer; its equations are in `seqzoo_train::optimizer`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// θ ← θ − rate · g
    Sgd,
    /// v ← momentum · v + g, θ ← θ − rate · v
    Momentum {
        /// Decay of the velocity.
        momentum: f32,
    },
    /// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − rate · m / (√v + ε); `rate` and ε include the bias corrections.
    Adam {
        /// Decay of the mean.
        beta_1: f32,
        /// Decay of the mean square.
        beta_2: f32,
        /// Added to √v.
        epsilon: f32,
    },
}

/// Values of an update that all rules share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Learning rate.
    pub rate: f32,
    /// Factor on the gradient: gradient clipping.
    pub factor: f32,
    /// g ← g + decay · θ
    pub decay: f32,
    /// θ ← θ − shrink · θ, in addition to the rule's change (decoupled weight decay).
    pub shrink: f32,
}

impl Rule {
    /// Number of state variables per parameter.
    pub fn state_variables(self) -> usize {
        match self {
            Rule::Sgd => 0,
            Rule::Momentum { .. } => 1,
            Rule::Adam { .. } => 2,
        }
    }

    /// Computes a parameter and its state variables after an update. `None` where there is no kernel.
    ///
    /// # Panics
    /// If `memory` does not hold one tensor for each state variable.
    pub fn apply(
        self,
        step: Step,
        value: &Tensor<1>,
        gradient: &Tensor<1>,
        memory: &[Tensor<1>],
    ) -> Option<(Tensor<1>, Vec<Tensor<1>>)> {
        assert_eq!(memory.len(), self.state_variables(), "{self:?} has other state variables");
        let (old, gradient) = (elements(value)?, elements(gradient)?);
        let memory: Option<Vec<CpuSlice>> = memory.iter().map(elements).collect();
        let (memory, count) = (memory?, old.slice().len());
        let set = InstructionSet::current();
        let empty: &[f32] = &[];
        let at = |place: usize| memory.get(place).map_or(empty, CpuSlice::slice);
        let new_memory = |place: usize| if place < memory.len() { count } else { 0 };
        let mut new = [count, new_memory(0), new_memory(1)].map(Box::new_uninit_slice);
        let [value_out, first_out, second_out] = &mut new;
        // An empty buffer has empty chunks, so that chunks of all buffers pair up.
        let (firsts, seconds) = (chunks(first_out, count), chunks(second_out, count));
        let chunks = value_out.par_chunks_mut(CHUNK).zip(firsts).zip(seconds).with_min_len(MIN_CHUNKS).enumerate();
        chunks.for_each(|(number, ((value_out, first_out), second_out))| {
            let here = number * CHUNK..number * CHUNK + value_out.len();
            let value = copy_chunk(old.slice(), &here, value_out);
            let parts = [value, copy_chunk(at(0), &here, first_out), copy_chunk(at(1), &here, second_out)];
            let gradient = &gradient.slice()[here.clone()];
            match self {
                Rule::Sgd => update::<Sgd>(set, self, step, gradient, parts),
                Rule::Momentum { .. } => update::<Momentum>(set, self, step, gradient, parts),
                Rule::Adam { .. } => update::<Adam>(set, self, step, gradient, parts),
            }
        });
        let device = value.device();
        let mut made = new.into_iter().map(|buffer| {
            // SAFETY: every chunk was initialized by `copy_chunk`.
            #[allow(unsafe_code)]
            let values = unsafe { buffer.assume_init() }.into_vec();
            let count = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [count]), &device)
        });
        let value = made.next()?;
        Some((value, made.take(memory.len()).collect()))
    }
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
    fn update<const FUSED: bool>(rule: Rule, step: Step, gradient: &[f32], parts: [&mut [f32]; 3]);
}

for_each_instruction_set!(update<F: Update>(
    rule: Rule, step: Step, gradient: &[f32], parts: [&mut [f32]; 3],
));

struct Sgd;
struct Momentum;
struct Adam;

/// The gradient after clipping and weight decay.
#[inline(always)]
fn effective_gradient<const FUSED: bool>(step: &Step, gradient: f32, value: f32) -> f32 {
    fma::<FUSED>(gradient, step.factor, step.decay * value)
}

impl Update for Sgd {
    #[inline(always)]
    fn update<const FUSED: bool>(_: Rule, step: Step, gradient: &[f32], [value, ..]: [&mut [f32]; 3]) {
        for (value, gradient) in value.iter_mut().zip(gradient) {
            let change = step.rate * effective_gradient::<FUSED>(&step, *gradient, *value);
            *value -= fma::<FUSED>(step.shrink, *value, change);
        }
    }
}

impl Update for Momentum {
    #[inline(always)]
    fn update<const FUSED: bool>(rule: Rule, step: Step, gradient: &[f32], [value, velocity, _]: [&mut [f32]; 3]) {
        let Rule::Momentum { momentum } = rule else { unreachable!("chosen by the rule") };
        for ((value, gradient), velocity) in value.iter_mut().zip(gradient).zip(velocity) {
            *velocity = fma::<FUSED>(*velocity, momentum, effective_gradient::<FUSED>(&step, *gradient, *value));
            *value -= fma::<FUSED>(step.shrink, *value, step.rate * *velocity);
        }
    }
}

impl Update for Adam {
    #[inline(always)]
    fn update<const FUSED: bool>(rule: Rule, step: Step, gradient: &[f32], [value, mean, square]: [&mut [f32]; 3]) {
        let Rule::Adam { beta_1, beta_2, epsilon } = rule else { unreachable!("chosen by the rule") };
        let (new_1, new_2) = (1.0 - beta_1, 1.0 - beta_2);
        for (((value, gradient), mean), square) in value.iter_mut().zip(gradient).zip(mean).zip(square) {
            let g = effective_gradient::<FUSED>(&step, *gradient, *value);
            *mean = fma::<FUSED>(*mean, beta_1, new_1 * g);
            *square = fma::<FUSED>(*square, beta_2, new_2 * g * g);
            let change = step.rate * *mean / (square.sqrt() + epsilon);
            *value -= fma::<FUSED>(step.shrink, *value, change);
        }
    }
}
