//! Passes over all parameters and gradients, each in one go: squares, finiteness, updates.

use std::mem::MaybeUninit;
use std::ops::Range;

use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::engine::{Engine, InstructionSet, for_each_instruction_set};
use crate::math::fma;
use crate::slices::Numbers;

/// Numbers that a thread takes at once.
const CHUNK: usize = 1 << 12;
/// Chunks from which on another thread is worth waking.
const CHUNKS: usize = 16;

/// The numbers of a tensor, where kernels serve it and are wanted.
fn numbers(tensor: &Tensor<1>) -> Option<Numbers> {
    if Engine::current() == Engine::Reference { None } else { Numbers::of(tensor) }
}

/// Σ x² in f64, which no finite f32 overflows; not finite if and only if an element is not. `None` where no kernel serves.
pub fn sum_of_squares(tensor: &Tensor<1>) -> Option<f64> {
    let numbers = numbers(tensor)?;
    let mut sums = vec![0.0; numbers.slice().len().div_ceil(CHUNK)];
    let set = InstructionSet::current();
    let chunks = numbers.slice().par_chunks(CHUNK).zip(sums.par_iter_mut()).with_min_len(CHUNKS);
    chunks.for_each(|(chunk, sum)| squares::<Sum>(set, chunk, sum));
    Some(sums.iter().sum())
}

/// Whether every element is finite; `None` where no kernel serves.
pub fn is_finite(tensor: &Tensor<1>) -> Option<bool> {
    let numbers = numbers(tensor)?;
    let set = InstructionSet::current();
    let chunks = numbers.slice().par_chunks(CHUNK).with_min_len(CHUNKS);
    Some(chunks.all(|chunk| {
        let mut sum = 0.0;
        zeros::<Sum>(set, chunk, &mut sum);
        sum == 0.0
    }))
}

trait Sums {
    fn squares<const FUSED: bool>(numbers: &[f32], sum: &mut f64);

    /// Zero times anything finite is zero, and times anything else no number.
    fn zeros<const FUSED: bool>(numbers: &[f32], sum: &mut f32);
}

struct Sum;

impl Sums for Sum {
    #[inline(always)]
    fn squares<const FUSED: bool>(numbers: &[f32], sum: &mut f64) {
        let (chunks, rest) = numbers.as_chunks::<16>();
        let mut sums = [0.0f64; 16];
        for chunk in chunks {
            for (sum, &number) in sums.iter_mut().zip(chunk) {
                *sum += f64::from(number) * f64::from(number);
            }
        }
        let rest = rest.iter().map(|&number| f64::from(number) * f64::from(number));
        *sum = sums.into_iter().chain(rest).sum();
    }

    #[inline(always)]
    fn zeros<const FUSED: bool>(numbers: &[f32], sum: &mut f32) {
        let (chunks, rest) = numbers.as_chunks::<16>();
        let mut sums = [0.0f32; 16];
        for chunk in chunks {
            for (sum, number) in sums.iter_mut().zip(chunk) {
                *sum += number * 0.0;
            }
        }
        *sum = sums.into_iter().chain(rest.iter().map(|number| number * 0.0)).sum();
    }
}

for_each_instruction_set!(squares<S: Sums>(numbers: &[f32], sum: &mut f64));
for_each_instruction_set!(zeros<S: Sums>(numbers: &[f32], sum: &mut f32));

/// How parameters follow their gradients; equations are the optimiser's (`seqzoo_train::optimizer`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// θ ← θ − rate · g
    Sgd,
    /// v ← momentum · v + g, θ ← θ − rate · v
    Momentum {
        /// What remains of the velocity.
        momentum: f32,
    },
    /// m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − rate · m / (√v + ε); corrections are in rate and ε.
    Adam {
        /// What remains of the mean.
        beta_1: f32,
        /// What remains of the mean square.
        beta_2: f32,
        /// Added to the root.
        epsilon: f32,
    },
}

/// The numbers of an update that all rules share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Step size.
    pub rate: f32,
    /// Gradients are multiplied by this first.
    pub factor: f32,
    /// g ← g + decay · θ
    pub decay: f32,
    /// θ ← θ − shrink · θ, beside the rule's own change.
    pub shrink: f32,
}

impl Rule {
    /// Variables that are remembered of each parameter.
    pub fn memories(self) -> usize {
        match self {
            Rule::Sgd => 0,
            Rule::Momentum { .. } => 1,
            Rule::Adam { .. } => 2,
        }
    }

    /// A parameter and its variables after a step, in one pass; `memory` has as many as the rule remembers. `None` where no
    /// kernel serves.
    pub fn apply(
        self,
        step: Step,
        value: &Tensor<1>,
        gradient: &Tensor<1>,
        memory: &[Tensor<1>],
    ) -> Option<(Tensor<1>, Vec<Tensor<1>>)> {
        assert_eq!(memory.len(), self.memories(), "{self:?} has its own variables");
        let (old, slope) = (numbers(value)?, numbers(gradient)?);
        let memory: Option<Vec<Numbers>> = memory.iter().map(numbers).collect();
        let (memory, count) = (memory?, old.slice().len());
        let set = InstructionSet::current();
        let empty: &[f32] = &[];
        let at = |place: usize| memory.get(place).map_or(empty, Numbers::slice);
        let new_memory = |place: usize| if place < memory.len() { count } else { 0 };
        let mut new = [count, new_memory(0), new_memory(1)].map(Box::new_uninit_slice);
        let [value_out, first_out, second_out] = &mut new;
        // Empty buffers give no chunks, so each chunk finds its own.
        let (firsts, seconds) = (chunks(first_out, count), chunks(second_out, count));
        let chunks = value_out.par_chunks_mut(CHUNK).zip(firsts).zip(seconds).with_min_len(CHUNKS).enumerate();
        chunks.for_each(|(number, ((value_out, first_out), second_out))| {
            let here = number * CHUNK..number * CHUNK + value_out.len();
            let value = begin(old.slice(), &here, value_out);
            let parts = [value, begin(at(0), &here, first_out), begin(at(1), &here, second_out)];
            let gradient = &slope.slice()[here.clone()];
            match self {
                Rule::Sgd => follow::<Plain>(set, self, step, gradient, parts),
                Rule::Momentum { .. } => follow::<Heavy>(set, self, step, gradient, parts),
                Rule::Adam { .. } => follow::<Moments>(set, self, step, gradient, parts),
            }
        });
        let device = value.device();
        let mut made = new.into_iter().map(|buffer| {
            // SAFETY: every chunk of it was copied to.
            #[allow(unsafe_code)]
            let numbers = unsafe { buffer.assume_init() }.into_vec();
            let count = numbers.len();
            Tensor::<1>::from_data(TensorData::new(numbers, [count]), &device)
        });
        let value = made.next()?;
        Some((value, made.take(memory.len()).collect()))
    }
}

/// Begins a chunk as a copy of what it follows.
fn begin<'a>(from: &[f32], here: &Range<usize>, to: &'a mut [MaybeUninit<f32>]) -> &'a mut [f32] {
    if to.is_empty() { &mut [] } else { to.write_copy_of_slice(&from[here.clone()]) }
}

/// The chunks of a buffer of `count` numbers, or as many empty ones.
fn chunks(buffer: &mut [MaybeUninit<f32>], count: usize) -> Vec<&mut [MaybeUninit<f32>]> {
    if buffer.is_empty() {
        (0..count.div_ceil(CHUNK)).map(|_| Default::default()).collect()
    } else {
        buffer.chunks_mut(CHUNK).collect()
    }
}

/// What a rule does with numbers: a parameter and its variables, all of one length; what is not remembered is not looked at.
trait Follow {
    fn follow<const FUSED: bool>(rule: Rule, step: Step, gradient: &[f32], parts: [&mut [f32]; 3]);
}

for_each_instruction_set!(follow<F: Follow>(
    rule: Rule, step: Step, gradient: &[f32], parts: [&mut [f32]; 3],
));

struct Plain;
struct Heavy;
struct Moments;

/// The gradient that a rule follows.
#[inline(always)]
fn slope<const FUSED: bool>(step: &Step, gradient: f32, value: f32) -> f32 {
    fma::<FUSED>(gradient, step.factor, step.decay * value)
}

impl Follow for Plain {
    #[inline(always)]
    fn follow<const FUSED: bool>(_: Rule, step: Step, gradient: &[f32], [value, ..]: [&mut [f32]; 3]) {
        for (value, gradient) in value.iter_mut().zip(gradient) {
            let change = step.rate * slope::<FUSED>(&step, *gradient, *value);
            *value -= fma::<FUSED>(step.shrink, *value, change);
        }
    }
}

impl Follow for Heavy {
    #[inline(always)]
    fn follow<const FUSED: bool>(rule: Rule, step: Step, gradient: &[f32], [value, velocity, _]: [&mut [f32]; 3]) {
        let Rule::Momentum { momentum } = rule else { unreachable!("chosen by the rule") };
        for ((value, gradient), velocity) in value.iter_mut().zip(gradient).zip(velocity) {
            *velocity = fma::<FUSED>(*velocity, momentum, slope::<FUSED>(&step, *gradient, *value));
            *value -= fma::<FUSED>(step.shrink, *value, step.rate * *velocity);
        }
    }
}

impl Follow for Moments {
    #[inline(always)]
    fn follow<const FUSED: bool>(rule: Rule, step: Step, gradient: &[f32], [value, mean, square]: [&mut [f32]; 3]) {
        let Rule::Adam { beta_1, beta_2, epsilon } = rule else { unreachable!("chosen by the rule") };
        let (new_1, new_2) = (1.0 - beta_1, 1.0 - beta_2);
        for (((value, gradient), mean), square) in value.iter_mut().zip(gradient).zip(mean).zip(square) {
            let g = slope::<FUSED>(&step, *gradient, *value);
            *mean = fma::<FUSED>(*mean, beta_1, new_1 * g);
            *square = fma::<FUSED>(*square, beta_2, new_2 * g * g);
            let change = step.rate * *mean / (square.sqrt() + epsilon);
            *value -= fma::<FUSED>(step.shrink, *value, change);
        }
    }
}
