//! The [`Cell`] trait and the reference loop over time steps.

mod weights;

pub use weights::{Weights, split_gates};

use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Bool, Device, Tensor};
use seqzoo_kernels::{self as kernels, Engine, Execution, Extra, Inputs, Lengths, Outputs, Request, Stream};
use seqzoo_random::Key;

use crate::dropout_key::DropoutKey;
use crate::names::FieldNames;
use crate::state::{NamedState, State};

/// A recurrent cell: the computation of one time step. [`unroll`] applies it to a whole sequence.
pub trait Cell: Module + ModuleDisplay {
    /// The recurrent state.
    type State: State;

    /// Description of the cell for `seqzoo describe`.
    const INFO: CellInfo;

    /// A cell with initial weights drawn from `key`, on `device`.
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self;

    /// Input weights, recurrent weights and bias.
    fn weights(&self) -> &Weights;

    /// Input projection of any number of time steps at once: x W_ih + b, which does not depend on the state.
    ///
    /// `input` is `[rows, input_size]`; the result is `[rows, gates · hidden_size]`.
    fn project(&self, input: Tensor<2>) -> Tensor<2> {
        self.weights().project_input(input) + self.weights().bias().unsqueeze()
    }

    /// Parameters outside [`Weights`] for the cell's fused kernel, if it has one and needs them.
    fn extra(&self) -> Extra {
        Extra::None
    }

    /// Next state from the input projection of one time step and the current state.
    ///
    /// `projected` is `[batch, gates · hidden_size]`; each tensor of the state is `[batch, hidden_size]`.
    fn step(&self, projected: Tensor<2>, state: Self::State) -> Self::State;
}

/// Description of a cell, printed by `seqzoo describe`.
#[derive(Debug, Clone, Copy)]
pub struct CellInfo {
    /// Names of its unidirectional and its bidirectional architecture in recipes; the first one is also that of its
    /// kernel.
    pub names: [&'static str; 2],
    /// The cell in one sentence.
    pub summary: &'static str,
    /// The equations of one time step, as in the cell's documentation.
    pub equations: &'static str,
    /// The paper that introduced it.
    pub paper: &'static str,
    /// Its source file, relative to the repository root.
    pub file: &'static str,
    /// Number of gates: blocks of `hidden_size` columns in the input and recurrent products of a step.
    pub gates: usize,
    /// Parameters outside [`Weights`] and the recurrent matrices, in multiples of `hidden_size`.
    pub other_parameters: usize,
    /// Names of the cell's parameters in checkpoints.
    pub parameters: FieldNames,
    /// Names of its unidirectional and its bidirectional layer in checkpoints.
    pub layer_names: [&'static str; 2],
}

/// Options of [`unroll`].
#[derive(Debug, Clone)]
pub struct UnrollOptions<S> {
    /// Number of valid time steps of each row, at most the input's `time`.
    pub lengths: Lengths,
    /// Initial state; zeros if `None`.
    pub initial_state: Option<S>,
    /// Direction in which the sequence is processed.
    pub direction: Direction,
    /// Zoneout of the state.
    pub zoneout: Zoneout,
    /// Tensor added to the hidden state after each time step, `[batch, time, hidden_size]`. Zeros that require a
    /// gradient yield the gradient of a loss with respect to each hidden state.
    pub hidden_offset: Option<Tensor<3>>,
    /// How the layer is computed: engine, instruction set, threads.
    pub execution: Execution,
}

impl<S> UnrollOptions<S> {
    /// Options for the forward direction, zero initial states and no regularization.
    pub fn new(lengths: impl Into<Lengths>) -> Self {
        Self {
            lengths: lengths.into(),
            initial_state: None,
            direction: Direction::Forward,
            zoneout: Zoneout::OFF,
            hidden_offset: None,
            execution: Execution::default(),
        }
    }
}

/// Direction in which a sequence is processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the first time step to the last valid one.
    Forward,
    /// From each row's last valid time step to the first.
    Backward,
}

/// Zoneout: each unit of the state keeps its previous value with probability `rate` in training; its expectation at
/// inference.
///
/// ```text
/// s' ← m ⊙ s + (1 − m) ⊙ s'        m = 1 with probability rate in training, m = rate at inference
/// ```
///
/// Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", ICLR 2017.
#[derive(Debug, Clone)]
pub struct Zoneout {
    /// Probability of keeping the previous value, in [0, 1).
    pub rate: f64,
    /// Keys of the masks in training.
    pub dropout_key: DropoutKey,
}

/// Result of [`unroll`].
#[derive(Debug, Clone)]
pub struct UnrollOutput<S> {
    /// The hidden state after each time step, `[batch, time, hidden_size]`; zero at padding, as in PyTorch's packed
    /// sequences.
    pub outputs: Tensor<3>,
    /// The final state of each row: after its last valid time step in the given direction.
    pub final_state: S,
}

impl Zoneout {
    /// No zoneout.
    pub const OFF: Zoneout = Zoneout { rate: 0.0, dropout_key: DropoutKey::NONE };

    fn apply<S: State>(&self, new: S, old: S, step: usize) -> S {
        if self.rate == 0.0 {
            return new;
        }
        let mut tensors = 0;
        new.zip_with(old, |new, old| {
            tensors += 1;
            let key = self.dropout_key.offset(4 * step as u64 + tensors);
            match key.mask(new.dims(), self.rate, &new.device()) {
                None => new.clone() + (old - new) * self.rate,
                Some(keep) => new.mask_where(keep, old),
            }
        })
    }
}

/// Applies a cell to whole sequences: with its fused kernel if there is one, otherwise step by step.
///
/// `input` is `[batch, time, input_size]`. A row keeps its state beyond its length, so padding (even NaN) changes no
/// output, state or gradient. The backward direction starts at each row's own last valid time step.
///
/// # Panics
/// If `input` does not match the cell's input size, the lengths do not match `input`, or [`Engine::Fused`] is required
/// and no kernel supports the request.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::cell::{Cell, UnrollOptions, unroll};
/// use seqzoo_models::{Key, Purpose, cells::Gru};
///
/// let device = Device::flex();
/// let gru = Gru::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let result = unroll(&gru, Tensor::ones([2, 5, 3], &device), UnrollOptions::new(&[5, 2]));
/// assert_eq!((result.outputs.dims(), result.final_state.hidden.dims()), ([2, 5, 4], [2, 4]));
/// ```
pub fn unroll<C: Cell>(cell: &C, input: Tensor<3>, options: UnrollOptions<C::State>) -> UnrollOutput<C::State> {
    let [batch, time, input_size] = input.dims();
    let (expected, hidden_size, lengths) =
        (cell.weights().input_size(), cell.weights().hidden_size(), &options.lengths);
    assert_eq!(input_size, expected, "input is [{batch}, {time}, {input_size}], expected [_, _, {expected}]");
    assert_eq!(lengths.len(), batch, "input is [{batch}, {time}, {input_size}]: expected one length per row");
    assert!(time > 0 && lengths.iter().all(|&length| length <= time), "lengths {lengths:?} exceed {time} steps");

    if let Some(unrolled) = fused(cell, &input, &options) {
        return unrolled;
    }

    // Time-major, so that one product projects all time steps and the rows of a step are contiguous.
    let by_time = zero_padding(input, lengths).swap_dims(0, 1).reshape([time * batch, input_size]);
    let projected = cell.project(by_time);
    let mut state = options.initial_state.unwrap_or_else(|| C::State::zeros(batch, hidden_size, &projected));

    let by_step = |offset: Tensor<3>| split(offset.swap_dims(0, 1).reshape([time * batch, hidden_size]), time);
    let hidden_offset = options.hidden_offset.map(by_step);

    let mut outputs = Vec::with_capacity(time);
    let mut advance = |(step, projected): (usize, Tensor<2>)| {
        let mut next = options.zoneout.apply(cell.step(projected, state.clone()), state.clone(), step);
        if let Some(hidden_offset) = &hidden_offset {
            let NamedState { hidden, cell } = next.named();
            next = C::State::from_named(NamedState { hidden: hidden + hidden_offset[step].clone(), cell });
        }
        let (next, output) = match finished(lengths, step, time, &next.hidden()) {
            None => (next.clone(), next.hidden()),
            Some(finished) => {
                let kept = next.zip_with(state.clone(), |new, old| new.mask_where(finished.clone(), old));
                let output = kept.hidden().mask_fill(finished, 0.0);
                (kept, output)
            }
        };
        state = next;
        outputs.push(output);
    };
    let steps = split(projected, time).into_iter().enumerate();
    match options.direction {
        Direction::Forward => steps.for_each(&mut advance),
        Direction::Backward => {
            steps.rev().for_each(&mut advance);
            outputs.reverse();
        }
    }
    UnrollOutput { outputs: Tensor::stack::<3>(outputs, 1), final_state: state }
}

/// Applies the cell's fused kernel, if one supports the request; only this function chooses between kernel and loop.
fn fused<C: Cell>(cell: &C, input: &Tensor<3>, options: &UnrollOptions<C::State>) -> Option<UnrollOutput<C::State>> {
    let unregularized = options.zoneout.rate == 0.0 && options.hidden_offset.is_none();
    let [batch, time, input_size] = input.dims();
    let sizes = [batch, time, input_size, cell.weights().hidden_size()];
    let [name, _] = C::INFO.names;
    let request = Request { cell: name, device: &input.device(), dtype: input.dtype(), sizes };
    let Some(family) = kernels::find(&request, options.execution).filter(|_| unregularized) else {
        assert!(
            options.execution.engine != Engine::Fused,
            "no fused kernel supports this cell, regularization and device"
        );
        return None;
    };
    let inputs = kernel_inputs(cell, input.clone(), options.initial_state.clone());
    let reversed = options.direction == Direction::Backward;
    let Outputs { outputs, hidden, cell } =
        family.sequence(name, inputs, &options.lengths, reversed, options.execution);
    Some(UnrollOutput { outputs, final_state: C::State::from_named(NamedState { hidden, cell }) })
}

/// The inputs of a cell's kernel.
fn kernel_inputs<C: Cell>(cell: &C, input: Tensor<3>, initial: Option<C::State>) -> Inputs {
    let (weights, extra) = (cell.weights(), cell.extra());
    let zeros = || C::State::zeros(input.dims()[0], weights.hidden_size(), &weights.weight_hh());
    let NamedState { hidden, cell } = initial.unwrap_or_else(zeros).named();
    let (weight_ih, bias, weight_hh) = (weights.weight_ih(), weights.bias(), weights.weight_hh());
    let packed = weights.packed().clone();
    Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell, packed }
}

/// Processes one sequence step by step, forward, from `initial` or from zeros; `None` if no kernel supports this cell
/// on its device.
///
/// For inference only: steps allocate no memory and record no gradients.
pub fn stream<C: Cell>(cell: &C, initial: Option<C::State>, execution: Execution) -> Option<Stream> {
    let weights = cell.weights().weight_hh();
    let input = Tensor::zeros([1, 1, cell.weights().input_size()], (&weights.device(), weights.dtype()));
    kernels::stream(C::INFO.names[0], kernel_inputs(cell, input, initial), execution)
}

/// Splits `[steps · batch, features]` into time steps by recursive halving: the backward pass of each split fills zeros
/// for all rows of its input, so splitting off one step at a time would take O(time²) (Burn 0.22).
fn split(rows: Tensor<2>, steps: usize) -> Vec<Tensor<2>> {
    if steps == 1 {
        return vec![rows];
    }
    let batch = rows.dims()[0] / steps;
    let half = steps / 2;
    let mut parts = split(rows.clone().narrow(0, 0, half * batch), half);
    parts.extend(split(rows.narrow(0, half * batch, (steps - half) * batch), steps - half));
    parts
}

/// Mask of the rows that end before `step`, in the shape of `hidden`; `None` if there are none.
fn finished(lengths: &Lengths, step: usize, time: usize, hidden: &Tensor<2>) -> Option<Tensor<2, Bool>> {
    lengths.finished(step, time, &hidden.device()).map(|rows| rows.expand(hidden.dims()))
}

/// `[batch, time, features]` with padding set to zero.
pub fn zero_padding(input: Tensor<3>, lengths: &Lengths) -> Tensor<3> {
    let [_, time, _] = input.dims();
    match lengths.padding(time, &input.device()) {
        None => input,
        Some(padding) => {
            let padding = padding.unsqueeze_dim::<3>(2).expand(input.dims());
            input.mask_fill(padding, 0.0)
        }
    }
}
