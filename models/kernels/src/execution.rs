//! How an operation is computed: by kernels or by readable code, with which instructions and threads, and what is kept for the
//! backward pass.

use std::num::NonZeroUsize;

use crate::instructions::InstructionSet;

/// How an operation is computed. Passed explicitly from the public layers down to the kernels; nothing is read from globals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Execution {
    /// Kernels or readable code.
    pub engine: Engine,
    /// Instructions of CPU kernels.
    pub instructions: InstructionSet,
    /// Number of shares that CPU kernels divide work into; by default one for each thread of the pool.
    pub threads: Option<NonZeroUsize>,
    /// What is kept for the backward pass.
    pub activations: Activations,
}

/// What computes an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// A kernel where one supports the request, else readable code on Burn's operations.
    #[default]
    Auto,
    /// Readable code.
    Reference,
    /// A kernel; recurrent layers panic where there is none.
    Fused,
}

/// What kernels keep between forward and backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activations {
    /// All gates: five values per hidden unit and step for an LSTM, in addition to its output.
    #[default]
    Kept,
    /// The state at some steps, from which gates are recomputed; takes a third more time.
    Recomputed,
}

impl Execution {
    /// Readable code instead of kernels.
    pub fn reference() -> Self {
        Self { engine: Engine::Reference, ..Self::default() }
    }

    /// Number of shares that work is divided into.
    pub(crate) fn thread_count(&self) -> usize {
        self.threads.map_or_else(rayon::current_num_threads, NonZeroUsize::get)
    }
}
