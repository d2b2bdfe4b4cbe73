//! Layers: unidirectional and bidirectional recurrent layers, stacks with skip connections, dropout, pooling, character
//! encoders, perceptrons, attention, conditional random fields.

pub mod architecture;
pub mod attention;
pub mod character_encoder;
pub mod crf;
mod directions;
pub mod dropout;
mod linear;
mod perceptron;
pub mod pooling;
pub mod stack;

use crate::names::FieldNames;

pub use architecture::{Architecture, Recurrent};
pub use attention::{Attention, AttentionOutput, AttentionScore};
pub use character_encoder::{CharacterEncoder, CharacterEncoderShape, WordCharacters};
pub use crf::Crf;
pub use directions::{
    Bidirectional, LayerOptions, LayerOutput, LayerState, Regularization, SequenceLayer, Unidirectional,
};
pub(crate) use linear::product;
pub use linear::{Linear, linear};
pub use perceptron::{Perceptron, PerceptronShape};
pub use pooling::{Pooling, SequencePooling};
pub use stack::{RegularizationRates, Skip, Stack, StackOutput, StackShape, StackStream, StreamState};

/// Names of parameters in checkpoints, as each layer declares them.
pub(crate) const NAMES: &[&[FieldNames]] = &[
    architecture::NAMES,
    attention::NAMES,
    character_encoder::NAMES,
    crf::NAMES,
    directions::NAMES,
    linear::NAMES,
    perceptron::NAMES,
    pooling::NAMES,
    stack::NAMES,
];
