//! Layers that read a whole sequence with a cell, in one direction or in both.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_random::Key;

use crate::cell::{Cell, Direction, State, unroll};
use crate::cells::Card;

/// A layer that reads sequences `[batch, time, input_size]`.
pub trait SequenceLayer: Module {
    /// The card of the cell that reads.
    const CARD: Card;
    /// How many times the sequence is read, each by a cell of its own.
    const DIRECTIONS: usize;

    /// A layer with initial weights drawn from `key`.
    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self;

    /// Reads a batch whose rows have `lengths` true steps.
    fn read(&self, input: Tensor<3>, lengths: &[usize]) -> Reading;
}

/// What a layer makes of a sequence; `output_size` is `hidden_size` times the number of directions.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Hidden states after each step, `[batch, time, output_size]`; zero at padding.
    pub outputs: Tensor<3>,
    /// Hidden states when the whole sequence has been read, `[batch, output_size]`.
    pub last: Tensor<2>,
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

impl<C: Cell> SequenceLayer for Unidirectional<C> {
    const CARD: Card = C::CARD;
    const DIRECTIONS: usize = 1;

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        Self { forward: C::new(input_size, hidden_size, key, device) }
    }

    fn read(&self, input: Tensor<3>, lengths: &[usize]) -> Reading {
        let read = unroll(&self.forward, input, lengths, None, Direction::Forward);
        Reading { outputs: read.outputs, last: read.last.hidden() }
    }
}

impl<C: Cell> SequenceLayer for Bidirectional<C> {
    const CARD: Card = C::CARD;
    const DIRECTIONS: usize = 2;

    fn new(input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Self {
        // Cells draw from small places of their key; the backward reader's lie far from the forward one's.
        let backward = key.at(key.first() + BACKWARD);
        Self {
            forward: C::new(input_size, hidden_size, key, device),
            backward: C::new(input_size, hidden_size, backward, device),
        }
    }

    fn read(&self, input: Tensor<3>, lengths: &[usize]) -> Reading {
        let forward = unroll(&self.forward, input.clone(), lengths, None, Direction::Forward);
        let backward = unroll(&self.backward, input, lengths, None, Direction::Backward);
        Reading {
            outputs: Tensor::cat(vec![forward.outputs, backward.outputs], 2),
            last: Tensor::cat(vec![forward.last.hidden(), backward.last.hidden()], 1),
        }
    }
}

/// Distance between the keys of a forward and a backward reader.
const BACKWARD: u64 = 1 << 32;
