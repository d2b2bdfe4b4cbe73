//! Cells, layers and networks against what must hold of them.

mod fused; // kernels equal the readable loop
mod golden; // every cell equals PyTorch, forward and backward
mod gradients; // central differences in f64 where no peer exists
mod heads; // CRF, attention, pooling, losses, networks
mod recurrence; // padding, time, batch, direction
mod support; // numbers, comparisons, parameters by name
