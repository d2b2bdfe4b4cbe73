//! What is built around cells: reading in one or both directions, stacks with skip connections, dropout, pooling,
//! spelling, perceptrons, attention, conditional random fields.

pub mod attention;
pub mod crf;
mod directions;
pub mod dropout;
mod perceptron;
pub mod pooling;
pub mod spelling;
pub mod stack;

pub use attention::{Attention, AttentionScore};
pub use crf::Crf;
pub use directions::{Bidirectional, LayerState, Noise, Passage, Reading, SequenceLayer, Unidirectional};
pub use perceptron::{Perceptron, PerceptronShape};
pub use pooling::{Pooling, Summary};
pub use spelling::{Spelling, SpellingShape, Spelt};
pub use stack::{Skip, Stack, StackShape, StackStream};

use burn::nn::Linear;
use burn::tensor::Device;
use seqzoo_random::Key;

use crate::init;

/// y = x W + b with Glorot-uniform weights `[input_size, output_size]` and a constant bias.
pub fn linear(input_size: usize, output_size: usize, bias: f32, key: Key, device: &Device) -> Linear {
    Linear {
        weight: init::glorot_uniform([input_size, output_size], 1, key, device),
        bias: Some(init::constant(&vec![bias; output_size], device)),
    }
}
