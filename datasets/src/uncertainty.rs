//! Uncertainty of metrics and of probabilities: bootstrap intervals, tests of differences, calibration.

use std::sync::Arc;

use seqzoo_random::{Key, Purpose, RngExt};
use serde::Serialize;

/// Number of resamples of a bootstrap, where it takes at most [`MAX_DRAWS`] draws.
const RESAMPLES: usize = 1_000;

/// Maximum number of drawn examples; more than 200,000 examples are resampled less often, down to [`MIN_RESAMPLES`].
const MAX_DRAWS: usize = 200_000_000;
const MIN_RESAMPLES: usize = 100;

/// 95 % confidence intervals of metrics, by the percentile bootstrap over examples (Efron and Tibshirani 1993).
///
/// `score` computes the metrics of the examples with the given indices, which may repeat. The intervals contain the variation over
/// examples, not that over random seeds of the training. None if there are fewer than two examples.
///
/// ```
/// use seqzoo_datasets::uncertainty::intervals;
///
/// let right = [true, true, false, true, true, true, false, true, true, true];
/// let accuracy = |indices: &mut dyn Iterator<Item = usize>| {
///     let found: Vec<bool> = indices.map(|index| right[index]).collect();
///     vec![("accuracy".to_owned(), found.iter().filter(|&&right| right).count() as f64 / found.len() as f64)]
/// };
/// let (name, [low, high]) = &intervals(right.len(), accuracy)[0];
/// assert!(name == "accuracy" && *low < 0.8 && *high > 0.8);
/// ```
pub fn intervals(
    count: usize,
    score: impl Fn(&mut dyn Iterator<Item = usize>) -> Vec<(String, f64)>,
) -> Vec<(String, [f64; 2])> {
    block_size(count, None).map_or_else(Vec::new, |block| percentiles(resampled(count, block, score)))
}

/// Minimum number of blocks for [`block_intervals`].
const MIN_BLOCKS: usize = 8;

/// 95 % confidence intervals of metrics of consecutive examples that depend on each other, such as passages of a text or forecasts from
/// consecutive origins, by the circular block bootstrap (Politis and Romano 1992).
///
/// As [`intervals`], but draws blocks of consecutive examples, the last of which is followed by the first. A block has n^⅓ of n examples,
/// and at least `block`, the distance over which examples share data. None if there are fewer than eight blocks.
///
/// ```
/// use seqzoo_datasets::uncertainty::{block_intervals, intervals};
///
/// // Losses that are equal in runs of ten examples: there are 30 independent values, not 300.
/// let losses: Vec<f64> = (0..300).map(|index| f64::from(index / 10 * 7 % 11)).collect();
/// let loss = |indices: &mut dyn Iterator<Item = usize>| {
///     let (sum, count) = indices.fold((0.0, 0.0), |(sum, count), index| (sum + losses[index], count + 1.0));
///     vec![("loss".to_owned(), sum / count)]
/// };
/// let width = |(_, [low, high]): &(String, [f64; 2])| high - low;
/// assert!(width(&block_intervals(300, 10, loss)[0]) > 2.0 * width(&intervals(300, loss)[0]));
/// ```
pub fn block_intervals(
    count: usize,
    block: usize,
    score: impl Fn(&mut dyn Iterator<Item = usize>) -> Vec<(String, f64)>,
) -> Vec<(String, [f64; 2])> {
    block_size(count, Some(block)).map_or_else(Vec::new, |block| percentiles(resampled(count, block, score)))
}

/// Number of consecutive examples that are drawn together, given the distance over which examples share data, if they do; `None` if there are
/// too few examples.
fn block_size(count: usize, distance: Option<usize>) -> Option<usize> {
    let Some(distance) = distance else { return (count >= 2).then_some(1) };
    let block = distance.max((count as f64).cbrt().round() as usize).max(1);
    (count / block >= MIN_BLOCKS).then_some(block)
}

/// Metrics of the examples with the given indices, which may repeat.
type Score = dyn Fn(&mut dyn Iterator<Item = usize>) -> Vec<(String, f64)> + Send + Sync;

/// Metrics of any selection of examples, from which confidence intervals are bootstrapped: those of one model, and those of the differences
/// between two models.
///
/// ```
/// use seqzoo_datasets::uncertainty::Resampling;
///
/// let accuracy = |right: Vec<bool>| {
///     Resampling::of_examples(right.len(), move |indices: &mut dyn Iterator<Item = usize>| {
///         let found: Vec<bool> = indices.map(|index| right[index]).collect();
///         vec![("accuracy".to_owned(), found.iter().filter(|&&right| right).count() as f64 / found.len() as f64)]
///     })
/// };
/// let (one, other) = (accuracy([true, false].repeat(50)), accuracy([true, true, true, false].repeat(25)));
/// let difference = &one.differences(&other)[0];
/// let [low, high] = difference.interval.unwrap();
/// assert!(difference.metric == "accuracy" && low > 0.1 && high < 0.4 && difference.p.unwrap() < 0.01);
/// ```
#[derive(Clone)]
pub struct Resampling {
    count: usize,
    /// Distance over which examples share data; `None` if they are independent.
    block: Option<usize>,
    unit: &'static str,
    score: Arc<Score>,
}

/// The difference of a metric between two models on the same examples, see [`Resampling::differences`].
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// Name of the metric.
    pub metric: String,
    /// 95 % confidence interval; `None` if the difference is the same on all resamples.
    pub interval: Option<[f64; 2]>,
    /// Two-sided p-value; `None` if the metric is not defined on the examples.
    pub p: Option<f64>,
}

impl Resampling {
    /// Independent examples, see [`intervals`].
    pub fn of_examples(
        count: usize,
        score: impl Fn(&mut dyn Iterator<Item = usize>) -> Vec<(String, f64)> + Send + Sync + 'static,
    ) -> Self {
        Self { count, block: None, unit: "examples", score: Arc::new(score) }
    }

    /// Consecutive examples that share data with those less than `block` away, see [`block_intervals`].
    pub fn of_blocks(
        count: usize,
        block: usize,
        score: impl Fn(&mut dyn Iterator<Item = usize>) -> Vec<(String, f64)> + Send + Sync + 'static,
    ) -> Self {
        Self { count, block: Some(block), unit: "blocks of consecutive examples", score: Arc::new(score) }
    }

    /// Sets what an example is called in reports, in the plural.
    pub fn with_unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// Number of examples.
    pub fn count(&self) -> usize {
        self.count
    }

    /// What is drawn, in the plural: "examples", unless set.
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    /// Number of resamples; 0 if there are too few examples.
    pub fn resamples(&self) -> usize {
        block_size(self.count, self.block).map_or(0, |_| resamples(self.count))
    }

    /// 95 % confidence intervals of the metrics.
    pub fn intervals(&self) -> Vec<(String, [f64; 2])> {
        percentiles(self.resample(&*self.score))
    }

    /// The differences of another model's metrics from these, on the same resamples (paired bootstrap); none if the numbers of examples
    /// differ, or are too small.
    ///
    /// The p-value is that of the hypothesis that the metrics are equal: the share of resamples whose difference is at least as far from
    /// the observed one as this one is from 0, the observed one included (Efron and Tibshirani 1993, Berg-Kirkpatrick et al. 2012).
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        if self.count != other.count {
            return Vec::new();
        }
        let score = |indices: &mut dyn Iterator<Item = usize>| {
            let indices: Vec<usize> = indices.collect();
            let (own, theirs) =
                ((self.score)(&mut indices.iter().copied()), (other.score)(&mut indices.iter().copied()));
            let difference = |(name, value): (String, f64)| {
                let (_, other) = theirs.iter().find(|(other, _)| *other == name)?;
                Some((name, other - value))
            };
            own.into_iter().filter_map(difference).collect::<Vec<(String, f64)>>()
        };
        let observed = score(&mut (0..self.count));
        let difference = |(metric, values): (String, Vec<f64>)| {
            let observed = observed.iter().find(|(name, _)| *name == metric).map(|(_, value)| *value);
            let p = observed.and_then(|observed| p_value(observed, &values));
            Difference { metric, interval: percentile_interval(values).filter(|[low, high]| low < high), p }
        };
        self.resample(score).into_iter().map(difference).collect()
    }

    /// The values of metrics on resamples; none if there are too few examples.
    fn resample(
        &self,
        score: impl Fn(&mut dyn Iterator<Item = usize>) -> Vec<(String, f64)>,
    ) -> Vec<(String, Vec<f64>)> {
        block_size(self.count, self.block).map_or_else(Vec::new, |block| resampled(self.count, block, score))
    }
}

impl std::fmt::Debug for Resampling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampling").field("count", &self.count).field("block", &self.block).finish_non_exhaustive()
    }
}

/// Whether the examples are of the same number and kind.
impl PartialEq for Resampling {
    fn eq(&self, other: &Self) -> bool {
        (self.count, self.block) == (other.count, other.block)
    }
}

/// Number of resamples of `count` examples.
fn resamples(count: usize) -> usize {
    RESAMPLES.min(MAX_DRAWS / count.max(1)).max(MIN_RESAMPLES)
}

/// The values of metrics on resamples of blocks of consecutive examples.
fn resampled(
    count: usize,
    block: usize,
    score: impl Fn(&mut dyn Iterator<Item = usize>) -> Vec<(String, f64)>,
) -> Vec<(String, Vec<f64>)> {
    let key = Key::new(0, Purpose::Data);
    let mut found: Vec<(String, Vec<f64>)> = Vec::new();
    for resample in 0..resamples(count) {
        let mut stream = key.with_first(resample as u64).stream();
        let mut start = 0;
        let mut draw = |index: usize| {
            if index.is_multiple_of(block) {
                start = stream.random_range(0..count);
            }
            (start + index % block) % count
        };
        let values = score(&mut (0..count).map(&mut draw));
        if found.is_empty() {
            found = values.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
        }
        found.iter_mut().zip(values).for_each(|((_, all), (_, value))| all.push(value));
    }
    found
}

/// The intervals of metrics with these values on resamples.
fn percentiles(resampled: Vec<(String, Vec<f64>)>) -> Vec<(String, [f64; 2])> {
    resampled.into_iter().filter_map(|(name, values)| Some((name, percentile_interval(values)?))).collect()
}

/// The 2.5 % and 97.5 % percentiles of values, of those that are defined; `None` if none is.
fn percentile_interval(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some([0.025, 0.975].map(|share| values[((share * values.len() as f64) as usize).min(last)]))
}

/// The p-value of an observed difference, given those on resamples; `None` if the observed one is not defined.
fn p_value(observed: f64, resampled: &[f64]) -> Option<f64> {
    // Sums in another order differ by rounding.
    let least = observed.abs() * (1.0 - 1e-9);
    let defined = || resampled.iter().filter(|value| !value.is_nan());
    let as_far = defined().filter(|&value| (value - observed).abs() >= least).count();
    (!observed.is_nan()).then(|| (as_far + 1) as f64 / (defined().count() + 1) as f64)
}

/// 95 % confidence interval of a share of `count` examples (Wilson 1927).
///
/// ```text
/// (p + z² / 2n ± z √(p (1 - p) / n + z² / 4n²)) / (1 + z² / n),   z = 1.96
/// ```
///
/// ```
/// use seqzoo_datasets::uncertainty::wilson;
///
/// // Wilson's interval of 8 out of 10.
/// let [low, high] = wilson(0.8, 10);
/// assert!((low - 0.4902).abs() < 1e-4 && (high - 0.9433).abs() < 1e-4);
/// assert!((1..200).all(|count| wilson(0.0, count)[0] >= 0.0 && wilson(1.0, count)[1] <= 1.0));
/// ```
pub fn wilson(share: f64, count: usize) -> [f64; 2] {
    let (n, z) = (count.max(1) as f64, 1.959_964);
    let (middle, scale) = (share + z * z / (2.0 * n), 1.0 + z * z / n);
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).max(0.0).sqrt();
    // Without rounding errors beyond the ends.
    [middle - half, middle + half].map(|end| (end / scale).clamp(0.0, 1.0))
}

/// Two-sided p-value of McNemar's exact test that two models are right equally often, from whether each is right on each example
/// (McNemar 1947): the probability, if either model is equally likely to be the only right one, of a difference at least as large.
///
/// ```
/// use seqzoo_datasets::uncertainty::mcnemar;
///
/// // One model is the only right one on five examples, the other on none: 2 · 0.5⁵.
/// let right = std::iter::repeat_n((true, false), 5).chain([(true, true), (false, false)]);
/// assert!((mcnemar(right) - 0.0625).abs() < 1e-12);
/// ```
pub fn mcnemar(right: impl Iterator<Item = (bool, bool)>) -> f64 {
    let (mut first, mut second) = (0u64, 0u64);
    for (one, other) in right {
        first += u64::from(one && !other);
        second += u64::from(other && !one);
    }
    let (count, fewer) = (first + second, first.min(second));
    // Sum of the smaller tail of a binomial distribution, from the logarithm of its first term.
    let mut log_term = count as f64 * 0.5f64.ln();
    let mut tail = 0.0;
    for successes in 0..=fewer {
        tail += log_term.exp();
        log_term += ((count - successes) as f64 / (successes + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

/// How well the probabilities of predictions match their accuracy.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error: the mean over predictions of the difference between the mean probability and the accuracy of their bin
    /// (Guo et al. 2017).
    pub expected_calibration_error: f64,
    /// Bins of equal width that have predictions, by increasing probability: the points of a reliability diagram.
    pub bins: Vec<Bin>,
}

/// Predictions of similar probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Number of predictions.
    pub examples: usize,
    /// Mean probability of the predicted labels.
    pub probability: f64,
    /// Share of correct predictions.
    pub accuracy: f64,
}

/// Number of bins.
const BINS: usize = 15;

impl Calibration {
    /// The calibration of predictions, each with the probability of its label and whether it is correct.
    pub fn of(predictions: impl Iterator<Item = (f64, bool)>) -> Self {
        let mut sums = [(0usize, 0.0, 0usize); BINS];
        for (probability, is_correct) in predictions {
            let (count, total, correct) = &mut sums[((probability * BINS as f64) as usize).min(BINS - 1)];
            *count += 1;
            *total += probability;
            *correct += usize::from(is_correct);
        }
        let bin = |(examples, total, correct): (usize, f64, usize)| {
            let share = 1.0 / examples as f64;
            (examples > 0).then_some(Bin { examples, probability: total * share, accuracy: correct as f64 * share })
        };
        let bins: Vec<Bin> = sums.into_iter().filter_map(bin).collect();
        let all: usize = bins.iter().map(|bin| bin.examples).sum();
        let errors = bins.iter().map(|bin| bin.examples as f64 * (bin.probability - bin.accuracy).abs());
        Self { expected_calibration_error: errors.sum::<f64>() / all.max(1) as f64, bins }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calibration_error_matches_a_hand_computed_value() {
        // Two bins: probabilities 0.9 and 0.92, one of two right; probability 0.6, right.
        let found = Calibration::of([(0.9, true), (0.6, true), (0.92, false)].into_iter());
        let expected = (2.0 * (0.91 - 0.5) + (1.0 - 0.6)) / 3.0;
        assert!((found.expected_calibration_error - expected).abs() < 1e-12);
        assert_eq!(found.bins.iter().map(|bin| bin.examples).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(Calibration::of([(1.0, true)].into_iter()).expected_calibration_error, 0.0);
        assert_eq!(Calibration::of(std::iter::empty()).expected_calibration_error, 0.0);
    }

    #[test]
    fn p_values_match_the_binomial_distribution() {
        let p = |first: usize, second: usize| {
            mcnemar(std::iter::repeat_n((true, false), first).chain(std::iter::repeat_n((false, true), second)))
        };
        // 2 · (1 + 10 + 45) / 2¹⁰; equal counts; no discordant example.
        assert!((p(2, 8) - 0.109375).abs() < 1e-12 && p(8, 2) == p(2, 8));
        assert_eq!((p(3, 3), p(0, 0)), (1.0, 1.0));
        // Normal approximation with continuity correction: z = (|520 − 480| − 1) / √1000.
        assert!((p(520, 480) - 0.2175).abs() < 2e-3, "{}", p(520, 480));
    }

    #[test]
    fn intervals_have_the_width_of_the_normal_approximation() {
        // 400 examples, 300 of them right: standard error √(0.75 · 0.25 / 400) = 0.0217.
        let accuracy = |indices: &mut dyn Iterator<Item = usize>| {
            let right: Vec<bool> = indices.map(|index| index % 4 > 0).collect();
            vec![("accuracy".to_owned(), right.iter().filter(|&&right| right).count() as f64 / right.len() as f64)]
        };
        let (_, [low, high]) = intervals(400, accuracy)[0].clone();
        let half = 1.96 * (0.75 * 0.25 / 400f64).sqrt();
        assert!((low - (0.75 - half)).abs() < 0.006 && (high - (0.75 + half)).abs() < 0.006, "{low} {high}");
        assert_eq!(intervals(400, accuracy), intervals(400, accuracy), "the same in each call");
        assert!(intervals(1, accuracy).is_empty());
    }

    #[test]
    fn differences_are_paired() {
        // Two models with errors on almost the same examples: both accuracies vary by about 0.08, their difference by far less.
        let accuracy = |wrong: fn(usize) -> bool| {
            Resampling::of_examples(400, move |indices: &mut dyn Iterator<Item = usize>| {
                let (mut count, mut right) = (0, 0);
                for index in indices {
                    count += 1;
                    right += usize::from(!wrong(index));
                }
                vec![("accuracy".to_owned(), f64::from(right as u32) / f64::from(count as u32))]
            })
        };
        let (one, other) = (accuracy(|index| index % 4 == 0), accuracy(|index| index % 4 == 0 && index > 20));
        let width = |(_, [low, high]): &(String, [f64; 2])| high - low;
        assert!(width(&one.intervals()[0]) > 0.07);
        let Difference { metric, interval, p } = one.differences(&other).remove(0);
        let [low, high] = interval.unwrap();
        assert!(metric == "accuracy" && low > 0.0 && high < 0.03, "{low} {high}");
        // Six examples differ, all in favor of one model: none of them, or at least twelve, are drawn with probability 0.023.
        assert!(p.is_some_and(|p| (0.01..0.04).contains(&p)), "{p:?}");
        assert_eq!(one.differences(&other), one.differences(&other), "the same in each call");
        assert_eq!(one.differences(&one), [Difference { metric, interval: None, p: Some(1.0) }]);
        let fewer = Resampling::of_examples(399, |_| vec![("accuracy".to_owned(), 1.0)]);
        assert!(one.differences(&fewer).is_empty() && fewer.count() == 399);
    }

    #[test]
    fn undefined_values_of_resamples_are_left_out() {
        // F1 of a label that one of three examples has is not defined on resamples without it.
        let share = |value: f64| {
            Resampling::of_examples(3, move |indices: &mut dyn Iterator<Item = usize>| {
                let count = indices.filter(|&index| index == 0).count();
                let value = if count == 0 { f64::NAN } else { value * count as f64 };
                vec![("share".to_owned(), value)]
            })
        };
        let intervals = share(1.0).intervals();
        assert_eq!(intervals, [("share".to_owned(), [1.0, 3.0])]);
        // Differences 1, 2 and 3, if defined, all but the first of which are at least 1 away from the observed one.
        let Difference { interval, p, .. } = share(1.0).differences(&share(2.0)).remove(0);
        assert!(interval == Some([1.0, 3.0]) && p.is_some_and(|p| (0.3..0.45).contains(&p)), "{interval:?} {p:?}");
        let never = Resampling::of_examples(3, |_| vec![("share".to_owned(), f64::NAN)]);
        assert!(never.intervals().is_empty());
        assert_eq!(never.differences(&never)[0], Difference { metric: "share".to_owned(), interval: None, p: None });
    }

    #[test]
    fn large_data_are_resampled_less_often_and_few_examples_not_at_all() {
        let resamples = |count| Resampling::of_examples(count, |_| Vec::new()).resamples();
        assert_eq!([1, 2, 200_000, 400_000, 1 << 40].map(resamples), [0, 1_000, 1_000, 500, 100]);
        assert_eq!(Resampling::of_blocks(7, 1, |_| Vec::new()).resamples(), 0);
    }

    #[test]
    fn blocks_are_runs_of_consecutive_examples_from_anywhere() {
        // At least n^⅓ = 5 of 125 examples, the distance where it is longer; the last example is followed by the first.
        for (distance, block) in [(1, 5), (3, 5), (10, 10)] {
            let starts = std::cell::RefCell::new(std::collections::HashSet::new());
            let resample = |indices: &mut dyn Iterator<Item = usize>| {
                let drawn: Vec<usize> = indices.collect();
                assert_eq!(drawn.len(), 125);
                for run in drawn.chunks(block) {
                    starts.borrow_mut().insert(run[0]);
                    assert!(run.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 125), "{run:?}");
                }
                // Not every block continues the one before.
                assert!(drawn.chunks(block).any(|run| (run[0] + block) % 125 != drawn[block]));
                vec![("loss".to_owned(), 0.0)]
            };
            assert_eq!(block_intervals(125, distance, resample), [("loss".to_owned(), [0.0, 0.0])]);
            assert_eq!(starts.borrow().len(), 125, "every example can be the first of a block");
        }
        // Eight blocks are needed.
        let count = |examples| block_intervals(examples, 10, |_| vec![("loss".to_owned(), 0.0)]).len();
        assert_eq!((count(79), count(80)), (0, 1));
    }
}
