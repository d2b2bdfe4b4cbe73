//! Weight initialization, drawn on the host from a key, so that it is identical on every backend.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_random::{Key, Rng, RngExt};

/// Glorot-uniform: uniform in ±√(6 / (rows + columns)), for `blocks` concatenated matrices: `[rows, blocks · columns]`.
///
/// Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
pub fn glorot_uniform([rows, columns]: [usize; 2], blocks: usize, key: Key, device: &Device) -> Param<Tensor<2>> {
    let bound = (6.0 / (rows + columns) as f64).sqrt() as f32;
    uniform([rows, blocks * columns], bound, key, device)
}

/// Uniform in ±`bound`.
pub fn uniform(shape: [usize; 2], bound: f32, key: Key, device: &Device) -> Param<Tensor<2>> {
    let mut stream = key.stream();
    let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| stream.random_range(-bound..bound)).collect();
    Param::from_data(TensorData::new(values, shape), device)
}

/// Reinitializes all parameters of a module, biases included, uniformly in ±`bound`.
pub fn reinitialize_uniform<M: Module>(module: M, bound: f64, key: Key) -> M {
    struct Uniform {
        bound: f32,
        key: Key,
        index: u64,
    }
    impl ModuleMapper for Uniform {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let mut stream = self.key.offset(self.index).stream();
            self.index += 1;
            param.map(|old| {
                let shape = old.dims();
                let values: Vec<f32> =
                    (0..shape.iter().product()).map(|_| stream.random_range(-self.bound..self.bound)).collect();
                let new = Tensor::from_data(TensorData::new(values, shape), &old.device());
                if old.is_require_grad() { new.require_grad() } else { new }
            })
        }
    }
    module.map(&mut Uniform { bound: bound as f32, key, index: 0 })
}

/// `blocks` concatenated random orthogonal matrices, `[size, blocks · size]`. They preserve vector norms, so
/// activations and gradients initially neither explode nor vanish.
///
/// Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", ICLR 2014.
pub fn orthogonal(size: usize, blocks: usize, key: Key, device: &Device) -> Param<Tensor<2>> {
    let mut stream = key.stream();
    let mut values = vec![0.0f32; size * blocks * size];
    for block in 0..blocks {
        for (row, vector) in orthonormal_rows(size, &mut stream).into_iter().enumerate() {
            let start = row * blocks * size + block * size;
            values[start..start + size].iter_mut().zip(vector).for_each(|(slot, value)| *slot = value as f32);
        }
    }
    Param::from_data(TensorData::new(values, [size, blocks * size]), device)
}

/// A parameter with the given values.
pub fn constant(values: &[f32], device: &Device) -> Param<Tensor<1>> {
    Param::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// Gram–Schmidt orthonormalization of Gaussian vectors, each projected twice to limit rounding errors.
fn orthonormal_rows(size: usize, stream: &mut impl Rng) -> Vec<Vec<f64>> {
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(size);
    while rows.len() < size {
        let mut vector: Vec<f64> = (0..size).map(|_| normal(stream)).collect();
        for _ in 0..2 {
            for row in &rows {
                let overlap: f64 = row.iter().zip(&vector).map(|(a, b)| a * b).sum();
                vector.iter_mut().zip(row).for_each(|(value, component)| *value -= overlap * component);
            }
        }
        let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
        // A vector that (almost) lies in the span of the others is drawn again.
        if norm > 1e-6 {
            rows.push(vector.into_iter().map(|value| value / norm).collect());
        }
    }
    rows
}

/// A sample from the standard normal distribution (Box and Muller 1958).
fn normal(stream: &mut impl Rng) -> f64 {
    let (radius, angle): (f64, f64) = (stream.random(), stream.random());
    (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}
