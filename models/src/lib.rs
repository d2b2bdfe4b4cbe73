//! Recurrent cells, the layers built from them, and the networks that recipes train.
//!
//! # Names and dimensions
//!
//! | name | meaning |
//! |---|---|
//! | batch | number of sequences processed together |
//! | time | number of time steps of the longest sequence in the batch |
//! | lengths | valid time steps of each sequence, at most `time` ([`Lengths`]); the rest is padding and is ignored |
//! | input_size, hidden_size | number of input and output features per time step |
//! | hidden, cell | the recurrent state: the hidden state (the output), and the cell state of an LSTM |
//! | weight_ih, weight_hh, bias | input weights, recurrent weights, bias; gates concatenated in the last dimension |
//!
//! Every public sequence tensor is `[batch, time, features]` (`batch_first` in PyTorch). The gate order is i, f, g, o
//! (GRU: r, then u or z, then n).
//!
//! # Index
//!
//! [`cells`] lists the cells, one file each, with equations and paper at the top; `seqzoo list models` prints them.
//!
//! - [`cell`]: the [`Cell`](cell::Cell) trait and the reference loop over time steps; [`state`]: the recurrent state.
//! - [`layers`]: bidirectional layers, stacks with skip connections, dropout, pooling, attention, CRF.
//! - [`networks`]: the networks that a recipe trains.
//! - [`architecture`]: the architecture names that a recipe accepts.
//! - [`parameters`]: parameters by name, and type-erased networks; [`parameter_path`]: names of parameters in checkpoints.
//! - [`dropout_key`]: random keys of dropout masks.
//! - [`invalid_shape`]: the error for invalid sizes and dropout rates.

pub mod cell;
pub mod cells;
pub mod dropout_key;
pub mod init;
pub mod invalid_shape;
pub mod layers;
pub mod names;
pub mod networks;
pub mod parameter_path;
pub mod parameters;
pub mod probe;
pub mod state;

pub use invalid_shape::InvalidShape;
pub use layers::architecture::{self, Architecture};
pub use seqzoo_kernels::Lengths;
pub use seqzoo_random::{Key, Purpose};
