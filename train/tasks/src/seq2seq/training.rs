//! Training of encoder–decoders.

use burn::tensor::Device;
use seqzoo_datasets::batch;
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_datasets::transduction::{Pair, Transduction, exact_match};
use seqzoo_models::InvalidShape;
use seqzoo_models::layers::AttentionScore;
use seqzoo_models::networks::EncoderDecoder;

use super::predict::{evaluate, extents, mean_loss};
use super::{Codec, Encoded, Settings};
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
        let Settings { level, min_count, max_vocabulary, .. } = spec.settings();
        let cleaning = data.cleaning.clone();
        let tokens = |side: &str| level.tokens(&cleaning.apply(side)).collect::<Vec<_>>();
        let vocabulary = |side: fn(&Pair) -> &str| {
            let tokens = data.train.iter().flat_map(|pair| tokens(side(pair)));
            level.vocabulary(tokens, min_count, max_vocabulary)
        };
        let longest = data.train.iter().map(|pair| tokens(&pair.target).len()).max().unwrap_or(0);
        let codec = Codec {
            cleaning: cleaning.clone(),
            level,
            source: vocabulary(|pair| &pair.source),
            target: vocabulary(|pair| &pair.target),
            max_length: 2 * longest + 1,
        };
        let train = data.train.iter().map(|pair| codec.encode(pair)).filter(|pair| !pair.source.is_empty()).collect();
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
        let (loss, target_tokens) = mean_loss(network, &pairs, keys.dropout(batch), device);
        let source_tokens: usize = pairs.iter().map(|pair| pair.source.len()).sum();
        BatchLoss { loss, weight: target_tokens as f64, tokens: source_tokens + target_tokens, recurrent_state: None }
    }

    fn validate(&self, network: &EncoderDecoder, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let (correct, loss) = evaluate(network, &self.codec, &self.validation, self.attention(), device, stop)?;
        let mut scores = exact_match(&correct, &mut (0..correct.len()));
        scores.insert(Metric::LOSS, loss);
        Some(scores)
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}
