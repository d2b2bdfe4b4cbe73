//! The cells that have a CPU kernel, one file each.

pub(crate) mod gru;
pub(crate) mod gru_reset_after;
pub(crate) mod lstm;
pub(crate) mod relu_rnn;
pub(crate) mod rnn;
