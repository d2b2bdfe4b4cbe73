//! Training of taggers.

use burn::tensor::Device;
use seqzoo_datasets::batch;
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_datasets::spans::{self, Scheme};
use seqzoo_datasets::tagging::{EXACT_MATCH, LABEL_ACCURACY, Sentence, Tagging};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::Tagger;

use super::predict::{Targets, predict, sentences};
use super::{Codec, Encoded, Settings};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Training of a tagger.
#[derive(Debug, Clone)]
pub struct TaggingTraining {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<Encoded>,
    validation: Vec<Encoded>,
}

impl TaggingTraining {
    /// Training of a model, with the vocabularies of the training split, whose sentences are truncated to `task.max_tokens`. Sentences
    /// without a token are skipped.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, data: &Tagging) -> Result<Self, InvalidShape> {
        let codec = Codec::of(spec, data);
        let Settings { max_tokens, .. } = spec.settings();
        let encode = |sentence: &Sentence, most: usize| {
            let length = most.min(sentence.tokens.len());
            codec.encode(&sentence.tokens[..length], &sentence.labels[..length], sentence.label)
        };
        let [train, validation] = [&data.train, &data.validation]
            .map(|sentences| sentences.iter().filter(|sentence| !sentence.tokens.is_empty()));
        let train = train.map(|sentence| encode(sentence, max_tokens)).collect();
        let validation = validation.map(|sentence| encode(sentence, usize::MAX)).collect();
        codec.check(spec)?;
        Ok(Self { codec, spec: spec.clone(), train, validation })
    }
}

impl TrainingTask for TaggingTraining {
    type Network = Tagger;

    fn network(&self, device: &Device) -> Tagger {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|sentence| sentence.words.len()).collect()
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths = TrainingTask::lengths(self);
        batch::shuffled(&lengths, &lengths, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &Tagger,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let rows: Vec<&Encoded> = batch.iter().map(|&index| &self.train[index]).collect();
        let targets = Targets::of(&rows);
        let tokens = targets.tokens.iter().map(Vec::len).sum();
        let loss = network.loss(&sentences(&rows, device), targets.borrowed(), keys.dropout(batch));
        BatchLoss { loss, weight: tokens as f64, tokens, recurrent_state: None }
    }

    fn validate(&self, network: &Tagger, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let rows: Vec<&Encoded> = self.validation.iter().collect();
        let predicted = predict(network, &rows, true, device, stop)?;
        Some(predicted.scores(&self.codec.labels, &rows))
    }

    fn reports(&self, metric: Metric) -> bool {
        if [LABEL_ACCURACY, EXACT_MATCH].contains(&metric) {
            return self.validation.iter().any(|sentence| sentence.label.is_some());
        }
        let has_prefixes = || Scheme::of(self.codec.labels.iter().map(String::as_str)).has_prefixes();
        ![spans::PRECISION, spans::RECALL].contains(&metric) || has_prefixes()
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}
