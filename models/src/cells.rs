//! One cell per file, its equations above its code.

mod weights;

pub use weights::{Weights, gates};

/// The list of cells: file, type, name of the architecture that reads forward, and type of the one that reads both ways.
/// All else (modules, names, layers, tests of every cell) follows from it; the file holds the rest.
macro_rules! cells {
    ($callback:ident) => {
        $callback! {
            rnn::Rnn = "rnn", BiRnn;
            relu_rnn::ReluRnn = "relu-rnn", BiReluRnn;
            lstm::Lstm = "lstm", BiLstm;
            peephole_lstm::PeepholeLstm = "peephole-lstm", BiPeepholeLstm;
            layer_norm_lstm::LayerNormLstm = "layer-norm-lstm", BiLayerNormLstm;
            gru::Gru = "gru", BiGru;
            gru_reset_after::GruResetAfter = "gru-reset-after", BiGruResetAfter;
        }
    };
}
pub(crate) use cells;

macro_rules! modules {
    ($($file:ident::$cell:ident = $name:literal, $both:ident;)*) => {
        $(mod $file; pub use $file::$cell;)*
    };
}
cells!(modules);

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
