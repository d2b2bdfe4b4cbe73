//! Fused whole-sequence operations, and the one list of backends.
//!
//! This is the only package that names a backend or its internals. Everything else takes a [`burn::tensor::Device`].
//!
//! # Contract of a kernel
//!
//! A kernel lives in one file named after its cell, and says what the cell does with single numbers, forward and backward
//! (`Pointwise`); `sequence` does the walking: `[batch, time, features]` with lengths, initial state and direction, exactly as
//! the readable loop does, outputs within 1e-5 and gradients within 1e-4 of the largest magnitude. It is deterministic for a
//! given thread count, is chosen in one place ([`Engine`]), and deleting it leaves a correct, slower zoo.
//!
//! `plan` says who reads what when; `product` is every product, of input, state and gradients; `math` has functions that
//! compilers turn into vector code; `engine` finds the instruction set at run time; `operation` makes it all differentiable on
//! Burn's CPU backends; `cross_entropy` joins an output layer to its loss; `update` passes over parameters; `stream` reads one row step by step.

#![cfg_attr(not(any(feature = "flex", feature = "ndarray")), allow(unused))] // there is no one to compute for

mod backend;
mod buffer;
mod cross_entropy;
mod engine;
mod gru;
mod gru_reset_after;
mod lstm;
mod math;
mod operation;
mod plan;
mod process;
mod product;
mod rnn;
mod sequence;
mod slices;
mod stream;
mod update;

pub use backend::{Backend, BackendError, devices};
pub use cross_entropy::{CrossEntropyOps, grade, mean_cross_entropy};
pub use engine::{Activations, Engine, InstructionSet};
pub use operation::{Extra, Given, Kernel, Read, SequenceOps, run, serves};
pub use plan::Shape;
pub use process::prepare;
pub use sequence::pooled;
pub use stream::{Output, Stream};
pub use update::{Rule, Step, is_finite, sum_of_squares};
