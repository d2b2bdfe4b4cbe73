//! Training of models of pen drawings.

use burn::tensor::Device;
use seqzoo_datasets::batch;
use seqzoo_datasets::drawings::{Drawings, Example, scores};
use seqzoo_datasets::scores::Scores;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::Trajectory;
use seqzoo_random::{Key, RngExt};

use super::predict::likelihoods;
use super::{Batch, Codec, Point, Settings};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Second index of the random keys of augmentation, which no dropout mask has.
const AUGMENTATION: u64 = 1 << 60;

/// Training of a model of pen drawings.
#[derive(Debug, Clone)]
pub struct StrokesTraining {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<Vec<Point>>,
    validation: Vec<Vec<Point>>,
    augment: f32,
}

impl StrokesTraining {
    /// Training of a model, in the unit of length of the training split.
    ///
    /// # Errors
    /// If the sizes of the model are invalid.
    pub fn new(spec: &ModelSpec, data: &Drawings) -> Result<Self, InvalidShape> {
        let Settings { augment, .. } = spec.settings();
        let codec = Codec { scale: data.scale() };
        codec.check(spec)?;
        let encoded = |split: &[Example]| split.iter().map(|example| codec.encode(&example.drawing)).collect();
        let (train, validation) = (encoded(&data.train), encoded(&data.validation));
        Ok(Self { codec, spec: spec.clone(), train, validation, augment: augment as f32 })
    }

    /// A training example as it is in an epoch.
    fn augmented(&self, index: usize, epoch: Key) -> Vec<Point> {
        let mut points = self.train[index].clone();
        if self.augment > 0.0 {
            let mut stream = epoch.offset(AUGMENTATION).example_stream(index as u64);
            let [x, y] = [(); 2].map(|()| 1.0 + self.augment * stream.random_range(-1.0..1.0f32));
            for [dx, dy, ..] in &mut points {
                *dx *= x;
                *dy *= y;
            }
        }
        points
    }
}

impl TrainingTask for StrokesTraining {
    type Network = Trajectory;

    fn network(&self, device: &Device) -> Trajectory {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|points| points.len() - 1).collect()
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths = TrainingTask::lengths(self);
        batch::shuffled(&lengths, &lengths, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &Trajectory,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let drawings: Vec<Vec<Point>> = batch.iter().map(|&index| self.augmented(index, keys.epoch)).collect();
        let Batch { points, next, lengths } = Batch::new(drawings.iter().map(Vec::as_slice), device);
        let loss = network.loss(points, &lengths, next, keys.dropout(batch));
        let tokens: usize = lengths.iter().sum();
        BatchLoss { loss, weight: tokens as f64, tokens, recurrent_state: None }
    }

    fn validate(&self, network: &Trajectory, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let found = likelihoods(network, &self.validation, device, stop)?;
        Some(scores(found.iter()))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_spec;
    use seqzoo_datasets::drawing::Drawing;
    use seqzoo_datasets::drawings::NLL_PER_POINT;
    use seqzoo_kernels::devices;

    fn data() -> Drawings {
        let example = |text: &&str| Example { drawing: Drawing::parse(text).unwrap(), word: "".into() };
        let drawings = ["0,0 5,5;5,0 0,5", "0,0 9,9", "0,0 3,4 3,8;1,1", "2,2;3,3;4,5 6,6 7,7"];
        let train: Vec<Example> = drawings.iter().map(example).collect();
        Drawings { validation: train.clone(), train, ..Drawings::default() }
    }

    #[test]
    fn augmentation_is_a_function_of_seed_epoch_and_example() {
        let spec = test_spec("strokes", "augment = 0.1", "lstm-4");
        let training = StrokesTraining::new(&spec, &data()).unwrap();
        let at = |index: usize, epoch: u64| training.augmented(index, StepKeys::new(1, 0, epoch).epoch);
        assert_eq!(at(0, 3), at(0, 3));
        let factor = |index: usize, epoch: u64, axis: usize| at(index, epoch)[1][axis] / training.train[index][1][axis];
        let factors = [factor(0, 3, 0), factor(0, 3, 1), factor(0, 4, 0), factor(1, 3, 0)];
        assert!(factors.iter().all(|factor| (0.9..=1.1).contains(factor)), "{factors:?}");
        assert!((1..4).all(|index| factors[index] != factors[0]), "{factors:?}");
        assert_eq!(at(0, 3)[2][2..], training.train[0][2][2..], "the states of the pen stay");
        let plain = StrokesTraining::new(&test_spec("strokes", "", "lstm-4"), &data()).unwrap();
        assert_eq!(plain.augmented(0, StepKeys::new(1, 0, 3).epoch), plain.train[0]);
    }

    #[test]
    fn the_loss_of_all_drawings_is_the_validation_metric() {
        let device = devices().remove(0).1;
        let training = StrokesTraining::new(&test_spec("strokes", "mixtures = 3", "lstm-4"), &data()).unwrap();
        let network = TrainingTask::network(&training, &device);
        let loss = TrainingTask::loss(&training, &network, &[0, 1, 2, 3], None, StepKeys::new(1, 0, 0), &device);
        let validated = TrainingTask::validate(&training, &network, &device, &|| false).unwrap();
        assert_eq!((loss.tokens, validated.examples), (11, 11));
        let loss: f32 = loss.loss.into_scalar();
        assert!((f64::from(loss) - validated.get(NLL_PER_POINT).unwrap()).abs() < 1e-5);
        assert!(TrainingTask::validate(&training, &network, &device, &|| true).is_none());
    }
}
