//! Names of the recurrent architectures: each cell, unidirectional or bidirectional.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Execution, Stream};
use seqzoo_random::Key;

use super::{Bidirectional, LayerOptions, LayerOutput, LayerState, SequenceLayer, Unidirectional};
use crate::cell::{Cell, CellInfo};
use crate::cells::{self, cells};
use crate::names::FieldNames;
use crate::state::State;

/// Generates the names ([`Architecture`]) and layers ([`Recurrent`]) from the list of cells.
macro_rules! architectures {
    ($($file:ident::$cell:ident, $both:ident;)*) => {
        /// A recurrent architecture: a cell, unidirectional or bidirectional.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Architecture {
            $(
                #[doc = concat!("[`", stringify!($cell), "`](crate::cells::", stringify!($cell), "), unidirectional.")]
                $cell,
            )*
            $(
                #[doc = concat!("[`", stringify!($cell), "`](crate::cells::", stringify!($cell), "), bidirectional.")]
                $both,
            )*
        }

        impl Architecture {
            /// All architectures, unidirectional first.
            pub const ALL: [Architecture; 2 * [$(stringify!($cell)),*].len()] =
                [$(Architecture::$cell,)* $(Architecture::$both,)*];

            /// The unidirectional architecture of the same cell.
            pub fn forward(self) -> Self {
                match self {
                    $(Architecture::$cell | Architecture::$both => Architecture::$cell,)*
                }
            }

            /// Description of the cell.
            pub fn info(self) -> CellInfo {
                match self {
                    $(Architecture::$cell | Architecture::$both => <cells::$cell as Cell>::INFO,)*
                }
            }

            /// Number of directions: 1, or 2 if bidirectional.
            pub fn directions(self) -> usize {
                match self {
                    $(Architecture::$cell => 1,)*
                    $(Architecture::$both => 2,)*
                }
            }

            /// Number of tensors in the recurrent state of each direction.
            pub fn state_tensors(self) -> usize {
                match self {
                    $(Architecture::$cell | Architecture::$both =>
                        <cells::$cell as Cell>::State::TENSORS,)*
                }
            }

            /// A layer of this architecture with initial weights drawn from `key`.
            pub fn build(self, input_size: usize, hidden_size: usize, key: Key, device: &Device) -> Recurrent {
                match self {
                    $(Architecture::$cell =>
                        Recurrent::$cell(SequenceLayer::new(input_size, hidden_size, key, device)),)*
                    $(Architecture::$both =>
                        Recurrent::$both(SequenceLayer::new(input_size, hidden_size, key, device)),)*
                }
            }
        }

        /// A recurrent layer of any [`Architecture`].
        #[derive(Module, Debug)]
        pub enum Recurrent {
            $(
                #[doc = concat!("[`", stringify!($cell), "`](crate::cells::", stringify!($cell), "), unidirectional.")]
                $cell(Unidirectional<cells::$cell>),
            )*
            $(
                #[doc = concat!("[`", stringify!($cell), "`](crate::cells::", stringify!($cell), "), bidirectional.")]
                $both(Bidirectional<cells::$cell>),
            )*
        }

        /// Names of parameters in checkpoints: those of the variants of [`Recurrent`].
        pub(super) const NAMES: &[FieldNames] = &[FieldNames::new(
            "Enum:Recurrent",
            &[
                $((stringify!($cell), <cells::$cell as Cell>::INFO.layer_names[0]),)*
                $((stringify!($both), <cells::$cell as Cell>::INFO.layer_names[1]),)*
            ],
        )];

        impl Recurrent {
            /// Processes `input`, `[batch, time, input_size]`; see [`SequenceLayer::forward`].
            pub fn forward(&self, input: Tensor<3>, options: LayerOptions) -> LayerOutput {
                match self {
                    $(Recurrent::$cell(layer) => layer.forward(input, options),)*
                    $(Recurrent::$both(layer) => layer.forward(input, options),)*
                }
            }

            /// Starts a stream over one sequence; see [`SequenceLayer::stream`].
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
    /// Name in recipes and on the command line.
    pub fn name(self) -> &'static str {
        self.info().names[self.directions() - 1]
    }

    /// The architecture with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.name() == name)
    }

    /// Number of parameters of the recurrent layer, all directions included.
    pub fn parameters(self, input_size: usize, hidden_size: usize) -> usize {
        let CellInfo { gates, other_parameters, .. } = self.info();
        self.directions() * hidden_size * (gates * (input_size + hidden_size + 1) + other_parameters)
    }

    /// Bytes kept for the backward pass of one sequence of `time` steps: the input, and the gates and states of each
    /// step.
    pub fn training_memory(self, time: usize, input_size: usize, hidden_size: usize) -> u64 {
        let kept = input_size + self.directions() * hidden_size * (self.info().gates + self.state_tensors());
        4 * time as u64 * kept as u64
    }

    /// Floating-point operations of the matrix products in one time step of one sequence.
    pub fn flops_per_step(self, input_size: usize, hidden_size: usize) -> usize {
        2 * self.directions() * self.info().gates * hidden_size * (input_size + hidden_size)
    }
}
