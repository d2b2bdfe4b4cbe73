//! Tests of cells, layers and networks.

mod docs; // every cell, layer and network has an example
mod dropout; // masks belong to examples
mod fused; // kernels equal the reference loop
mod golden; // every cell equals PyTorch, forward and backward
mod gradients; // gradients equal central differences in f64
mod heads; // CRF, attention, pooling, losses, networks
mod names; // names of parameters in checkpoints
mod recurrence; // padding, splitting time, permuting the batch, direction
mod support; // pseudorandom values, comparisons, parameters by name
