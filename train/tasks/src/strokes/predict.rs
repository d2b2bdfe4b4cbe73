//! Metrics of trained models of pen drawings, and new drawings.

use burn::tensor::{Device, Tensor};
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::drawing::{Drawing, Pen, Step};
use seqzoo_datasets::drawings::{Drawings, Likelihood, evaluation};
use seqzoo_datasets::scores::Evaluation;
use seqzoo_models::networks::{PointLikelihoods, Trajectory};
use seqzoo_models::parameters::Array;
use seqzoo_random::{Key, Purpose};

use super::{Batch, Codec, Point, Settings, features, sampling};
use crate::{Examples, PredictError, Predictor, TrainedModel, batches, evaluation_limits, examples_as};

/// Batches for evaluation.
const EVALUATION: BatchLimits = evaluation_limits(128);

/// A trained model of pen drawings with its unit of length.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::drawing::Drawing;
/// use seqzoo_datasets::drawings::{Drawings, Example};
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::strokes::{StrokesModel, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let example = Example { drawing: Drawing::parse("0,5 10,5;5,0 5,10")?, word: "cross".into() };
/// let data = Drawings { train: vec![example], ..Drawings::default() };
/// let spec = ModelSpec::new("lstm-8", &TASK, "mixtures = 3".parse()?)?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = StrokesModel::open(&spec, &training.files(), &weights, &device)?;
/// let drawing = model.sample(1, 0.5, 20);
/// assert!(drawing.len() <= 20 && drawing == model.sample(1, 0.5, 20));
/// # Ok(()) }
/// ```
pub type StrokesModel = TrainedModel<Codec>;

impl StrokesModel {
    /// Maximum number of points of the drawings that the model was trained on.
    pub fn max_points(&self) -> usize {
        let Settings { max_points, .. } = self.spec.settings();
        max_points
    }

    /// A new drawing of at most `max_points` points (at least two), in the unit of the data; a function of the seed.
    ///
    /// At temperature 1, points are drawn from the distribution of the model; lower temperatures prefer probable ones, and 0 takes the most
    /// probable component and state of the pen in each step (Ha and Eck 2018).
    pub fn sample(&self, seed: u64, temperature: f64, max_points: usize) -> Drawing {
        let key = Key::new(seed, Purpose::Generation);
        let mut stream = self.network.stream(&self.device);
        let mut last = Step { offset: [0.0; 2], pen: Pen::Down };
        let steps = (1..max_points.max(2) as u64).map(|number| {
            last = sampling::sample(&stream.step(features(last)), temperature, key.with_first(number));
            Step { offset: last.offset.map(|value| value * self.codec.scale), pen: last.pen }
        });
        Drawing::of_steps(Pen::Down, steps)
    }
}

impl Predictor for StrokesModel {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let examples = examples_as::<Drawings>(examples)?.split(split);
        let points: Vec<Vec<Point>> = examples.iter().map(|example| self.codec.encode(&example.drawing)).collect();
        let found = likelihoods(&self.network, &points, &self.device, &|| false).expect("never stopped");
        Ok(evaluation(found))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples_as::<Drawings>(examples)?.baselines(split, self.codec.scale))
    }
}

/// Log-likelihoods of drawings, in their order; `None` if stopped.
pub(super) fn likelihoods(
    network: &Trajectory,
    drawings: &[Vec<Point>],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Likelihood>> {
    let lengths: Vec<usize> = drawings.iter().map(|points| points.len() - 1).collect();
    let batches = batch::sorted(&lengths, &lengths, EVALUATION);
    let compute = |network: &Trajectory, batch: &[usize]| {
        let Batch { points, next, lengths } = Batch::new(batch.iter().map(|&index| drawings[index].as_slice()), device);
        let PointLikelihoods { offsets, pens } = network.log_likelihoods(network.forward(points, &lengths, None), next);
        let sums = row_sums(offsets).into_iter().zip(row_sums(pens));
        let likelihood = |((offsets, pens), points)| Likelihood { points, offsets, pens };
        sums.zip(lengths).map(likelihood).collect::<Vec<_>>()
    };
    let found = batches::each(network, &batches, device, compute, stop)?;
    let mut all = vec![Likelihood::default(); drawings.len()];
    for (&index, likelihood) in batches.iter().flatten().zip(found.into_iter().flatten()) {
        all[index] = likelihood;
    }
    Some(all)
}

/// The sum of each row, in f64.
fn row_sums(values: Tensor<2>) -> Vec<f64> {
    let Array { shape, values } = Array::of(values);
    values.chunks_exact(shape[1]).map(|row| row.iter().map(|&value| f64::from(value)).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Codec as _, test_spec};
    use seqzoo_kernels::devices;

    fn model(device: &Device) -> StrokesModel {
        let spec = test_spec("strokes", "mixtures = 3", "gru-8");
        let codec = Codec { scale: 4.0 };
        let network = codec.network(&spec, device);
        TrainedModel { codec, spec, network, device: device.clone(), decision: Default::default() }
    }

    #[test]
    fn likelihoods_do_not_depend_on_the_batch() {
        let device = devices().remove(0).1;
        let model = model(&device);
        let drawings: Vec<Vec<Point>> = ["0,0 5,5;5,0 0,5", "0,0 9,9", "0,0 3,4 3,8;1,1"]
            .map(|text| model.codec.encode(&Drawing::parse(text).unwrap()))
            .to_vec();
        let of = |drawings: &[Vec<Point>]| likelihoods(&model.network, drawings, &device, &|| false).unwrap();
        let all = of(&drawings);
        assert_eq!(all.iter().map(|found| found.points).collect::<Vec<_>>(), [3, 1, 3]);
        for (index, found) in all.iter().enumerate() {
            let alone = of(&drawings[index..=index])[0];
            assert!((found.offsets - alone.offsets).abs() < 1e-4 && (found.pens - alone.pens).abs() < 1e-4);
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_drawing_and_a_shorter_one_is_its_beginning() {
        for (_, device) in devices() {
            let model = model(&device);
            let long = model.sample(5, 1.0, 60);
            assert_eq!(model.sample(5, 1.0, 60), long);
            assert_ne!(model.sample(6, 1.0, 60), long);
            let shorter = model.sample(5, 1.0, 2);
            assert_eq!((shorter.len(), &shorter.to_string()[..3]), (2, "0,0"));
            assert!(long.to_string().starts_with(&shorter.to_string()) && long.len() <= 60);
            assert_eq!(model.sample(1, 0.0, 9), model.sample(2, 0.0, 9), "at temperature 0 nothing is drawn");
        }
    }
}
