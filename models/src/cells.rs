//! Recurrent cells, one per file, with equations above the code.

use crate::cell::{Cell, Weights};
use crate::names::FieldNames;

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

macro_rules! parameter_names {
    ($($file:ident::$cell:ident = $name:literal, $both:ident;)*) => {
        /// Names of parameters in checkpoints, as each cell declares them.
        pub(crate) const NAMES: &[FieldNames] = &[Weights::NAMES, $(<$cell as Cell>::INFO.parameters,)*];
    };
}
cells!(parameter_names);
