//! The score of the Numenta Anomaly Benchmark: Lavin and Ahmad, "Evaluating real-time anomaly detection algorithms - the Numenta
//! Anomaly Benchmark", ICMLA 2015.

use std::ops::Range;

/// Weight of a false positive in the standard profile; those of true positives and of missed windows are 1.
const FALSE_POSITIVE: f64 = 0.11;

/// Scores of the rows of several series, to be judged together.
///
/// ```text
/// σ(y) = 2 / (1 + exp(5 y)) - 1, or -1 where y > 3
/// row in a window:      σ(-(rows to the right end of the window, this one included) / width) / σ(-1); the best alarm of a window counts
/// row after a window:   0.11 · σ(rows since its right end / (width - 1))
/// row before a window:  -0.11
/// window without alarm: -1
/// score = 100 · (sum + windows) / (2 · windows)
/// ```
///
/// No alarm at all scores 0, an alarm in the first row of each window and no other scores 100.
#[derive(Debug, Clone, Default)]
pub struct Benchmark {
    /// By decreasing score.
    points: Vec<Point>,
    /// The series of each window.
    windows: Vec<usize>,
    series: usize,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    score: f64,
    series: usize,
    /// What an alarm is worth.
    value: f64,
    window: Option<usize>,
}

impl Benchmark {
    /// The benchmark of series, each with the scores of all of its rows, the rows to judge, and its windows of anomalies in order.
    pub fn new<'a>(series: impl Iterator<Item = (&'a [f64], Range<usize>, &'a [Range<usize>])>) -> Self {
        let mut all = Self::default();
        for (scores, judged, windows) in series {
            // Windows without a row to judge are not expected to be found.
            let mut expected = vec![None; windows.len()];
            for row in judged {
                let (value, window) = worth(row, windows);
                let window = window.map(|window| {
                    *expected[window].get_or_insert_with(|| {
                        all.windows.push(all.series);
                        all.windows.len() - 1
                    })
                });
                // A score of 0 is never an alarm.
                if scores[row] > 0.0 {
                    all.points.push(Point { score: scores[row], series: all.series, value, window });
                }
            }
            all.series += 1;
        }
        all.points.sort_by(|a, b| b.score.total_cmp(&a.score));
        all
    }

    /// Number of windows.
    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    /// The threshold at which alarms, the rows with at least this score, score highest, and that score: the procedure of the benchmark,
    /// which knows the labels. `weights` is how often each series counts.
    pub fn best(&self, weights: &[usize]) -> (f64, f64) {
        let windows = self.count(weights);
        let mut sum = self.silence(windows);
        let mut best = (f64::INFINITY, sum.normalized(windows));
        for (index, point) in self.points.iter().enumerate() {
            sum.add(point, weights);
            // Rows with equal scores are alarms together.
            let is_last = self.points.get(index + 1).is_none_or(|next| next.score < point.score);
            let score = sum.normalized(windows);
            if is_last && score > best.1 {
                best = (point.score, score);
            }
        }
        best
    }

    /// The score at given alarms.
    pub fn at(&self, weights: &[usize], is_alarm: impl Fn(usize, f64) -> bool) -> f64 {
        let windows = self.count(weights);
        let mut sum = self.silence(windows);
        self.points
            .iter()
            .filter(|point| is_alarm(point.series, point.score))
            .for_each(|point| sum.add(point, weights));
        sum.normalized(windows)
    }

    /// The sum without any alarm, of this number of windows.
    fn silence(&self, windows: f64) -> Sum {
        Sum { total: -windows, best: vec![-1.0; self.windows.len()] }
    }

    fn count(&self, weights: &[usize]) -> f64 {
        self.windows.iter().map(|&series| weights[series]).sum::<usize>() as f64
    }
}

struct Sum {
    total: f64,
    /// The best alarm of each window so far.
    best: Vec<f64>,
}

impl Sum {
    fn normalized(&self, windows: f64) -> f64 {
        if windows > 0.0 { 100.0 * (self.total + windows) / (2.0 * windows) } else { f64::NAN }
    }

    fn add(&mut self, point: &Point, weights: &[usize]) {
        let weight = weights[point.series] as f64;
        match point.window {
            None => self.total += weight * point.value,
            Some(window) => {
                let gain = (point.value - self.best[window]).max(0.0);
                self.best[window] += gain;
                self.total += weight * gain;
            }
        }
    }
}

/// What an alarm in a row is worth, and the window that it is in.
fn worth(row: usize, windows: &[Range<usize>]) -> (f64, Option<usize>) {
    if let Some(window) = windows.iter().position(|window| window.contains(&row)) {
        let Range { start, end } = windows[window];
        let position = -((end - row) as f64) / (end - start) as f64;
        return (sigmoid(position) / sigmoid(-1.0), Some(window));
    }
    let value = match windows.iter().rfind(|window| window.end <= row) {
        None => -1.0,
        Some(before) => sigmoid((row + 1 - before.end) as f64 / (before.len() as f64 - 1.0).max(0.0)),
    };
    (FALSE_POSITIVE * value, None)
}

fn sigmoid(y: f64) -> f64 {
    if y > 3.0 { -1.0 } else { 2.0 / (1.0 + (5.0 * y).exp()) - 1.0 }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "windows are lists of ranges")]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    /// A series of twelve rows with a window of four, rows 4 to 7, of which rows 2 to 11 are judged.
    fn benchmark(scores: &[f64; 12]) -> Benchmark {
        let window = 4..8;
        Benchmark::new([(&scores[..], 2..12, std::slice::from_ref(&window))].into_iter())
    }

    fn at(alarms: &[usize]) -> f64 {
        let mut scores = [0.0; 12];
        alarms.iter().for_each(|&row| scores[row] = 1.0);
        benchmark(&scores).at(&[1], |_, score| score > 0.5)
    }

    #[test]
    fn scores_match_values_computed_by_hand() {
        // By the definition of the paper, with the values of the sigmoid to ten places:
        // σ(-1) = 0.9866142982, σ(-0.75) = 0.9540747846, σ(-0.25) = 0.5546, σ(1/3) = -0.6823..., computed as 2/(1 + e^(5y)) - 1.
        let sigma = |y: f64| 2.0 / (1.0 + f64::exp(5.0 * y)) - 1.0;
        assert!(close(sigma(-1.0), 0.986_614_298_151_43) && close(sigma(0.0), 0.0));
        assert!(close(at(&[]), 0.0), "no alarm");
        assert!(close(at(&[4]), 100.0), "the first row of the window");
        assert!(close(at(&[4, 5, 6, 7]), 100.0), "only the best alarm of a window counts");
        // The last row of the window: 100 · (σ(-1/4) / σ(-1) + 1) / 2.
        assert!(close(at(&[7]), 50.0 * (sigma(-0.25) / sigma(-1.0) + 1.0)));
        // Rows in the probationary period do not count.
        assert!(close(at(&[0, 1]), 0.0));
        // Before any window: 0.11 points of the two that a window is worth.
        assert!(close(at(&[3]), -5.5) && close(at(&[2, 3]), -11.0));
        // One row after the window of width 4: 0.11 · σ(1/3).
        assert!(close(at(&[8]), 50.0 * 0.11 * sigma(1.0 / 3.0)));
        // Three and four rows after it: σ(1) and σ(4/3).
        assert!(close(at(&[4, 10, 11]), 100.0 + 5.5 * (sigma(1.0) + sigma(4.0 / 3.0))));
    }

    #[test]
    fn alarms_far_behind_a_window_cost_as_much_as_those_before_it() {
        let windows = [0..2];
        let (value, window) = worth(20, &windows);
        assert!(close(value, -0.11) && window.is_none());
        // A window of one row has no width to measure distances by.
        assert!(close(worth(3, &[1..2]).0, -0.11));
        assert_eq!(worth(1, &[1..2]).1, Some(0));
    }

    #[test]
    fn the_best_threshold_weighs_windows_against_false_alarms() {
        // The alarm in the window has a lower score than one false alarm, and a higher one than another.
        let mut scores = [0.0; 12];
        (scores[3], scores[4], scores[11]) = (3.0, 2.0, 1.0);
        let found = benchmark(&scores);
        let (threshold, score) = found.best(&[1]);
        assert!(threshold == 2.0 && close(score, 94.5), "{threshold} {score}");
        // Rows with equal scores are alarms together.
        scores[11] = 2.0;
        let (threshold, score) = benchmark(&scores).best(&[1]);
        assert!(threshold == 2.0 && score < 94.5);
        // Without a window only silence is right.
        let none = Benchmark::new([(&scores[..], 0..12, &[][..])].into_iter());
        assert!(none.best(&[1]).1.is_nan() && none.windows() == 0);
        // A series that counts twice has two windows.
        assert!(close(found.best(&[2]).1, 94.5));
    }

    #[test]
    fn several_series_share_one_threshold() {
        let window = [1..3];
        let series = [([0.0, 5.0, 0.0, 0.0], 0..4), ([9.0, 0.0, 0.0, 0.0], 0..4)];
        let all = Benchmark::new(series.iter().map(|(scores, rows)| (&scores[..], rows.clone(), &window[..])));
        assert_eq!(all.windows(), 2);
        // At threshold 5: one window found in its first row, one missed, one false alarm before a window.
        let (threshold, score) = all.best(&[1, 1]);
        assert!(threshold == 5.0 && close(score, 100.0 * (1.0 - 1.0 - 0.11 + 2.0) / 4.0), "{score}");
        // Thresholds of their own.
        assert!(close(all.at(&[1, 1], |series, score| series == 0 && score > 1.0), 50.0));
    }
}
