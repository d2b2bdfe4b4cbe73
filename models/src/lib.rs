//! Recurrent cells, the layers built of them, and the networks that recipes train.
//!
//! # Names and dimensions
//!
//! | name | meaning |
//! |---|---|
//! | batch | sequences processed together |
//! | time | steps of the longest sequence of the batch |
//! | lengths | valid steps of each sequence, at most `time` ([`Lengths`]); what lies beyond is padding and changes nothing |
//! | input_size, hidden_size | features read and produced per step |
//! | hidden, cell | the state: what a cell shows, and what an LSTM keeps to itself |
//! | weight_ih, weight_hh, bias | input product, recurrent product, offset; gates side by side in the last dimension |
//!
//! Every public sequence is `[batch, time, features]`. Gates stand in the order i, f, g, o (GRU: r, then u or z, then n).
//!
//! # Index
//!
//! Cells are listed in [`cells`], one file each, with equations and paper on top; `seqzoo list models` shows them all.
//!
//! [`cell`] has the contract of a cell and the one readable loop over time, [`state`] what cells carry along it;
//! [`layers`] what is built around cells: both directions, stacks with skip connections, dropout, pooling, attention, CRF;
//! [`networks`] what a recipe trains; [`architecture`] the names that a recipe may use; [`invalid_shape`] what is said of sizes
//! that fit no network.

pub mod architecture;
pub mod cell;
pub mod cells;
pub mod init;
pub mod invalid_shape;
pub mod layers;
pub mod networks;
pub mod probe;
pub mod state;

pub use architecture::Architecture;
pub use invalid_shape::InvalidShape;
pub use seqzoo_kernels::Lengths;
