//! The recurrent architectures that a recipe may name: each of the listed cells, reading forward or both ways.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Execution, Stream};
use seqzoo_random::{Key, Purpose};

use crate::cells::{self, Card, cells};
use crate::layers::{Bidirectional, LayerState, Passage, Reading, SequenceLayer, Unidirectional};
use crate::state::State;

/// Turns the list of cells into names ([`Architecture`]) and layers ([`Recurrent`]): each cell reads forward, or both ways.
macro_rules! architectures {
    ($($file:ident::$cell:ident = $name:literal, $both:ident;)*) => {
        /// The name of a recurrent architecture.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Architecture {
            $(
                #[doc = concat!("[`", stringify!($cell), "`](crate::cells::", stringify!($cell), ") reading forward.")]
                $cell,
            )*
            $(
                #[doc = concat!("[`", stringify!($cell), "`](crate::cells::", stringify!($cell), ") in each direction.")]
                $both,
            )*
        }

        impl Architecture {
            /// Every architecture, those that read forward first.
            pub const ALL: [Architecture; 2 * [$($name),*].len()] =
                [$(Architecture::$cell,)* $(Architecture::$both,)*];

            /// The name in recipes and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Architecture::$cell => $name,)*
                    $(Architecture::$both => concat!("bi", $name),)*
                }
            }

            /// The same cell reading forward.
            pub fn forward(self) -> Self {
                match self {
                    $(Architecture::$cell | Architecture::$both => Architecture::$cell,)*
                }
            }

            /// What is to be told of the cell that reads.
            pub fn card(self) -> Card {
                match self {
                    $(Architecture::$cell | Architecture::$both => <cells::$cell as crate::cell::Cell>::CARD,)*
                }
            }

            /// How many cells read the sequence, each in its own direction.
            pub fn directions(self) -> usize {
                match self {
                    $(Architecture::$cell => 1,)*
                    $(Architecture::$both => 2,)*
                }
            }

            /// Tensors that each cell carries from step to step.
            pub fn state_tensors(self) -> usize {
                match self {
                    $(Architecture::$cell | Architecture::$both =>
                        <cells::$cell as crate::cell::Cell>::State::TENSORS,)*
                }
            }

            /// The layer with initial weights drawn from `key`.
            pub fn build(self, input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Recurrent {
                match self {
                    $(Architecture::$cell =>
                        Recurrent::$cell(SequenceLayer::new(input_size, hidden_size, key, device)),)*
                    $(Architecture::$both =>
                        Recurrent::$both(SequenceLayer::new(input_size, hidden_size, key, device)),)*
                }
            }
        }

        /// A recurrent layer of whichever architecture was named.
        #[derive(Module, Debug)]
        pub enum Recurrent {
            $(
                #[doc = concat!("[`", stringify!($cell), "`](crate::cells::", stringify!($cell), ") reading forward.")]
                $cell(Unidirectional<cells::$cell>),
            )*
            $(
                #[doc = concat!("[`", stringify!($cell), "`](crate::cells::", stringify!($cell), ") in each direction.")]
                $both(Bidirectional<cells::$cell>),
            )*
        }

        impl Recurrent {
            /// Reads `[batch, time, input_size]`.
            pub fn read(&self, input: Tensor<3>, passage: Passage) -> Reading {
                match self {
                    $(Recurrent::$cell(layer) => layer.read(input, passage),)*
                    $(Recurrent::$both(layer) => layer.read(input, passage),)*
                }
            }

            /// Reads one sequence as its steps come, see [`SequenceLayer::stream`].
            pub fn stream(&self, initial: Option<LayerState>, execution: Execution) -> Option<Stream> {
                match self {
                    $(Recurrent::$cell(layer) => layer.stream(initial, execution),)*
                    $(Recurrent::$both(layer) => layer.stream(initial, execution),)*
                }
            }
        }
    };
}

cells!(architectures);

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

    /// Bytes that the backward pass keeps of a sequence of `time` steps: its input, and the gates and states of each step.
    pub fn memory(self, time: usize, input_size: usize, hidden_size: usize) -> u64 {
        let kept = input_size + self.directions() * hidden_size * (self.card().gates + self.state_tensors());
        4 * time as u64 * kept as u64
    }

    /// Multiplications and additions of the products of one time step of one sequence.
    pub fn operations_per_step(self, input_size: usize, hidden_size: usize) -> usize {
        2 * self.directions() * self.card().gates * hidden_size * (input_size + hidden_size)
    }
}
