//! Training of encoder–decoders.

use burn::tensor::Device;
use seqzoo_datasets::batch;
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_datasets::text::Tokenization;
use seqzoo_datasets::transduction::{self, Pair, Transduction};
use seqzoo_models::InvalidShape;
use seqzoo_models::layers::AttentionScore;
use seqzoo_models::networks::EncoderDecoder;

use super::predict::{compare, extents, loss, mean_loss, predict};
use super::{Codec, Encoded, Settings};
use crate::targets::{Objective, empty_texts};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Training of an encoder–decoder.
#[derive(Debug, Clone)]
pub struct Seq2SeqTraining {
    pub(super) codec: Codec,
    pub(super) spec: ModelSpec,
    train: Vec<Encoded>,
    validation: Vec<Pair>,
}

impl Seq2SeqTraining {
    /// Training of a model, with the vocabularies of the training split. Pairs whose source has no token are skipped.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, data: &Transduction) -> Result<Self, InvalidShape> {
        let settings: Settings = spec.settings();
        let Settings { level, target_level, min_count, max_vocabulary, .. } = settings;
        let cleaning = data.cleaning.clone();
        let tokens = |level: Tokenization, text: &str| level.tokens(&cleaning.apply(text)).collect::<Vec<_>>();
        let vocabulary = |level: Tokenization, side: fn(&Pair) -> &str| {
            let tokens = data.train.iter().flat_map(|pair| tokens(level, side(pair)));
            level.vocabulary(tokens, min_count, max_vocabulary)
        };
        let of_targets = settings.target_level();
        let longest = data.train.iter().map(|pair| tokens(of_targets, &pair.target).len()).max().unwrap_or(0);
        let codec = Codec {
            cleaning: cleaning.clone(),
            level,
            target_level,
            source: vocabulary(level, |pair| &pair.source),
            target: vocabulary(of_targets, |pair| &pair.target),
            max_length: 2 * longest + 1,
            copy: settings.copy,
        };
        let train =
            data.train.iter().map(|pair| codec.encode(pair)).filter(|pair| !pair.source.ids.is_empty()).collect();
        let has_source = |pair: &&Pair| level.tokens(&pair.source).next().is_some();
        let validation = data.validation.iter().filter(has_source).cloned().collect();
        codec.check(spec)?;
        Ok(Self { codec, spec: spec.clone(), train, validation })
    }

    fn attention(&self) -> AttentionScore {
        self.spec.settings::<Settings>().attention
    }
}

impl TrainingTask for Seq2SeqTraining {
    type Network = EncoderDecoder;

    fn network(&self, device: &Device) -> EncoderDecoder {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        extents(&self.train, self.attention()).1
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let (lengths, sizes) = extents(&self.train, self.attention());
        batch::shuffled(&lengths, &sizes, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &EncoderDecoder,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let pairs: Vec<&Encoded> = batch.iter().map(|&index| &self.train[index]).collect();
        let settings: Settings = self.spec.settings();
        let objective =
            Objective { label_smoothing: settings.label_smoothing, sampling: settings.sampling(keys.epoch.first()) };
        let (loss, target_tokens) = mean_loss(network, &pairs, objective, keys.dropout(batch), device);
        let source_tokens: usize = pairs.iter().map(|pair| pair.source.ids.len()).sum();
        BatchLoss { loss, weight: target_tokens as f64, tokens: source_tokens + target_tokens, recurrent_state: None }
    }

    fn validate(&self, network: &EncoderDecoder, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let examples = transduction::examples(&self.validation);
        let mut scores = predict(network, &self.codec, &examples, device, stop)?.scores();
        let loss = loss(network, &self.codec, &self.validation, self.attention(), device, stop)?;
        scores.insert(Metric::LOSS, loss);
        Some(scores)
    }

    fn reports(&self, metric: Metric) -> bool {
        let examples = transduction::examples(&self.validation);
        let scores = || compare(&self.codec, &examples, empty_texts(examples.len())).scores();
        metric == Metric::LOSS || scores().get(metric).is_some()
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}
