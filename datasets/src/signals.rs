//! Datasets for the classification of series: recordings of one or several channels, each with a label.

use std::sync::Arc;

use crate::DataError;
use crate::classification::{label_indices, label_list};
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::records::{Records, Split};
use crate::scores::{ConfusionMatrix, Evaluation, Group};
use crate::signal::{Scaling, Signal};
use crate::split_rule::SplitRule;
use crate::splits::Splits;

/// Data for the classification of series.
pub static DATA: DataSpec = DataSpec {
    task: "series-classification",
    roles: &[
        Role::required("series", Content::Other, "Column of the series."),
        Role::required("label", Content::Label, "Column of the label of each series."),
        Role::GROUPS,
    ],
    fields: &["labels"],
    default_format: Some("series"),
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole series are assigned to splits",
};

/// A series and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The series.
    pub signal: Arc<Signal>,
    /// Index into [`Signals::labels`].
    pub label: usize,
    /// Groups for per-group metrics.
    pub groups: Arc<[Group]>,
}

/// A loaded dataset for the classification of series.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// Names of the labels.
    pub labels: Vec<String>,
    /// Number of channels of every series.
    pub channels: usize,
    /// Training split.
    pub train: Vec<Example>,
    /// Validation split.
    pub validation: Vec<Example>,
    /// Test split; empty if its file is missing.
    pub test: Vec<Example>,
}

impl Signals {
    /// Converts records, using the columns `series`, `label` and `groups`.
    ///
    /// # Errors
    /// If a column is missing, a label is not among those of the dataset, there are fewer than two labels, or the series differ in their
    /// number of channels.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let (series, label) = (splits.columns.need("series")?, splits.columns.need("label")?);
        let found = splits.labeled().map(|records| records.texts("label", label)).collect::<Result<Vec<_>, _>>()?;
        let labels = splits.labels_of(found.into_iter().flatten().map(|label| &**label));
        if labels.len() < 2 {
            let detail = format!("`{}` is the only label; at least two are needed", labels.concat());
            return Err(DataError::of_records(splits.file(), detail));
        }
        let first = Split::ALL.into_iter().map(|split| splits.split(split)).find(|records| !records.is_empty());
        let first = first.map(|records| records.series("series", series)).transpose()?;
        let channels = first.and_then(|signals| signals.first()).map_or(1, |signal| signal.channels());
        let indices = label_indices(&labels);
        let examples = |records: &Records| {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let (signals, names) = (records.series("series", series)?, records.texts("label", label)?);
            let groups = records.groups(splits.columns.several("groups"))?;
            let example = |row: usize| {
                let (signal, groups) = (signals[row].clone(), groups[row].clone());
                if signal.channels() != channels {
                    let detail = format!("{} channels, but the first series has {channels}", signal.channels());
                    return Err(records.error(row, detail));
                }
                let label = indices.get(&*names[row]).copied().ok_or_else(|| {
                    records.error(
                        row,
                        format!("invalid label {:?}: expected one of {}", &*names[row], label_list(&labels)),
                    )
                })?;
                Ok(Example { signal, label, groups })
            };
            (0..records.len()).map(example).collect::<Result<Vec<_>, DataError>>()
        };
        let [train, validation, test] = [&splits.train, &splits.validation, &splits.test].map(examples);
        Ok(Self { train: train?, validation: validation?, test: test?, labels, channels })
    }

    /// The examples of a split.
    pub fn split(&self, split: Split) -> &[Example] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// Evaluates the baselines on a split: the most frequent label of the training split, and the label whose mean series or whose
    /// nearest training series is closest.
    ///
    /// "Nearest mean", for series of equal length, compares with the mean of each label. "Nearest neighbor", where it takes less than
    /// about ten seconds, compares with all training series by dynamic time warping (Sakoe and Chiba 1978), channels standardized.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let mut counts = vec![0; self.labels.len()];
        self.train.iter().for_each(|example| counts[example.label] += 1);
        let majority = (0..counts.len()).max_by_key(|&label| counts[label]).unwrap_or(0);
        let evaluate = |predict: &dyn Fn(&Example) -> usize| {
            let pairs = self.split(split).iter().map(|example| (example.label, predict(example)));
            Evaluation::of(ConfusionMatrix::from_pairs(&self.labels, pairs).scores())
        };
        let mut found = vec![("most frequent label", evaluate(&|_| majority))];
        let all = || self.train.iter().chain(self.split(split));
        let steps = self.train.first().map_or(0, |example| example.signal.len());
        if all().all(|example| example.signal.len() == steps) {
            let mut means = vec![vec![0.0f64; steps * self.channels]; self.labels.len()];
            for example in &self.train {
                let share = 1.0 / counts[example.label] as f64;
                let values = means[example.label].iter_mut().zip(example.signal.values());
                values.for_each(|(mean, &value)| *mean += f64::from(value) * share);
            }
            let labels = || (0..counts.len()).filter(|&label| counts[label] > 0);
            let distance = |label: usize, signal: &Signal| -> f64 {
                let values = means[label].iter().zip(signal.values());
                values.map(|(mean, &value)| (mean - f64::from(value)).powi(2)).sum()
            };
            let nearest = |signal: &Signal| {
                labels().min_by(|&a, &b| distance(a, signal).total_cmp(&distance(b, signal))).unwrap_or(majority)
            };
            found.push(("nearest mean", evaluate(&|example| nearest(&example.signal))));
        }
        let total = |examples: &[Example]| examples.iter().map(|example| example.signal.len() as f64).sum::<f64>();
        if total(&self.train) * total(self.split(split)) * self.channels as f64 <= MAX_WORK {
            let neighbors = Neighbors::of(self);
            found.push(("nearest neighbor", evaluate(&|example| neighbors.label(&example.signal))));
        }
        found
    }

    /// SHA-256 digest of the labels and the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        self.labels.iter().for_each(|label| digest.text(label));
        for split in [&self.train, &self.validation] {
            digest.number(split.len() as u64);
            for example in split {
                digest.text(&self.labels[example.label]);
                digest.number(example.signal.channels() as u64);
                digest.number(example.signal.len() as u64);
                example.signal.values().iter().for_each(|value| digest.number(u64::from(value.to_bits())));
            }
        }
        digest.finish()
    }
}

/// Maximum number of squared differences of the nearest-neighbor baseline.
const MAX_WORK: f64 = 1e10;

/// Training series, standardized.
struct Neighbors {
    scaling: Scaling,
    series: Vec<(Signal, usize)>,
}

impl Neighbors {
    fn of(data: &Signals) -> Self {
        let scaling = Scaling::fit(data.channels, data.train.iter().map(|example| &*example.signal));
        let series = data.train.iter().map(|example| (scaling.apply(&example.signal), example.label)).collect();
        Self { scaling, series }
    }

    /// The label of the nearest series; the first of equally near ones.
    fn label(&self, signal: &Signal) -> usize {
        let signal = self.scaling.apply(signal);
        let mut nearest = (f32::INFINITY, 0);
        for (series, label) in &self.series {
            let distance = warped_distance(&signal, series);
            if distance < nearest.0 {
                nearest = (distance, *label);
            }
        }
        nearest.1
    }
}

/// The smallest sum of squared distances between steps that are aligned in order (dynamic time warping).
fn warped_distance(a: &Signal, b: &Signal) -> f32 {
    let between = |first: &[f32], second: &[f32]| -> f32 {
        first.iter().zip(second).map(|(first, second)| (first - second).powi(2)).sum()
    };
    let mut before = vec![f32::INFINITY; b.len() + 1];
    before[0] = 0.0;
    for step in a.values().chunks_exact(a.channels()) {
        let mut row = vec![f32::INFINITY; b.len() + 1];
        for (index, other) in b.values().chunks_exact(b.channels()).enumerate() {
            let least = before[index].min(before[index + 1]).min(row[index]);
            row[index + 1] = least + between(step, other);
        }
        before = row;
    }
    before[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::Metric;

    fn signal(text: &str) -> Arc<Signal> {
        Arc::new(Signal::parse(text).unwrap())
    }

    fn example(text: &str, label: usize) -> Example {
        Example { signal: signal(text), label, groups: Arc::default() }
    }

    #[test]
    fn warping_aligns_steps_in_order() {
        // The first step is aligned with two; the squared distances are 0 + 0 + 1.
        assert_eq!(warped_distance(&signal("1,2,4"), &signal("1,1,2,3")), 1.0);
        assert_eq!(warped_distance(&signal("1,2:0,0"), &signal("1,2:0,3")), 9.0);
    }

    #[test]
    fn baselines_match_hand_computed_accuracies() {
        let data = Signals {
            labels: ["flat", "rising"].map(str::to_owned).to_vec(),
            channels: 1,
            train: vec![example("0,0,0", 0), example("0,1,2", 1), example("1,2,3", 1)],
            validation: vec![example("0,0,1", 0), example("0,0,2", 1), example("2,3,4", 1)],
            ..Signals::default()
        };
        let accuracies = |data: &Signals| -> Vec<(&str, f64)> {
            data.baselines(Split::Validation)
                .iter()
                .map(|(name, found)| (*name, found.all.get(Metric::ACCURACY).unwrap()))
                .collect()
        };
        // Means: 0,0,0 and 0.5,1.5,2.5. 0,0,2 is 4 from the first and 2.75 from the second. By warping it equals 0,1,2 but for one step.
        let expected = [("most frequent label", 2.0 / 3.0), ("nearest mean", 1.0), ("nearest neighbor", 1.0)];
        assert_eq!(accuracies(&data), expected);
        let ragged = Signals { validation: vec![example("0,0", 0), example("0,0,1,2,2", 1)], ..data.clone() };
        assert_eq!(accuracies(&ragged), [("most frequent label", 0.5), ("nearest neighbor", 1.0)]);
        assert_ne!(ragged.digest(), data.digest());
        assert_eq!(Signals { test: data.train.clone(), ..data.clone() }.digest(), data.digest());
    }
}
