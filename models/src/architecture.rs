//! The closed list of recurrent architectures that a recipe may name.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_random::Key;

use crate::cells::{Card, Lstm, Rnn};
use crate::layers::{Bidirectional, Reading, SequenceLayer, Unidirectional};

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
            /// Reads `[batch, time, input_size]`, whose rows have `lengths` true steps.
            pub fn read(&self, input: Tensor<3>, lengths: &[usize]) -> Reading {
                match self { $(Recurrent::$variant(layer) => layer.read(input, lengths),)* }
            }
        }
    };
}

architectures! {
    /// Vanilla RNN.
    Rnn = "rnn": Unidirectional<Rnn>,
    /// LSTM.
    Lstm = "lstm": Unidirectional<Lstm>,
    /// Vanilla RNNs reading in both directions.
    BiRnn = "birnn": Bidirectional<Rnn>,
    /// LSTMs reading in both directions.
    BiLstm = "bilstm": Bidirectional<Lstm>,
}

impl Architecture {
    /// The architecture of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }

    /// Parameters of the recurrent layer: weights and biases of all its cells.
    pub fn parameters(self, input_size: usize, hidden_size: usize) -> usize {
        self.directions() * self.card().gates * hidden_size * (input_size + hidden_size + 1)
    }

    /// Multiplications and additions of the products of one time step of one sequence.
    pub fn operations_per_step(self, input_size: usize, hidden_size: usize) -> usize {
        2 * self.directions() * self.card().gates * hidden_size * (input_size + hidden_size)
    }
}
