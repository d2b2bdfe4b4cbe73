//! From the errors of forecasts to alarms.

use std::collections::VecDeque;

/// Score added for a value outside of the range of all earlier ones.
const OUT_OF_RANGE: f64 = 10.0;

/// The lowest threshold, in standard deviations.
const LOWEST: f64 = 3.0;

/// How errors become scores.
///
/// ```text
/// score_t = (e_t - mean(e_1 … e_t)) / std(e_1 … e_t) + 10 · [x_t is outside of the range of x_1 … x_(t-1), widened by the tolerance]
/// ```
///
/// The second term is for rows after the probationary period, which shows the usual range. A score that is not above those of all
/// `dead_time` rows before becomes 0, as does a negative one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// How far a value may lie outside of the range of all earlier values, as a fraction of the width of that range.
    pub range_tolerance: f64,
    /// Number of rows after a score in which only higher ones count.
    pub dead_time: usize,
}

/// What the score of a row does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// The value is outside of the range of all earlier ones.
    OutOfRange,
    /// The row would be an alarm, but a row of the dead time before it has a higher score.
    DeadTime,
}

impl Remark {
    /// In reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::OutOfRange => "out of range",
            Self::DeadTime => "dead time",
        }
    }
}

/// Scores of the rows of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// Score of each row, at least 0.
    pub scores: Vec<f64>,
    /// Scores before the dead time, and whether the value is outside of the range of earlier ones.
    raw: Vec<(f64, bool)>,
    /// Scores above this one are alarms: the highest score of the probationary period without its first fifth, in which mean and
    /// standard deviation are still uncertain, but at least 3.
    pub threshold: f64,
}

impl Judged {
    /// Scores `values` by the `errors` of their forecasts; the first `reference` rows are the probationary period.
    pub fn new(values: &[f64], errors: impl IntoIterator<Item = f64>, reference: usize, rule: Rule) -> Self {
        let (mut range, mut moments) = (Range::default(), Moments::default());
        let score = |(row, (&value, error)): (usize, (&f64, f64))| {
            let is_outside = row >= reference && range.excludes(value, rule.range_tolerance);
            range.add(value);
            moments.add(error);
            (moments.standardized(error) + if is_outside { OUT_OF_RANGE } else { 0.0 }, is_outside)
        };
        let raw: Vec<(f64, bool)> = values.iter().zip(errors).enumerate().map(score).collect();
        let scores: Vec<f64> = raw.iter().map(|(score, _)| *score).collect();
        Self { raw, ..Self::of(highest_of(&scores, rule.dead_time), reference) }
    }

    /// Sets the threshold for given scores.
    pub fn of(scores: Vec<f64>, reference: usize) -> Self {
        let reference = reference.min(scores.len());
        let threshold = scores[reference / 5..reference].iter().copied().fold(LOWEST, f64::max);
        Self { scores, raw: Vec::new(), threshold }
    }

    /// Whether a row is an alarm.
    pub fn is_alarm(&self, row: usize) -> bool {
        self.scores[row] > self.threshold
    }

    /// What the score of a row does not show, if anything.
    pub fn remark(&self, row: usize) -> Option<Remark> {
        let &(score, is_outside) = self.raw.get(row)?;
        match score > self.threshold && !self.is_alarm(row) {
            true => Some(Remark::DeadTime),
            false => is_outside.then_some(Remark::OutOfRange),
        }
    }
}

/// The scores that are above those of all `before` rows before them; 0 elsewhere.
fn highest_of(raw: &[f64], before: usize) -> Vec<f64> {
    // Rows that may be the highest of those to come, in order of decreasing score.
    let mut candidates: VecDeque<usize> = VecDeque::new();
    let mut scores = Vec::with_capacity(raw.len());
    for (row, &score) in raw.iter().enumerate() {
        while candidates.front().is_some_and(|&first| first + before < row) {
            candidates.pop_front();
        }
        let is_highest = candidates.front().is_none_or(|&first| score > raw[first]);
        scores.push(if is_highest { score.max(0.0) } else { 0.0 });
        while candidates.back().is_some_and(|&last| raw[last] <= score) {
            candidates.pop_back();
        }
        candidates.push_back(row);
    }
    scores
}

/// The range of the values so far.
#[derive(Default)]
struct Range(Option<(f64, f64)>);

impl Range {
    fn add(&mut self, value: f64) {
        let (low, high) = self.0.unwrap_or((value, value));
        self.0 = Some((low.min(value), high.max(value)));
    }

    fn excludes(&self, value: f64, tolerance: f64) -> bool {
        self.0.is_some_and(|(low, high)| high > low && (value - high).max(low - value) > tolerance * (high - low))
    }
}

/// Mean and variance of the values so far (Welford 1962).
#[derive(Default)]
pub(super) struct Moments {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Moments {
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1.0;
        let from_mean = value - self.mean;
        self.mean += from_mean / self.count;
        self.squares += from_mean * (value - self.mean);
    }

    pub(super) fn mean(&self) -> f64 {
        self.mean
    }

    /// The distance of a value from the mean in standard deviations; 0 if all values are equal up to rounding.
    fn standardized(&self, value: f64) -> f64 {
        let std = (self.squares / self.count).sqrt();
        if std > NEGLIGIBLE * self.mean.abs() { (value - self.mean) / std } else { 0.0 }
    }
}

/// Standard deviation relative to the mean that is due to rounding.
const NEGLIGIBLE: f64 = 1e-9;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Rule = Rule { range_tolerance: 1e9, dead_time: 0 };

    #[test]
    fn scores_match_values_computed_by_hand() {
        // Errors 1, 1, 4: mean 2, standard deviation sqrt(2).
        let judged = Judged::new(&[5.0, 5.0, 5.0], [1.0, 1.0, 4.0], 0, PLAIN);
        assert_eq!(judged.scores[..2], [0.0, 0.0], "no deviation");
        assert!((judged.scores[2] - 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(judged.threshold, 3.0);
        // The range is 2 to 4: 4.1 is 5 % of its width above it, 4.2 is more.
        let rule = Rule { range_tolerance: 0.05, dead_time: 0 };
        let scores = |last: f64| Judged::new(&[2.0, 4.0, last], [0.0; 3], 0, rule).scores;
        assert_eq!((scores(4.1)[2], scores(4.2)[2], scores(1.8)[2]), (0.0, 10.0, 10.0));
        assert_eq!(scores(4.2)[..2], [0.0, 0.0], "the second value is not outside of a range without width");
        let probationary = Judged::new(&[2.0, 4.0, 9.0, 9.3], [0.0; 4], 3, rule);
        assert_eq!(probationary.scores, [0.0; 4], "the probationary period extends the range");
    }

    #[test]
    fn only_higher_scores_count_in_the_dead_time() {
        let raw = [1.0, 3.0, 2.0, 3.0, 4.0, 1.0, 1.0, 2.0, 2.0];
        assert_eq!(highest_of(&raw, 0), raw);
        assert_eq!(highest_of(&raw, 2), [1.0, 3.0, 0.0, 0.0, 4.0, 0.0, 0.0, 2.0, 0.0]);
        assert_eq!(highest_of(&raw, 9), [1.0, 3.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn the_threshold_is_the_highest_score_of_the_probationary_period_without_its_start() {
        let mut errors = vec![0.0, 9.0];
        errors.extend([0.0; 30]);
        let quiet = Judged::new(&vec![0.0; 32], errors.clone(), 20, PLAIN);
        assert_eq!(quiet.threshold, 3.0, "row 1 is in the first fifth");
        (errors[15], errors[25], errors[31]) = (200.0, 100.0, 2000.0);
        let judged = Judged::new(&vec![0.0; 32], errors, 20, PLAIN);
        assert!(judged.threshold > 3.0 && judged.threshold == judged.scores[15]);
        let alarms: Vec<usize> = (20..32).filter(|&row| judged.is_alarm(row)).collect();
        assert_eq!(alarms, [31]);
    }

    proptest! {
        #[test]
        fn scores_depend_on_earlier_rows_only(
            rows in prop::collection::vec((-9.0..9.0f64, 0.0..9.0f64), 1..60), cut in 0.0..1.0f64, dead_time in 0..9usize,
        ) {
            let (values, errors): (Vec<f64>, Vec<f64>) = rows.into_iter().unzip();
            let end = (cut * values.len() as f64) as usize;
            let rule = Rule { range_tolerance: 0.05, dead_time };
            let whole = Judged::new(&values, errors.clone(), 0, rule).scores;
            let part = Judged::new(&values[..end], errors[..end].to_vec(), 0, rule).scores;
            prop_assert_eq!(&whole[..end], &part[..]);
        }
    }
}
