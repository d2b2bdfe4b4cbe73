//! One cell per file, its equations above its code.

mod lstm;
mod rnn;

pub use lstm::{Lstm, LstmState};
pub use rnn::{Rnn, RnnState};

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
    /// Products with the hidden state and the input per step, in blocks of `hidden_size`.
    pub gates: usize,
}
