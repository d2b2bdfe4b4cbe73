//! Training of relation classifiers.

use burn::tensor::Device;
use seqzoo_datasets::batch;
use seqzoo_datasets::classification::Example;
use seqzoo_datasets::relations::{Marked, Relations};
use seqzoo_datasets::scores::Scores;
use seqzoo_datasets::text::Vocabulary;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{Ensemble, RelationClassifier};

use super::predict::log_probabilities;
use super::{Batch, Codec, Encoded, RelationPredictor, Settings};
use crate::classes::{self, LabelWeights};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Training of a relation classifier.
#[derive(Debug, Clone)]
pub struct RelationTraining {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<(Encoded, usize)>,
    validation: Vec<(Encoded, usize)>,
    weights: LabelWeights,
}

impl RelationTraining {
    /// Training of a model, with the vocabulary of the training split. Texts without two marked entities are skipped.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, data: &Relations) -> Result<Self, InvalidShape> {
        let Settings { level, min_count, max_vocabulary, max_tokens, class_weights, .. } = spec.settings();
        let Relations(data) = data;
        let cleaning = data.cleaning.clone();
        let tokens =
            |example: &Example| Marked::parse(&cleaning.apply(&example.text), level).unwrap_or_default().tokens;
        let vocabulary = Vocabulary::build(data.train.iter().flat_map(tokens), min_count, max_vocabulary);
        let codec = Codec { cleaning: cleaning.clone(), level, vocabulary, max_tokens, labels: data.labels.clone() };
        codec.check(spec)?;
        let encode = |example: &Example| Some((codec.encode(&example.text).ok()?, example.label));
        let [train, validation] =
            [&data.train, &data.validation].map(|split| split.iter().filter_map(encode).collect::<Vec<_>>());
        let weights = LabelWeights::new(class_weights, codec.labels.len(), train.iter().map(|(_, label)| *label));
        Ok(Self { codec, spec: spec.clone(), train, validation, weights })
    }
}

impl TrainingTask for RelationTraining {
    type Network = Ensemble<RelationClassifier>;

    fn network(&self, device: &Device) -> Ensemble<RelationClassifier> {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|(row, _)| row.tokens.len()).collect()
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths = TrainingTask::lengths(self);
        batch::shuffled(&lengths, &lengths, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &Ensemble<RelationClassifier>,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let rows = batch.iter().map(|&index| &self.train[index].0);
        let encoded = Batch::new(rows, device);
        let logits = network.each(keys.dropout(batch), |member, key| encoded.logits(member, key));
        let labels = batch.iter().map(|&index| self.train[index].1);
        let (loss, weight) = classes::loss(logits, labels, &self.weights);
        BatchLoss { loss, weight, tokens: encoded.lengths.iter().sum(), recurrent_state: None }
    }

    fn validate(
        &self,
        network: &Ensemble<RelationClassifier>,
        device: &Device,
        stop: &dyn Fn() -> bool,
    ) -> Option<Scores> {
        let rows: Vec<&Encoded> = self.validation.iter().map(|(row, _)| row).collect();
        let labels: Vec<usize> = self.validation.iter().map(|(_, label)| *label).collect();
        let predictions = log_probabilities(network, &rows, device, stop)?;
        Some(classes::score::<RelationPredictor>(&self.codec.labels, &predictions, &labels))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}
