//! Recurrent layers over whole sequences, unidirectional and bidirectional.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Execution, Lengths, Stream};
use seqzoo_random::Key;

use super::dropout;
use crate::cell::{Cell, Direction, UnrollOptions, UnrollOutput, Zoneout, stream, unroll};
use crate::dropout_key::DropoutKey;
use crate::names::{FieldNames, names};
use crate::state::{NamedState, State};

/// A recurrent layer over sequences `[batch, time, input_size]`.
pub trait SequenceLayer: Module {
    /// A layer with initial weights drawn from `key`.
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self;

    /// Applies the layer to a batch, `[batch, time, input_size]`.
    ///
    /// # Panics
    /// If the initial state has no state of a direction, or no cell state, that this layer needs, or as [`unroll`] does.
    fn forward(&self, input: Tensor<3>, options: LayerOptions) -> LayerOutput;

    /// Starts a stream over one sequence, from `initial` or from zeros, without regularization; `None` if the layer is
    /// bidirectional or no kernel supports its cell.
    fn stream(&self, initial: Option<LayerState>, execution: Execution) -> Option<Stream>;
}

/// Options of [`SequenceLayer::forward`].
#[derive(Debug, Clone)]
pub struct LayerOptions {
    /// Number of valid time steps of each row.
    pub lengths: Lengths,
    /// Initial state; zeros if `None`.
    pub initial_state: Option<LayerState>,
    /// Regularization of the layer.
    pub regularization: Regularization,
    /// Tensor added to the hidden states of the forward direction, see [`UnrollOptions::hidden_offset`].
    pub hidden_offset: Option<Tensor<3>>,
    /// How the layer is computed.
    pub execution: Execution,
}

impl LayerOptions {
    /// Options for zero initial states and no regularization.
    pub fn new(lengths: impl Into<Lengths>) -> Self {
        Self {
            lengths: lengths.into(),
            initial_state: None,
            regularization: Regularization::OFF,
            hidden_offset: None,
            execution: Execution::default(),
        }
    }
}

/// The recurrent state of a layer.
#[derive(Debug, Clone)]
pub struct LayerState {
    /// State of the forward direction.
    pub forward: NamedState,
    /// State of the backward direction; `None` if unidirectional.
    pub backward: Option<NamedState>,
}

/// Regularization of a layer: rates in [0, 1), and the keys of the masks in training.
#[derive(Debug, Clone)]
pub struct Regularization {
    /// Dropout rate of the recurrent weights (DropConnect).
    pub recurrent_dropout: f64,
    /// Zoneout rate of the state's units.
    pub zoneout: f64,
    /// Keys of the masks in training.
    pub dropout_key: DropoutKey,
}

/// Output of a layer; `output_size` is `hidden_size` times the number of directions.
#[derive(Debug, Clone)]
pub struct LayerOutput {
    /// Hidden states after each time step, `[batch, time, output_size]`; zero at padding.
    pub outputs: Tensor<3>,
    /// Final state.
    pub state: LayerState,
}

impl Regularization {
    /// No regularization.
    pub const OFF: Regularization =
        Regularization { recurrent_dropout: 0.0, zoneout: 0.0, dropout_key: DropoutKey::NONE };
}

/// Unidirectional recurrent layer: applies a cell from each row's first time step to its last valid one.
///
/// ```text
/// s_t = cell(x_t, s_{t−1})        s_0 is the initial state, zeros by default
/// ```
///
/// Inputs are `[batch, time, input_size]`, outputs h_t are `[batch, time, hidden_size]`.
///
/// Differences from PyTorch's layers: `batch_first` is the only layout; padding needs no packing, and a layer is one
/// layer deep (see [`Stack`](super::Stack)).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::layers::{LayerOptions, SequenceLayer, Unidirectional};
/// use seqzoo_models::{Key, Purpose, cells::Lstm};
///
/// let device = Device::flex();
/// let layer = Unidirectional::<Lstm>::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let output = layer.forward(Tensor::ones([2, 5, 3], &device), LayerOptions::new(&[5, 2]));
/// assert_eq!((output.outputs.dims(), output.state.backward.is_some()), ([2, 5, 4], false));
/// ```
#[derive(Module, Debug)]
pub struct Unidirectional<C> {
    forward: C,
}

/// Bidirectional recurrent layer: one cell per direction, with concatenated hidden states.
///
/// ```text
/// s→_t = cell→(x_t, s→_{t−1})      s←_t = cell←(x_t, s←_{t+1})      output_t = [h→_t ; h←_t]
/// ```
///
/// Inputs are `[batch, time, input_size]`, outputs are `[batch, time, 2 · hidden_size]`. The backward cell starts at
/// each row's last valid time step and ends at its first, as in PyTorch's packed sequences. Requires the whole
/// sequence, so it cannot stream.
///
/// Differences from PyTorch's layers: those of [`Unidirectional`].
///
/// Schuster and Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45, 1997.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use seqzoo_models::layers::{LayerOptions, SequenceLayer, Bidirectional};
/// use seqzoo_models::{Key, Purpose, cells::Lstm};
///
/// let device = Device::flex();
/// let layer = Bidirectional::<Lstm>::new(3, 4, Key::new(1, Purpose::Weights), &device);
/// let output = layer.forward(Tensor::ones([2, 5, 3], &device), LayerOptions::new(&[5, 2]));
/// assert_eq!((output.outputs.dims(), output.state.backward.is_some()), ([2, 5, 8], true));
/// ```
#[derive(Module, Debug)]
pub struct Bidirectional<C> {
    forward: C,
    backward: C,
}

/// Names of parameters in checkpoints.
pub(super) const NAMES: &[FieldNames] = &[
    names!(Unidirectional<()> { forward: "forward" }),
    names!(Bidirectional<()> { forward: "forward", backward: "backward" }),
];

/// Offset between the keys of the forward and the backward cell.
const BACKWARD: u64 = 1 << 32;

/// Applies one cell to a batch; `initial` and `hidden_offset` replace those of the options.
fn apply<C: Cell>(
    cell: &C,
    input: Tensor<3>,
    options: &LayerOptions,
    initial: Option<NamedState>,
    direction: Direction,
    hidden_offset: Option<Tensor<3>>,
) -> (Tensor<3>, NamedState) {
    let LayerOptions { lengths, regularization, execution, .. } = options;
    let dropout_key = regularization.dropout_key.part(if direction == Direction::Backward { BACKWARD } else { 0 });
    // Zoneout and recurrent dropout draw from separate key ranges.
    let connections = dropout_key.part(WEIGHTS).batch().filter(|_| regularization.recurrent_dropout > 0.0);
    let initial_state = initial.map(C::State::from_named);
    let zoneout = Zoneout { rate: regularization.zoneout, dropout_key };
    let unroll_options = UnrollOptions {
        lengths: lengths.clone(),
        initial_state,
        direction,
        zoneout,
        hidden_offset,
        execution: *execution,
    };
    let UnrollOutput { outputs, final_state } = match connections {
        Some(key) => {
            let dropped = dropout::drop_connect(cell.clone(), regularization.recurrent_dropout, key);
            unroll(&dropped, input, unroll_options)
        }
        None => unroll(cell, input, unroll_options),
    };
    (outputs, final_state.named())
}

/// Offset between a layer's keys for zoneout masks and for weight masks.
const WEIGHTS: u64 = 1 << 33;

impl<C: Cell> SequenceLayer for Unidirectional<C> {
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self { forward: C::new(input_size, hidden_size, key, device) }
    }

    fn forward(&self, input: Tensor<3>, options: LayerOptions) -> LayerOutput {
        let initial = options.initial_state.clone().map(|state| state.forward);
        let hidden_offset = options.hidden_offset.clone();
        let (outputs, forward) = apply(&self.forward, input, &options, initial, Direction::Forward, hidden_offset);
        LayerOutput { outputs, state: LayerState { forward, backward: None } }
    }

    fn stream(&self, initial: Option<LayerState>, execution: Execution) -> Option<Stream> {
        stream(&self.forward, initial.map(|state| C::State::from_named(state.forward)), execution)
    }
}

impl<C: Cell> SequenceLayer for Bidirectional<C> {
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        let backward = key.with_first(key.first() + BACKWARD);
        Self {
            forward: C::new(input_size, hidden_size, key, device),
            backward: C::new(input_size, hidden_size, backward, device),
        }
    }

    fn forward(&self, input: Tensor<3>, options: LayerOptions) -> LayerOutput {
        let (initial_forward, initial_backward) = match options.initial_state.clone() {
            None => (None, None),
            Some(LayerState { forward, backward }) => {
                (Some(forward), Some(backward.expect("a bidirectional layer needs two initial states")))
            }
        };
        let (forward_outputs, forward) = apply(
            &self.forward,
            input.clone(),
            &options,
            initial_forward,
            Direction::Forward,
            options.hidden_offset.clone(),
        );
        let (backward_outputs, backward) =
            apply(&self.backward, input, &options, initial_backward, Direction::Backward, None);
        LayerOutput {
            outputs: Tensor::cat(vec![forward_outputs, backward_outputs], 2),
            state: LayerState { forward, backward: Some(backward) },
        }
    }

    fn stream(&self, _: Option<LayerState>, _: Execution) -> Option<Stream> {
        None
    }
}
