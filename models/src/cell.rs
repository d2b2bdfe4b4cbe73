//! The contract of a recurrent cell, and the one readable loop over time steps.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use seqzoo_kernels::{
    self as kernels, Engine, Execution, Extra, Inputs, Lengths, Outputs, Recurrence, Request, Stream,
};
use seqzoo_random::{Key, RngExt};

use crate::cells::{Card, Weights};
use crate::state::{NamedState, State};

/// One step of recurrence: a cell says what happens at a time step, [`unroll`] does the walking.
pub trait Cell: Module + ModuleDisplay {
    /// What is recurrent_state from step to step.
    type State: State;

    /// What `describe` tells of the cell.
    const CARD: Card;

    /// A cell with initial weights drawn from `key`, on `device`.
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self;

    /// Its input weights, recurrent weights and bias.
    fn weights(&self) -> &Weights;

    /// The part of a step that does not depend on the state, for any number of steps at once: input product and bias.
    ///
    /// `input` is `[rows, input_size]`; the result `[rows, gates · hidden_size]`.
    fn project(&self, input: Tensor<2>) -> Tensor<2> {
        self.weights().read(input) + self.weights().bias().unsqueeze()
    }

    /// The recurrence that kernels know this cell by, if there is one, with parameters other than [`Weights`].
    fn kernel(&self) -> Option<Recurrence> {
        None
    }

    /// The rest of a step: `projected` is `[batch, gates · hidden_size]`, each tensor of the state `[batch, hidden_size]`.
    fn step(&self, projected: Tensor<2>, state: Self::State) -> Self::State;
}

/// How sequences are processed.
#[derive(Debug, Clone)]
pub struct Walk<S> {
    /// Valid steps of each row, at most the input's time.
    pub lengths: Lengths,
    /// The state before the first step; all zeros unless given.
    pub initial: Option<S>,
    /// Which way.
    pub direction: Direction,
    /// Whether units keep their old values now and then.
    pub zoneout: Zoneout,
    /// Added to the hidden state after each step, `[batch, time, hidden_size]`: zeros that require a gradient show how much
    /// each step's hidden state matters to a loss.
    pub added: Option<Tensor<3>>,
    /// How it is computed.
    pub execution: Execution,
}

/// Which way a sequence is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last true one.
    Forward,
    /// From each row's last true step to the first.
    Backward,
}

/// Each unit of the state keeps its old value with probability `rate`; without a key, the expectation of that.
///
/// ```text
/// s' ← m ⊙ s + (1 − m) ⊙ s'        m = 1 with probability rate in training, m = rate at inference
/// ```
///
/// Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR 2017.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zoneout {
    /// Probability of keeping the old value, in [0, 1).
    pub rate: f64,
    /// From which masks are drawn in training; `None` at inference.
    pub key: Option<Key>,
}

/// What walking a sequence leaves behind.
#[derive(Debug, Clone)]
pub struct Walked<S> {
    /// The hidden state after each step, `[batch, time, hidden_size]`; zero at padding, as in PyTorch's packed sequences.
    pub outputs: Tensor<3>,
    /// The state after each row's last true step in the direction of reading.
    pub last: S,
}

impl Zoneout {
    /// Every unit follows its equations.
    pub const OFF: Zoneout = Zoneout { rate: 0.0, key: None };

    fn apply<S: State>(self, new: S, old: S, step: usize) -> S {
        if self.rate == 0.0 {
            return new;
        }
        let mut tensors = 0;
        new.zip(old, |new, old| {
            tensors += 1;
            match self.key {
                None => new.clone() + (old - new) * self.rate,
                Some(key) => {
                    let keep = mask(new.dims(), self.rate, key.place(4 * step as u64 + tensors), &new.device());
                    new.mask_where(keep, old)
                }
            }
        })
    }
}

/// Reads whole sequences with a cell: by its kernel where there is one, else step by step.
///
/// `input` is `[batch, time, input_size]`. A row beyond its length keeps its state, so padding (even a NaN in it) changes no
/// output, no state and no gradient. Reading backward starts at each row's own last true step.
///
/// # Panics
/// If `input` does not fit the cell, or the lengths do not fit `input`.
pub fn unroll<C: Cell>(cell: &C, input: Tensor<3>, walk: Walk<C::State>) -> Walked<C::State> {
    let [batch, time, input_size] = input.dims();
    let (expected, hidden_size, lengths) = (cell.weights().input_size(), cell.weights().hidden_size(), &walk.lengths);
    assert_eq!(input_size, expected, "input is [{batch}, {time}, {input_size}], the cell reads [_, _, {expected}]");
    assert_eq!(lengths.len(), batch, "input is [{batch}, {time}, {input_size}]: one length per row is needed");
    assert!(time > 0 && lengths.iter().all(|&length| length <= time), "lengths {lengths:?} exceed {time} steps");

    if let Some(walked) = fused(cell, &input, &walk) {
        return walked;
    }

    // Time first, so that each step's rows lie together: one product serves all steps, and a step is cut out for free.
    let by_time = without_padding(input, lengths).swap_dims(0, 1).reshape([time * batch, input_size]);
    let projected = cell.project(by_time);
    let mut state = walk.initial.unwrap_or_else(|| C::State::zeros(batch, hidden_size, &projected));

    let by_step = |added: Tensor<3>| split(added.swap_dims(0, 1).reshape([time * batch, hidden_size]), time);
    let added = walk.added.map(by_step);

    let mut outputs = Vec::with_capacity(time);
    let mut read = |(step, projected): (usize, Tensor<2>)| {
        let mut next = walk.zoneout.apply(cell.step(projected, state.clone()), state.clone(), step);
        if let Some(added) = &added {
            let NamedState { hidden, cell } = next.named();
            next = C::State::from_named(NamedState { hidden: hidden + added[step].clone(), cell });
        }
        let (next, output) = match finished(lengths, step, time, &next.hidden()) {
            None => (next.clone(), next.hidden()),
            Some(finished) => {
                let kept = next.zip(state.clone(), |new, old| new.mask_where(finished.clone(), old));
                let output = kept.hidden().mask_fill(finished, 0.0);
                (kept, output)
            }
        };
        state = next;
        outputs.push(output);
    };
    let steps = split(projected, time).into_iter().enumerate();
    match walk.direction {
        Direction::Forward => steps.for_each(&mut read),
        Direction::Backward => {
            steps.rev().for_each(&mut read);
            outputs.reverse();
        }
    }
    Walked { outputs: Tensor::stack::<3>(outputs, 1), last: state }
}

/// Computes with a kernel: the only place that chooses between kernels and the loop.
fn fused<C: Cell>(cell: &C, input: &Tensor<3>, walk: &Walk<C::State>) -> Option<Walked<C::State>> {
    let undisturbed = walk.zoneout.rate == 0.0 && walk.added.is_none();
    let [batch, time, input_size] = input.dims();
    let sizes = [batch, time, input_size, cell.weights().hidden_size()];
    let found = cell.kernel().filter(|_| undisturbed).and_then(|recurrence| {
        let request = Request { cell: recurrence.cell, device: &input.device(), dtype: input.dtype(), sizes };
        Some((kernels::find(&request, walk.execution)?, recurrence))
    });
    let Some((family, Recurrence { cell: name, extra })) = found else {
        assert!(walk.execution.engine != Engine::Fused, "no kernel reads this cell, disturbance and device");
        return None;
    };
    let inputs = kernel_inputs(cell, extra, input.clone(), walk.initial.clone());
    let reversed = walk.direction == Direction::Backward;
    let Outputs { outputs, hidden, cell } = family.sequence(name, inputs, &walk.lengths, reversed, walk.execution);
    Some(Walked { outputs, last: C::State::from_named(NamedState { hidden, cell }) })
}

/// The inputs of a cell's kernel.
fn kernel_inputs<C: Cell>(cell: &C, extra: Extra, input: Tensor<3>, initial: Option<C::State>) -> Inputs {
    let weights = cell.weights();
    let zeros = || C::State::zeros(input.dims()[0], weights.hidden_size(), &weights.recurrent());
    let NamedState { hidden, cell } = initial.unwrap_or_else(zeros).named();
    let (weight_ih, bias, weight_hh) = (weights.input(), weights.bias(), weights.recurrent());
    let packed = weights.packed().clone();
    Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell, packed }
}

/// Reads one sequence step by step, forward, from `initial` or from zeros; `None` if no kernel reads this cell on its device.
///
/// For inference: steps allocate nothing and leave nothing to differentiate.
pub fn stream<C: Cell>(cell: &C, initial: Option<C::State>, execution: Execution) -> Option<Stream> {
    let Recurrence { cell: name, extra } = cell.kernel()?;
    let weights = cell.weights().recurrent();
    let input = Tensor::zeros([1, 1, cell.weights().input_size()], (&weights.device(), weights.dtype()));
    kernels::stream(name, kernel_inputs(cell, extra, input, initial), execution)
}

/// Cuts `[steps · batch, features]` into its steps, by halves: the backward pass of each cut writes a zero for every row
/// that it was cut from, so cutting off one step at a time would cost time² (Burn 0.22).
fn split(rows: Tensor<2>, steps: usize) -> Vec<Tensor<2>> {
    if steps == 1 {
        return vec![rows];
    }
    let batch = rows.dims()[0] / steps;
    let half = steps / 2;
    let mut cut = split(rows.clone().narrow(0, 0, half * batch), half);
    cut.extend(split(rows.narrow(0, half * batch, (steps - half) * batch), steps - half));
    cut
}

/// The rows that have no step `step`, in the shape of `hidden`; `None` if every row has it.
fn finished(lengths: &Lengths, step: usize, time: usize, hidden: &Tensor<2>) -> Option<Tensor<2, Bool>> {
    lengths.finished(step, time, &hidden.device()).map(|rows| rows.expand(hidden.dims()))
}

/// `[batch, time, features]` with zeros wherever it is padding.
pub fn without_padding(input: Tensor<3>, lengths: &Lengths) -> Tensor<3> {
    let [_, time, _] = input.dims();
    match lengths.padding(time, &input.device()) {
        None => input,
        Some(padding) => {
            let padding = padding.unsqueeze_dim::<3>(2).expand(input.dims());
            input.mask_fill(padding, 0.0)
        }
    }
}

/// True with probability `rate`, element by element, from a key.
pub fn mask<const D: usize>(shape: [usize; D], rate: f64, key: Key, device: &Device) -> Tensor<D, Bool> {
    let mut stream = key.stream();
    let marks: Vec<bool> = (0..shape.iter().product()).map(|_| stream.random_bool(rate)).collect();
    Tensor::from_data(TensorData::new(marks, shape), device)
}
