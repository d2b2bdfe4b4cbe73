//! Metrics of judged series, of all or of some of them.

use super::benchmark::Benchmark;
use super::detection::Judged;
use super::{ALARM_RATE, CALIBRATED, Monitored, NAB, RECALL};
use crate::records::Split;
use crate::scores::Scores;
use crate::uncertainty::Resampling;

/// The alarms of a series on a split.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alarms {
    rows: usize,
    alarms: usize,
    /// Number of known anomalies with a row in the split.
    windows: usize,
    /// Number of those with an alarm.
    found: usize,
}

impl Alarms {
    pub fn of(series: &Monitored, judged: &Judged, split: Split) -> Self {
        let rows = series.split(split);
        let alarms = rows.clone().filter(|&row| judged.is_alarm(row)).count();
        let mut counts = Self { rows: rows.len(), alarms, ..Self::default() };
        for window in &series.windows {
            let mut of_split = window.clone().filter(|row| rows.contains(row)).peekable();
            if of_split.peek().is_some() {
                counts.windows += 1;
                counts.found += usize::from(of_split.any(|row| judged.is_alarm(row)));
            }
        }
        counts
    }

    fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        all.fold(Self::default(), |sum, of| Self {
            rows: sum.rows + of.rows,
            alarms: sum.alarms + of.alarms,
            windows: sum.windows + of.windows,
            found: sum.found + of.found,
        })
    }

    /// Share of the windows with an alarm; NaN without windows.
    fn recall(&self) -> f64 {
        self.found as f64 / self.windows as f64
    }

    /// Alarms per 1,000 rows.
    fn rate(&self) -> f64 {
        1e3 * self.alarms as f64 / self.rows.max(1) as f64
    }
}

/// What is found in several series.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub benchmark: Benchmark,
    /// The threshold of each series.
    pub thresholds: Vec<f64>,
    /// The alarms of each series.
    pub alarms: Vec<Alarms>,
}

impl Outcome {
    /// Metrics of some of the series; the best threshold is that of all.
    pub fn scores(&self, of: &[usize]) -> Scores {
        let sum = Alarms::sum(of.iter().map(|&index| &self.alarms[index]));
        let mut scores = Scores::new(sum.rows, []);
        if sum.windows > 0 {
            let (threshold, _) = self.benchmark.best(&vec![1; self.alarms.len()]);
            let weights = self.weights(of.iter().copied());
            scores.insert(NAB, self.benchmark.at(&weights, |_, score| score >= threshold));
            scores.insert(CALIBRATED, self.calibrated(&weights));
            scores.insert(RECALL, sum.recall());
        }
        scores.insert(ALARM_RATE, sum.rate());
        scores
    }

    /// The metrics of any selection of series; each has a best threshold of its own.
    pub fn resampling(self) -> Resampling {
        let count = self.alarms.len();
        let resampling = Resampling::of_examples(count, move |indices: &mut dyn Iterator<Item = usize>| {
            let indices: Vec<usize> = indices.collect();
            let sum = Alarms::sum(indices.iter().map(|&index| &self.alarms[index]));
            let mut values = vec![(ALARM_RATE, sum.rate())];
            if self.benchmark.windows() > 0 {
                let weights = self.weights(indices.into_iter());
                let (_, best) = self.benchmark.best(&weights);
                values.extend([(NAB, best), (CALIBRATED, self.calibrated(&weights)), (RECALL, sum.recall())]);
            }
            values.into_iter().map(|(metric, value)| (metric.name.to_owned(), value)).collect()
        });
        resampling.with_unit("series")
    }

    /// How often each series is selected.
    fn weights(&self, selected: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut weights = vec![0; self.alarms.len()];
        selected.for_each(|index| weights[index] += 1);
        weights
    }

    /// The score at the threshold of each series.
    fn calibrated(&self, weights: &[usize]) -> f64 {
        self.benchmark.at(weights, |series, score| score > self.thresholds[series])
    }
}
