//! Datasets for forecasting: time series with equal time steps and consecutive splits.

use std::ops::Range;

use crate::DataError;
use crate::columns::Columns;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::records::{Records, Split};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::timestamps::{TimeStep, quoted};

mod evaluation;
mod standardization;

pub use evaluation::RollingOrigin;
pub use standardization::Standardization;

/// Data for forecasting.
pub static DATA: DataSpec = DataSpec {
    task: "forecasting",
    roles: &[
        Role::required("target", Content::Other, "Column to forecast."),
        Role::optional(
            "time",
            Content::Time,
            "Column of the timestamps, in order and with equal steps; without it, rows are numbered.",
        ),
        Role::optional(
            "features",
            Content::Several,
            "Further input columns (past covariates), known up to the forecast origin.",
        ),
    ],
    fields: &["season", "missing_steps"],
    default_format: Some("csv"),
    default_split: SplitRule::Rows { validation: 0.15, test: 0.15 },
    split_rules: &["rows", "time"],
    split_note: "a series is split in its order",
};

/// What to do about a row with a value that cannot be corrected: a series has no gaps.
const OTHERWISE: &str = "end the series there";

/// Minimum number of rows of a series to train on.
const MIN_ROWS: usize = 30;

/// A loaded time series with equal time steps.
///
/// Every column and `timestamps` have one value per row; `train_end` ≤ `validation_end` ≤ rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The target first, then the features; all are known up to the forecast origin.
    pub columns: Vec<Column>,
    /// The timestamp of each row, as in its file.
    pub timestamps: Vec<String>,
    /// The time step between consecutive rows.
    pub step: TimeStep,
    /// Step number of row 0, see [`TimeStep::number`]; with the season, it determines the seasonal phase of each row.
    pub first_step: i64,
    /// Seasonal period in steps; `None` if unknown.
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

impl Series {
    /// Converts records, using the columns `time`, `target` and `features`. The splits must be consecutive in time.
    ///
    /// # Errors
    /// If there are fewer than 30 rows, a column is missing, a value is missing or not a finite number, the steps between timestamps are
    /// not equal, or a column is constant in the training split.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let mut records = splits.train.clone();
        let used = splits.columns.names();
        records.append(splits.validation.clone(), &used)?;
        records.append(splits.test.clone(), &used)?;
        let rows = records.len();
        // Report a missing column first: it is the more likely mistake.
        let used = Used::find(&records, &splits.columns)?;
        if rows < MIN_ROWS {
            let detail = format!("{rows} rows are too few to train on; at least {MIN_ROWS} are needed");
            return Err(DataError::of_records(records.file(), detail));
        }
        let train_end = splits.train.len();
        let mut series = used.series(&records, None, splits.missing_steps)?;
        (series.train_end, series.validation_end) = (train_end, train_end + splits.validation.len());
        series.season = splits.season.or(series.season);
        if splits.missing_steps > 0 {
            series.first_step = 0;
        }
        series.refuse_constants(&records)?;
        Ok(series)
    }

    /// Converts recent rows to forecast from, for a model trained on time steps of `step`. Any length and constant columns are valid, and
    /// `step` resolves ambiguous timestamps.
    ///
    /// # Errors
    /// As [`Series::from_records`], except that one row suffices and columns may be constant.
    pub fn recent(records: &Records, columns: &Columns, step: TimeStep) -> Result<Self, DataError> {
        Used::find(records, columns)?.series(records, Some(step), 0)
    }

    fn refuse_constants(&self, records: &Records) -> Result<(), DataError> {
        let constant = |column: &Column| column.is_constant(self.split(Split::Train));
        let Some(index) = self.columns.iter().position(constant) else { return Ok(()) };
        let Column { name, values } = &self.columns[index];
        let (role, hint) = match index {
            0 => ("target", "so there is nothing to learn: choose another target"),
            _ => ("features", "so it carries no information: leave it out of the features"),
        };
        let train = &values[..self.train_end];
        let exact = if train.iter().all(|value| *value == train[0]) { "" } else { " up to rounding" };
        let detail = format!("{} is {}{exact} in all {} training rows, {hint}", quoted(name), train[0], train.len());
        let path = records.file().map(crate::reading::name);
        Err(DataError::Column { path, line: None, role, detail })
    }

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

    /// The timestamp `k` steps after the last row, in the format of the file.
    pub fn next_time(&self, k: usize) -> String {
        let last = self.timestamps.last().map_or("", String::as_str);
        self.step.next(last, k).unwrap_or_else(|| format!("{last} + {k}"))
    }

    /// SHA-256 digest of columns, times and boundaries of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        self.digest_until(self.validation_end)
    }

    /// The digest that earlier versions recorded, which covers the test split too.
    pub fn whole_digest(&self) -> String {
        self.digest_until(self.rows())
    }

    fn digest_until(&self, rows: usize) -> String {
        let mut digest = Digest::default();
        [rows, self.train_end, self.validation_end].into_iter().for_each(|size| digest.number(size as u64));
        for column in &self.columns {
            digest.text(&column.name);
            column.values[..rows].iter().for_each(|value| digest.number(value.to_bits()));
        }
        self.timestamps[..rows].iter().for_each(|time| digest.text(time));
        digest.finish()
    }
}

/// The columns in use.
struct Used<'a> {
    time: Option<&'a str>,
    /// The target first, with the role of each column.
    numbers: Vec<(&'static str, &'a str)>,
}

impl<'a> Used<'a> {
    fn find(records: &Records, columns: &'a Columns) -> Result<Self, DataError> {
        let features = columns.several("features").iter().map(|name| ("features", name.as_str()));
        let numbers: Vec<_> = std::iter::once(("target", columns.need("target")?)).chain(features).collect();
        let time = columns.get("time");
        for (role, name) in time.map(|name| ("time", name)).into_iter().chain(numbers.iter().copied()) {
            records.column(role, name)?;
        }
        let is_repeated = |index: &usize| numbers[..*index].iter().any(|(_, name)| *name == numbers[*index].1);
        if let Some(index) = (0..numbers.len()).find(is_repeated) {
            let detail = format!("{} occurs twice as target or feature; name it once", quoted(numbers[index].1));
            let path = records.file().map(crate::reading::name);
            return Err(DataError::Column { path, line: None, role: "features", detail });
        }
        Ok(Self { time, numbers })
    }

    /// The series; `step` is used if the timestamps fit it, else the step is inferred. All rows are in its test split.
    fn series(&self, records: &Records, step: Option<TimeStep>, missing: usize) -> Result<Series, DataError> {
        let rows = records.len();
        if rows == 0 {
            return Err(DataError::of_records(records.file(), "no rows after the header; at least one is needed"));
        }
        let timestamps = match self.time {
            Some(name) => {
                let time = |(row, time): (usize, &std::sync::Arc<str>)| {
                    records.present(row, name, time, OTHERWISE).map(|()| (**time).to_owned())
                };
                records.texts("time", name)?.iter().enumerate().map(time).collect::<Result<Vec<_>, _>>()?
            }
            None => (0..rows).map(|row| row.to_string()).collect(),
        };
        let line = |row: usize| records.place(row).map_or(row, |(_, line)| line);
        let step = match step.filter(|step| step.separates(&timestamps)) {
            Some(step) => step,
            None if self.time.is_none() => TimeStep::Count(1),
            None if rows == 1 => {
                let only = quoted(&timestamps[0]);
                let detail = format!("{only} is the only timestamp; at least two are needed to find the step");
                return Err(records.error(0, detail));
            }
            None => {
                TimeStep::between(&timestamps, missing, line).map_err(|(row, detail)| records.error(row, detail))?
            }
        };
        let column = |&(role, name): &(&'static str, &str)| {
            Ok(Column { name: name.to_owned(), values: records.numbers(role, name, OTHERWISE)? })
        };
        Ok(Series {
            columns: self.numbers.iter().map(column).collect::<Result<_, DataError>>()?,
            first_step: step.number(&timestamps[0]).unwrap_or(0),
            timestamps,
            step,
            season: step.season(),
            train_end: 0,
            validation_end: 0,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn series() -> impl Strategy<Value = Series> {
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

    pub(super) fn changed(series: &Series, from: usize, by: f64) -> Series {
        let mut changed = series.clone();
        changed.columns.iter_mut().for_each(|column| column.values[from..].iter_mut().for_each(|value| *value += by));
        changed
    }

    proptest! {
        #[test]
        fn the_digest_covers_values_and_split_boundaries(series in series(), row in 0..40usize) {
            let mut other = series.clone();
            other.train_end += 1;
            prop_assert_ne!(series.digest(), other.digest());
            if row < series.rows() {
                let other = changed(&series, row, 1.0);
                prop_assert_eq!(series.digest() == other.digest(), row >= series.validation_end);
                prop_assert_ne!(series.whole_digest(), other.whole_digest());
            }
        }
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
}
