//! Kernels for Burn's CPU backends, in f32.
//!
//! Bottom up: `buffer` is pooled memory and `slices` the way from tensors to it; `math` has vectorizable functions and `product`
//! matrix products; `schedule`, `dimensions`, `planes` and `weights` say how a batch lies in memory; `elementwise` is what one cell
//! adds, with one file per cell in `cells`; `forward`, `backward`, `weight_gradients` and `stepper` process sequences; `operation`
//! and `autodiff` make them differentiable. `cross_entropy` and `update` are operations of their own.

mod autodiff;
mod backward;
mod buffer;
pub(crate) mod cells;
mod cross_entropy;
mod dimensions;
mod elementwise;
mod forward;
mod math;
mod operation;
mod planes;
mod product;
mod schedule;
mod sequence;
mod slices;
mod stepper;
mod update;
mod weight_gradients;
mod weights;

pub use cross_entropy::{CrossEntropyOps, evaluate_cross_entropy, mean_cross_entropy};
pub use operation::SequenceOps;
pub use schedule::Shape;
pub use sequence::pooled;
pub use update::{Rule, Step, is_finite, sum_of_squares};

pub(crate) use product::{Accumulate, OutputMatrix, PackedMatrix, Resources, Rows};
pub(crate) use sequence::Inputs;
pub(crate) use slices::CpuSlice;
pub(crate) use stepper::Stepper;
