//! What tasks over whole texts with targets other than one label share: settings, encoder, training, prediction.

use std::borrow::Cow;
use std::fmt::Debug;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use schemars::JsonSchema;
use seqzoo_datasets::batch;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Evaluation, Group, Metric, Mistake, Mistakes, Scores};
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::{Counts, Encoder, Tokenization, Truncation, Vocabulary};
use seqzoo_datasets::texts::{Example, Texts};
use seqzoo_datasets::uncertainty::Resampling;
use seqzoo_models::InvalidShape;
use seqzoo_models::layers::Pooling;
use seqzoo_models::networks::{Classifier, ClassifierShape, Ensemble};
use seqzoo_models::parameters::Array;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::batches;
use crate::classes::{in_order, mean};
use crate::skipped::{Skipped, joined, truncated};
use crate::spec::{MAX_COUNT, MAX_EMBEDDING};
use crate::{
    BatchLoss, Codec as _, Files, InvalidValue, Item, ModelSpec, Output, PredictError, RecurrentState, StepKeys,
    TrainedModel, TrainingTask, evaluation_limits, pad_rows,
};

/// The `[task]` section of a recipe for whole texts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Unit of tokenization.
    pub level: Tokenization,
    /// Minimum number of occurrences of a token in the training split; rarer tokens are mapped to the unknown token.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub min_count: usize,
    /// Maximum number of tokens in the vocabulary; the most frequent ones are kept.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_vocabulary: usize,
    /// Maximum number of tokens per text; longer texts are truncated.
    #[schemars(range(min = 1, max = MAX_COUNT))]
    pub max_tokens: usize,
    /// Which tokens of a truncated text are kept.
    pub keep: Truncation,
    /// Size of the token embeddings.
    #[schemars(range(min = 1, max = MAX_EMBEDDING))]
    pub embedding_size: usize,
    /// Pooling of the recurrent outputs over time into one vector.
    pub pooling: Pooling,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            level: Tokenization::Words,
            min_count: 1,
            max_vocabulary: 20_000,
            max_tokens: 400,
            keep: Truncation::First,
            embedding_size: 64,
            pooling: Pooling::default(),
        }
    }
}

/// Settings on which the encoder depends, so that all models of a run share them.
pub(crate) const SHARED: &[&str] = &["level", "min_count", "max_vocabulary", "max_tokens", "keep"];

pub(crate) fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    let settings: Settings = spec.settings();
    spec.check_recurrent(Some(settings.embedding_size)).map(drop)
}

/// What a model predicts for a text, and how its outputs are read.
pub trait Target: Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The target of a text.
    type Value: Debug + Clone + Send + Sync;

    /// Number of outputs.
    fn outputs(&self) -> usize;

    /// Mean loss of outputs `[batch, outputs]`.
    fn loss(&self, outputs: Tensor<2>, values: &[&Self::Value]) -> Tensor<1>;

    /// The outputs of an ensemble, given those of its members.
    fn average(&self, outputs: Vec<Tensor<2>>) -> Tensor<2> {
        mean(outputs)
    }

    /// Metrics on the examples with the given indices, from the outputs for each.
    fn score(&self, outputs: &[Vec<f32>], values: &[&Self::Value], indices: &mut dyn Iterator<Item = usize>) -> Scores;

    /// Metrics of single labels, each with its name.
    fn by_label(&self, _outputs: &[Vec<f32>], _values: &[&Self::Value]) -> Vec<(Group, Scores)> {
        Vec::new()
    }

    /// The metric that is the share of right predictions, if a prediction is right or wrong.
    const RIGHT: Option<Metric>;

    /// Compares a prediction with the target.
    fn judge(&self, outputs: &[f32], value: &Self::Value) -> Judgement;

    /// The prediction in printable form.
    fn output(&self, outputs: &[f32]) -> Output;
}

/// A prediction and its target, for lists of wrong predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The target.
    pub actual: String,
    /// The prediction.
    pub predicted: String,
    /// How wrong the prediction is; 0 if it is right.
    pub severity: f64,
}

/// Encoder of texts, and what the outputs mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound = "T: Target")]
pub struct Codec<T> {
    /// Encoder from text to token ids.
    pub encoder: Encoder,
    /// What the outputs mean.
    pub target: T,
}

impl<T: Target> Codec<T> {
    fn shape(&self, spec: &ModelSpec) -> ClassifierShape {
        let settings: Settings = spec.settings();
        ClassifierShape {
            vocabulary: self.encoder.vocabulary.size(),
            stack: spec.stack(settings.embedding_size),
            pooling: settings.pooling,
            labels: self.target.outputs(),
            dropout: spec.dropout.output,
            embedding_dropout: spec.dropout.embedding,
        }
    }
}

impl<T: Target> crate::Codec for Codec<T> {
    type Network = Ensemble<Classifier>;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn vocabularies(&self) -> Vec<(&'static str, &Vocabulary)> {
        vec![("embedding.weight", &self.encoder.vocabulary)]
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Ensemble<Classifier> {
        spec.ensemble(|seed| Classifier::new(self.shape(spec), seed, device))
    }
}

/// Training of a network on whole texts.
#[derive(Debug, Clone)]
pub struct TextTraining<T: Target> {
    codec: Codec<T>,
    spec: ModelSpec,
    train: Vec<(Vec<u32>, T::Value)>,
    validation: Vec<(Vec<u32>, T::Value)>,
}

impl<T: Target> TextTraining<T> {
    /// Training of a model, with the vocabulary of the training split. Texts without a token are skipped.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, data: &Texts<T::Value>, target: T) -> Result<Self, InvalidShape> {
        let Settings { level, min_count, max_vocabulary, max_tokens, keep, .. } = spec.settings();
        let cleaning = data.cleaning.clone();
        let tokens = |example: &Example<T::Value>| level.tokens(&cleaning.apply(&example.text)).collect::<Vec<_>>();
        let vocabulary = level.vocabulary(data.train.iter().flat_map(tokens), min_count, max_vocabulary);
        let encoder = Encoder { cleaning: cleaning.clone(), level, vocabulary, max_tokens, keep };
        let codec = Codec { encoder, target };
        codec.check(spec)?;
        let encode = |example: &Example<T::Value>| (codec.encoder.encode(&example.text), example.target.clone());
        let [train, validation] = [&data.train, &data.validation]
            .map(|split| split.iter().map(encode).filter(|(tokens, _)| !tokens.is_empty()).collect());
        Ok(Self { codec, spec: spec.clone(), train, validation })
    }
}

impl<T: Target> TrainingTask for TextTraining<T> {
    type Network = Ensemble<Classifier>;

    fn network(&self, device: &Device) -> Ensemble<Classifier> {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|(tokens, _)| tokens.len()).collect()
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
        let (tokens, lengths) = pad_rows(batch.iter().map(|&index| self.train[index].0.as_slice()), device);
        let values: Vec<&T::Value> = batch.iter().map(|&index| &self.train[index].1).collect();
        let of_member =
            |member: &Classifier, key| self.codec.target.loss(member.forward(tokens.clone(), &lengths, key), &values);
        let loss = mean(network.each(keys.dropout(batch), of_member));
        BatchLoss { loss, weight: batch.len() as f64, tokens: lengths.iter().sum(), recurrent_state: None }
    }

    fn validate(&self, network: &Ensemble<Classifier>, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let rows: Vec<&[u32]> = self.validation.iter().map(|(tokens, _)| tokens.as_slice()).collect();
        let values: Vec<&T::Value> = self.validation.iter().map(|(_, value)| value).collect();
        let outputs = outputs(&self.codec.target, network, &rows, device, stop)?;
        Some(self.codec.target.score(&outputs, &values, &mut (0..values.len())))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// The outputs for non-empty rows of token ids, in order; `None` if stopped.
fn outputs<T: Target>(
    target: &T,
    network: &Ensemble<Classifier>,
    rows: &[&[u32]],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<f32>>> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
    let batches = batch::sorted(&lengths, &lengths, evaluation_limits(128));
    let values = |network: &Ensemble<Classifier>, batch: &[usize]| {
        let (tokens, lengths) = pad_rows(batch.iter().map(|&index| rows[index]), device);
        let each = network.each(None, |member, key| member.forward(tokens.clone(), &lengths, key));
        Array::of(target.average(each)).values
    };
    let found = batches::each(network, &batches, device, values, stop)?;
    Some(in_order(rows.len(), &batches, &found))
}

impl<T: Target> TrainedModel<Codec<T>> {
    /// The outputs for each text. Batching changes results only by rounding.
    ///
    /// # Errors
    /// If a text has no token.
    pub fn outputs(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, PredictError> {
        self.outputs_counted(texts).map(|(outputs, _)| outputs)
    }

    fn outputs_counted(&self, texts: &[&str]) -> Result<(Vec<Vec<f32>>, Vec<Counts>), PredictError> {
        let encoder = &self.codec.encoder;
        let (rows, counts): (Vec<Vec<u32>>, Vec<Counts>) =
            texts.par_iter().map(|text| encoder.encode_counted(text)).unzip();
        if let Some(index) = rows.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { index });
        }
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let outputs = outputs(self.target(), &self.network, &rows, &self.device, &|| false).expect("never stopped");
        Ok((outputs, counts))
    }

    /// What the outputs mean.
    pub fn target(&self) -> &T {
        &self.codec.target
    }

    pub(crate) fn level(&self) -> Tokenization {
        self.codec.encoder.level
    }

    /// Metrics with confidence intervals; every example must have a token.
    pub(crate) fn evaluate_texts(&self, examples: &[Example<T::Value>]) -> Result<Evaluation, PredictError> {
        let texts: Vec<&str> = examples.iter().map(|example| example.text.as_str()).collect();
        let outputs = self.outputs(&texts)?;
        let values: Vec<&T::Value> = examples.iter().map(|example| &example.target).collect();
        let target = self.target();
        let score = |indices: &mut dyn Iterator<Item = usize>| target.score(&outputs, &values, indices);
        let groups = examples.iter().map(|example| &*example.groups);
        let mut evaluation = Evaluation::by_group(groups, score);
        evaluation.groups.extend(target.by_label(&outputs, &values));
        let judged: Vec<Judgement> =
            outputs.iter().zip(&values).map(|(outputs, value)| target.judge(outputs, value)).collect();
        if let Some(metric) = T::RIGHT {
            evaluation.right = Some((metric, judged.iter().map(|judged| judged.severity == 0.0).collect()));
        }
        let wrong = judged.into_iter().enumerate().filter(|(_, judged)| judged.severity > 0.0);
        let mistake = |(index, Judgement { actual, predicted, severity }): (usize, Judgement)| {
            let input = examples[index].text.clone();
            (severity, Mistake { example: index + 1, input, actual, predicted, probability: None })
        };
        evaluation.mistakes = Some(Mistakes::by_severity("the largest error first", wrong.map(mistake).collect()));
        let (target, values) = (target.clone(), values.into_iter().cloned().collect::<Vec<T::Value>>());
        let count = values.len();
        let resampling = Resampling::of_examples(count, move |indices: &mut dyn Iterator<Item = usize>| {
            let values: Vec<&T::Value> = values.iter().collect();
            target.score(&outputs, &values, indices).named()
        });
        Ok(evaluation.with_resampling(resampling))
    }

    pub(crate) fn predict_texts(&self, texts: &[&str]) -> Result<Vec<Output>, PredictError> {
        let (outputs, counts) = self.outputs_counted(texts)?;
        let output = |(row, counts): (&Vec<f32>, Counts)| Output { counts, ..self.target().output(row) };
        Ok(outputs.iter().zip(counts).map(output).collect())
    }
}

/// Values `[rows, columns]` as a tensor.
pub(crate) fn matrix(values: Vec<f32>, rows: usize, device: &Device) -> Tensor<2> {
    let columns = values.len() / rows.max(1);
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

fn has_token<V>(example: &Example<V>, level: Tokenization) -> bool {
    level.tokens(&example.text).next().is_some()
}

/// Removes texts without a token, so that every metric covers the same examples; returns notes for the user. `splits` are the records that the
/// texts were converted from.
pub(crate) fn prepare<V>(texts: &mut Texts<V>, splits: &Splits, settings: &Settings) -> Option<String> {
    let level = settings.level;
    let mut skipped = Skipped::default();
    let describe = |example: &Example<V>| format!("{:?}", example.text);
    for (examples, split) in texts.splits_mut().into_iter().zip(Split::ALL) {
        skipped.retain(examples, splits.split(split), |example| has_token(example, level), describe);
    }
    let lengths = texts.train.iter().map(|example| level.tokens(&example.text).take(settings.max_tokens + 1).count());
    joined([skipped.note(level), truncated(lengths, settings.max_tokens)])
}

/// The examples of a split that have a token.
pub(crate) fn with_tokens<V: Clone>(texts: &Texts<V>, split: Split, level: Tokenization) -> Cow<'_, [Example<V>]> {
    let examples = texts.split(split);
    match examples.iter().all(|example| has_token(example, level)) {
        true => Cow::Borrowed(examples),
        false => Cow::Owned(examples.iter().filter(|example| has_token(example, level)).cloned().collect()),
    }
}

/// The examples of a split as they are read.
pub(crate) fn items<V>(
    texts: &Texts<V>,
    split: Split,
    level: Tokenization,
    labels: impl Fn(&V) -> Vec<String>,
) -> Vec<Item> {
    let item = |example: &Example<V>| Item {
        text: example.text.clone(),
        tokens: level.tokens(&example.text).collect(),
        labels: labels(&example.target),
    };
    texts.split(split).iter().map(item).collect()
}
