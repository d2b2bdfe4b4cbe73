//! Training of classifiers of series.

use burn::tensor::Device;
use seqzoo_datasets::batch;
use seqzoo_datasets::scores::Scores;
use seqzoo_datasets::signal::{Scaling, Signal};
use seqzoo_datasets::signals::{Example, Signals};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{Ensemble, SeriesClassifier};

use super::predict::log_probabilities;
use super::{Codec, Settings, SignalClassifier, Standardize, pad};
use crate::classes::{self, LabelWeights};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Training of a classifier of series.
#[derive(Debug, Clone)]
pub struct SeriesClassificationTraining {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<(Signal, usize)>,
    validation: Vec<(Signal, usize)>,
    weights: LabelWeights,
}

impl SeriesClassificationTraining {
    /// Training of a model, with the scaling of the training split.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, data: &Signals) -> Result<Self, InvalidShape> {
        let Settings { standardize, class_weights, .. } = spec.settings();
        let signals = data.train.iter().map(|example| &*example.signal);
        let scaling = match standardize {
            Standardize::Channels => Scaling::fit(data.channels, signals),
            Standardize::Together => Scaling::fit_together(data.channels, signals),
            Standardize::None => Scaling::none(data.channels),
        };
        let codec = Codec { scaling, labels: data.labels.clone() };
        codec.check(spec)?;
        let scaled = |example: &Example| (codec.scaling.apply(&example.signal), example.label);
        let [train, validation] =
            [&data.train, &data.validation].map(|split| split.iter().map(scaled).collect::<Vec<_>>());
        let weights = LabelWeights::new(class_weights, codec.labels.len(), train.iter().map(|(_, label)| *label));
        Ok(Self { codec, spec: spec.clone(), train, validation, weights })
    }
}

impl TrainingTask for SeriesClassificationTraining {
    type Network = Ensemble<SeriesClassifier>;

    fn network(&self, device: &Device) -> Ensemble<SeriesClassifier> {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|(signal, _)| signal.len()).collect()
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths = TrainingTask::lengths(self);
        batch::shuffled(&lengths, &lengths, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &Ensemble<SeriesClassifier>,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let (series, lengths) = pad(batch.iter().map(|&index| &self.train[index].0), device);
        let logits = network.each(keys.dropout(batch), |member, key| member.forward(series.clone(), &lengths, key));
        let labels = batch.iter().map(|&index| self.train[index].1);
        let (loss, weight) = classes::loss(logits, labels, &self.weights);
        BatchLoss { loss, weight, tokens: lengths.iter().sum(), recurrent_state: None }
    }

    fn validate(
        &self,
        network: &Ensemble<SeriesClassifier>,
        device: &Device,
        stop: &dyn Fn() -> bool,
    ) -> Option<Scores> {
        let rows: Vec<&Signal> = self.validation.iter().map(|(signal, _)| signal).collect();
        let labels: Vec<usize> = self.validation.iter().map(|(_, label)| *label).collect();
        let predictions = log_probabilities(network, &rows, device, stop)?;
        Some(classes::score::<SignalClassifier>(&self.codec.labels, &predictions, &labels))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}
