//! The closed list of recurrent architectures that a recipe may name.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use seqzoo_random::{Key, Purpose};

use crate::cells::{Card, Gru, GruResetAfter, LayerNormLstm, Lstm, PeepholeLstm, ReluRnn, Rnn};
use crate::layers::{Bidirectional, Passage, Reading, SequenceLayer, Unidirectional};

/// Turns the list into the names ([`Architecture`]) and the layers ([`Recurrent`]); a line per architecture is all there is.
macro_rules! architectures {
    ($($(#[$doc:meta])* $variant:ident = $name:literal: $layer:ty),* $(,)?) => {
        /// The name of a recurrent architecture.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Architecture {
            $($(#[$doc])* $variant,)*
        }

        impl Architecture {
            /// Every architecture.
            pub const ALL: [Architecture; [$($name),*].len()] = [$(Architecture::$variant),*];

            /// The name in recipes and on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Architecture::$variant => $name,)* }
            }

            /// What is to be told of the cell that reads.
            pub fn card(self) -> Card {
                match self { $(Architecture::$variant => <$layer>::CARD,)* }
            }

            /// How many cells read the sequence, each in its own direction.
            pub fn directions(self) -> usize {
                match self { $(Architecture::$variant => <$layer>::DIRECTIONS,)* }
            }

            /// The layer with initial weights drawn from `key`.
            pub fn build(self, input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Recurrent {
                match self {
                    $(Architecture::$variant =>
                        Recurrent::$variant(SequenceLayer::new(input_size, hidden_size, key, device)),)*
                }
            }
        }

        /// A recurrent layer of whichever architecture was named.
        #[derive(Module, Debug)]
        pub enum Recurrent {
            $($(#[$doc])* $variant($layer),)*
        }

        impl Recurrent {
            /// Reads `[batch, time, input_size]`.
            pub fn read(&self, input: Tensor<3>, passage: Passage) -> Reading {
                match self { $(Recurrent::$variant(layer) => layer.read(input, passage),)* }
            }
        }
    };
}

architectures! {
    /// Vanilla RNN.
    Rnn = "rnn": Unidirectional<Rnn>,
    /// Vanilla RNN of rectified units.
    ReluRnn = "relu-rnn": Unidirectional<ReluRnn>,
    /// LSTM.
    Lstm = "lstm": Unidirectional<Lstm>,
    /// LSTM with peepholes.
    PeepholeLstm = "peephole-lstm": Unidirectional<PeepholeLstm>,
    /// Layer-normalised LSTM.
    LayerNormLstm = "layer-norm-lstm": Unidirectional<LayerNormLstm>,
    /// GRU, reset before the product.
    Gru = "gru": Unidirectional<Gru>,
    /// GRU, reset after the product.
    GruResetAfter = "gru-reset-after": Unidirectional<GruResetAfter>,
    /// Vanilla RNNs reading in both directions.
    BiRnn = "birnn": Bidirectional<Rnn>,
    /// Vanilla RNNs of rectified units reading in both directions.
    BiReluRnn = "birelu-rnn": Bidirectional<ReluRnn>,
    /// LSTMs reading in both directions.
    BiLstm = "bilstm": Bidirectional<Lstm>,
    /// LSTMs with peepholes reading in both directions.
    BiPeepholeLstm = "bipeephole-lstm": Bidirectional<PeepholeLstm>,
    /// Layer-normalised LSTMs reading in both directions.
    BiLayerNormLstm = "bilayer-norm-lstm": Bidirectional<LayerNormLstm>,
    /// GRUs, reset before the product, reading in both directions.
    BiGru = "bigru": Bidirectional<Gru>,
    /// GRUs, reset after the product, reading in both directions.
    BiGruResetAfter = "bigru-reset-after": Bidirectional<GruResetAfter>,
}

impl Architecture {
    /// The architecture of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }

    /// Parameters of the recurrent layer: weights and biases of all its cells.
    pub fn parameters(self, input_size: usize, hidden_size: usize) -> usize {
        let Card { gates, own, .. } = self.card();
        self.directions() * hidden_size * (gates * (input_size + hidden_size + 1) + own)
    }

    /// Names and shapes of the recurrent layer's parameters.
    pub fn shapes(self, input_size: usize, hidden_size: usize, device: &Device) -> Vec<(String, Vec<usize>)> {
        struct Shapes(Vec<String>, Vec<(String, Vec<usize>)>);
        impl ModuleVisitor for Shapes {
            fn enter_module(&mut self, name: &str, _: &str) {
                self.0.push(name.to_owned());
            }
            fn exit_module(&mut self, _: &str, _: &str) {
                self.0.pop();
            }
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                // The first part names the architecture.
                self.1.push((self.0[1..].join("."), param.val().dims().to_vec()));
            }
        }
        // Read off a tiny layer whose sizes cannot be confused: large ones take long to draw.
        let (tiny_input, tiny_hidden) = (7, 5);
        let mut found = Shapes(Vec::new(), Vec::new());
        self.build(tiny_input, tiny_hidden, Key::new(0, Purpose::Weights), device).visit(&mut found);
        let scaled = |size: usize| if size == tiny_input { input_size } else { size / tiny_hidden * hidden_size };
        found.1.into_iter().map(|(name, shape)| (name, shape.into_iter().map(scaled).collect())).collect()
    }

    /// Bytes that gates and states of one step of one sequence take in training, roughly.
    pub fn memory_per_step(self, hidden_size: usize) -> usize {
        let Card { gates, .. } = self.card();
        4 * self.directions() * hidden_size * (gates + 2)
    }

    /// Multiplications and additions of the products of one time step of one sequence.
    pub fn operations_per_step(self, input_size: usize, hidden_size: usize) -> usize {
        2 * self.directions() * self.card().gates * hidden_size * (input_size + hidden_size)
    }
}
