//! Kernels: whole-sequence recurrent layers and other hot operations, fused; and the list of backends.
//!
//! This is the only package that names a backend or its internals. Everything else takes a [`burn::tensor::Device`].
//!
//! # Contract of a kernel
//!
//! A kernel computes a cell over `[batch, time, features]` with lengths, an initial state and a direction, forward and backward,
//! exactly as the readable loop does: outputs within 1e-5 and gradients within 1e-4 of the largest magnitude. It is deterministic
//! for a given number of threads, is chosen in one place ([`Engine`]), and deleting it leaves a correct, slower zoo.
//!
//! `kernel` says what kernels take and return, `cpu` implements them, `stream` processes one sequence step by step, `engine` has
//! the choices that a caller can make.

#![cfg_attr(not(any(feature = "flex", feature = "ndarray")), allow(unused))] // there is no CPU backend to compute for

mod backend;
mod cpu;
mod engine;
mod kernel;
mod process;
mod stream;

pub use backend::{Backend, BackendError, devices};
pub use cpu::{CrossEntropyOps, Rule, SequenceOps, Shape, Step, evaluate_cross_entropy, is_finite, mean_cross_entropy};
pub use cpu::{pooled, sum_of_squares};
pub use engine::{Activations, Engine, InstructionSet};
pub use kernel::{Extra, Inputs, Kernel, Outputs, run, supports};
pub use process::prepare;
pub use stream::{OutputLayer, Stream};
