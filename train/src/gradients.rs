//! Gradients by parameter: their global norm, clipping, and the contribution of a batch.

use burn::tensor::Tensor;
use seqzoo_kernels::{Execution, is_finite, sum_of_squares};
pub use seqzoo_models::parameters::Flat;

/// Global norm of the gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Euclidean norm of all gradients concatenated; finite if and only if every element is.
    pub value: f64,
    /// First parameter whose gradient is not finite.
    pub culprit: Option<String>,
}

/// Global norm of the gradients.
///
/// Without a kernel, each tensor is divided by its largest magnitude before its squares are summed on the device, and the sums
/// are combined in f64, so that norms up to 1e20 neither overflow nor underflow; there is one transfer from the device.
pub fn norm(gradients: &Flat) -> Norm {
    let squares: Option<Vec<f64>> =
        gradients.values().map(|gradient| sum_of_squares(gradient, Execution::default())).collect();
    let squares = squares.unwrap_or_else(|| {
        let measured = gradients.values().flat_map(|gradient| {
            let largest = gradient.clone().abs().max();
            let scaled = gradient.clone() / largest.clone().clamp_min(f32::MIN_POSITIVE);
            [largest, scaled.square().sum()]
        });
        let square = |[largest, sum]: &[f32; 2]| f64::from(*largest).powi(2) * f64::from(*sum);
        read(measured.collect()).as_chunks().0.iter().map(square).collect()
    });
    let culprit = gradients.keys().zip(&squares).find(|(_, square)| !square.is_finite()).map(|(name, _)| name.clone());
    Norm { value: squares.iter().sum::<f64>().sqrt(), culprit }
}

/// The key of the first tensor with a value that is not finite, and that value; `None` if all are finite. Without a kernel, it needs
/// one transfer from the device for all tensors and another one for the tensor found.
pub fn not_finite<K>(mut tensors: Vec<(K, Tensor<1>)>) -> Option<(K, f32)> {
    let finite: Option<Vec<bool>> = tensors.iter().map(|(_, tensor)| is_finite(tensor, Execution::default())).collect();
    let finite = finite.unwrap_or_else(|| {
        // 0 · x is 0 for finite x and NaN otherwise.
        let sums = read(tensors.iter().map(|(_, tensor)| (tensor.clone() * 0.0).sum()).collect());
        sums.iter().map(|sum| sum.is_finite()).collect()
    });
    let index = finite.iter().position(|finite| !finite)?;
    let (name, tensor) = tensors.swap_remove(index);
    let value = read(vec![tensor]).into_iter().find(|value| !value.is_finite());
    Some((name, value.unwrap_or(f32::NAN)))
}

/// Clips each element of the gradients to ±`limit`.
pub fn clip_values(gradients: Flat, limit: f64) -> Flat {
    gradients.into_iter().map(|(name, gradient)| (name, gradient.clamp(-limit, limit))).collect()
}

fn read(tensors: Vec<Tensor<1>>) -> Vec<f32> {
    if tensors.is_empty() {
        return Vec::new();
    }
    Tensor::cat(tensors, 0).try_into_vec_as::<f32>().expect("a device that computed a tensor can be read")
}

/// Factor that scales a gradient norm down to the threshold; 1 if it is below. Pascanu et al. 2013.
pub fn clip_factor(norm: f64, threshold: f64) -> f64 {
    if norm > threshold { threshold / norm } else { 1.0 }
}

/// Contribution of a batch to an update.
#[derive(Debug, Clone)]
pub struct Contribution {
    /// Gradients of the batch's mean loss.
    pub gradients: Flat,
    /// Number of predictions: the weight of the gradients and the loss in means over batches.
    pub weight: f64,
    /// Mean loss, in nats.
    pub loss: f64,
}

/// Gradient accumulation: the weighted sum of the gradients of several batches, in the order in which they are added.
#[derive(Debug, Clone, Default)]
pub struct Accumulated {
    /// Sum of weight · gradient, by parameter.
    pub sum: Flat,
    /// Sum of the contributions' weights.
    pub weight: f64,
    /// Number of contributions.
    pub count: u64,
}

impl Accumulated {
    /// Adds a contribution.
    pub fn add(&mut self, contribution: Contribution) {
        for (name, gradient) in contribution.gradients {
            let weighted = gradient * contribution.weight;
            let sum = self.sum.remove(&name).map_or(weighted.clone(), |sum| sum + weighted);
            self.sum.insert(name, sum);
        }
        self.weight += contribution.weight;
        self.count += 1;
    }

    /// The weighted mean of the gradients, and resets the sum; `None` without a contribution.
    pub fn take_mean(&mut self) -> Option<Flat> {
        let Self { sum, weight, count } = std::mem::take(self);
        (count > 0).then(|| sum.into_iter().map(|(name, sum)| (name, sum / weight)).collect())
    }
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
    fn the_norm_covers_all_tensors() {
        for gradients in flat(&[&[3.0, 0.0], &[0.0], &[-4.0, 12.0]]) {
            assert!((norm(&gradients).value - 13.0).abs() < 1e-6);
        }
    }

    #[test]
    fn the_norm_neither_overflows_nor_underflows() {
        for scale in [1e20f32, 1e-30] {
            for gradients in flat(&[&[3.0 * scale], &[4.0 * scale, 0.0]]) {
                let expected = 5.0 * f64::from(scale);
                assert!((norm(&gradients).value / expected - 1.0).abs() < 1e-6, "{scale}");
            }
        }
    }

    #[test]
    fn a_tensor_with_a_value_that_is_not_finite_is_named() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for gradients in flat(&[&[1.0, 2.0], &[0.5, bad, 3.0]]) {
                let found = norm(&gradients);
                assert!(!found.value.is_finite() && found.culprit.as_deref() == Some("1"), "{bad}: {found:?}");
                let (name, value) = not_finite(gradients.clone().into_iter().collect()).unwrap();
                assert!(name == "1" && (value == bad || bad.is_nan() && value.is_nan()), "{name} {value}");
                assert_eq!(not_finite(gradients.into_iter().take(1).collect()), None);
            }
        }
    }

    #[test]
    fn values_are_clipped_by_element() {
        for gradients in flat(&[&[0.5, -3.0, 1e20]]) {
            let clipped = clip_values(gradients, 2.0);
            assert_eq!(read(vec![clipped["0"].clone()]), [0.5, -2.0, 2.0]);
        }
    }

    #[test]
    fn clipping_leaves_small_norms_unchanged() {
        assert_eq!([clip_factor(0.5, 1.0), clip_factor(4.0, 1.0), clip_factor(1e20, 1.0)], [1.0, 0.25, 1e-20]);
    }

    #[test]
    fn accumulated_gradients_are_the_mean_over_predictions() {
        for one in flat(&[&[1.0, 2.0]]) {
            let mut accumulated = Accumulated::default();
            assert!(accumulated.take_mean().is_none());
            for (factor, weight) in [(1.0, 30.0), (5.0, 10.0)] {
                let gradients = one.iter().map(|(name, tensor)| (name.clone(), tensor.clone() * factor)).collect();
                accumulated.add(Contribution { gradients, weight, loss: 0.0 });
            }
            assert_eq!((accumulated.count, accumulated.weight), (2, 40.0));
            let mean = accumulated.take_mean().unwrap();
            assert_eq!(read(vec![mean["0"].clone()]), [2.0, 4.0]);
            assert_eq!((accumulated.count, accumulated.sum.len()), (0, 0));
        }
    }
}
