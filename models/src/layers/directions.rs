//! Recurrent layers over whole sequences, unidirectional and bidirectional.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Execution, Lengths, Stream};
use seqzoo_random::Key;

use super::dropout;
use crate::cell::{Cell, Direction, Walk, Walked, Zoneout, stream, unroll};
use crate::state::{NamedState, State};

/// A recurrent layer over sequences `[batch, time, input_size]`.
pub trait SequenceLayer: Module {
    /// A layer with initial weights drawn from `key`.
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self;

    /// Applies the layer to a batch, `[batch, time, input_size]`.
    ///
    /// # Panics
    /// If the initial state lacks a direction or a cell state that this layer has, or as [`unroll`] does.
    fn read(&self, input: Tensor<3>, passage: Passage) -> Reading;

    /// Starts a stream over one sequence, from `initial` or from zeros, without regularization; `None` if the layer is
    /// bidirectional or no kernel supports its cell.
    fn stream(&self, initial: Option<LayerState>, execution: Execution) -> Option<Stream>;
}

/// Options of [`SequenceLayer::read`].
#[derive(Debug, Clone)]
pub struct Passage {
    /// Number of valid time steps of each row.
    pub lengths: Lengths,
    /// Initial state; zeros if `None`.
    pub initial: Option<LayerState>,
    /// Regularization of the layer.
    pub noise: Noise,
    /// Tensor added to the hidden states of the forward direction, see [`Walk::added`].
    pub added: Option<Tensor<3>>,
    /// How the layer is computed.
    pub execution: Execution,
}

/// The recurrent state of a layer.
#[derive(Debug, Clone)]
pub struct LayerState {
    /// State of the forward direction.
    pub forward: NamedState,
    /// State of the backward direction; `None` if unidirectional.
    pub backward: Option<NamedState>,
}

/// Regularization of a layer: rates in [0, 1), and the random key for the masks in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Dropout rate of the recurrent weights (DropConnect).
    pub recurrent_dropout: f64,
    /// Zoneout rate of the state's units.
    pub zoneout: f64,
    /// `None` at inference.
    pub key: Option<Key>,
}

/// Output of a layer; `output_size` is `hidden_size` times the number of directions.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Hidden states after each time step, `[batch, time, output_size]`; zero at padding.
    pub outputs: Tensor<3>,
    /// Final state.
    pub state: LayerState,
}

impl Noise {
    /// No regularization.
    pub const OFF: Noise = Noise { recurrent_dropout: 0.0, zoneout: 0.0, key: None };
}

/// Unidirectional recurrent layer: processes each row from its first time step to its last valid one.
#[derive(Module, Debug)]
pub struct Unidirectional<C> {
    forward: C,
}

/// Bidirectional recurrent layer: one cell per direction, with concatenated hidden states `[h→ ; h←]`.
///
/// The backward cell starts at each row's last valid time step and ends at its first, as in PyTorch's packed sequences.
/// Requires the whole sequence, so it cannot stream.
///
/// Schuster and Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45, 1997.
#[derive(Module, Debug)]
pub struct Bidirectional<C> {
    forward: C,
    backward: C,
}

/// Offset between the keys of the forward and the backward cell.
const BACKWARD: u64 = 1 << 32;

/// Applies one cell to a batch; `initial` and `added` replace those of the passage.
fn read<C: Cell>(
    cell: &C,
    input: Tensor<3>,
    passage: &Passage,
    initial: Option<NamedState>,
    direction: Direction,
    added: Option<Tensor<3>>,
) -> (Tensor<3>, NamedState) {
    let Passage { lengths, noise, execution, .. } = passage;
    let key = noise.key.map(|key| if direction == Direction::Backward { key.at(key.first() ^ BACKWARD) } else { key });
    let initial = initial.map(C::State::from_named);
    let zoneout = Zoneout { rate: noise.zoneout, key };
    let walk = Walk { lengths: lengths.clone(), initial, direction, zoneout, added, execution: *execution };
    let Walked { outputs, last } = match key {
        // Zoneout and recurrent dropout draw from separate key ranges.
        Some(key) if noise.recurrent_dropout > 0.0 => {
            let dropped =
                dropout::recurrent_weights(cell.clone(), noise.recurrent_dropout, key.at(key.first() ^ WEIGHTS));
            unroll(&dropped, input, walk)
        }
        _ => unroll(cell, input, walk),
    };
    (outputs, last.named())
}

/// Offset between a layer's keys for zoneout masks and for weight masks.
const WEIGHTS: u64 = 1 << 33;

impl<C: Cell> SequenceLayer for Unidirectional<C> {
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self { forward: C::new(input_size, hidden_size, key, device) }
    }

    fn read(&self, input: Tensor<3>, passage: Passage) -> Reading {
        let Passage { ref initial, ref added, .. } = passage;
        let (initial, added) = (initial.clone().map(|state| state.forward), added.clone());
        let (outputs, forward) = read(&self.forward, input, &passage, initial, Direction::Forward, added);
        Reading { outputs, state: LayerState { forward, backward: None } }
    }

    fn stream(&self, initial: Option<LayerState>, execution: Execution) -> Option<Stream> {
        stream(&self.forward, initial.map(|state| C::State::from_named(state.forward)), execution)
    }
}

impl<C: Cell> SequenceLayer for Bidirectional<C> {
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        let backward = key.at(key.first() + BACKWARD);
        Self {
            forward: C::new(input_size, hidden_size, key, device),
            backward: C::new(input_size, hidden_size, backward, device),
        }
    }

    fn read(&self, input: Tensor<3>, passage: Passage) -> Reading {
        let (initial_forward, initial_backward) = match passage.initial.clone() {
            None => (None, None),
            Some(LayerState { forward, backward }) => {
                (Some(forward), Some(backward.expect("a bidirectional layer needs two initial states")))
            }
        };
        let (forward_outputs, forward) =
            read(&self.forward, input.clone(), &passage, initial_forward, Direction::Forward, passage.added.clone());
        let (backward_outputs, backward) =
            read(&self.backward, input, &passage, initial_backward, Direction::Backward, None);
        Reading {
            outputs: Tensor::cat(vec![forward_outputs, backward_outputs], 2),
            state: LayerState { forward, backward: Some(backward) },
        }
    }

    fn stream(&self, _: Option<LayerState>, _: Execution) -> Option<Stream> {
        None
    }
}
