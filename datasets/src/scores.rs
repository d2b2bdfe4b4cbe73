//! How well answers fit the data: metrics, by group, and which labels are taken for which.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is measured of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Share of labels, tokens or whole sequences that are told rightly; more is better.
    Accuracy,
    /// Unweighted mean over labels of F1 = 2 · precision · recall / (precision + recall); more is better.
    MacroF1,
    /// Mean loss in nats; less is better.
    Loss,
    /// Root of the mean squared error, in the unit of what is forecast; less is better.
    Rmse,
}

impl Metric {
    /// The name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Accuracy => "accuracy",
            Metric::MacroF1 => "macro-f1",
            Metric::Loss => "loss",
            Metric::Rmse => "rmse",
        }
    }

    /// Whether one value is better than another; what is not a number never is.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            Metric::Accuracy | Metric::MacroF1 => new > old,
            Metric::Loss | Metric::Rmse => new < old,
        }
    }

    /// Whether a value is as good as expected, or better.
    pub fn reaches(self, value: f64, expected: f64) -> bool {
        value == expected || self.is_better(value, expected)
    }
}

/// How well answers fit: what was measured, and on how many of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    /// How many answers: labels of texts, tokens of running text, whole sequences, forecasts.
    pub examples: usize,
    /// The value of each metric that was measured.
    #[serde(flatten)]
    pub metrics: BTreeMap<Metric, f64>,
}

impl Scores {
    /// The values of some metrics.
    pub fn new<const N: usize>(examples: usize, metrics: [(Metric, f64); N]) -> Self {
        Self { examples, metrics: metrics.into() }
    }

    /// The value of a metric, if it was measured.
    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.metrics.get(&metric).copied()
    }

    /// Whether these scores are better by a metric than others.
    pub fn better(&self, other: &Scores, metric: Metric) -> bool {
        matches!((self.get(metric), other.get(metric)), (Some(new), Some(old)) if metric.is_better(new, old))
    }
}

/// What an example belongs to, as (kind, value): ("attractors", "3").
pub type Group = (&'static str, String);

/// Scores altogether and by group.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Evaluation {
    /// All examples.
    pub all: Scores,
    /// By kind of group and value, numbers in their order.
    pub groups: Vec<(Group, Scores)>,
    /// Which labels are taken for which, where there are labels.
    pub confusion: Option<Confusion>,
    /// What intervals held, where they were told.
    pub interval: Option<Interval>,
    /// Share of the tokens to be predicted that the vocabulary lacks; all of them are one event, so losses over another
    /// vocabulary are not comparable. `None` where no tokens are predicted.
    pub unknown: Option<f64>,
}

/// How far intervals can be relied upon: a good one holds what it promises, no less and no more.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Share of what comes that is to lie within.
    pub promised: f64,
    /// Share of what came that did.
    pub held: f64,
}

impl Evaluation {
    /// Scores of all examples together.
    pub fn of(all: Scores) -> Self {
        Self { all, ..Self::default() }
    }

    /// Scores all examples together and those of each group; `score` is asked for the examples of those places.
    pub fn by_group<'a>(
        groups: impl Iterator<Item = &'a [Group]>,
        score: impl Fn(&mut dyn Iterator<Item = usize>) -> Scores,
    ) -> Self {
        let mut members: BTreeMap<(&'static str, Ordered), Vec<usize>> = BTreeMap::new();
        let mut count = 0;
        for (place, groups) in groups.enumerate() {
            count += 1;
            for (kind, value) in groups {
                members.entry((kind, Ordered::new(value))).or_default().push(place);
            }
        }
        let group = |((kind, value), places): ((&'static str, Ordered), Vec<usize>)| {
            ((kind, value.text), score(&mut places.into_iter()))
        };
        Self { all: score(&mut (0..count)), groups: members.into_iter().map(group).collect(), ..Self::default() }
    }

    /// With what labels were taken for which.
    pub fn with(self, confusion: Confusion) -> Self {
        Self { confusion: Some(confusion), ..self }
    }
}

/// A group's value, whose numbers are compared as numbers.
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

/// How often each label was answered where each was right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Names of the labels.
    pub labels: Vec<String>,
    /// `counts[right][answered]`.
    pub counts: Vec<Vec<usize>>,
}

/// How well one label is told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LabelScores {
    /// Examples that have it.
    pub examples: usize,
    /// Share of its answers that are right; 0 where it is never answered.
    pub precision: f64,
    /// Share of its examples that are found; 0 where there is none.
    pub recall: f64,
    /// Harmonic mean of both; 0 where both are.
    pub f1: f64,
}

impl Confusion {
    /// Counts (right, answered) pairs.
    ///
    /// # Panics
    /// If a number is no label's.
    pub fn of(labels: &[String], pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![vec![0; labels.len()]; labels.len()];
        pairs.for_each(|(right, answered)| counts[right][answered] += 1);
        Self { labels: labels.to_vec(), counts }
    }

    /// How well a label is told.
    pub fn label(&self, label: usize) -> LabelScores {
        let hits = self.counts[label][label] as f64;
        let examples: usize = self.counts[label].iter().sum();
        let answered: usize = self.counts.iter().map(|row| row[label]).sum();
        let share = |of: usize| if of == 0 { 0.0 } else { hits / of as f64 };
        let f1 = if examples + answered == 0 { 0.0 } else { 2.0 * hits / (examples + answered) as f64 };
        LabelScores { examples, precision: share(answered), recall: share(examples), f1 }
    }

    /// Accuracy and macro-F1; the latter over the labels that were right or answered somewhere.
    pub fn scores(&self) -> Scores {
        let count = self.labels.len();
        let examples: usize = self.counts.iter().flatten().sum();
        let hits: usize = (0..count).map(|label| self.counts[label][label]).sum();
        let occurs = |&label: &usize| {
            self.counts.iter().enumerate().any(|(right, row)| match right == label {
                true => row.iter().any(|&count| count > 0),
                false => row[label] > 0,
            })
        };
        let each: Vec<f64> = (0..count).filter(occurs).map(|label| self.label(label).f1).collect();
        let accuracy = hits as f64 / examples.max(1) as f64;
        let macro_f1 = each.iter().sum::<f64>() / each.len().max(1) as f64;
        Scores::new(examples, [(Metric::Accuracy, accuracy), (Metric::MacroF1, macro_f1)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_scored_as_by_hand() {
        let labels = ["a", "b", "c", "d"].map(str::to_owned);
        // a: 2 of 3 found, 2 of 4 answers right; b: 1 of 4 and 1 of 2; c never occurs; d is answered once, wrongly.
        let pairs = [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (1, 0), (1, 3)];
        let confusion = Confusion::of(&labels, pairs.into_iter());
        let a = confusion.label(0);
        assert_eq!((a.examples, a.precision, a.recall), (3, 0.5, 2.0 / 3.0));
        assert!((a.f1 - 4.0 / 7.0).abs() < 1e-15);
        let b = confusion.label(1);
        assert_eq!((b.examples, b.precision, b.recall, b.f1), (4, 0.5, 0.25, 1.0 / 3.0));
        let scores = confusion.scores();
        assert_eq!((scores.examples, scores.get(Metric::Accuracy)), (7, Some(3.0 / 7.0)));
        let macro_f1 = (4.0 / 7.0 + 1.0 / 3.0 + 0.0) / 3.0; // c occurs nowhere and does not count
        assert!((scores.get(Metric::MacroF1).unwrap() - macro_f1).abs() < 1e-15);
    }

    #[test]
    fn groups_make_up_the_whole_and_stand_in_the_order_of_their_numbers() {
        let groups: Vec<Vec<Group>> =
            ["100", "25", "0", "25"].map(|value| vec![("distance", value.to_owned())]).to_vec();
        let score = |places: &mut dyn Iterator<Item = usize>| Scores::new(places.count(), []);
        let evaluation = Evaluation::by_group(groups.iter().map(Vec::as_slice), score);
        let found: Vec<_> =
            evaluation.groups.iter().map(|((_, value), scores)| (value.as_str(), scores.examples)).collect();
        assert_eq!((evaluation.all.examples, found), (4, vec![("0", 1), ("25", 2), ("100", 1)]));
    }

    #[test]
    fn metrics_know_which_way_is_better_and_nothing_is_better_than_what_is_no_number() {
        for (metric, better, worse) in [(Metric::Accuracy, 0.9, 0.8), (Metric::Rmse, 1.0, 2.0)] {
            assert!(metric.is_better(better, worse) && !metric.is_better(worse, better));
            assert!(metric.reaches(worse, worse) && !metric.reaches(f64::NAN, worse));
        }
    }

    #[test]
    fn scores_are_written_flat_and_read_again() {
        let scores = Scores::new(3, [(Metric::Loss, 0.5), (Metric::MacroF1, 0.25)]);
        let text = serde_json::to_string(&scores).unwrap();
        assert_eq!(text, r#"{"examples":3,"macro-f1":0.25,"loss":0.5}"#);
        assert_eq!(serde_json::from_str::<Scores>(&text).unwrap(), scores);
    }
}
