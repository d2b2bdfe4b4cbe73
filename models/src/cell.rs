//! The contract of a recurrent cell, and the one readable loop over time.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Device, Tensor, TensorData};
use seqzoo_random::Key;

use crate::cells::Card;

/// One step of recurrence: a cell says what happens at a time step, [`unroll`] does the walking.
pub trait Cell: Module + ModuleDisplay {
    /// What is carried from step to step.
    type State: State;

    /// What `describe` tells of the cell.
    const CARD: Card;

    /// A cell with initial weights drawn from `key`, on `device`.
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self;

    /// Features read at each step.
    fn input_size(&self) -> usize;

    /// Features of the hidden state.
    fn hidden_size(&self) -> usize;

    /// The part of a step that does not depend on the state, for any number of steps at once: input product and bias.
    ///
    /// `input` is `[rows, input_size]`; the result `[rows, gates · hidden_size]`.
    fn project(&self, input: Tensor<2>) -> Tensor<2>;

    /// The rest of a step: `projected` is `[batch, gates · hidden_size]`, each tensor of the state `[batch, hidden_size]`.
    fn step(&self, projected: Tensor<2>, state: Self::State) -> Self::State;
}

/// The state of a cell: tensors `[batch, hidden_size]` under the names that its equations use.
pub trait State: Clone {
    /// The state before the first step: all zeros.
    fn zeros(batch: usize, hidden_size: usize, device: &Device) -> Self;

    /// The part that layers above and outputs read.
    fn hidden(&self) -> Tensor<2>;

    /// This state, except in the rows that `finished` marks, which keep `old`; `finished` is `[batch, hidden_size]`.
    fn unless(self, finished: Tensor<2, Bool>, old: Self) -> Self;
}

/// Which way a sequence is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first step to the last true one.
    Forward,
    /// From each row's last true step to the first.
    Backward,
}

/// What reading a sequence leaves behind.
#[derive(Debug, Clone)]
pub struct Unrolled<S> {
    /// The hidden state after each step, `[batch, time, hidden_size]`; zero at padding, as in PyTorch's packed sequences.
    pub outputs: Tensor<3>,
    /// The state after each row's last true step in the direction of reading.
    pub last: S,
}

/// Reads whole sequences with a cell, step by step.
///
/// `input` is `[batch, time, input_size]`; `lengths` holds the true steps of each row. A row beyond its length keeps its
/// state, so padding (even a NaN in it) changes no output, no state and no gradient. Reading backward starts at each
/// row's own last true step.
///
/// # Panics
/// If `input` does not fit the cell, or `lengths` does not fit `input`.
pub fn unroll<C: Cell>(
    cell: &C,
    input: Tensor<3>,
    lengths: &[usize],
    initial: Option<C::State>,
    direction: Direction,
) -> Unrolled<C::State> {
    let [batch, time, input_size] = input.dims();
    assert_eq!(
        input_size,
        cell.input_size(),
        "input is [{batch}, {time}, {input_size}]: the cell reads other features"
    );
    assert_eq!(lengths.len(), batch, "input is [{batch}, {time}, {input_size}]: one length per row is needed");
    assert!(time > 0 && lengths.iter().all(|&length| length <= time), "lengths {lengths:?} exceed {time} steps");
    let device = input.device();
    let hidden_size = cell.hidden_size();

    // Time first, so that each step's rows lie together: one product serves all steps, and a step is cut out for free.
    let by_time = without_padding(input, lengths).swap_dims(0, 1).reshape([time * batch, input_size]);
    let projected = split(cell.project(by_time), time);

    let mut state = initial.unwrap_or_else(|| C::State::zeros(batch, hidden_size, &device));
    let mut outputs = Vec::with_capacity(time);
    let mut read = |step: usize, projected: Tensor<2>| {
        let next = cell.step(projected, state.clone());
        let (next, output) = match finished(lengths, step, hidden_size, &device) {
            None => (next.clone(), next.hidden()),
            Some(finished) => {
                let kept = next.unless(finished.clone(), state.clone());
                let output = kept.hidden().mask_fill(finished, 0.0);
                (kept, output)
            }
        };
        state = next;
        outputs.push(output);
    };
    match direction {
        Direction::Forward => projected.into_iter().enumerate().for_each(|(step, x)| read(step, x)),
        Direction::Backward => {
            projected.into_iter().enumerate().rev().for_each(|(step, x)| read(step, x));
            outputs.reverse();
        }
    }
    Unrolled { outputs: Tensor::stack::<3>(outputs, 1), last: state }
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

/// Marks the rows that have no step `step`, `[batch, hidden_size]`; `None` if every row has it.
fn finished(lengths: &[usize], step: usize, hidden_size: usize, device: &Device) -> Option<Tensor<2, Bool>> {
    let rows: Vec<bool> = lengths.iter().map(|&length| step >= length).collect();
    let batch = rows.len();
    let ragged = rows.contains(&true);
    ragged.then(|| Tensor::<2, Bool>::from_data(TensorData::new(rows, [batch, 1]), device).expand([batch, hidden_size]))
}

/// Zero wherever the input is padding.
fn without_padding(input: Tensor<3>, lengths: &[usize]) -> Tensor<3> {
    let [batch, time, features] = input.dims();
    if lengths.iter().all(|&length| length == time) {
        return input;
    }
    let padding: Vec<bool> = lengths.iter().flat_map(|&length| (0..time).map(move |step| step >= length)).collect();
    let padding = Tensor::<3, Bool>::from_data(TensorData::new(padding, [batch, time, 1]), &input.device());
    input.mask_fill(padding.expand([batch, time, features]), 0.0)
}
