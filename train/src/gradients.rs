//! Gradients by parameter, and their global norm.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor};
use seqzoo_run::parameters::Path;
use std::collections::BTreeMap;

/// The gradient of each parameter by its path, flattened to `[elements]`.
pub type Flat = BTreeMap<String, Tensor<1>>;

/// The gradients of a module's parameters; one that the loss does not depend on has none.
pub fn of<M: Module>(module: &M, gradients: &Gradients) -> Flat {
    struct Collector<'a> {
        path: Path,
        gradients: &'a Gradients,
        flat: Flat,
    }
    impl ModuleVisitor for Collector<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = param.val().grad(self.gradients) {
                let elements: usize = gradient.dims().iter().product();
                self.flat.insert(self.path.name(), gradient.reshape([elements]));
            }
        }
    }
    let mut collector = Collector { path: Path::default(), gradients, flat: Flat::new() };
    module.visit(&mut collector);
    collector.flat
}

/// The Euclidean norm of all gradients together; not finite if and only if one of their elements is not.
///
/// Squares are summed after division by each tensor's largest magnitude, on the device in its own precision, and the
/// sums combined in f64, so that even a norm of 1e20 neither overflows nor vanishes. One transfer for all tensors.
pub fn global_norm(gradients: &Flat) -> f64 {
    if gradients.is_empty() {
        return 0.0;
    }
    let measured = gradients.values().flat_map(|gradient| {
        let largest = gradient.clone().abs().max();
        let scaled = gradient.clone() / largest.clone().clamp_min(f32::MIN_POSITIVE);
        [largest, scaled.square().sum()]
    });
    let measured = Tensor::cat(measured.collect(), 0);
    let measured = measured.try_into_vec_as::<f32>().expect("a device that computed a tensor can be read");
    let square = |[largest, sum]: &[f32; 2]| f64::from(*largest).powi(2) * f64::from(*sum);
    measured.as_chunks().0.iter().map(square).sum::<f64>().sqrt()
}

/// The factor that brings a norm down to the threshold (Pascanu et al. 2013); 1 below it.
pub fn clip_factor(norm: f64, threshold: f64) -> f64 {
    if norm > threshold { threshold / norm } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seqzoo_run::devices;

    fn flat(tensors: &[&[f32]]) -> Vec<Flat> {
        let named =
            |device| tensors.iter().enumerate().map(move |(i, t)| (i.to_string(), Tensor::from_data(*t, device)));
        devices().iter().map(|(_, device)| named(device).collect()).collect()
    }

    #[test]
    fn the_norm_is_that_of_all_tensors_together() {
        for gradients in flat(&[&[3.0, 0.0], &[0.0], &[-4.0, 12.0]]) {
            assert!((global_norm(&gradients) - 13.0).abs() < 1e-6);
        }
    }

    #[test]
    fn huge_and_tiny_gradients_keep_their_norm() {
        for scale in [1e20f32, 1e-30] {
            for gradients in flat(&[&[3.0 * scale], &[4.0 * scale, 0.0]]) {
                let expected = 5.0 * f64::from(scale);
                assert!((global_norm(&gradients) / expected - 1.0).abs() < 1e-6, "{scale}");
            }
        }
    }

    #[test]
    fn one_value_that_is_not_finite_anywhere_shows_in_the_norm() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for gradients in flat(&[&[1.0, 2.0], &[0.5, bad, 3.0]]) {
                assert!(!global_norm(&gradients).is_finite(), "{bad}");
            }
        }
    }

    #[test]
    fn clipping_leaves_small_norms_alone() {
        assert_eq!([clip_factor(0.5, 1.0), clip_factor(4.0, 1.0), clip_factor(1e20, 1.0)], [1.0, 0.25, 1e-20]);
    }
}
