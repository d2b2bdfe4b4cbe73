//! Fused whole-sequence operations, and the one list of backends.
//!
//! This is the only package that names a backend or its internals. Everything else takes a [`burn::tensor::Device`].
//!
//! # Contract of a kernel
//!
//! No fused operation is here yet: every layer runs the readable unroll of `seqzoo_models::cell`. One that comes lives in
//! one file named after its cell, and
//! - computes a whole sequence, forward and backward, over `[batch, time, features]` with lengths, initial state and
//!   direction, exactly as the unroll does: outputs within 1e-5 and gradients within 1e-4 of the largest magnitude;
//! - is deterministic for a given thread count;
//! - is chosen in one place, and deleting it leaves a correct, slower zoo.

mod backend;

pub use backend::{Backend, BackendError, devices};
