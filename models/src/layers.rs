//! What is built around cells: reading in one or both directions, dropout.

mod directions;
mod dropout;

pub use directions::{Bidirectional, Reading, SequenceLayer, Unidirectional};
pub use dropout::dropout;
