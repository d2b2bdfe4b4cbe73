//! Forecast origins, baselines and rolling-origin evaluation.

use super::Series;
use crate::records::Split;
use crate::scores::{Evaluation, Group, Metric, Scores, group};
use crate::uncertainty::Resampling;

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
    /// no metric: they would not cover the same origins as other forecasts. The interval is that of a bootstrap over blocks of
    /// consecutive origins, as long as the horizon at least.
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
        let mut of_origins = Vec::with_capacity(origins.len());
        let mut groups: Vec<(Group, Scores)> = Vec::new();
        let mut ahead = vec![Errors::default(); if horizon > 1 { horizon } else { 0 }];
        for (number, fold) in (1..).zip(origins.chunks(length)) {
            let before = of_origins.len();
            for &origin in fold {
                let forecast = forecast(origin);
                let mut errors = Errors::default();
                for (step, &actual) in self.target()[origin..origin + horizon].iter().enumerate() {
                    let error = forecast.as_ref().and_then(|values| Some(values.get(step)? - actual));
                    errors.add(error);
                    ahead.get_mut(step).into_iter().for_each(|sum| sum.add(error));
                }
                of_origins.push(errors);
            }
            let [first, last] = [fold[0], fold[fold.len() - 1]].map(|origin| &self.timestamps[origin]);
            groups.push((
                group("fold", format!("{number} ({first} to {last})")),
                Errors::sum(of_origins[before..].iter()).scores(),
            ));
        }
        let ahead = (1..).zip(ahead).filter(|(_, errors)| errors.requested > 0);
        groups.extend(ahead.map(|(step, errors)| (group("step ahead", step.to_string()), errors.scores())));
        let all = Errors::sum(of_origins.iter()).scores();
        // Resamples could miss the origins without a forecast, for which the metric is left out.
        let has_all = all.get(Metric::RMSE).is_some();
        let evaluation = Evaluation { all, groups, ..Evaluation::default() };
        if !has_all {
            return evaluation;
        }
        let count = of_origins.len();
        evaluation.with_resampling(Resampling::of_blocks(
            count,
            horizon,
            move |indices: &mut dyn Iterator<Item = usize>| {
                Errors::sum(indices.map(|index| &of_origins[index])).scores().named()
            },
        ))
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

    fn sum<'a>(errors: impl Iterator<Item = &'a Self>) -> Self {
        errors.fold(Self::default(), |sum, errors| Self {
            requested: sum.requested + errors.requested,
            forecast: sum.forecast + errors.forecast,
            squares: sum.squares + errors.squares,
        })
    }

    fn scores(self) -> Scores {
        let mut scores = Scores::new(self.forecast, []);
        if self.requested > 0 && self.forecast == self.requested {
            scores.insert(Metric::RMSE, (self.squares / self.requested as f64).sqrt());
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::super::Column;
    use super::super::tests::{changed, series};
    use super::*;
    use crate::timestamps::TimeStep;
    use proptest::prelude::*;

    proptest! {
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
        assert_eq!(baselines(&Series { season: None, ..series.clone() }), [persistence]);
        // A metric that is left out has no interval.
        let values = (0..60).map(f64::from).collect();
        let columns = vec![Column { name: "y".to_owned(), values }];
        let timestamps = (0..60).map(|row| row.to_string()).collect();
        let long = Series { columns, timestamps, train_end: 4, validation_end: 6, ..series };
        let intervals = |missing: usize| {
            let forecast = |origin: usize| (origin >= missing).then(|| vec![0.0; 2]);
            long.evaluate(Split::Test, framing, forecast).intervals
        };
        assert_eq!((intervals(0).len(), intervals(7)), (1, Vec::new()));
    }
}
