//! Recurrent cells, the layers built of them, and the networks that recipes train.
//!
//! # Names and dimensions
//!
//! | name | meaning |
//! |---|---|
//! | batch | sequences processed together |
//! | time | steps of the longest sequence of the batch |
//! | lengths | true steps of each sequence, at most `time`; what lies beyond is padding and changes nothing |
//! | input_size, hidden_size | features read and produced per step |
//! | hidden, cell | the state: what a cell shows, and what an LSTM keeps to itself |
//! | weight_ih, weight_hh, bias | input product, recurrent product, offset; gates side by side in the last dimension |
//!
//! Every public sequence is `[batch, time, features]`. Gates stand in the order i, f, g, o everywhere.
//!
//! # Index
//!
//! | cell | paper | file |
//! |---|---|---|
//! | vanilla RNN | Elman 1990 | `cells/rnn.rs` |
//! | LSTM | Hochreiter and Schmidhuber 1997; Gers et al. 2000 | `cells/lstm.rs` |
//!
//! [`cell`] has the contract of a cell and the one readable loop over time; [`layers`] what is built around it;
//! [`networks`] what a recipe trains; [`architecture`] the closed list of names that a recipe may use.

pub mod architecture;
pub mod cell;
pub mod cells;
pub mod init;
pub mod layers;
pub mod networks;

pub use architecture::Architecture;
