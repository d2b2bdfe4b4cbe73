//! Dropout with masks that are a function of a key.

use burn::tensor::{Tensor, TensorData};
use seqzoo_random::{Key, RngExt};

/// Sets each element to zero with probability `rate` and scales the rest by 1 / (1 − `rate`).
///
/// The mask is drawn on the host from `key`, so it is the same on every backend and when a step is run again. Meant for
/// training: at inference, do not call it.
///
/// Srivastava et al., "Dropout", JMLR 15, 2014.
pub fn dropout<const D: usize>(input: Tensor<D>, rate: f64, key: Key) -> Tensor<D> {
    if rate == 0.0 {
        return input;
    }
    let (shape, scale) = (input.dims(), (1.0 / (1.0 - rate)) as f32);
    let mut stream = key.stream();
    let mask: Vec<f32> =
        (0..shape.iter().product()).map(|_| if stream.random_bool(rate) { 0.0 } else { scale }).collect();
    input.clone() * Tensor::from_data(TensorData::new(mask, shape), &input.device())
}
