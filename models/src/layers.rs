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

pub use architecture::{Architecture, Recurrent};
pub use attention::{Attention, AttentionOutput, AttentionScore};
pub use character_encoder::{CharacterEncoder, CharacterEncoderShape, WordCharacters};
pub use crf::Crf;
pub use directions::{
    Bidirectional, LayerOptions, LayerOutput, LayerState, Regularization, SequenceLayer, Unidirectional,
};
pub use linear::{Linear, linear};
pub use perceptron::{Perceptron, PerceptronShape};
pub use pooling::{Pooling, SequencePooling};
pub use stack::{Skip, Stack, StackOutput, StackRates, StackShape, StackStream};
