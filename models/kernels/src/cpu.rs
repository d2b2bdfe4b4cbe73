//! Kernels for Burn's CPU backends, in f32.
//!
//! Bottom up:
//!
//! - `buffer` is pooled memory, `slices` the way from tensors to slices, `math` vectorizable functions, `product` matrix products.
//! - `schedule`, `dimensions`, `planes` and `weights` say how a batch lies in memory; `packed_weights` keeps weights between calls.
//! - `elementwise` is what distinguishes a cell; `cells` lists them, with one file each.
//! - `forward`, `backward` (on the state in `worker`), `weight_gradients` and `stepper` process sequences; `operation` and `autodiff`
//!   make them differentiable, with values that are `deferred` from node to node.
//! - `linear`, `output_layer`, `cross_entropy` and `update` are operations of their own. `family` puts all of them behind the contract.

mod autodiff;
mod backward;
mod buffer;
mod cells;
mod cross_entropy;
mod deferred;
mod dimensions;
mod elementwise;
mod family;
mod forward;
mod linear;
mod math;
mod operation;
mod output_layer;
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
mod worker;

pub(crate) use family::Cpu;
