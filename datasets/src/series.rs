//! Datasets for forecasting: time series with equal time steps and consecutive splits.

use std::ops::Range;

use crate::classification::Split;
use crate::digest::Digest;
use crate::scores::{Evaluation, Metric, Scores};
use crate::timestamps::TimeStep;
use serde::{Deserialize, Serialize};

/// A loaded time series with equal time steps.
///
/// Every column and `times` have one value per row; `train` ≤ `validation` ≤ rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The target first, then the features; all are known up to the forecast origin.
    pub columns: Vec<Column>,
    /// The timestamp of each row, as in its file.
    pub timestamps: Vec<String>,
    /// The time step between consecutive rows.
    pub step: TimeStep,
    /// The step number of row 0 in the calendar, see [`TimeStep::number`]; with the season it determines the phase of each row.
    pub first_step: i64,
    /// Length of the season in steps; `None` if unknown.
    pub season: Option<usize>,
    /// End of the training split `0..train` and start of the validation split.
    pub train_end: usize,
    /// End of the validation split and start of the test split, which ends at the last row.
    pub validation_end: usize,
}

/// A named column of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Name in the file.
    pub name: String,
    /// One finite number per row.
    pub values: Vec<f64>,
}

impl Column {
    /// Whether the values in `rows` are equal up to rounding.
    pub fn is_constant(&self, rows: Range<usize>) -> bool {
        let values = &self.values[rows];
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
        values.is_empty() || high - low <= ROUNDING * low.abs().max(high.abs())
    }
}

/// Relative tolerance for equality up to rounding: a few dozen operations, each with a relative error of 2⁻⁵³.
const ROUNDING: f64 = 64.0 * f64::EPSILON;

/// Parameters of rolling-origin evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollingOrigin {
    /// Length of the input window in rows.
    pub window: usize,
    /// Forecast horizon in rows.
    pub horizon: usize,
    /// Number of consecutive folds into which the origins of a split are grouped.
    pub folds: usize,
}

impl Series {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// The rows of a split.
    pub fn split(&self, split: Split) -> Range<usize> {
        match split {
            Split::Train => 0..self.train_end,
            Split::Validation => self.train_end..self.validation_end,
            Split::Test => self.validation_end..self.rows(),
        }
    }

    /// The values of the target column.
    pub fn target(&self) -> &[f64] {
        &self.columns[0].values
    }

    /// The forecast origins of a split: rows with `window` rows before them and `horizon` rows from them on in the split.
    ///
    /// A forecast from origin t predicts rows `t..t + horizon`, all in this split, from rows `t - window..t`, which may lie in
    /// earlier splits.
    pub fn origins(&self, split: Split, window: usize, horizon: usize) -> Vec<usize> {
        let rows = self.split(split);
        (rows.start.max(window)..(rows.end + 1).saturating_sub(horizon)).collect()
    }

    /// Persistence (naive) forecast: the last value before `origin`, repeated for `horizon` steps.
    ///
    /// # Panics
    /// If `origin` is 0.
    pub fn persistence(&self, origin: usize, horizon: usize) -> Vec<f64> {
        vec![self.target()[origin - 1]; horizon]
    }

    /// Seasonal naive forecast: the last full season before `origin`, repeated; `None` without a season or a full one.
    pub fn seasonal_naive(&self, origin: usize, horizon: usize) -> Option<Vec<f64>> {
        let season = self.season.filter(|&season| season > 0)?;
        let last = &self.target()[origin.checked_sub(season)?..origin];
        Some(last.iter().copied().cycle().take(horizon).collect())
    }

    /// Rolling-origin evaluation: RMSE of `forecast`, called for each origin of a split in order, overall, per fold and, if the
    /// horizon exceeds 1, per step ahead. Each forecast value is an example. Scores that include an origin without a forecast have
    /// no metric: they would not cover the same origins as other forecasts.
    ///
    /// Tashman, "Out-of-sample tests of forecasting accuracy", International Journal of Forecasting 16, 2000.
    pub fn evaluate(
        &self,
        split: Split,
        framing: RollingOrigin,
        mut forecast: impl FnMut(usize) -> Option<Vec<f64>>,
    ) -> Evaluation {
        let RollingOrigin { window, horizon, folds } = framing;
        let origins = self.origins(split, window, horizon);
        let length = origins.len().div_ceil(folds.max(1)).max(1);
        let mut all = Errors::default();
        let mut groups = Vec::new();
        let mut ahead = vec![Errors::default(); if horizon > 1 { horizon } else { 0 }];
        for (number, fold) in (1..).zip(origins.chunks(length)) {
            let mut fold_errors = Errors::default();
            for &origin in fold {
                let forecast = forecast(origin);
                for (step, &actual) in self.target()[origin..origin + horizon].iter().enumerate() {
                    let error = forecast.as_ref().and_then(|values| Some(values.get(step)? - actual));
                    [Some(&mut all), Some(&mut fold_errors), ahead.get_mut(step)]
                        .into_iter()
                        .flatten()
                        .for_each(|sum| sum.add(error));
                }
            }
            let [first, last] = [fold[0], fold[fold.len() - 1]].map(|origin| &self.timestamps[origin]);
            groups.push((("fold", format!("{number} ({first} to {last})")), fold_errors.scores()));
        }
        let ahead = (1..).zip(ahead).filter(|(_, errors)| errors.requested > 0);
        groups.extend(ahead.map(|(step, errors)| (("step ahead", step.to_string()), errors.scores())));
        Evaluation { all: all.scores(), groups, ..Evaluation::default() }
    }

    /// Evaluates the persistence baseline on a split and, if the series has a season, the seasonal naive one.
    pub fn baselines(&self, split: Split, framing: RollingOrigin) -> Vec<(&'static str, Evaluation)> {
        let horizon = framing.horizon;
        let persistence = self.evaluate(split, framing, |origin| Some(self.persistence(origin, horizon)));
        let seasonal = || self.evaluate(split, framing, |origin| self.seasonal_naive(origin, horizon));
        let mut all = vec![("persistence", persistence)];
        all.extend(self.season.is_some().then(|| ("seasonal naive", seasonal())));
        all
    }

    /// The timestamp `k` steps after the last row, in the format of the file.
    pub fn next_time(&self, k: usize) -> String {
        let last = self.timestamps.last().map_or("", String::as_str);
        self.step.next(last, k).unwrap_or_else(|| format!("{last} + {k}"))
    }

    /// SHA-256 digest of columns, times and split boundaries: equal digests mean equal data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::new();
        [self.rows(), self.train_end, self.validation_end].into_iter().for_each(|size| digest.number(size as u64));
        for column in &self.columns {
            digest.text(&column.name);
            column.values.iter().for_each(|value| digest.number(value.to_bits()));
        }
        self.timestamps.iter().for_each(|time| digest.text(time));
        digest.finish()
    }
}

/// Accumulated squared errors of forecasts.
#[derive(Debug, Clone, Copy, Default)]
struct Errors {
    requested: usize,
    forecast: usize,
    squares: f64,
}

impl Errors {
    /// Adds an error; `None` if there was no forecast.
    fn add(&mut self, error: Option<f64>) {
        self.requested += 1;
        if let Some(error) = error {
            self.forecast += 1;
            self.squares += error.powi(2);
        }
    }

    fn scores(self) -> Scores {
        let mut scores = Scores::new(self.forecast, []);
        if self.requested > 0 && self.forecast == self.requested {
            scores.insert(Metric::RMSE, (self.squares / self.requested as f64).sqrt());
        }
        scores
    }
}

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
    use super::*;
    use proptest::prelude::*;

    fn series() -> impl Strategy<Value = Series> {
        let rows = prop::collection::vec((-50.0..50.0f64, 0.0..9.0f64), 0..40);
        (rows, 0.0..=1.0f64, 0.0..=1.0f64, prop::option::of(0..9usize)).prop_map(|(rows, late, early, season)| {
            let validation_end = (late * rows.len() as f64) as usize;
            let train_end = (early * validation_end as f64) as usize;
            let timestamps = (0..rows.len()).map(|row| row.to_string()).collect();
            let (target, feature) = rows.into_iter().unzip();
            let columns = [("y", target), ("x", feature)];
            let columns = columns.map(|(name, values)| Column { name: name.to_owned(), values }).to_vec();
            Series { columns, timestamps, step: TimeStep::Count(1), first_step: 0, season, train_end, validation_end }
        })
    }

    fn changed(series: &Series, from: usize, by: f64) -> Series {
        let mut changed = series.clone();
        changed.columns.iter_mut().for_each(|column| column.values[from..].iter_mut().for_each(|value| *value += by));
        changed
    }

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

        #[test]
        fn origins_have_a_full_window_and_forecast_within_their_split(
            series in series(), window in 1..12usize, horizon in 1..12usize,
        ) {
            let mut owner = vec![None; series.rows()];
            for split in Split::ALL {
                let rows = series.split(split);
                let origins = series.origins(split, window, horizon);
                for row in 0..series.rows() {
                    let fits = row >= window && row >= rows.start && row + horizon <= rows.end;
                    prop_assert_eq!(origins.contains(&row), fits);
                }
                for row in origins.iter().flat_map(|&origin| origin..origin + horizon) {
                    prop_assert_eq!(*owner[row].get_or_insert(split), split);
                }
                let end = origins.iter().map(|&origin| origin + horizon).max().unwrap_or(0);
                prop_assert!(split != Split::Train || end <= series.train_end);
            }
        }

        #[test]
        fn baselines_use_only_values_before_the_origin(series in series(), horizon in 1..30usize, by in 1.0..9.0f64) {
            for origin in 1..=series.rows() {
                let later = changed(&series, origin, by);
                prop_assert_eq!(series.persistence(origin, horizon), later.persistence(origin, horizon));
                prop_assert_eq!(series.seasonal_naive(origin, horizon), later.seasonal_naive(origin, horizon));
                let Some(forecast) = series.seasonal_naive(origin, horizon) else { continue };
                let season = series.season.unwrap();
                for (step, value) in forecast.into_iter().enumerate() {
                    let seasons = step / season + 1;
                    prop_assert_eq!(value, series.target()[origin + step - seasons * season]);
                }
            }
        }

        #[test]
        fn the_digest_covers_values_and_split_boundaries(series in series(), row in 0..40usize) {
            let mut other = series.clone();
            other.train_end += 1;
            prop_assert_ne!(series.digest(), other.digest());
            if row < series.rows() {
                prop_assert_ne!(series.digest(), changed(&series, row, 1.0).digest());
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

    #[test]
    fn baselines_match_hand_computed_forecasts() {
        let columns = vec![Column { name: "y".to_owned(), values: vec![1.0, 2.0, 3.0, 4.0, 5.0] }];
        let timestamps = (0..5).map(|row| row.to_string()).collect();
        let series = Series {
            columns,
            timestamps,
            step: TimeStep::Count(1),
            first_step: 0,
            season: Some(3),
            train_end: 3,
            validation_end: 4,
        };
        assert_eq!(series.persistence(4, 2), [4.0, 4.0]);
        assert_eq!(series.seasonal_naive(4, 5), Some(vec![2.0, 3.0, 4.0, 2.0, 3.0]));
        assert_eq!(series.seasonal_naive(2, 1), None);
        assert_eq!(series.next_time(2), "6");
        let scaling = Standardization::fit(&series);
        assert_eq!((scaling.means[0], scaling.std[0]), (2.0, (2.0f64 / 3.0).sqrt()));
    }

    #[test]
    fn rolling_origin_errors_match_hand_computed_values() {
        let columns = vec![Column { name: "y".to_owned(), values: (0..10).map(f64::from).collect() }];
        let timestamps = (0..10).map(|row| row.to_string()).collect();
        let series = Series {
            columns,
            timestamps,
            step: TimeStep::Count(1),
            first_step: 0,
            season: Some(4),
            train_end: 4,
            validation_end: 6,
        };
        let framing = RollingOrigin { window: 3, horizon: 2, folds: 2 };
        // Origins 6, 7 and 8: the first step is 1 too low, the second 2; origin 8 has no forecast.
        let requested = std::cell::RefCell::new(Vec::new());
        let found = series.evaluate(Split::Test, framing, |origin| {
            requested.borrow_mut().push(origin);
            (origin < 8).then(|| vec![origin as f64 - 1.0; 2])
        });
        assert_eq!(requested.into_inner(), [6, 7, 8]);
        let rmse = |scores: &Scores| (scores.examples, scores.get(Metric::RMSE));
        assert_eq!(rmse(&found.all), (4, None), "no RMSE without all origins");
        let groups: Vec<_> = found.groups.iter().map(|((_, name), scores)| (name.as_str(), rmse(scores))).collect();
        let one = ("1 (6 to 7)", (4, Some(2.5f64.sqrt())));
        assert_eq!(groups, [one, ("2 (8 to 8)", (0, None)), ("1", (2, None)), ("2", (2, None))]);
        let whole = series.evaluate(Split::Test, framing, |origin| Some(vec![origin as f64 - 1.0; 2]));
        let groups: Vec<_> = whole.groups.iter().map(|((_, name), scores)| (name.as_str(), rmse(scores))).collect();
        let two = ("2 (8 to 8)", (2, Some(2.5f64.sqrt())));
        assert_eq!(groups, [one, two, ("1", (3, Some(1.0))), ("2", (3, Some(2.0)))]);
        // The series rises by 1 per step: persistence is off by 1 and 2, seasonal naive always by a season.
        let baselines = |series: &Series| -> Vec<_> {
            let found = series.baselines(Split::Test, framing);
            found.iter().map(|(name, found)| (*name, rmse(&found.all))).collect()
        };
        let persistence = ("persistence", (6, Some(2.5f64.sqrt())));
        assert_eq!(baselines(&series), [persistence, ("seasonal naive", (6, Some(4.0)))]);
        // Origin 6 has no full season of seven rows before it.
        let long = Series { season: Some(7), ..series.clone() };
        assert_eq!(baselines(&long), [persistence, ("seasonal naive", (4, None))]);
        assert_eq!(
            baselines(&Series { season: Some(60), ..series.clone() }),
            [persistence, ("seasonal naive", (0, None))]
        );
        assert_eq!(baselines(&Series { season: None, ..series }), [persistence]);
    }
}
