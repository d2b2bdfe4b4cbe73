//! Tests of cells, layers and networks.

mod docs; // every cell, layer and network has an example
mod dropout; // masks belong to examples
mod encoder_decoders; // decoding, beam search
mod fused; // kernels equal the reference loop
mod golden; // every cell equals PyTorch, forward and backward
mod gradients; // gradients equal central differences in f64
mod layers; // CRF, attention, pooling, perceptron
mod names; // names of parameters in checkpoints
mod networks; // losses, padding and streaming of networks
mod recurrence; // padding, splitting time, permuting the batch, direction
mod shapes; // invalid shapes
mod support; // pseudorandom values, comparisons, parameters by name
mod trajectories; // mixture densities of trajectories
