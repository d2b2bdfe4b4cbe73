//! Datasets for anomaly detection: series of one value per row, with the windows of known anomalies.

mod benchmark;
mod detection;
mod outcome;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::DataError;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::records::Split;
use crate::scores::{Evaluation, Group, metrics};
use crate::split_rule::{SplitRule, probation_rows};
use crate::splits::Splits;
use crate::timestamps;
pub use benchmark::Benchmark;
use detection::Moments;
pub use detection::{Judged, Remark, Rule};
use outcome::{Alarms, Outcome};

/// Data for anomaly detection.
pub static DATA: DataSpec = DataSpec {
    task: "anomaly",
    roles: &[
        Role::required("value", Content::Other, "Column of the value to monitor."),
        Role::optional(
            "series",
            Content::Other,
            "Column that names the series of each row; without it, each file is a series.",
        ),
        Role::optional("time", Content::Time, "Column of the timestamps, for reports; rows must be in order of time."),
        Role::optional(
            "label",
            Content::Other,
            "Column of labels: empty, 0, false, no or normal where there is no anomaly; consecutive rows with the same other label are one \
             anomaly. Training does not use it.",
        ),
        Role::GROUPS,
    ],
    fields: &[],
    default_format: Some("csv"),
    default_split: SplitRule::PROBATION,
    split_rules: &["probation"],
    split_note: "each series is divided in its order",
};

/// Labels of rows without an anomaly, in lower case.
const NORMAL: [&str; 6] = ["", "0", "0.0", "false", "no", "normal"];

metrics! {
    /// Score of the Numenta Anomaly Benchmark in the standard profile, at the threshold with the highest score on the same labels.
    pub const NAB = Higher("nab", "of 100 points");

    /// The same score at the threshold that the probationary period of each series sets.
    pub const CALIBRATED = Higher("nab-calibrated", "of 100 points");

    /// Share of the windows with an alarm, at the threshold of the probationary period.
    pub const RECALL = Higher("recall", "");

    /// Alarms per 1,000 rows, at the threshold of the probationary period.
    pub const ALARM_RATE = Lower("alarms-per-1000-rows", "");
}

/// Minimum number of rows of a probationary period.
const MIN_PROBATION: usize = 10;

/// A series of values to monitor.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Monitored {
    /// Name.
    pub name: String,
    /// Values, in order of time.
    pub values: Vec<f64>,
    /// Timestamps of the rows; empty if there are none.
    pub times: Vec<String>,
    /// Rows of each known anomaly, in order.
    pub windows: Vec<Range<usize>>,
    /// Groups for per-group metrics.
    pub groups: Arc<[Group]>,
    /// End of the training split.
    pub train_end: usize,
    /// End of the validation split, and with it of the probationary period; the other rows are the test split.
    pub validation_end: usize,
}

impl Monitored {
    /// The rows of a split.
    pub fn split(&self, split: Split) -> Range<usize> {
        match split {
            Split::Train => 0..self.train_end,
            Split::Validation => self.train_end..self.validation_end,
            Split::Test => self.validation_end..self.values.len(),
        }
    }

    /// Number of rows of the probationary period: the training and the validation split, else, for a series that has neither, that of
    /// [`SplitRule::PROBATION`].
    pub fn probation(&self) -> usize {
        match (self.validation_end, SplitRule::PROBATION) {
            (0, SplitRule::Probation { fraction, rows, .. }) => probation_rows(self.values.len(), fraction, rows),
            (end, _) => end,
        }
    }

    /// The values with mean 0 and standard deviation 1 over the probationary period.
    pub fn standardized(&self) -> Vec<f64> {
        let reference = &self.values[..self.probation().max(1).min(self.values.len())];
        let count = reference.len().max(1) as f64;
        let mean = reference.iter().sum::<f64>() / count;
        let std = (reference.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        // Changes of a constant are measured relative to its size.
        let scale = if std > 1e-9 * mean.abs() { std } else { (1e-3 * mean.abs()).max(1e-6) };
        self.values.iter().map(|value| (value - mean) / scale).collect()
    }
}

/// A loaded dataset for anomaly detection.
#[derive(Debug, Clone, Default)]
pub struct Anomalies {
    /// Name of the column of the values.
    pub column: String,
    /// The series, in the order of their first rows, those with a probationary period first.
    pub series: Vec<Monitored>,
    /// Notes for the user on rows that were left out or are out of order.
    pub notes: Vec<String>,
}

impl Anomalies {
    /// Converts records, using the columns `value`, `series`, `time`, `label` and `groups`. Rows without a value are left out.
    ///
    /// # Errors
    /// If a column is missing, or a value is not a finite number.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let columns = &splits.columns;
        let column = columns.need("value")?;
        let mut data = Self { column: column.to_owned(), ..Self::default() };
        let mut indices: HashMap<String, usize> = HashMap::new();
        // The label of each row in an anomaly, by series.
        let mut labels: Vec<Vec<Option<Arc<str>>>> = Vec::new();
        let mut without_value = Vec::new();
        for split in Split::ALL {
            let records = splits.split(split);
            if records.is_empty() {
                continue;
            }
            let (present, missing) = records.by_presence("value", column)?;
            without_value.extend(missing.into_iter().filter_map(|row| records.place(row)));
            let records = &records.select(&present);
            let values = records.numbers("value", column, "remove the row")?;
            let times = columns.get("time").map(|name| records.texts("time", name)).transpose()?;
            let found = columns.get("label").map(|name| records.texts("label", name)).transpose()?;
            let groups = records.groups(columns.several("groups"))?;
            let (names, of_rows) = records.series_of_rows(columns.get("series"))?;
            let series: Vec<usize> = names
                .into_iter()
                .map(|name| {
                    *indices.entry(name.clone()).or_insert_with(|| {
                        data.series.push(Monitored { name, ..Monitored::default() });
                        labels.push(Vec::new());
                        data.series.len() - 1
                    })
                })
                .collect();
            for (row, value) in values.into_iter().enumerate() {
                let index = series[of_rows[row]];
                let into = &mut data.series[index];
                into.values.push(value);
                into.times.extend(times.map(|times| times[row].to_string()));
                into.groups = groups[row].clone();
                let label = found.map(|labels| labels[row].clone());
                labels[index].push(label.filter(|label| !NORMAL.contains(&&*label.trim().to_lowercase())));
            }
            for series in &mut data.series {
                let end = series.values.len();
                match split {
                    Split::Train => (series.train_end, series.validation_end) = (end, end),
                    Split::Validation => series.validation_end = end,
                    Split::Test => {}
                }
            }
        }
        for (series, labels) in data.series.iter_mut().zip(labels) {
            series.windows = windows(&labels);
        }
        if columns.get("series").is_none() {
            data.shorten_names();
        }
        if let Some((file, line)) = without_value.first() {
            let (count, file) = (without_value.len(), crate::reading::name(file).display().to_string());
            data.notes.push(format!(
                "rows without a value are left out, and the others are numbered without them: {count}, the first on line {line} of {file}"
            ));
        }
        data.notes.extend(data.disorder());
        Ok(data)
    }

    /// A note if timestamps go back in time.
    fn disorder(&self) -> Option<String> {
        let back = |series: &Monitored| timestamps::steps_back(&series.times);
        let found: Vec<(&Monitored, Vec<usize>)> =
            self.series.iter().map(|series| (series, back(series))).filter(|(_, rows)| !rows.is_empty()).collect();
        let (series, rows) = found.first()?;
        let count: usize = found.iter().map(|(_, rows)| rows.len()).sum();
        let (before, time) = (&series.times[rows[0] - 1], &series.times[rows[0]]);
        let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
        let of = if series.name.is_empty() { String::new() } else { format!(" of {}", series.name) };
        Some(format!(
            "timestamps go back {times}, first from `{before}` to `{time}`{of}; rows are read in their order, so sort them by time or, if the \
             rows of several series alternate, name the column of the series"
        ))
    }

    /// Names series by their files without folders, if these names differ.
    fn shorten_names(&mut self) {
        let short =
            |series: &Monitored| Path::new(&series.name).file_name().map(|name| name.to_string_lossy().into_owned());
        let names: Option<Vec<String>> = self.series.iter().map(short).collect();
        let Some(names) = names else { return };
        if names.iter().collect::<HashSet<_>>().len() == names.len() {
            self.series.iter_mut().zip(names).for_each(|(series, name)| series.name = name);
        }
    }

    /// Removes series whose probationary period is too short to judge other rows by, and returns their names.
    pub fn remove_short(&mut self) -> Vec<String> {
        let (kept, removed): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.series).into_iter().partition(|series| series.probation() >= MIN_PROBATION);
        self.series = kept;
        removed.into_iter().map(|series| series.name).collect()
    }

    /// Metrics of scores on a split: the score of the [`Benchmark`] where there are known anomalies, and alarms. Series are resampled for
    /// intervals.
    pub fn evaluate(&self, split: Split, mut judge: impl FnMut(&Monitored) -> Judged) -> Evaluation {
        let judged: Vec<Judged> = self.series.iter().map(&mut judge).collect();
        let benchmark = self.benchmark(split, &judged);
        let alarms =
            self.series.iter().zip(&judged).map(|(series, judged)| Alarms::of(series, judged, split)).collect();
        let thresholds = judged.iter().map(|judged| judged.threshold).collect();
        let outcome = Outcome { benchmark, thresholds, alarms };
        let all: Vec<usize> = (0..self.series.len()).collect();
        let mut groups: BTreeMap<&Group, Vec<usize>> = BTreeMap::new();
        for (index, series) in self.series.iter().enumerate() {
            series.groups.iter().for_each(|group| groups.entry(group).or_default().push(index));
        }
        let groups = groups.into_iter().map(|(group, series)| (group.clone(), outcome.scores(&series)));
        let (all, groups) = (outcome.scores(&all), groups.collect());
        Evaluation { all, groups, ..Evaluation::default() }.with_resampling(outcome.resampling())
    }

    fn benchmark(&self, split: Split, judged: &[Judged]) -> Benchmark {
        let series = self.series.iter().zip(judged);
        Benchmark::new(
            series.map(|(series, judged)| (judged.scores.as_slice(), series.split(split), series.windows.as_slice())),
        )
    }

    /// Evaluates the baselines on a split.
    ///
    /// "Windowed Gaussian" is that of the benchmark: the distance from the mean of up to 6,400 earlier values in standard deviations. "Mean so
    /// far" and "persistence" score by `rule` the distance from the mean of all values so far, and from the value before.
    pub fn baselines(&self, split: Split, rule: Rule) -> Vec<(&'static str, Evaluation)> {
        vec![
            ("windowed Gaussian", self.evaluate(split, windowed_gaussian)),
            (
                "mean so far",
                self.evaluate(split, |series| {
                    let mut moments = Moments::default();
                    let errors = series.values.iter().map(|&value| {
                        moments.add(value);
                        (value - moments.mean()).abs()
                    });
                    Judged::new(&series.values, errors, series.probation(), rule)
                }),
            ),
            (
                "persistence",
                self.evaluate(split, |series| {
                    let changes = series.values.windows(2).map(|pair| (pair[1] - pair[0]).abs());
                    Judged::new(&series.values, std::iter::once(0.0).chain(changes), series.probation(), rule)
                }),
            ),
        ]
    }

    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        for series in &self.series {
            [series.train_end, series.validation_end].into_iter().for_each(|end| digest.number(end as u64));
            series.values[..series.validation_end].iter().for_each(|value| digest.number(value.to_bits()));
        }
        digest.finish()
    }
}

/// The runs of rows with the same label.
fn windows(labels: &[Option<Arc<str>>]) -> Vec<Range<usize>> {
    let mut start = 0;
    let mut windows = Vec::new();
    for run in labels.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        if run[0].is_some() {
            windows.push(start..end);
        }
        start = end;
    }
    windows
}

/// Number of earlier values, and how many replace the oldest ones at a time.
const GAUSSIAN_WINDOW: usize = 6_400;
const GAUSSIAN_STEP: usize = 100;

/// Scores each value by its distance from the mean of earlier ones, in standard deviations.
fn windowed_gaussian(series: &Monitored) -> Judged {
    let values = &series.values;
    let mut scores = vec![0.0; values.len()];
    // Sums of the values so far, relative to the first one, and of their squares.
    let mut sums = vec![(0.0, 0.0)];
    for &value in values {
        let (value, (sum, squares)) = (value - values[0], sums[sums.len() - 1]);
        sums.push((sum + value, squares + value * value));
    }
    for row in 1..values.len() {
        let blocks = row.saturating_sub(GAUSSIAN_WINDOW) / GAUSSIAN_STEP * GAUSSIAN_STEP;
        let (from, to) = (blocks, (blocks + GAUSSIAN_WINDOW).min(row));
        let count = (to - from) as f64;
        let mean = (sums[to].0 - sums[from].0) / count;
        let variance = ((sums[to].1 - sums[from].1) / count - mean * mean).max(0.0);
        scores[row] = (values[row] - values[0] - mean).abs() / variance.sqrt().max(1e-6);
    }
    Judged::of(scores, series.probation())
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "windows are lists of ranges")]
mod tests {
    use super::*;
    use crate::records::{Column, Records};

    fn records(rows: &[(&str, f64, &str)]) -> Records {
        Records::new([
            ("id", Column::text(rows.iter().map(|row| row.0))),
            ("value", Column::Numbers(rows.iter().map(|row| row.1).collect())),
            ("label", Column::text(rows.iter().map(|row| row.2))),
        ])
    }

    fn data() -> Anomalies {
        let columns = crate::columns::Columns::default();
        let splits = Splits {
            train: records(&[("a", 1.0, "0"), ("b", 5.0, ""), ("a", 3.0, "no")]),
            validation: records(&[("a", 2.0, "False")]),
            test: records(&[
                ("b", 7.0, "x"),
                ("a", 9.0, "1"),
                ("a", 9.0, "1"),
                ("a", 8.0, "2"),
                ("c", 4.0, "Normal"),
                ("a", 2.0, "0.0"),
            ]),
            columns: columns.with("value", "value").with("series", "id").with("label", "label"),
            ..Splits::default()
        };
        Anomalies::from_records(&splits).unwrap()
    }

    #[test]
    fn rows_are_collected_by_series_and_windows_from_labels() {
        let Anomalies { series, .. } = data();
        let [a, b, c] = &series[..] else { panic!("{series:?}") };
        assert_eq!((a.name.as_str(), a.values.clone()), ("a", vec![1.0, 3.0, 2.0, 9.0, 9.0, 8.0, 2.0]));
        assert_eq!((a.train_end, a.validation_end), (2, 3));
        assert_eq!(a.windows, [3..5, 5..6], "another label is another anomaly");
        assert_eq!((b.windows.clone(), b.split(Split::Test)), (vec![1..2], 1..2));
        assert_eq!((c.train_end, c.validation_end, c.windows.len()), (0, 0, 0));
    }

    #[test]
    fn series_with_a_short_probationary_period_are_removed() {
        let mut data = data();
        data.series[1] = Monitored { values: vec![1.0; 70], name: "long".to_owned(), ..Monitored::default() };
        assert_eq!(data.remove_short(), ["a", "c"]);
        assert_eq!(data.series.len(), 1);
        let named = |name: &str| Monitored { name: name.to_owned(), ..Monitored::default() };
        let names = |series: [Monitored; 2]| {
            let mut data = Anomalies { series: series.to_vec(), ..Anomalies::default() };
            data.shorten_names();
            data.series.iter().map(|series| series.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names([named("x/a.csv"), named("y/b.csv")]), ["a.csv", "b.csv"]);
        assert_eq!(names([named("x/a.csv"), named("y/a.csv")]), ["x/a.csv", "y/a.csv"]);
    }

    #[test]
    fn values_are_standardized_by_the_probationary_period() {
        let data = data();
        // Mean 2 and variance 2/3 of the values 1, 3 and 2.
        let found = data.series[0].standardized();
        assert!((found[3] - 7.0 / (2.0f64 / 3.0).sqrt()).abs() < 1e-12);
        let constant = Monitored { values: vec![50.0, 50.0, 51.0], validation_end: 2, ..Monitored::default() };
        assert_eq!(constant.standardized(), [0.0, 0.0, 20.0]);
        let zero = Monitored { values: vec![0.0; 40], ..Monitored::default() };
        assert_eq!((zero.standardized(), zero.probation()), (vec![0.0; 40], 6));
    }

    #[test]
    fn metrics_match_values_computed_by_hand() {
        let data = data();
        // An alarm in the first row of the first window of a, and one in its last row.
        let judge = |series: &Monitored| {
            let mut scores = vec![0.0; series.values.len()];
            if series.name == "a" {
                (scores[3], scores[6]) = (9.0, 4.0);
            }
            Judged::of(scores, series.probation())
        };
        let found = data.evaluate(Split::Test, judge);
        assert_eq!(found.all.examples, 6);
        // Of three windows one is found in its first row; the best threshold leaves the other alarm out.
        assert!((found.all.get(NAB).unwrap() - 100.0 / 3.0).abs() < 1e-9, "{found:?}");
        // The other alarm is one row after a window of one row: -0.11.
        assert!((found.all.get(CALIBRATED).unwrap() - 100.0 * (2.0 - 0.11) / 6.0).abs() < 1e-9);
        assert_eq!(found.all.get(RECALL), Some(1.0 / 3.0));
        assert_eq!(found.all.get(ALARM_RATE), Some(2e3 / 6.0));
        let resampled: Vec<&str> = found.intervals.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(resampled, [ALARM_RATE, NAB, CALIBRATED, RECALL].map(|metric| metric.name));
        assert_eq!(found.resampling.unwrap().unit(), "series");
        let validation = data.evaluate(Split::Validation, judge).all;
        assert_eq!((validation.get(NAB), validation.get(ALARM_RATE)), (None, Some(0.0)), "no window there");
    }

    #[test]
    fn the_windowed_gaussian_slides_by_steps() {
        let values = (0..6_700).map(|row| f64::from(row % 10)).collect();
        let series = Monitored { values, ..Monitored::default() };
        let Judged { scores, .. } = windowed_gaussian(&series);
        // Whole tens have mean 4.5 and variance 8.25, wherever the window starts.
        for row in [6_400, 6_450, 6_500, 6_610] {
            let expected = (series.values[row] - 4.5).abs() / 8.25f64.sqrt();
            assert!((scores[row] - expected).abs() < 1e-9, "{row}");
        }
        let plain: f64 = (0..15).map(|row| f64::from(row % 10)).sum::<f64>() / 15.0;
        let variance = (0..15).map(|row| (f64::from(row % 10) - plain).powi(2)).sum::<f64>() / 15.0;
        assert!((scores[15] - (5.0 - plain).abs() / variance.sqrt()).abs() < 1e-9);
        assert_eq!(scores[0], 0.0);
    }

    #[test]
    fn the_digest_covers_the_probationary_period() {
        let (data, mut other) = (data(), data());
        other.series[0].values[6] += 1.0;
        assert_eq!(data.digest(), other.digest());
        other.series[0].values[2] += 1.0;
        assert_ne!(data.digest(), other.digest());
    }
}
