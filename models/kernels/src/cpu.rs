//! Kernels for Burn's CPU backends, in f32.
//!
//! Bottom up:
//!
//! - `buffer` is pooled memory, `slices` the way from tensors to slices, `math` vectorizable functions, `product` matrix products.
//! - `schedule`, `dimensions`, `planes` and `weights` say how a batch lies in memory; `packed_weights` keeps weights between calls.
//! - `elementwise` is what distinguishes a cell; `cells` lists them, with one file each.
//! - `forward`, `backward`, `weight_gradients` and `stepper` process sequences; `operation` and `autodiff` make them differentiable.
//! - `linear`, `cross_entropy` and `update` are operations of their own. `family` puts all of them behind the contract.

mod autodiff;
mod backward;
mod buffer;
mod cells;
mod cross_entropy;
mod dimensions;
mod elementwise;
mod family;
mod forward;
mod linear;
mod math;
mod operation;
mod packed_weights;
mod planes;
mod product;
mod schedule;
mod sequence;
mod slices;
mod stepper;
mod update;
mod weight_gradients;
mod weights;

pub(crate) use family::Cpu;
pub use packed_weights::{PackedMatrices, PackedWeights};
pub(crate) use product::{Accumulate, OutputMatrix, PackedMatrix, Resources, Rows};
pub(crate) use stepper::Steps;
