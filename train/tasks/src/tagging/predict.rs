//! Predictions and metrics of trained taggers.

use std::collections::HashMap;

use burn::tensor::Device;
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{ConfusionMatrix, Evaluation, Group, Metric, group};
use seqzoo_datasets::spans::{self, Scheme};
use seqzoo_datasets::tagging::{self, Sentence, Tagging};
use seqzoo_models::layers::WordCharacters;
use seqzoo_models::networks::{Tagger, TaggerInput};
use serde_json::json;

use super::{Codec, Encoded};
use crate::prediction::label_indices;
use crate::{
    Examples, Output, PredictError, Predictor, TextOptions, TrainedModel, evaluation_limits, examples_as, pad_rows,
};

/// Batches for evaluation and prediction.
const EVALUATION: BatchLimits = evaluation_limits(128);

/// A trained tagger with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::tagging::{Sentence, Tagging};
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::tagging::{SentenceTagger, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (device, labels) = (Device::flex(), ["DET", "NOUN"].map(str::to_owned).to_vec());
/// let tokens = ["the", "film"].map(str::to_owned).to_vec();
/// let train = vec![Sentence { tokens: tokens.clone(), labels: vec![0, 1] }];
/// let data = Tagging { labels, train, ..Tagging::default() };
/// let spec = ModelSpec::new("bigru-8+crf", &TASK, Default::default())?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = SentenceTagger::open(&spec, &training.files(), &weights, &device)?;
/// assert_eq!(model.predict_tags(&[tokens])?[0].len(), 2);
/// # Ok(()) }
/// ```
pub type SentenceTagger = TrainedModel<Codec>;

impl SentenceTagger {
    /// Predicted labels of the tokens of each sentence. Batching changes results only by rounding.
    ///
    /// # Errors
    /// If a sentence has no token.
    pub fn predict_tags(&self, tokens: &[Vec<String>]) -> Result<Vec<Vec<&str>>, PredictError> {
        if let Some(index) = tokens.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { index });
        }
        let rows: Vec<Encoded> = tokens.iter().map(|tokens| self.codec.encode(tokens, &[])).collect();
        let rows: Vec<&Encoded> = rows.iter().collect();
        let (predictions, _) = predict(&self.network, &rows, false, &self.device, &|| false).expect("never stopped");
        let name = |label: usize| self.codec.labels[label].as_str();
        Ok(predictions.into_iter().map(|predicted| predicted.into_iter().map(name).collect()).collect())
    }

    /// Metrics on the tokens of sentences, grouped by known and unknown words, and on spans, grouped by type.
    pub fn evaluate_sentences(&self, sentences: &[Sentence]) -> Evaluation {
        let rows: Vec<Encoded> =
            sentences.iter().map(|sentence| self.codec.encode(&sentence.tokens, &sentence.labels)).collect();
        let rows: Vec<&Encoded> = rows.iter().collect();
        let (predictions, loss) = predict(&self.network, &rows, true, &self.device, &|| false).expect("never stopped");
        let of_sentences = rows.iter().map(|row| row.labels.as_slice()).zip(predictions.iter().map(Vec::as_slice));
        let pairs: Vec<(usize, usize)> =
            of_sentences.clone().flat_map(|(actual, predicted)| pairs(actual, predicted)).collect();
        let of_word = |token: &String| -> Vec<Group> {
            let known = if self.codec.knows(token) { "known" } else { "unknown" };
            vec![("word".into(), known.to_owned())]
        };
        let groups: Vec<Vec<Group>> =
            sentences.iter().flat_map(|sentence| sentence.tokens.iter().map(of_word)).collect();
        let names = &self.codec.labels;
        let score = |indices: &mut dyn Iterator<Item = usize>| {
            ConfusionMatrix::from_pairs(names, indices.map(|i| pairs[i])).scores()
        };
        let mut evaluation = Evaluation::by_group(groups.iter().map(Vec::as_slice), score);
        evaluation.all = Tagging::scores(names, of_sentences.clone());
        evaluation.all.insert(Metric::LOSS, loss);
        let scheme = Scheme::of(names.iter().map(String::as_str));
        if scheme.has_prefixes() {
            let tags = |labels: &[usize]| labels.iter().map(|&label| names[label].as_str()).collect::<Vec<_>>();
            let tags = of_sentences.map(|(actual, predicted)| (tags(actual), tags(predicted)));
            let (_, by_type) = spans::count(scheme, tags);
            let of_type = |(kind, counts): (String, spans::Counts)| (group("span", kind), counts.scores());
            evaluation.groups.extend(by_type.into_iter().map(of_type));
        }
        evaluation.with_confusion(ConfusionMatrix::from_pairs(names, pairs.iter().copied()))
    }
}

impl Predictor for SentenceTagger {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let data = examples_as::<Tagging>(examples)?;
        let sentences = data.split(split);
        // The labels of other data may be others, or in another order.
        let used = sentences.iter().flat_map(|sentence| sentence.labels.iter().copied());
        let indices = label_indices(&data.labels, used, &self.codec.labels)?;
        let own = |sentence: &Sentence| Sentence {
            tokens: sentence.tokens.clone(),
            labels: sentence.labels.iter().map(|&label| indices[label]).collect(),
        };
        let with_tokens: Vec<Sentence> =
            sentences.iter().filter(|sentence| !sentence.tokens.is_empty()).map(own).collect();
        Ok(self.evaluate_sentences(&with_tokens))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples_as::<Tagging>(examples)?.baselines(split))
    }

    fn predict(&self, texts: &[&str], _: TextOptions) -> Result<Vec<Output>, PredictError> {
        let tokens: Vec<Vec<String>> = texts.iter().map(|text| tagging::tokenize(text)).collect();
        let labels = self.predict_tags(&tokens)?;
        Ok(tokens.iter().zip(&labels).map(|(tokens, labels)| tagged(tokens, labels)).collect())
    }

    fn empty_output(&self) -> Output {
        tagged(&[], &[])
    }
}

/// The output for a sentence: `token/LABEL` pairs separated by spaces.
pub fn tagged(tokens: &[String], labels: &[&str]) -> Output {
    let pairs: Vec<String> = tokens.iter().zip(labels).map(|(token, label)| format!("{token}/{label}")).collect();
    let json = [("tokens", json!(tokens)), ("labels", json!(labels))];
    Output { shows_input: true, ..Output::new(pairs.join(" "), json) }
}

fn pairs<'a>(actual: &'a [usize], predicted: &'a [usize]) -> impl Iterator<Item = (usize, usize)> + 'a {
    actual.iter().copied().zip(predicted.iter().copied())
}

/// Pads rows to a batch, with the characters of each distinct word once.
pub(super) fn sentences(rows: &[&Encoded], device: &Device) -> TaggerInput {
    let mut distinct: Vec<&[u32]> = Vec::new();
    let mut index_of: HashMap<&[u32], u32> = HashMap::new();
    let word_indices: Vec<Vec<u32>> = rows
        .iter()
        .map(|row| {
            let index = |characters| {
                *index_of.entry(characters).or_insert_with(|| {
                    distinct.push(characters);
                    distinct.len() as u32 - 1
                })
            };
            row.characters.iter().map(Vec::as_slice).map(index).collect()
        })
        .collect();
    let (tokens, lengths) = pad_rows(rows.iter().map(|row| row.words.as_slice()), device);
    let (characters, word_lengths) = pad_rows(distinct.iter().copied(), device);
    let (word_indices, _) = pad_rows(word_indices.iter().map(Vec::as_slice), device);
    TaggerInput {
        tokens,
        lengths,
        characters: Some(WordCharacters { characters, lengths: word_lengths, word_indices }),
    }
}

/// Predicted labels of each row and, if `with_loss`, the mean loss per token; `None` if stopped.
pub(super) fn predict(
    network: &Tagger,
    rows: &[&Encoded],
    with_loss: bool,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<(Vec<Vec<usize>>, f64)> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.words.len()).collect();
    let mut all = vec![Vec::new(); rows.len()];
    let (mut sum, mut tokens) = (0.0, 0);
    for batch in batch::sorted(&lengths, &lengths, EVALUATION) {
        if stop() {
            return None;
        }
        let rows: Vec<&Encoded> = batch.iter().map(|&index| rows[index]).collect();
        let labels: Vec<Vec<usize>> = rows.iter().map(|row| row.labels.clone()).collect();
        let (predictions, loss) = network.decode(&sentences(&rows, device), with_loss.then_some(&labels[..]));
        let count: usize = rows.iter().map(|row| row.words.len()).sum();
        sum += loss.unwrap_or(0.0) * count as f64;
        tokens += count;
        batch.iter().zip(predictions).for_each(|(&index, predicted)| all[index] = predicted);
    }
    Some((all, sum / tokens.max(1) as f64))
}
