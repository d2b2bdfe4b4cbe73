//! Training of text classifiers.

use burn::tensor::Device;
use seqzoo_datasets::batch;
use seqzoo_datasets::classification::{Classification, Example};
use seqzoo_datasets::scores::Scores;
use seqzoo_datasets::text::Encoder;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{Classifier, Ensemble};

use super::predict::log_probabilities;
use super::{Codec, Settings, TextClassifier};
use crate::classes::{self, LabelWeights};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask, pad_rows};

/// An encoded text.
#[derive(Debug, Clone)]
struct Encoded {
    tokens: Vec<u32>,
    label: usize,
}

/// Training of a text classifier.
#[derive(Debug, Clone)]
pub struct ClassificationTraining {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<Encoded>,
    validation: Vec<Encoded>,
    weights: LabelWeights,
}

impl ClassificationTraining {
    /// Training of a model, with the vocabulary of the training split. Texts without a token are skipped.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, data: &Classification) -> Result<Self, InvalidShape> {
        let Settings { level, min_count, max_vocabulary, max_tokens, keep, class_weights, .. } = spec.settings();
        let cleaning = data.cleaning.clone();
        let tokens = |example: &Example| level.tokens(&cleaning.apply(&example.text)).collect::<Vec<_>>();
        let words = data.train.iter().flat_map(tokens);
        let vocabulary = level.vocabulary(words, min_count, max_vocabulary);
        let encoder = Encoder { cleaning: cleaning.clone(), level, vocabulary, max_tokens, keep };
        let encode = |examples: &[Example]| -> Vec<Encoded> {
            let encoded = |example: &Example| Encoded { tokens: encoder.encode(&example.text), label: example.label };
            examples.iter().map(encoded).filter(|example| !example.tokens.is_empty()).collect()
        };
        let (train, validation) = (encode(&data.train), encode(&data.validation));
        let codec = Codec { encoder, labels: data.labels.clone() };
        codec.check(spec)?;
        let trained = train.iter().map(|example| example.label);
        let weights = LabelWeights::new(class_weights, codec.labels.len(), trained);
        Ok(Self { codec, spec: spec.clone(), train, validation, weights })
    }
}

impl TrainingTask for ClassificationTraining {
    type Network = Ensemble<Classifier>;

    fn network(&self, device: &Device) -> Ensemble<Classifier> {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|example| example.tokens.len()).collect()
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths = TrainingTask::lengths(self);
        batch::shuffled(&lengths, &lengths, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &Ensemble<Classifier>,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let (tokens, lengths) = pad_rows(batch.iter().map(|&index| self.train[index].tokens.as_slice()), device);
        let logits = network.each(keys.dropout(batch), |member, key| member.forward(tokens.clone(), &lengths, key));
        let labels = batch.iter().map(|&index| self.train[index].label);
        let (loss, weight) = classes::loss(logits, labels, &self.weights);
        BatchLoss { loss, weight, tokens: lengths.iter().sum(), recurrent_state: None }
    }

    fn validate(&self, network: &Ensemble<Classifier>, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let rows: Vec<&[u32]> = self.validation.iter().map(|example| example.tokens.as_slice()).collect();
        let labels: Vec<usize> = self.validation.iter().map(|example| example.label).collect();
        let predictions = log_probabilities(network, &rows, device, stop)?;
        Some(classes::score::<TextClassifier>(&self.codec.labels, &predictions, &labels))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DropoutSettings, NetworkSettings, StepKeys, test_spec};
    use seqzoo_kernels::devices;
    use std::sync::Arc;

    #[test]
    fn dropout_of_an_example_depends_on_neither_its_batch_nor_its_place() {
        let example = |text: &str, label| Example { text: text.to_owned(), label, groups: Arc::default() };
        let train = vec![example("a b c", 0), example("c d", 1), example("b", 0), example("d a", 1)];
        let data = Classification { labels: vec!["x".to_owned(), "y".to_owned()], train, ..Classification::default() };
        let dropout = DropoutSettings { output: 0.5, layers: 0.5, ..DropoutSettings::default() };
        let spec = ModelSpec { dropout, ..test_spec("classification", "", "lstm-6-6") };
        let task = ClassificationTraining::new(&spec, &data).unwrap();
        let (_, device) = devices().remove(0);
        let network = TrainingTask::network(&task, &device.clone().autodiff());
        let loss = |batch: &[usize], keys: StepKeys| -> f32 {
            let found = TrainingTask::loss(&task, &network, batch, None, keys, &device.clone().autodiff());
            found.loss.into_scalar()
        };
        let alone: Vec<f32> = (0..4).map(|index| loss(&[index], StepKeys::new(1, index as u64, 2))).collect();
        for order in [[0, 1, 2, 3], [3, 1, 0, 2]] {
            let together = loss(&order, StepKeys::new(1, 9, 2));
            assert!((together - alone.iter().sum::<f32>() / 4.0).abs() < 1e-5, "{together} {alone:?}");
        }
        assert_ne!(loss(&[0], StepKeys::new(1, 0, 3)), alone[0], "another epoch has other masks");
    }

    #[test]
    fn an_ensemble_has_the_mean_loss_and_the_mean_probabilities_of_its_members() {
        let example = |text: &str, label| Example { text: text.to_owned(), label, groups: Arc::default() };
        let train = vec![example("a b c", 0), example("c d", 1), example("b", 1)];
        let data = Classification { labels: vec!["x".to_owned(), "y".to_owned()], train, ..Classification::default() };
        let of = |members: usize, seed: u64, rate: f64, device: &Device| {
            let spec = test_spec("classification", "", "gru-6");
            let dropout = DropoutSettings { output: rate, ..spec.dropout };
            let spec = ModelSpec { network: NetworkSettings { members, ..spec.network }, dropout, seed, ..spec };
            let task = ClassificationTraining::new(&spec, &data).unwrap();
            let network = TrainingTask::network(&task, device);
            let loss = TrainingTask::loss(&task, &network, &[0, 1, 2], None, StepKeys::new(1, 0, 2), device);
            let rows: Vec<&[u32]> = task.train.iter().map(|example| example.tokens.as_slice()).collect();
            let logs = log_probabilities(&network, &rows, device, &|| false).unwrap();
            let probabilities: Vec<f32> = logs.concat().into_iter().map(f32::exp).collect();
            (loss.loss.into_scalar::<f32>(), probabilities)
        };
        let seeds = [7, 7 + (1 << 32), 7 + (2 << 32)];
        for (_, device) in devices() {
            let (losses, singles): (Vec<f32>, Vec<Vec<f32>>) =
                seeds.into_iter().map(|seed| of(1, seed, 0.0, &device)).unzip();
            let (loss, probabilities) = of(3, 7, 0.0, &device);
            assert!((loss - losses.iter().sum::<f32>() / 3.0).abs() < 1e-5);
            for (index, probability) in probabilities.iter().enumerate() {
                let mean = singles.iter().map(|single| single[index]).sum::<f32>() / 3.0;
                assert!((probability - mean).abs() < 1e-5);
            }
            let dropped = seeds.map(|seed| of(1, seed, 0.5, &device).0).iter().sum::<f32>() / 3.0;
            assert!((of(3, 7, 0.5, &device).0 - dropped).abs() > 1e-4, "each member has its own dropout masks");
        }
    }
}
