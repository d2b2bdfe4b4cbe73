//! Ridge regression over words, a baseline for the regression of texts.

use std::collections::HashMap;

use crate::text::tokenize_words;

/// Values of the penalty that [`Ridge::tuned`] tries.
const PENALTIES: [f64; 5] = [0.1, 1.0, 10.0, 100.0, 1_000.0];

/// Number of steps of the conjugate gradient method.
const STEPS: usize = 100;

/// Linear regression with a penalty on the weights.
///
/// ```text
/// y(text) = mean + Σ over the distinct words of the text  w_word
/// w       = argmin  Σ over training texts (y(text) - target)² + penalty Σ w²
/// ```
///
/// Words without a training text are ignored. Hoerl and Kennard, "Ridge regression", Technometrics 1970; solved by conjugate gradients.
#[derive(Debug, Clone)]
pub struct Ridge {
    columns: HashMap<String, usize>,
    weights: Vec<f64>,
    mean: f64,
}

impl Ridge {
    /// Fits (text, target) pairs with the penalty of the lowest squared error on the validation split.
    pub fn tuned(train: &[(&str, f64)], validation: &[(&str, f64)]) -> Self {
        let fits = PENALTIES.map(|penalty| {
            let model = Self::fit(train, penalty);
            let error: f64 = validation.iter().map(|(text, target)| (model.predict(text) - target).powi(2)).sum();
            (error, model)
        });
        fits.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, model)| model).expect("at least one penalty")
    }

    /// Fits (text, target) pairs.
    pub fn fit(train: &[(&str, f64)], penalty: f64) -> Self {
        let mean = train.iter().map(|(_, target)| target).sum::<f64>() / train.len().max(1) as f64;
        let mut columns = HashMap::new();
        let rows: Vec<Vec<usize>> = train
            .iter()
            .map(|(text, _)| {
                let mut row: Vec<usize> = tokenize_words(text)
                    .map(|word| {
                        let next = columns.len();
                        *columns.entry(word).or_insert(next)
                    })
                    .collect();
                row.sort_unstable();
                row.dedup();
                row
            })
            .collect();
        // Xᵀ v and X w of the sparse matrix X of ones.
        let transposed = |values: &[f64]| {
            let mut sums = vec![0.0; columns.len()];
            rows.iter().zip(values).for_each(|(row, value)| row.iter().for_each(|&column| sums[column] += value));
            sums
        };
        let product = |weights: &[f64]| -> Vec<f64> {
            rows.iter().map(|row| row.iter().map(|&column| weights[column]).sum()).collect()
        };
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let targets: Vec<f64> = train.iter().map(|(_, target)| target - mean).collect();
        let mut weights = vec![0.0; columns.len()];
        let mut residual = transposed(&targets);
        let mut direction = residual.clone();
        let mut norm = dot(&residual, &residual);
        let enough = norm * 1e-12;
        for _ in 0..STEPS {
            if norm <= enough {
                break;
            }
            let mut image = transposed(&product(&direction));
            image.iter_mut().zip(&direction).for_each(|(image, direction)| *image += penalty * direction);
            let step = norm / dot(&direction, &image);
            weights.iter_mut().zip(&direction).for_each(|(weight, direction)| *weight += step * direction);
            residual.iter_mut().zip(&image).for_each(|(residual, image)| *residual -= step * image);
            let next = dot(&residual, &residual);
            direction.iter_mut().zip(&residual).for_each(|(d, residual)| *d = residual + next / norm * *d);
            norm = next;
        }
        Self { columns, weights, mean }
    }

    /// The prediction for a text.
    pub fn predict(&self, text: &str) -> f64 {
        let mut known: Vec<usize> = tokenize_words(text).filter_map(|word| self.columns.get(&word).copied()).collect();
        known.sort_unstable();
        known.dedup();
        self.mean + known.iter().map(|&column| self.weights[column]).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Targets 1 and -1 of the texts a and b, penalty 1: (XᵀX + 1) w = Xᵀy gives 2 w = ±1.
    #[test]
    fn weights_solve_the_normal_equations() {
        let model = Ridge::fit(&[("a a", 3.0), ("b", 1.0)], 1.0);
        assert!((model.predict("a") - 2.5).abs() < 1e-9 && (model.predict("b c") - 1.5).abs() < 1e-9);
        assert_eq!(model.predict("c"), 2.0);
        let noisy = [("a x", 3.0), ("b x", 1.0)];
        assert!((Ridge::tuned(&noisy, &[("a", 3.0)]).predict("a") - 3.0).abs() < 0.2, "the smallest penalty");
        assert_eq!(Ridge::tuned(&[], &[]).predict("a"), 0.0);
    }
}
