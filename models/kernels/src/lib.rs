//! Kernels: recurrent layers over whole sequences and other hot operations, fused; and the list of backends.
//!
//! This is the only package that names a backend or its internals. Everything else takes a [`burn::tensor::Device`].
//!
//! - `kernel`: the contract ([`KernelFamily`]): inputs, outputs, saved buffers, supported requests.
//! - `registry`: the list of families and the functions that callers use. They return `None` where there is no kernel, and the caller
//!   falls back to readable code; without kernels, all results are the same, only slower to compute.
//! - `cpu`: the family of Burn's CPU backends. A kernel for a cell is one file in `cpu/cells` and one line in its list.
//! - `execution`: engine, instruction set, threads and activation policy of a call, passed explicitly; `instructions`: the proof that
//!   an instruction set was detected.
//! - `lengths`: valid lengths of a ragged batch. `packed`: weights in a kernel's layout. `stream`: one sequence, step by step.
//!   `update`: update rules of optimizers.
//!
//! Only the registry knows the families; the contract and its types know none.

#![cfg_attr(not(any(feature = "flex", feature = "ndarray")), allow(unused))] // there is no CPU backend to compute for

mod backend;
mod cpu;
mod execution;
mod instructions;
mod kernel;
mod lengths;
mod packed;
mod process;
mod registry;
mod stream;
mod update;

pub use backend::{Backend, BackendError, devices};
pub use execution::{Activations, Engine, Execution};
pub use instructions::{Avx2, Avx512, InstructionSet};
pub use kernel::{Extra, Inputs, KernelFamily, LinearInputs, OutputInputs, Outputs, Parameter, Request, Updated};
pub use lengths::Lengths;
pub use packed::PackedWeights;
pub use process::{pooled, prepare, release};
pub use registry::{
    cells, evaluate_cross_entropy, find, is_finite, linear, mean_cross_entropy, output_layer, stream, sum_of_squares,
    supports, update,
};
pub use stream::{OutputLayer, Stream};
pub use update::{Rule, Step};
