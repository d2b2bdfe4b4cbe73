//! Recurrent cells, one per file, with equations above the code.

mod weights;

pub use weights::{Weights, split_gates};

/// The list of cells: file, type, name of the unidirectional architecture, and type of the bidirectional one.
/// Modules, names, layers and the tests of every cell are generated from it.
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

/// Description of a cell, printed by `seqzoo describe`.
#[derive(Debug, Clone, Copy)]
pub struct CellInfo {
    /// The cell in one sentence.
    pub summary: &'static str,
    /// The equations of one time step, as in the cell's documentation.
    pub equations: &'static str,
    /// The paper that introduced it.
    pub paper: &'static str,
    /// Its source file, relative to the repository root.
    pub file: &'static str,
    /// Number of gates: blocks of `hidden_size` columns in the input and recurrent products of a step.
    pub gates: usize,
    /// Parameters outside [`Weights`] and the recurrent matrices, in multiples of `hidden_size`.
    pub other_parameters: usize,
}
