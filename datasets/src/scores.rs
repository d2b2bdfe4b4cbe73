//! Evaluation of predictions: metrics, per-group metrics, confusion matrix.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::uncertainty::{Calibration, Resampling, wilson};

/// An evaluation metric: its name, which values are better, and its unit. Each task lists its own.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name in recipes, reports and JSON, such as "macro-f1".
    pub name: &'static str,
    /// Whether higher or lower values are better.
    pub direction: Direction,
    /// Unit of a value; empty for ratios.
    pub unit: &'static str,
    /// What it measures.
    pub meaning: &'static str,
}

/// Declares metrics: constants whose doc comment is their meaning.
macro_rules! metrics {
    ($($(#[doc = $meaning:literal])+ $vis:vis const $constant:ident = $direction:ident($name:literal, $unit:literal);)+) => {
        $($(#[doc = $meaning])+
        $vis const $constant: $crate::scores::Metric = $crate::scores::Metric {
            name: $name,
            direction: $crate::scores::Direction::$direction,
            unit: $unit,
            meaning: concat!($($meaning),+),
        };)+
    };
}
pub(crate) use metrics;

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Higher values, as of an accuracy.
    Higher,
    /// Lower values, as of a loss.
    Lower,
}

/// Metrics are equal if their names are.
impl PartialEq for Metric {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Metric {
    metrics! {
        /// Share of labels, tokens or whole sequences predicted correctly.
        pub const ACCURACY = Higher("accuracy", "");
        /// Unweighted mean over labels of F1 = 2 · precision · recall / (precision + recall).
        pub const MACRO_F1 = Higher("macro-f1", "");
        /// Mean loss of the predictions, without dropout.
        pub const LOSS = Lower("loss", "nats");
        /// Root mean squared error.
        pub const RMSE = Lower("rmse", "unit of the target");
    }

    /// Whether `new` is better than `old`; NaN never is.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self.direction {
            Direction::Higher => new > old,
            Direction::Lower => new < old,
        }
    }

    /// Whether a value equals the expected one or is better.
    pub fn reaches(self, value: f64, expected: f64) -> bool {
        value == expected || self.is_better(value, expected)
    }
}

/// Metrics of predictions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// Number of predictions: labels of texts, tokens of running text, whole sequences, forecast values.
    pub examples: usize,
    /// Values by the metric's name, in the order of reports.
    #[serde(flatten)]
    metrics: Values,
}

/// Values by name, in insertion order; a map when serialized.
#[derive(Debug, Clone, PartialEq, Default)]
struct Values(Vec<(String, f64)>);

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Values;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("numbers by the names of metrics")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Values, A::Error> {
                let mut values = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    values.push(entry);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

impl Scores {
    /// Scores with these metrics.
    pub fn new<const N: usize>(examples: usize, metrics: [(Metric, f64); N]) -> Self {
        let values = metrics.map(|(metric, value)| (metric.name.to_owned(), value));
        Self { examples, metrics: Values(values.into()) }
    }

    /// The value of a metric, if computed.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.iter().find(|(name, _)| *name == metric.name).map(|(_, value)| value)
    }

    /// Sets the value of a metric.
    pub fn insert(&mut self, metric: Metric, value: f64) {
        match self.metrics.0.iter_mut().find(|(name, _)| name == metric.name) {
            Some((_, old)) => *old = value,
            None => self.metrics.0.push((metric.name.to_owned(), value)),
        }
    }

    /// Name and value of each metric, in the order of reports.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.metrics.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Name and value of each metric, for [`intervals`](crate::uncertainty::intervals).
    pub fn named(&self) -> Vec<(String, f64)> {
        self.metrics.0.clone()
    }

    /// Whether these scores are better than `other` in a metric.
    pub fn is_better(&self, other: &Scores, metric: Metric) -> bool {
        matches!((self.get(metric), other.get(metric)), (Some(new), Some(old)) if metric.is_better(new, old))
    }
}

/// A group of examples, as (kind, value), such as ("attractors", "3").
pub type Group = (Arc<str>, String);

/// The group of this kind and value.
pub fn group(kind: &str, value: impl Into<String>) -> Group {
    (kind.into(), value.into())
}

/// Overall and per-group scores.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Evaluation {
    /// Scores of all examples.
    pub all: Scores,
    /// Scores per group, sorted by kind and value, numbers numerically.
    #[serde(serialize_with = "by_kind_and_value")]
    pub groups: Vec<(Group, Scores)>,
    /// Confusion matrix, if the predictions are labels.
    pub confusion: Option<ConfusionMatrix>,
    /// Coverage of the prediction intervals, if the model has them.
    pub interval: Option<Interval>,
    /// 95 % confidence intervals of metrics, by name; see [`intervals`](crate::uncertainty::intervals).
    pub intervals: Vec<(String, [f64; 2])>,
    /// Names of the metrics without an interval because they are the same on all resamples, such as an F1 of 1.
    #[serde(skip)]
    pub constant: Vec<String>,
    /// Calibration of the predicted probabilities, if the predictions are labels.
    pub calibration: Option<Calibration>,
    /// The metrics of any selection of examples, for paired comparisons.
    #[serde(skip)]
    pub resampling: Option<Resampling>,
    /// Which predictions are right, and the metric that is their share, if a prediction is right or wrong.
    #[serde(skip)]
    pub right: Option<(Metric, Vec<bool>)>,
    /// Wrong predictions, if single predictions can be listed.
    #[serde(skip)]
    pub mistakes: Option<Mistakes>,
    /// Share of unknown tokens among the predicted ones. All unknown tokens have the same id, so losses over different vocabularies
    /// are not comparable. `None` where no tokens are predicted.
    pub unknown: Option<f64>,
}

fn by_kind_and_value<S: Serializer>(groups: &[(Group, Scores)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(groups.iter().map(|((kind, value), scores)| ((&**kind, value), scores)))
}

/// Maximum number of wrong predictions that an evaluation keeps.
pub const MAX_MISTAKES: usize = 1_000;

/// Wrong predictions, or, of numbers, those with the largest errors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mistakes {
    /// Number of wrong predictions.
    pub count: usize,
    /// The order of the list, such as "the most confident first".
    pub order: &'static str,
    /// At most [`MAX_MISTAKES`] of them.
    pub list: Vec<Mistake>,
}

impl Mistakes {
    /// The wrong predictions by decreasing `severity`.
    pub fn by_severity(order: &'static str, mut all: Vec<(f64, Mistake)>) -> Self {
        let count = all.len();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.truncate(MAX_MISTAKES);
        Self { count, order, list: all.into_iter().map(|(_, mistake)| mistake).collect() }
    }
}

/// A wrong prediction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mistake {
    /// Number of the example in its split, from 1.
    pub example: usize,
    /// The input.
    pub input: String,
    /// The actual label or target.
    pub actual: String,
    /// The predicted one.
    pub predicted: String,
    /// Probability of the prediction, if it has one.
    pub probability: Option<f64>,
}

/// Coverage of prediction intervals; they are calibrated if empirical and nominal coverage agree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Nominal coverage.
    pub nominal: f64,
    /// Empirical coverage: the share of actual values inside the interval.
    pub empirical: f64,
}

impl Evaluation {
    /// An evaluation with overall scores only.
    pub fn of(all: Scores) -> Self {
        Self { all, ..Self::default() }
    }

    /// Overall and per-group scores; `score` computes the scores of the examples at the given indices.
    pub fn by_group<'a>(
        groups: impl Iterator<Item = &'a [Group]>,
        score: impl Fn(&mut dyn Iterator<Item = usize>) -> Scores,
    ) -> Self {
        let mut members: BTreeMap<(&Arc<str>, Ordered), Vec<usize>> = BTreeMap::new();
        let mut count = 0;
        for (index, groups) in groups.enumerate() {
            count += 1;
            for (kind, value) in groups {
                members.entry((kind, Ordered::new(value))).or_default().push(index);
            }
        }
        let group = |((kind, value), indices): ((&Arc<str>, Ordered), Vec<usize>)| {
            ((kind.clone(), value.text), score(&mut indices.into_iter()))
        };
        Self { all: score(&mut (0..count)), groups: members.into_iter().map(group).collect(), ..Self::default() }
    }

    /// How the confidence interval of a metric was computed.
    pub fn interval_method(&self, metric: Metric) -> &'static str {
        let is_uniform = |right: &[bool]| right.iter().all(|is_right| *is_right == right[0]);
        match &self.right {
            Some((share, right)) if *share == metric && is_uniform(right) => "Wilson",
            _ => "bootstrap",
        }
    }

    /// Adds confidence intervals by resampling, except of metrics that are the same on all resamples. That of the share of right predictions
    /// is Wilson's where all or none are right.
    pub fn with_resampling(self, resampling: Resampling) -> Self {
        let mut intervals = resampling.intervals();
        if let Some((metric, right)) = &self.right
            && self.interval_method(*metric) == "Wilson"
            && let Some((_, interval)) = intervals.iter_mut().find(|(name, _)| *name == metric.name)
        {
            *interval = wilson(f64::from(u8::from(right[0])), right.len());
        }
        let (constant, intervals): (Vec<_>, Vec<_>) = intervals.into_iter().partition(|(_, [low, high])| low == high);
        let constant = constant.into_iter().map(|(name, _)| name).collect();
        Self { intervals, constant, resampling: Some(resampling), ..self }
    }

    /// Adds a confusion matrix.
    pub fn with_confusion(self, confusion: ConfusionMatrix) -> Self {
        Self { confusion: Some(confusion), ..self }
    }
}

/// A group value, ordered by the numbers it contains, then as text.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Ordered {
    numbers: Vec<u64>,
    text: String,
}

impl Ordered {
    fn new(text: &str) -> Self {
        let digits = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        Self { numbers: digits.map(|part| part.parse().unwrap_or(u64::MAX)).collect(), text: text.to_owned() }
    }
}

/// Confusion matrix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConfusionMatrix {
    /// Names of the labels.
    pub labels: Vec<String>,
    /// `counts[actual][predicted]`.
    pub counts: Vec<Vec<usize>>,
}

/// Metrics of one label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LabelScores {
    /// Number of examples with this label (support).
    pub examples: usize,
    /// Precision; 0 if the label is never predicted.
    pub precision: f64,
    /// Recall; 0 if the label has no examples.
    pub recall: f64,
    /// F1, the harmonic mean of precision and recall; 0 if both are 0.
    pub f1: f64,
}

impl ConfusionMatrix {
    /// The confusion matrix of (actual, predicted) pairs.
    ///
    /// # Panics
    /// If an index is not below the number of labels.
    pub fn from_pairs(labels: &[String], pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; labels.len()]; labels.len()];
        pairs.for_each(|(actual, predicted)| counts[actual][predicted] += 1);
        Self { labels: labels.to_vec(), counts }
    }

    /// The (actual, predicted) pairs, in no particular order.
    pub fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + Clone {
        let rows = self.counts.iter().enumerate();
        rows.flat_map(|(actual, row)| {
            let cells = row.iter().enumerate();
            cells.flat_map(move |(predicted, &count)| std::iter::repeat_n((actual, predicted), count))
        })
    }

    /// Precision, recall and F1 of a label.
    pub fn label_scores(&self, label: usize) -> LabelScores {
        let hits = self.counts[label][label] as f64;
        let examples: usize = self.counts[label].iter().sum();
        let predicted: usize = self.counts.iter().map(|row| row[label]).sum();
        let share = |of: usize| if of == 0 { 0.0 } else { hits / of as f64 };
        let f1 = if examples + predicted == 0 { 0.0 } else { 2.0 * hits / (examples + predicted) as f64 };
        LabelScores { examples, precision: share(predicted), recall: share(examples), f1 }
    }

    /// Accuracy and macro-F1; the latter over the labels that occur as actual or predicted.
    pub fn scores(&self) -> Scores {
        let count = self.labels.len();
        let examples: usize = self.counts.iter().flatten().sum();
        let hits: usize = (0..count).map(|label| self.counts[label][label]).sum();
        let occurs = |&label: &usize| {
            self.counts.iter().enumerate().any(|(actual, row)| match actual == label {
                true => row.iter().any(|&count| count > 0),
                false => row[label] > 0,
            })
        };
        let each: Vec<f64> = (0..count).filter(occurs).map(|label| self.label_scores(label).f1).collect();
        let accuracy = hits as f64 / examples.max(1) as f64;
        let macro_f1 = each.iter().sum::<f64>() / each.len().max(1) as f64;
        Scores::new(examples, [(Metric::ACCURACY, accuracy), (Metric::MACRO_F1, macro_f1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_only_right_predictions_has_a_width() {
        let accuracy = |right: Vec<bool>| {
            let resampled = right.clone();
            let resampling = Resampling::of_examples(40, move |indices: &mut dyn Iterator<Item = usize>| {
                let share = indices.filter(|&index| resampled[index]).count() as f64 / 40.0;
                ["accuracy", "macro-f1"].map(|name| (name.to_owned(), share)).to_vec()
            });
            let evaluation = Evaluation { right: Some((Metric::ACCURACY, right)), ..Evaluation::default() };
            let evaluation = evaluation.with_resampling(resampling);
            (evaluation.intervals[0].1, evaluation.interval_method(Metric::ACCURACY), evaluation.constant)
        };
        // Wilson: 40 / (40 + 1.96²).
        let ([low, high], method, constant) = accuracy(vec![true; 40]);
        assert!((low - 0.9124).abs() < 1e-4 && (high - 1.0).abs() < 1e-12 && method == "Wilson", "{low} {high}");
        assert_eq!(constant, ["macro-f1"], "another metric has no interval then");
        let (_, method, constant) = accuracy([true, false].repeat(20));
        assert!(method == "bootstrap" && constant.is_empty());
    }

    #[test]
    fn label_metrics_match_hand_computed_values() {
        let labels = ["a", "b", "c", "d"].map(str::to_owned);
        // a: recall 2/3, precision 2/4; b: 1/4 and 1/2; c never occurs; d is predicted once, wrongly.
        let pairs = [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (1, 0), (1, 3)];
        let confusion = ConfusionMatrix::from_pairs(&labels, pairs.into_iter());
        let a = confusion.label_scores(0);
        assert_eq!((a.examples, a.precision, a.recall), (3, 0.5, 2.0 / 3.0));
        assert!((a.f1 - 4.0 / 7.0).abs() < 1e-15);
        let b = confusion.label_scores(1);
        assert_eq!((b.examples, b.precision, b.recall, b.f1), (4, 0.5, 0.25, 1.0 / 3.0));
        let scores = confusion.scores();
        assert_eq!((scores.examples, scores.get(Metric::ACCURACY)), (7, Some(3.0 / 7.0)));
        let macro_f1 = (4.0 / 7.0 + 1.0 / 3.0 + 0.0) / 3.0; // c does not occur and is excluded
        assert!((scores.get(Metric::MACRO_F1).unwrap() - macro_f1).abs() < 1e-15);
    }

    #[test]
    fn groups_are_sorted_numerically() {
        let groups: Vec<Vec<Group>> = ["100", "25", "0", "25"].map(|value| vec![group("distance", value)]).to_vec();
        let score = |indices: &mut dyn Iterator<Item = usize>| Scores::new(indices.count(), []);
        let evaluation = Evaluation::by_group(groups.iter().map(Vec::as_slice), score);
        let found: Vec<_> =
            evaluation.groups.iter().map(|((_, value), scores)| (value.as_str(), scores.examples)).collect();
        assert_eq!((evaluation.all.examples, found), (4, vec![("0", 1), ("25", 2), ("100", 1)]));
    }

    #[test]
    fn metrics_have_a_direction_and_nan_is_never_better() {
        for (metric, better, worse) in [(Metric::ACCURACY, 0.9, 0.8), (Metric::RMSE, 1.0, 2.0)] {
            assert!(metric.is_better(better, worse) && !metric.is_better(worse, better));
            assert!(metric.reaches(worse, worse) && !metric.reaches(f64::NAN, worse));
        }
    }

    #[test]
    fn scores_are_serialized_flat() {
        let scores = Scores::new(3, [(Metric::MACRO_F1, 0.25), (Metric::LOSS, 0.5)]);
        let text = serde_json::to_string(&scores).unwrap();
        assert_eq!(text, r#"{"examples":3,"macro-f1":0.25,"loss":0.5}"#);
        assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), scores);
    }
}
