//! Recurrent cells, one per file, with equations above the code.

use crate::cell::{Cell, Weights};
use crate::names::FieldNames;

/// The list of cells: file, type, and type of the bidirectional architecture. Modules, architectures, layers and the
/// tests of every cell are generated from it.
macro_rules! cells {
    ($callback:ident) => {
        $callback! {
            rnn::Rnn, BiRnn;
            relu_rnn::ReluRnn, BiReluRnn;
            lstm::Lstm, BiLstm;
            peephole_lstm::PeepholeLstm, BiPeepholeLstm;
            layer_norm_lstm::LayerNormLstm, BiLayerNormLstm;
            gru::Gru, BiGru;
            gru_reset_after::GruResetAfter, BiGruResetAfter;
        }
    };
}
pub(crate) use cells;

macro_rules! modules {
    ($($file:ident::$cell:ident, $both:ident;)*) => {
        $(mod $file; pub use $file::$cell;)*
    };
}
cells!(modules);

macro_rules! parameter_names {
    ($($file:ident::$cell:ident, $both:ident;)*) => {
        /// Names of parameters in checkpoints, as each cell declares them.
        pub(crate) const NAMES: &[FieldNames] = &[Weights::NAMES, $(<$cell as Cell>::INFO.parameters,)*];
    };
}
cells!(parameter_names);
