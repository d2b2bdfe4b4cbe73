//! What a dataset for forecasting consists of: measurements in equal steps of time, in parts that follow one another.

use std::ops::Range;

use crate::classification::Split;
use crate::digest::Digest;
use crate::scores::{Evaluation, Metric, Scores};
use crate::timestamps::Step;
use serde::{Deserialize, Serialize};

/// Measurements in equal steps of time, loaded.
///
/// Every column and `times` have a value for each row; `train` ≤ `validation` ≤ rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// First the target, which is forecast; then features, which are known up to the present as the target is.
    pub columns: Vec<Column>,
    /// The timestamp of each row, as its file writes it.
    pub times: Vec<String>,
    /// What lies between two rows.
    pub step: Step,
    /// The number of row 0 where steps are counted as the calendar has them, see [`Step::number`]; by it and the season, rows have
    /// a phase.
    pub first: i64,
    /// Steps after which the target repeats, roughly; `None` if unknown.
    pub season: Option<usize>,
    /// Where the training part ends, which begins at row 0, and the validation part begins.
    pub train: usize,
    /// Where the validation part ends and the test part begins, which goes on to the last row.
    pub validation: usize,
}

/// What was measured, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name in the file.
    pub name: String,
    /// A finite number per row.
    pub values: Vec<f64>,
}

impl Column {
    /// Whether its values in some rows differ by no more than what is rounded off when they are computed.
    pub fn is_constant(&self, rows: Range<usize>) -> bool {
        let values = &self.values[rows];
        let (low, high) = values
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
        values.is_empty() || high - low <= ROUNDING * low.abs().max(high.abs())
    }
}

/// What numbers differ by, relative to their magnitude, that would be equal without rounding: some dozens of operations, each of which
/// rounds to one part in 2⁵³.
const ROUNDING: f64 = 64.0 * f64::EPSILON;

/// How a series is cut into questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// Rows of the past that are known.
    pub window: usize,
    /// Rows that are forecast.
    pub horizon: usize,
    /// Stretches of equal length that a part's origins are told apart by.
    pub folds: usize,
}

impl Series {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.times.len()
    }

    /// The rows of a part.
    pub fn split(&self, split: Split) -> Range<usize> {
        match split {
            Split::Train => 0..self.train,
            Split::Validation => self.train..self.validation,
            Split::Test => self.validation..self.rows(),
        }
    }

    /// The values of the column that is forecast.
    pub fn target(&self) -> &[f64] {
        &self.columns[0].values
    }

    /// The rows that a part's forecasts begin with, each with `window` rows of past and `horizon` rows to forecast.
    ///
    /// The rows forecast from origin t are `t..t + horizon`, all of this part. Those known are `t - window..t`, which
    /// may lie in earlier parts. Rows with less past than that are no origins.
    pub fn origins(&self, split: Split, window: usize, horizon: usize) -> Vec<usize> {
        let part = self.split(split);
        (part.start.max(window)..(part.end + 1).saturating_sub(horizon)).collect()
    }

    /// The forecast that nothing changes: the last value before `origin`, for each of `horizon` steps.
    ///
    /// # Panics
    /// If `origin` is 0, before which nothing is known.
    pub fn persistence(&self, origin: usize, horizon: usize) -> Vec<f64> {
        vec![self.target()[origin - 1]; horizon]
    }

    /// The forecast that the last whole season before `origin` repeats; `None` if there is no season or no whole one.
    pub fn seasonal_naive(&self, origin: usize, horizon: usize) -> Option<Vec<f64>> {
        let season = self.season.filter(|&season| season > 0)?;
        let last = &self.target()[origin.checked_sub(season)?..origin];
        Some(last.iter().copied().cycle().take(horizon).collect())
    }

    /// Rolling-origin evaluation: the errors of `forecast`, which is asked for each origin of a part in turn, by fold and, if
    /// there are several, by step ahead. Each value forecast is an example. Where an origin has no forecast there is no metric, of the
    /// whole as of its groups: it would be over other origins than those of other forecasts.
    ///
    /// Tashman, "Out-of-sample tests of forecasting accuracy", International Journal of Forecasting 16, 2000.
    pub fn evaluate(
        &self,
        split: Split,
        framing: Framing,
        mut forecast: impl FnMut(usize) -> Option<Vec<f64>>,
    ) -> Evaluation {
        let Framing { window, horizon, folds } = framing;
        let origins = self.origins(split, window, horizon);
        let length = origins.len().div_ceil(folds.max(1)).max(1);
        let mut all = Errors::default();
        let mut groups = Vec::new();
        let mut ahead = vec![Errors::default(); if horizon > 1 { horizon } else { 0 }];
        for (number, fold) in (1..).zip(origins.chunks(length)) {
            let mut of_fold = Errors::default();
            for &origin in fold {
                let forecast = forecast(origin);
                for (step, &came) in self.target()[origin..origin + horizon].iter().enumerate() {
                    let error = forecast.as_ref().and_then(|values| Some(values.get(step)? - came));
                    [Some(&mut all), Some(&mut of_fold), ahead.get_mut(step)]
                        .into_iter()
                        .flatten()
                        .for_each(|sum| sum.add(error));
                }
            }
            let [first, last] = [fold[0], fold[fold.len() - 1]].map(|origin| &self.times[origin]);
            groups.push((("fold", format!("{number} ({first} to {last})")), of_fold.scores()));
        }
        let ahead = (1..).zip(ahead).filter(|(_, errors)| errors.asked > 0);
        groups.extend(ahead.map(|(step, errors)| (("step ahead", step.to_string()), errors.scores())));
        Evaluation { all: all.scores(), groups, ..Evaluation::default() }
    }

    /// How well rules that need no training forecast a part; the seasonal one where the series has a season.
    pub fn baselines(&self, split: Split, framing: Framing) -> Vec<(&'static str, Evaluation)> {
        let horizon = framing.horizon;
        let persistence = self.evaluate(split, framing, |origin| Some(self.persistence(origin, horizon)));
        let seasonal = || self.evaluate(split, framing, |origin| self.seasonal_naive(origin, horizon));
        let mut all = vec![("persistence", persistence)];
        all.extend(self.season.is_some().then(|| ("seasonal naive", seasonal())));
        all
    }

    /// How the file would write the timestamp `k` steps after its last row.
    pub fn next_time(&self, k: usize) -> String {
        let last = self.times.last().map_or("", String::as_str);
        self.step.next(last, k).unwrap_or_else(|| format!("{last} + {k}"))
    }

    /// SHA-256 over columns, times and the bounds of the parts: two runs with the same digest learn from the same data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::new();
        [self.rows(), self.train, self.validation].into_iter().for_each(|size| digest.number(size as u64));
        for column in &self.columns {
            digest.text(&column.name);
            column.values.iter().for_each(|value| digest.number(value.to_bits()));
        }
        self.times.iter().for_each(|time| digest.text(time));
        digest.finish()
    }
}

/// The errors of some forecasts, summed up.
#[derive(Debug, Clone, Copy, Default)]
struct Errors {
    asked: usize,
    answered: usize,
    squares: f64,
}

impl Errors {
    /// Takes in an error, or that there was no forecast.
    fn add(&mut self, error: Option<f64>) {
        self.asked += 1;
        if let Some(error) = error {
            self.answered += 1;
            self.squares += error.powi(2);
        }
    }

    fn scores(self) -> Scores {
        let mut scores = Scores::new(self.answered, []);
        if self.asked > 0 && self.answered == self.asked {
            scores.metrics.insert(Metric::Rmse, (self.squares / self.asked as f64).sqrt());
        }
        scores
    }
}

/// Brings each column to mean 0 and standard deviation 1 over the training part; saved with every checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Of each column, over the rows of the training part.
    pub means: Vec<f64>,
    /// Of each column, over the rows of the training part; 1 for a column that is constant there, see [`Column::is_constant`].
    pub deviations: Vec<f64>,
}

impl Scaling {
    /// The scaling of a series, which rows after its training part do not change.
    pub fn fit(series: &Series) -> Self {
        let fit = |column: &Column| {
            let (mean, variance) = mean_and_variance(&column.values[..series.train]);
            let varies = variance > 0.0 && !column.is_constant(series.split(Split::Train));
            (mean, if varies { variance.sqrt() } else { 1.0 })
        };
        let (means, deviations) = series.columns.iter().map(fit).unzip();
        Self { means, deviations }
    }

    /// A value of a column, counted in standard deviations from its mean.
    pub fn scaled(&self, column: usize, value: f64) -> f64 {
        (value - self.means[column]) / self.deviations[column]
    }

    /// The value of the target that [`Scaling::scaled`] makes `value` of.
    pub fn unscaled(&self, value: f64) -> f64 {
        value * self.deviations[0] + self.means[0]
    }
}

/// In two passes; the mean is corrected where adding up large values has moved it.
fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let about = |center: f64| {
        let deviations = values.iter().map(|value| value - center);
        let (mut sum, mut squares) = (0.0, 0.0);
        deviations.for_each(|deviation| (sum, squares) = (sum + deviation, squares + deviation.powi(2)));
        (sum / count, squares / count)
    };
    let mean = values.iter().sum::<f64>() / count;
    let (moved, variance) = about(mean);
    if moved.abs() <= NEGLIGIBLE * variance.sqrt() {
        return (mean, variance);
    }
    (mean + moved, about(mean + moved).1)
}

/// How far from a mean, in standard deviations, its rounding does no harm.
const NEGLIGIBLE: f64 = 1e-12;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn series() -> impl Strategy<Value = Series> {
        let rows = prop::collection::vec((-50.0..50.0f64, 0.0..9.0f64), 0..40);
        (rows, 0.0..=1.0f64, 0.0..=1.0f64, prop::option::of(0..9usize)).prop_map(|(rows, late, early, season)| {
            let validation = (late * rows.len() as f64) as usize;
            let train = (early * validation as f64) as usize;
            let times = (0..rows.len()).map(|row| row.to_string()).collect();
            let (target, feature) = rows.into_iter().unzip();
            let columns = [("y", target), ("x", feature)];
            let columns = columns.map(|(name, values)| Column { name: name.to_owned(), values }).to_vec();
            Series { columns, times, step: Step::Count(1), first: 0, season, train, validation }
        })
    }

    fn changed(series: &Series, from: usize, by: f64) -> Series {
        let mut changed = series.clone();
        changed.columns.iter_mut().for_each(|column| column.values[from..].iter_mut().for_each(|value| *value += by));
        changed
    }

    proptest! {
        #[test]
        fn rows_after_the_training_part_change_no_scaling(series in series(), by in -1e6..1e6f64) {
            prop_assert_eq!(Scaling::fit(&series), Scaling::fit(&changed(&series, series.train, by)));
        }

        #[test]
        fn scaled_training_rows_have_mean_0_and_deviation_1_and_are_unscaled_again(series in series()) {
            let scaling = Scaling::fit(&series);
            let scaled: Vec<f64> = series.target()[..series.train].iter().map(|&y| scaling.scaled(0, y)).collect();
            let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
            if series.train > 1 {
                let squares: Vec<f64> = scaled.iter().map(|value| value * value).collect();
                prop_assert!(mean(&scaled).abs() < 1e-6 && (mean(&squares) - 1.0).abs() < 1e-6);
            }
            for (&value, scaled) in series.target().iter().zip(scaled) {
                prop_assert!((scaling.unscaled(scaled) - value).abs() < 1e-9);
            }
        }

        #[test]
        fn origins_know_what_is_past_and_forecast_their_own_part(
            series in series(), window in 1..12usize, horizon in 1..12usize,
        ) {
            let mut owner = vec![None; series.rows()];
            for split in Split::ALL {
                let part = series.split(split);
                let origins = series.origins(split, window, horizon);
                for row in 0..series.rows() {
                    let fits = row >= window && row >= part.start && row + horizon <= part.end;
                    prop_assert_eq!(origins.contains(&row), fits);
                }
                for row in origins.iter().flat_map(|&origin| origin..origin + horizon) {
                    prop_assert_eq!(*owner[row].get_or_insert(split), split);
                }
                let touched = origins.iter().map(|&origin| origin + horizon).max().unwrap_or(0);
                prop_assert!(split != Split::Train || touched <= series.train);
            }
        }

        #[test]
        fn baselines_see_nothing_from_the_origin_on(series in series(), horizon in 1..30usize, by in 1.0..9.0f64) {
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
        fn a_digest_holds_every_value_and_bound(series in series(), row in 0..40usize) {
            let mut other = series.clone();
            other.train += 1;
            prop_assert_ne!(series.digest(), other.digest());
            if row < series.rows() {
                prop_assert_ne!(series.digest(), changed(&series, row, 1.0).digest());
            }
        }
    }

    /// A target that is known from the first row to the last, all of them of the training part.
    fn one(values: Vec<f64>) -> Series {
        let rows = values.len();
        let columns = vec![Column { name: "y".to_owned(), values }];
        let times = (0..rows).map(|row| row.to_string()).collect();
        Series { columns, times, step: Step::Count(1), first: 0, season: None, train: rows, validation: rows }
    }

    #[test]
    fn columns_that_vary_by_rounding_alone_are_scaled_by_1() {
        let residues = |k: i32| (7.7 + 0.1 * f64::from(k)) - 0.1 * f64::from(k);
        for values in [
            vec![0.3, 0.1 + 0.2, 0.3, 0.3],
            (0..50).map(residues).collect(),
            vec![-1e9, -1e9 - 1e-7, -1e9],
            vec![7.0; 3],
            vec![0.0; 3],
        ] {
            let scaling = Scaling::fit(&one(values.clone()));
            assert_eq!(scaling.deviations, [1.0], "{values:?}");
            assert!((scaling.means[0] - values[0]).abs() <= 1e-15 * values[0].abs(), "{values:?}");
        }
    }

    #[test]
    fn large_values_with_small_steps_are_scaled_as_their_differences() {
        // 0 to 99 a hundred times: mean 49.5, variance (100² − 1) / 12.
        let deviation = (9999.0f64 / 12.0).sqrt();
        for base in [0.0, 1e9, 1.7e9, -1e12, 1e15, -4e15] {
            let series = one((0..10_000).map(|row| base + f64::from(row % 100)).collect());
            let scaling = Scaling::fit(&series);
            assert!((scaling.deviations[0] / deviation - 1.0).abs() < 1e-4, "{base} {scaling:?}");
            for step in [0.0, 49.0, 99.0] {
                let scaled = scaling.scaled(0, base + step);
                assert!((scaled - (step - 49.5) / deviation).abs() < 0.02, "{base} {scaling:?}");
                assert!(base.abs() > 1e12 || (scaled - (step - 49.5) / deviation).abs() < 1e-5, "{base} {scaling:?}");
            }
        }
        // Steps of a millionth beside a thousand are no rounding.
        let scaling = Scaling::fit(&one(vec![1_000.0, 1_000.000_001, 1_000.0, 1_000.000_001]));
        assert!((scaling.deviations[0] / 5e-7 - 1.0).abs() < 1e-6, "{scaling:?}");
    }

    #[test]
    fn baselines_are_as_computed_by_hand() {
        let columns = vec![Column { name: "y".to_owned(), values: vec![1.0, 2.0, 3.0, 4.0, 5.0] }];
        let times = (0..5).map(|row| row.to_string()).collect();
        let series =
            Series { columns, times, step: Step::Count(1), first: 0, season: Some(3), train: 3, validation: 4 };
        assert_eq!(series.persistence(4, 2), [4.0, 4.0]);
        assert_eq!(series.seasonal_naive(4, 5), Some(vec![2.0, 3.0, 4.0, 2.0, 3.0]));
        assert_eq!(series.seasonal_naive(2, 1), None);
        assert_eq!(series.next_time(2), "6");
        let scaling = Scaling::fit(&series);
        assert_eq!((scaling.means[0], scaling.deviations[0]), (2.0, (2.0f64 / 3.0).sqrt()));
    }

    #[test]
    fn errors_of_rolling_origins_are_as_computed_by_hand() {
        let columns = vec![Column { name: "y".to_owned(), values: (0..10).map(f64::from).collect() }];
        let times = (0..10).map(|row| row.to_string()).collect();
        let series =
            Series { columns, times, step: Step::Count(1), first: 0, season: Some(4), train: 4, validation: 6 };
        let framing = Framing { window: 3, horizon: 2, folds: 2 };
        // Origins 6, 7 and 8: the first step is 1 too low, the second 2; from origin 8 on there is no forecast.
        let asked = std::cell::RefCell::new(Vec::new());
        let found = series.evaluate(Split::Test, framing, |origin| {
            asked.borrow_mut().push(origin);
            (origin < 8).then(|| vec![origin as f64 - 1.0; 2])
        });
        assert_eq!(asked.into_inner(), [6, 7, 8]);
        let rmse = |scores: &Scores| (scores.examples, scores.get(Metric::Rmse));
        assert_eq!(rmse(&found.all), (4, None), "a mean over other origins is none");
        let groups: Vec<_> = found.groups.iter().map(|((_, name), scores)| (name.as_str(), rmse(scores))).collect();
        let one = ("1 (6 to 7)", (4, Some(2.5f64.sqrt())));
        assert_eq!(groups, [one, ("2 (8 to 8)", (0, None)), ("1", (2, None)), ("2", (2, None))]);
        let whole = series.evaluate(Split::Test, framing, |origin| Some(vec![origin as f64 - 1.0; 2]));
        let groups: Vec<_> = whole.groups.iter().map(|((_, name), scores)| (name.as_str(), rmse(scores))).collect();
        let two = ("2 (8 to 8)", (2, Some(2.5f64.sqrt())));
        assert_eq!(groups, [one, two, ("1", (3, Some(1.0))), ("2", (3, Some(2.0)))]);
        // A line that rises by one a step: persistence is 1 and 2 off, the seasonal rule always a season.
        let baselines = |series: &Series| -> Vec<_> {
            let found = series.baselines(Split::Test, framing);
            found.iter().map(|(name, found)| (*name, rmse(&found.all))).collect()
        };
        let persistence = ("persistence", (6, Some(2.5f64.sqrt())));
        assert_eq!(baselines(&series), [persistence, ("seasonal naive", (6, Some(4.0)))]);
        // Of the origins 6, 7 and 8 the first has no season of seven rows before it.
        let long = Series { season: Some(7), ..series.clone() };
        assert_eq!(baselines(&long), [persistence, ("seasonal naive", (4, None))]);
        assert_eq!(
            baselines(&Series { season: Some(60), ..series.clone() }),
            [persistence, ("seasonal naive", (0, None))]
        );
        assert_eq!(baselines(&Series { season: None, ..series }), [persistence]);
    }
}
