//! Standardization of series.

use serde::{Deserialize, Serialize};

use super::{Column, Series};
use crate::records::Split;

/// Standardization of each column to mean 0 and standard deviation 1 over the training split; saved with every checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardization {
    /// Mean of each column over the training split.
    pub means: Vec<f64>,
    /// Standard deviation of each column over the training split; 1 for constant columns, see [`Column::is_constant`].
    #[serde(rename = "deviations")]
    pub std: Vec<f64>,
}

impl Standardization {
    /// Fits the scaling to the training split of a series.
    pub fn fit(series: &Series) -> Self {
        let fit = |column: &Column| {
            let (mean, variance) = mean_and_variance(&column.values[..series.train_end]);
            let varies = variance > 0.0 && !column.is_constant(series.split(Split::Train));
            (mean, if varies { variance.sqrt() } else { 1.0 })
        };
        let (means, std) = series.columns.iter().map(fit).unzip();
        Self { means, std }
    }

    /// Standardizes a value of a column.
    pub fn standardize(&self, column: usize, value: f64) -> f64 {
        (value - self.means[column]) / self.std[column]
    }

    /// Inverse of [`Standardization::standardize`] for the target.
    pub fn inverse(&self, value: f64) -> f64 {
        value * self.std[0] + self.means[0]
    }
}

/// Two-pass mean and variance; the mean is corrected for the rounding error of summing large values.
fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let about = |center: f64| {
        let deviations = values.iter().map(|value| value - center);
        let (mut sum, mut squares) = (0.0, 0.0);
        deviations.for_each(|deviation| (sum, squares) = (sum + deviation, squares + deviation.powi(2)));
        (sum / count, squares / count)
    };
    let mean = values.iter().sum::<f64>() / count;
    let (shift, variance) = about(mean);
    if shift.abs() <= NEGLIGIBLE * variance.sqrt() {
        return (mean, variance);
    }
    (mean + shift, about(mean + shift).1)
}

/// Error of the mean, in standard deviations, that needs no correction.
const NEGLIGIBLE: f64 = 1e-12;

#[cfg(test)]
mod tests {
    use super::super::tests::{changed, series};
    use super::*;
    use crate::timestamps::TimeStep;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scaling_depends_on_the_training_split_only(series in series(), by in -1e6..1e6f64) {
            prop_assert_eq!(Standardization::fit(&series), Standardization::fit(&changed(&series, series.train_end, by)));
        }

        #[test]
        fn scaling_standardizes_the_training_split_and_is_invertible(series in series()) {
            let scaling = Standardization::fit(&series);
            let scaled: Vec<f64> = series.target()[..series.train_end].iter().map(|&y| scaling.standardize(0, y)).collect();
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            if series.train_end > 1 {
                let squares: Vec<f64> = scaled.iter().map(|value| value * value).collect();
                prop_assert!(mean(&scaled).abs() < 1e-6 && (mean(&squares) - 1.0).abs() < 1e-6);
            }
            for (&value, scaled) in series.target().iter().zip(scaled) {
                prop_assert!((scaling.inverse(scaled) - value).abs() < 1e-9);
            }
        }
    }

    /// A series without features, all of it in the training split.
    fn one(values: Vec<f64>) -> Series {
        let rows = values.len();
        let columns = vec![Column { name: "y".to_owned(), values }];
        let timestamps = (0..rows).map(|row| row.to_string()).collect();
        Series {
            columns,
            timestamps,
            step: TimeStep::Count(1),
            first_step: 0,
            season: None,
            train_end: rows,
            validation_end: rows,
        }
    }

    #[test]
    fn columns_constant_up_to_rounding_are_scaled_by_1() {
        let residues = |k: i32| (7.7 + 0.1 * f64::from(k)) - 0.1 * f64::from(k);
        for values in [
            vec![0.3, 0.1 + 0.2, 0.3, 0.3],
            (0..50).map(residues).collect(),
            vec![-1e9, -1e9 - 1e-7, -1e9],
            vec![7.0; 3],
            vec![0.0; 3],
        ] {
            let scaling = Standardization::fit(&one(values.clone()));
            assert_eq!(scaling.std, [1.0], "{values:?}");
            assert!((scaling.means[0] - values[0]).abs() <= 1e-15 * values[0].abs(), "{values:?}");
        }
    }

    #[test]
    fn large_values_with_small_differences_are_scaled_accurately() {
        // 0 to 99, a hundred times: mean 49.5, variance (100² − 1) / 12.
        let deviation = (9999.0f64 / 12.0).sqrt();
        for base in [0.0, 1e9, 1.7e9, -1e12, 1e15, -4e15] {
            let series = one((0..10_000).map(|row| base + f64::from(row % 100)).collect());
            let scaling = Standardization::fit(&series);
            assert!((scaling.std[0] / deviation - 1.0).abs() < 1e-4, "{base} {scaling:?}");
            for step in [0.0, 49.0, 99.0] {
                let scaled = scaling.standardize(0, base + step);
                assert!((scaled - (step - 49.5) / deviation).abs() < 0.02, "{base} {scaling:?}");
                assert!(base.abs() > 1e12 || (scaled - (step - 49.5) / deviation).abs() < 1e-5, "{base} {scaling:?}");
            }
        }
        // Differences of 1e-6 at magnitude 1e3 are not rounding.
        let scaling = Standardization::fit(&one(vec![1_000.0, 1_000.000_001, 1_000.0, 1_000.000_001]));
        assert!((scaling.std[0] / 5e-7 - 1.0).abs() < 1e-6, "{scaling:?}");
    }
}
