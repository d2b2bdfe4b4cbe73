//! Datasets of pen drawings: handwriting, sketches, any trajectories.

use std::sync::Arc;

use crate::DataError;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::drawing::{Drawing, Pen, Step};
use crate::records::{LeftOut, Records, Split};
use crate::scores::{Evaluation, Metric, Scores, metrics};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::uncertainty::Resampling;

/// Data for models of pen drawings.
pub static DATA: DataSpec = DataSpec {
    task: "strokes",
    roles: &[
        Role::required(
            "drawing",
            Content::Other,
            "Column of the drawings: points `x,y` separated by spaces, strokes separated by semicolons.",
        ),
        Role::optional("word", Content::Other, "Column of what each drawing shows, for `data inspect`."),
    ],
    fields: &[],
    default_format: Some("drawings"),
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole drawings are assigned to splits",
};

metrics! {
    /// Mean negative log-likelihood of a point: the sum of `offset-nll` and `pen-nll`.
    pub const NLL_PER_POINT = Lower("nll-per-point", "nats");

    /// Mean negative log-density of the offsets (dx, dy) from one point to the next, in units of one standard deviation of dx and dy of the
    /// training split together; negative where the density is above 1.
    pub const OFFSET_NLL = Lower("offset-nll", "nats");

    /// Mean negative log-likelihood of the states of the pen after each point: down, lifted, or at the end of the drawing.
    pub const PEN_NLL = Lower("pen-nll", "nats");
}

/// Minimum standard deviation of the baseline, as of the models.
const MIN_DEVIATION: f64 = 1e-2;

/// Maximum magnitude of the correlation of dx and dy.
const MAX_CORRELATION: f64 = 0.99;

/// A drawing, and what it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The drawing, of at least two points.
    pub drawing: Drawing,
    /// What it shows; empty if that is unknown.
    pub word: Arc<str>,
}

/// A loaded dataset of drawings.
#[derive(Debug, Clone, Default)]
pub struct Drawings {
    /// Training split.
    pub train: Vec<Example>,
    /// Validation split.
    pub validation: Vec<Example>,
    /// Test split; empty if its file is missing.
    pub test: Vec<Example>,
    /// Notes on drawings that are left out.
    pub notes: Vec<String>,
}

impl Drawings {
    /// Converts records, using the columns `drawing` and `word`. Drawings of fewer than two points or more than `max_points` are left out.
    ///
    /// # Errors
    /// If a column is missing, a text is not a drawing, or no drawing is left in the training or the validation split.
    pub fn from_records(splits: &Splits, max_points: usize) -> Result<Self, DataError> {
        let (drawing, word) = (splits.columns.need("drawing")?, splits.columns.get("word"));
        let (mut short, mut long) = (LeftOut::default(), LeftOut::default());
        let mut examples = |records: &Records| -> Result<Vec<Example>, DataError> {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let drawings = records.texts("drawing", drawing)?;
            let words = word.map(|word| records.texts("word", word)).transpose()?;
            let mut examples = Vec::with_capacity(drawings.len());
            for (row, text) in drawings.iter().enumerate() {
                let drawing = Drawing::parse(text).map_err(|detail| records.error(row, detail))?;
                match drawing.len() {
                    0..2 => short.add(records, row),
                    points if points > max_points => long.add(records, row),
                    _ => examples
                        .push(Example { drawing, word: words.map_or_else(Arc::default, |words| words[row].clone()) }),
                }
            }
            Ok(examples)
        };
        let train = examples(&splits.train)?;
        let validation = examples(&splits.validation)?;
        let test = examples(&splits.test)?;
        for (records, examples) in [(&splits.train, &train), (&splits.validation, &validation)] {
            if examples.is_empty() && !records.is_empty() {
                let detail = format!("no drawing has at least 2 and at most task.max_points = {max_points} points");
                return Err(DataError::of_records(records.file(), detail));
            }
        }
        let short = short.note("drawings", "of fewer than 2 points");
        let long = long.note("drawings", &format!("of more than task.max_points = {max_points} points"));
        Ok(Self { train, validation, test, notes: [short, long].into_iter().flatten().collect() })
    }

    /// The examples of a split.
    pub fn split(&self, split: Split) -> &[Example] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// The unit of length of models: the standard deviation of dx and dy of the training split together (Ha and Eck 2018); 1 if they do
    /// not vary.
    pub fn scale(&self) -> f32 {
        let values = || steps(&self.train).flat_map(|step| step.offset).map(f64::from);
        let count = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / count;
        let deviation = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt() as f32;
        if deviation > 0.0 { deviation } else { 1.0 }
    }

    /// Evaluates the baseline on a split, in a unit of length: every point is independent of all others, offsets are normally distributed, and
    /// each state of the pen has its frequency in the training split.
    pub fn baselines(&self, split: Split, scale: f32) -> Vec<(&'static str, Evaluation)> {
        let model = IndependentPoints::fit(&self.train, scale);
        let likelihoods = self.split(split).iter().map(|example| model.likelihood(&example.drawing)).collect();
        vec![("independent points", evaluation(likelihoods))]
    }

    /// SHA-256 digest of the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        for split in [&self.train, &self.validation] {
            digest.number(split.len() as u64);
            split.iter().for_each(|example| digest.text(&example.drawing.to_string()));
        }
        digest.finish()
    }
}

/// Log-likelihood of the points of a drawing after the first one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Likelihood {
    /// Number of points.
    pub points: usize,
    /// Sum of the log-densities of the offsets.
    pub offsets: f64,
    /// Sum of the log-probabilities of the states of the pen.
    pub pens: f64,
}

/// Metrics of drawings with these log-likelihoods.
pub fn scores<'a>(drawings: impl Iterator<Item = &'a Likelihood>) -> Scores {
    let sum = |all: Likelihood, of: &Likelihood| Likelihood {
        points: all.points + of.points,
        offsets: all.offsets + of.offsets,
        pens: all.pens + of.pens,
    };
    let Likelihood { points, offsets, pens } = drawings.fold(Likelihood::default(), sum);
    let mean = |sum: f64| -sum / points.max(1) as f64;
    let (offset_nll, pen_nll) = (mean(offsets), mean(pens));
    let nll = offset_nll + pen_nll;
    Scores::new(points, [(NLL_PER_POINT, nll), (OFFSET_NLL, offset_nll), (PEN_NLL, pen_nll), (Metric::LOSS, nll)])
}

/// As [`scores`], with intervals from resamples of drawings.
pub fn evaluation(drawings: Vec<Likelihood>) -> Evaluation {
    let all = scores(drawings.iter());
    let resampling = Resampling::of_examples(drawings.len(), move |indices: &mut dyn Iterator<Item = usize>| {
        scores(indices.map(|index| &drawings[index])).named()
    });
    Evaluation::of(all).with_resampling(resampling)
}

/// The steps of all drawings.
fn steps(examples: &[Example]) -> impl Iterator<Item = Step> {
    examples.iter().flat_map(|example| example.drawing.steps())
}

/// A normal distribution of offsets, and a distribution of the states of the pen.
struct IndependentPoints {
    scale: f64,
    mean: [f64; 2],
    deviation: [f64; 2],
    correlation: f64,
    pens: [f64; 3],
}

impl IndependentPoints {
    fn fit(examples: &[Example], scale: f32) -> Self {
        let scale = f64::from(scale);
        let scaled = || steps(examples).map(|step| step.offset.map(|value| f64::from(value) / scale));
        let count = scaled().count().max(1) as f64;
        let mean = [0, 1].map(|axis| scaled().map(|offset| offset[axis]).sum::<f64>() / count);
        let product = |one: usize, other: usize| {
            scaled().map(|offset| (offset[one] - mean[one]) * (offset[other] - mean[other])).sum::<f64>() / count
        };
        let deviation = [0, 1].map(|axis| product(axis, axis).sqrt().max(MIN_DEVIATION));
        let correlation = product(0, 1) / (deviation[0] * deviation[1]);
        // Every state is counted once more, so that none has probability 0.
        let pens = Pen::ALL.map(|pen| {
            let found = steps(examples).filter(|step| step.pen == pen).count();
            (found + 1) as f64 / (count + Pen::ALL.len() as f64)
        });
        Self { scale, mean, deviation, correlation: correlation.clamp(-MAX_CORRELATION, MAX_CORRELATION), pens }
    }

    fn likelihood(&self, drawing: &Drawing) -> Likelihood {
        let Self { scale, mean, deviation, correlation, pens } = self;
        let mut likelihood = Likelihood::default();
        for Step { offset, pen } in drawing.steps() {
            let [x, y] = [0, 1].map(|axis| (f64::from(offset[axis]) / scale - mean[axis]) / deviation[axis]);
            let uncorrelated = 1.0 - correlation * correlation;
            let distance = (x * x + y * y - 2.0 * correlation * x * y) / uncorrelated;
            let volume = std::f64::consts::TAU * deviation[0] * deviation[1] * uncorrelated.sqrt();
            likelihood.points += 1;
            likelihood.offsets -= 0.5 * distance + volume.ln();
            likelihood.pens += pens[pen as usize].ln();
        }
        likelihood
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;
    use crate::records::Column;

    fn examples(drawings: &[&str]) -> Vec<Example> {
        let example = |text: &&str| Example { drawing: Drawing::parse(text).unwrap(), word: Arc::default() };
        drawings.iter().map(example).collect()
    }

    fn records(drawings: &[&str]) -> Records {
        Records::new([("drawing", Column::text(drawings.iter().copied()))])
    }

    fn loaded(train: &[&str], validation: &[&str]) -> Result<Drawings, String> {
        let columns = Columns::default().with("drawing", "drawing");
        let [train, validation] = [train, validation].map(records);
        let splits = Splits { columns, train, validation, ..Splits::default() };
        Drawings::from_records(&splits, 4).map_err(|error| error.to_string())
    }

    #[test]
    fn drawings_that_are_too_short_or_too_long_are_left_out_with_a_note() {
        let long = "0,0 1,1 2,2 3,3 4,4";
        let data = loaded(&["0,0 1,1", "5,5", "", long, "0,0;1,1"], &["0,0 2,2"]).unwrap();
        assert_eq!((data.train.len(), data.validation.len(), data.test.len()), (2, 1, 0));
        let notes = [
            "2 drawings of fewer than 2 points left out",
            "1 drawing of more than task.max_points = 4 points left out",
        ];
        assert_eq!(data.notes, notes);
        for (train, part) in [(&[long, "1,1"][..], "at most task.max_points = 4 points"), (&["0,0 1"], "\"1\" is not")]
        {
            let error = loaded(train, &["0,0 1,1"]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let other = loaded(&["0,0 1,1"], &["0,0 2,2"]).unwrap();
        assert_ne!(other.digest(), data.digest());
    }

    #[test]
    fn the_scale_is_one_standard_deviation_of_both_axes_together() {
        // dx and dy: 1, 3, 5, 3; mean 3, variance (4 + 0 + 4 + 0) / 4.
        let data = Drawings { train: examples(&["0,0 1,3 6,6"]), ..Drawings::default() };
        assert!((data.scale() - 2f32.sqrt()).abs() < 1e-6);
        let constant = Drawings { train: examples(&["0,0 1,1 2,2"]), ..Drawings::default() };
        assert_eq!((constant.scale(), Drawings::default().scale()), (1.0, 1.0));
    }

    #[test]
    fn the_baseline_matches_a_likelihood_computed_by_hand() {
        // Offsets ±(1, 1) and ±(1, -1): mean 0, variances 1, no correlation. Pen: 2 of 4 down, 1 lifted, 1 end, and one more of each.
        let train = examples(&["0,0 1,1 0,0 1,-1;0,0"]);
        let data = Drawings { validation: examples(&["0,0 1,0"]), train, ..Drawings::default() };
        let found = &data.baselines(Split::Validation, 1.0)[0].1.all;
        let offset = 0.5 + std::f64::consts::TAU.ln();
        for (metric, expected) in [(OFFSET_NLL, offset), (PEN_NLL, (7f64 / 2.0).ln())] {
            assert!((found.get(metric).unwrap() - expected).abs() < 1e-12, "{}", metric.name);
        }
        assert_eq!((found.get(NLL_PER_POINT), found.examples), (found.get(Metric::LOSS), 1));
        // In another unit, the log-density changes by the logarithm of an area.
        let scaled = &data.baselines(Split::Validation, 2.0)[0].1.all;
        assert!((scaled.get(OFFSET_NLL).unwrap() - (offset - 4f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn the_baseline_of_offsets_that_do_not_vary_is_finite() {
        let train = examples(&["0,0 1,1 2,2"]);
        let data = Drawings { validation: examples(&["0,0 1,2"]), train, ..Drawings::default() };
        assert!(data.baselines(Split::Validation, 1.0)[0].1.all.get(Metric::LOSS).unwrap().is_finite());
    }
}
