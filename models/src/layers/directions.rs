//! Layers that read a whole sequence with a cell, in one direction or in both.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Execution, Lengths, Stream};
use seqzoo_random::Key;

use super::dropout;
use crate::cell::{Cell, Direction, Walk, Walked, Zoneout, stream, unroll};
use crate::state::{NamedState, State};

/// A layer that reads sequences `[batch, time, input_size]`.
pub trait SequenceLayer: Module {
    /// A layer with initial weights drawn from `key`.
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self;

    /// Reads a batch.
    ///
    /// # Panics
    /// If the passage's initial state lacks a direction or a cell that this layer has.
    fn read(&self, input: Tensor<3>, passage: Passage) -> Reading;

    /// Reads one sequence as its steps come, from a state or from zeros, undisturbed; `None` if the layer must know the whole
    /// sequence, or no kernel reads its cell.
    fn stream(&self, initial: Option<LayerState>, execution: Execution) -> Option<Stream>;
}

/// How a layer reads a batch.
#[derive(Debug, Clone)]
pub struct Passage {
    /// Valid steps of each row.
    pub lengths: Lengths,
    /// From where; zeros unless given.
    pub initial: Option<LayerState>,
    /// What disturbs the layer.
    pub noise: Noise,
    /// Added to the hidden states of the forward reader, see [`Walk::added`].
    pub added: Option<Tensor<3>>,
    /// How it is computed.
    pub execution: Execution,
}

/// The state of a layer before or after a sequence.
#[derive(Debug, Clone)]
pub struct LayerState {
    /// Of the cell that reads forward.
    pub forward: NamedState,
    /// Of the cell that reads backward, if there is one.
    pub backward: Option<NamedState>,
}

/// What disturbs a layer: rates in [0, 1), and the key from which masks are drawn in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Share of the recurrent weights dropped.
    pub recurrent_dropout: f64,
    /// Share of the state's units that keep their old value.
    pub zoneout: f64,
    /// `None` at inference.
    pub key: Option<Key>,
}

/// What a layer makes of a sequence; `output_size` is `hidden_size` times the number of directions.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Hidden states after each step, `[batch, time, output_size]`; zero at padding.
    pub outputs: Tensor<3>,
    /// The state after the whole sequence.
    pub state: LayerState,
}

impl Noise {
    /// Nothing is disturbed.
    pub const OFF: Noise = Noise { recurrent_dropout: 0.0, zoneout: 0.0, key: None };
}

/// Reads from the first step to the last true one.
#[derive(Module, Debug)]
pub struct Unidirectional<C> {
    forward: C,
}

/// Reads in both directions with a cell each, and puts their hidden states side by side: `[h→ ; h←]`.
///
/// The backward reader starts at each row's last true step, so its final state has read that row's first step last.
/// Only for tasks in which the whole sequence is known.
///
/// Schuster and Paliwal, "Bidirectional recurrent neural networks", IEEE Transactions on Signal Processing 45, 1997.
#[derive(Module, Debug)]
pub struct Bidirectional<C> {
    forward: C,
    backward: C,
}

/// Distance between the keys of a forward and a backward reader.
const BACKWARD: u64 = 1 << 32;

/// Reads a batch with one cell; of the passage, `initial` and `added` are replaced.
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
        // Zoneout draws from the low places of the key, weights from one far above.
        Some(key) if noise.recurrent_dropout > 0.0 => {
            let dropped =
                dropout::recurrent_weights(cell.clone(), noise.recurrent_dropout, key.at(key.first() ^ WEIGHTS));
            unroll(&dropped, input, walk)
        }
        _ => unroll(cell, input, walk),
    };
    (outputs, last.named())
}

/// Distance between the keys of a layer's masks for states and for weights.
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
        let (from, back_from) = match passage.initial.clone() {
            None => (None, None),
            Some(LayerState { forward, backward }) => {
                (Some(forward), Some(backward.expect("a bidirectional layer starts from two states")))
            }
        };
        let (ahead, forward) =
            read(&self.forward, input.clone(), &passage, from, Direction::Forward, passage.added.clone());
        let (behind, backward) = read(&self.backward, input, &passage, back_from, Direction::Backward, None);
        Reading {
            outputs: Tensor::cat(vec![ahead, behind], 2),
            state: LayerState { forward, backward: Some(backward) },
        }
    }

    fn stream(&self, _: Option<LayerState>, _: Execution) -> Option<Stream> {
        None
    }
}
