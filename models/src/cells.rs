//! One cell per file, its equations above its code.

mod gru;
mod gru_reset_after;
mod layer_norm_lstm;
mod lstm;
mod peephole_lstm;
mod relu_rnn;
mod rnn;
mod weights;

pub use gru::Gru;
pub use gru_reset_after::GruResetAfter;
pub use layer_norm_lstm::LayerNormLstm;
pub use lstm::Lstm;
pub use peephole_lstm::PeepholeLstm;
pub use relu_rnn::ReluRnn;
pub use rnn::Rnn;
pub use weights::{Weights, gates};

/// What `describe` tells of a cell; written beside its equations.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// The cell in one sentence.
    pub summary: &'static str,
    /// The equations of one time step, as in the cell's documentation.
    pub equations: &'static str,
    /// Where it was introduced.
    pub paper: &'static str,
    /// The file that holds it, from the repository's root.
    pub file: &'static str,
    /// Products with the input and the hidden state per step, in blocks of `hidden_size` columns.
    pub gates: usize,
    /// Parameters beside [`Weights`] and recurrent matrices, in multiples of `hidden_size`.
    pub own: usize,
}
