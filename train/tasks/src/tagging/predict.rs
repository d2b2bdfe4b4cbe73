//! Predictions and metrics of trained taggers.

use std::collections::{BTreeMap, HashMap};

use burn::tensor::Device;
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{
    ConfusionMatrix, Evaluation, Group, MAX_MISTAKES, Metric, Mistake, Mistakes, Scores, group,
};
use seqzoo_datasets::spans::{self, Scheme};
use seqzoo_datasets::tagging::{self, Sentence, Tagging};
use seqzoo_datasets::text::Counts;
use seqzoo_datasets::uncertainty::Resampling;
use seqzoo_models::layers::WordCharacters;
use seqzoo_models::networks::{Tagger, TaggerInput, TaggerTargets};
use serde_json::{Value, json};

use super::{Codec, Encoded};
use crate::classes::most_probable;
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
/// let train = vec![Sentence { tokens: tokens.clone(), labels: vec![0, 1], label: None }];
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
    /// The labels of tokens.
    pub fn tags(&self) -> &[String] {
        &self.codec.labels
    }

    /// Predicted labels of the tokens of each sentence. Batching changes results only by rounding.
    ///
    /// # Errors
    /// If a sentence has no token.
    pub fn predict_tags(&self, tokens: &[Vec<String>]) -> Result<Vec<Vec<&str>>, PredictError> {
        if let Some(index) = tokens.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { index });
        }
        Ok(self.predict_all(tokens)?.into_iter().map(|(tags, _)| tags).collect())
    }

    /// Predicted labels of the tokens of each sentence, and the label of the sentence with its probability, if the model has any.
    /// Batching changes results only by rounding.
    ///
    /// # Errors
    /// If a sentence has no token.
    pub fn predict_all(&self, tokens: &[Vec<String>]) -> Result<Vec<TaggedSentence<'_>>, PredictError> {
        if let Some(index) = tokens.iter().position(Vec::is_empty) {
            return Err(PredictError::Empty { index });
        }
        let rows: Vec<Encoded> = tokens.iter().map(|tokens| self.codec.encode(tokens, &[], None)).collect();
        let rows: Vec<&Encoded> = rows.iter().collect();
        let predicted = predict(&self.network, &rows, false, &self.device, &|| false).expect("never stopped");
        let Codec { labels, sentence_labels, .. } = &self.codec;
        let tags = |tags: Vec<usize>| tags.into_iter().map(|label| labels[label].as_str()).collect();
        let best = |row: &Vec<f32>| {
            let best = most_probable(row);
            (!row.is_empty()).then(|| (sentence_labels[best].as_str(), f64::from(row[best]).exp()))
        };
        Ok(predicted.tags.into_iter().zip(&predicted.sentences).map(|(row, label)| (tags(row), best(label))).collect())
    }

    /// As [`SentenceTagger::predict_all`], in printable form.
    ///
    /// # Errors
    /// If a sentence has no token.
    pub fn outputs(&self, tokens: &[Vec<String>]) -> Result<Vec<Output>, PredictError> {
        let predicted = self.predict_all(tokens)?;
        let output = |(tokens, predicted): (&Vec<String>, &TaggedSentence<'_>)| {
            let unknown = tokens.iter().filter(|token| !self.codec.knows(token)).count();
            let counts = Counts { texts: 1, truncated: 0, tokens: tokens.len(), unknown };
            Output { counts, ..output(tokens, predicted) }
        };
        Ok(tokens.iter().zip(&predicted).map(output).collect())
    }

    /// Metrics on the tokens of sentences, grouped by known and unknown words, and on spans, grouped by type.
    pub fn evaluate_sentences(&self, sentences: &[Sentence]) -> Evaluation {
        let encode = |sentence: &Sentence| self.codec.encode(&sentence.tokens, &sentence.labels, sentence.label);
        let rows: Vec<Encoded> = sentences.iter().map(encode).collect();
        let rows: Vec<&Encoded> = rows.iter().collect();
        let predicted = predict(&self.network, &rows, true, &self.device, &|| false).expect("never stopped");
        let of_sentences = predicted.pairs(&rows);
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
        evaluation.all = predicted.scores(names, &rows);
        evaluation.right = predicted.right(&rows);
        evaluation.mistakes = Some(mistakes(sentences, names, of_sentences.clone()));
        evaluation = evaluation.with_resampling(predicted.resampling(names, &rows));
        let scheme = Scheme::of(names.iter().map(String::as_str));
        if scheme.has_prefixes() {
            let tags = |labels: &[usize]| labels.iter().map(|&label| names[label].as_str()).collect::<Vec<_>>();
            let tags = of_sentences.map(|(actual, predicted)| (tags(actual), tags(predicted)));
            let (_, by_type) = spans::count(scheme, tags);
            let of_type = |(kind, counts): (String, spans::Counts)| (group("span", kind), counts.scores());
            evaluation.groups.extend(by_type.into_iter().map(of_type));
        }
        evaluation.groups.extend(predicted.by_label(&self.codec.sentence_labels, &rows));
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
        let of_sentences = sentences.iter().filter_map(|sentence| sentence.label);
        let sentence_indices = label_indices(&data.sentence_labels, of_sentences, &self.codec.sentence_labels)?;
        let own = |sentence: &Sentence| Sentence {
            tokens: sentence.tokens.clone(),
            labels: sentence.labels.iter().map(|&label| indices[label]).collect(),
            label: sentence.label.map(|label| sentence_indices[label]),
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
        self.outputs(&tokens)
    }

    fn empty_output(&self) -> Output {
        let empty = tagged(&[], &[]);
        match self.codec.sentence_labels.is_empty() {
            true => empty,
            false => labeled(empty, Value::Null, Value::Null),
        }
    }
}

/// The labels of the tokens of a sentence, and its own with its probability.
pub type TaggedSentence<'a> = (Vec<&'a str>, Option<(&'a str, f64)>);

/// The output for a sentence: `token/LABEL` pairs separated by spaces, after the label of the sentence.
pub fn output(tokens: &[String], (tags, label): &TaggedSentence<'_>) -> Output {
    let output = tagged(tokens, tags);
    match *label {
        None => output,
        Some((label, probability)) => labeled(output, json!(label), json!(probability)),
    }
}

/// An output with the label of the sentence, in front of its tokens.
fn labeled(output: Output, label: Value, probability: Value) -> Output {
    let line = match label.as_str() {
        Some(label) => format!("{label}: {}", output.line),
        None => output.line,
    };
    let mut json = serde_json::Map::from_iter([("label".to_owned(), label), ("probability".to_owned(), probability)]);
    json.extend(output.json);
    Output { line, json, ..output }
}

/// `token/LABEL` pairs separated by spaces.
fn tagged(tokens: &[String], labels: &[&str]) -> Output {
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

/// The tokens with a wrong tag, each marked in its sentence.
fn mistakes<'a>(
    sentences: &[Sentence],
    names: &[String],
    tags: impl Iterator<Item = (&'a [usize], &'a [usize])>,
) -> Mistakes {
    let mut found = Mistakes { order: "in the order of the sentences", ..Mistakes::default() };
    for (index, (sentence, (actual, predicted))) in sentences.iter().zip(tags).enumerate() {
        for (token, (&actual, &predicted)) in actual.iter().zip(predicted).enumerate().filter(|(_, (a, p))| a != p) {
            found.count += 1;
            if found.list.len() < MAX_MISTAKES {
                let mut tokens = sentence.tokens.clone();
                tokens[token] = format!("[{}]", tokens[token]);
                // The marked token is near the beginning of what is shown.
                let input = tokens[token.saturating_sub(CONTEXT)..].join(" ");
                let (actual, predicted) = (names[actual].clone(), names[predicted].clone());
                found.list.push(Mistake { example: index + 1, input, actual, predicted, probability: None });
            }
        }
    }
    found
}

/// Number of tokens shown before one with a wrong tag.
const CONTEXT: usize = 3;

/// The true labels of a batch.
pub(super) struct Targets {
    pub(super) tokens: Vec<Vec<usize>>,
    sentences: Vec<usize>,
}

impl Targets {
    pub(super) fn of(rows: &[&Encoded]) -> Self {
        Self {
            tokens: rows.iter().map(|row| row.labels.clone()).collect(),
            sentences: rows.iter().filter_map(|row| row.label).collect(),
        }
    }

    pub(super) fn borrowed(&self) -> TaggerTargets<'_> {
        TaggerTargets { tokens: &self.tokens, sentences: &self.sentences }
    }
}

/// Predictions for sentences.
pub(super) struct Predicted {
    /// Labels of the tokens of each sentence.
    tags: Vec<Vec<usize>>,
    /// Log probabilities of the labels of each sentence; empty rows if there are none.
    sentences: Vec<Vec<f32>>,
    /// Mean loss, if it was requested.
    loss: f64,
}

impl Predicted {
    /// The actual and the predicted labels of each sentence.
    fn pairs<'a>(&'a self, rows: &'a [&Encoded]) -> impl Iterator<Item = (&'a [usize], &'a [usize])> + Clone {
        rows.iter().map(|row| row.labels.as_slice()).zip(self.tags.iter().map(Vec::as_slice))
    }

    /// Whether label and tags of each sentence are all right, if sentences have labels.
    fn right(&self, rows: &[&Encoded]) -> Option<(Metric, Vec<bool>)> {
        let is_right = |(index, (actual, predicted)): (usize, (&[usize], &[usize]))| {
            Some(rows[index].label? == most_probable(&self.sentences[index]) && actual == predicted)
        };
        let right: Option<Vec<bool>> = self.pairs(rows).enumerate().map(is_right).collect();
        right.map(|right| (tagging::EXACT_MATCH, right))
    }

    /// The metrics that are ratios of counts, by sentence.
    fn resampling(&self, names: &[String], rows: &[&Encoded]) -> Resampling {
        let scheme = Scheme::of(names.iter().map(String::as_str));
        let tags = |labels: &[usize]| labels.iter().map(|&label| names[label].as_str()).collect::<Vec<_>>();
        // Of each sentence: its tokens and right labels, its spans, its counts of each label, and whether its own label and all of its labels are
        // right.
        let of_sentence = |(index, (actual, predicted)): (usize, (&[usize], &[usize]))| {
            let right = actual.iter().zip(predicted).filter(|(actual, predicted)| actual == predicted).count();
            let spans = if scheme.has_prefixes() {
                spans::count(scheme, [(tags(actual), tags(predicted))]).0
            } else {
                spans::Counts::default()
            };
            let label = rows[index].label.map(|label| label == most_probable(&self.sentences[index]));
            let is_exact = label == Some(true) && actual == predicted;
            (actual.len(), right, spans, label_counts(actual, predicted), label, is_exact)
        };
        let counts: Vec<_> = self.pairs(rows).enumerate().map(of_sentence).collect();
        let has_labels = rows.iter().any(|row| row.label.is_some());
        let distinct = names.len();
        let resampling = Resampling::of_examples(counts.len(), move |indices: &mut dyn Iterator<Item = usize>| {
            let (mut sentences, mut tokens, mut right, mut labels, mut exact) = (0, 0, 0, 0, 0);
            let mut found = spans::Counts::default();
            let mut by_label = vec![LabelCounts::default(); distinct];
            for index in indices {
                let (length, hits, spans, of_labels, label, is_exact) = &counts[index];
                of_labels.iter().for_each(|(label, counts)| by_label[*label].add(counts));
                (sentences, tokens, right) = (sentences + 1, tokens + length, right + hits);
                found.actual += spans.actual;
                found.predicted += spans.predicted;
                found.correct += spans.correct;
                (labels, exact) = (labels + usize::from(*label == Some(true)), exact + usize::from(*is_exact));
            }
            let share = |count: usize, all: usize| count as f64 / all.max(1) as f64;
            let mut values = vec![
                (Metric::ACCURACY.name.to_owned(), share(right, tokens)),
                (Metric::MACRO_F1.name.to_owned(), macro_f1(&by_label)),
            ];
            if scheme.has_prefixes() {
                values.extend(found.scores().named());
            }
            if has_labels {
                values.push((tagging::LABEL_ACCURACY.name.to_owned(), share(labels, sentences)));
                values.push((tagging::EXACT_MATCH.name.to_owned(), share(exact, sentences)));
            }
            values
        });
        resampling.with_unit("sentences")
    }

    /// The label and the tags of each sentence that has a label: the actual and the predicted ones.
    fn labeled<'a>(&'a self, rows: &'a [&Encoded]) -> impl Iterator<Item = [(usize, &'a [usize]); 2]> {
        let predicted = self.sentences.iter().zip(&self.tags);
        rows.iter().zip(predicted).filter_map(|(row, (sentence, tags))| {
            Some([(row.label?, row.labels.as_slice()), (most_probable(sentence), tags.as_slice())])
        })
    }

    /// Metrics of the sentences with each label.
    fn by_label(&self, names: &[String], rows: &[&Encoded]) -> Vec<(Group, Scores)> {
        let of_label = |(label, name): (usize, &String)| {
            let (actual, predicted): (Vec<_>, Vec<_>) =
                self.labeled(rows).filter(|[actual, _]| actual.0 == label).map(|[a, p]| (a, p)).unzip();
            let mut scores = Scores::new(actual.len(), []);
            tagging::add_label_scores(&mut scores, &actual, predicted.into_iter());
            (group("label", name), scores)
        };
        let groups = names.iter().enumerate().map(of_label);
        groups.filter(|(_, scores)| scores.examples > 0).collect()
    }

    /// Metrics on the sentences that were predicted.
    pub(super) fn scores(&self, names: &[String], rows: &[&Encoded]) -> Scores {
        let mut scores = Tagging::scores(names, self.pairs(rows));
        let (actual, predicted): (Vec<_>, Vec<_>) = self.labeled(rows).map(|[a, p]| (a, p)).unzip();
        if !actual.is_empty() {
            tagging::add_label_scores(&mut scores, &actual, predicted.into_iter());
        }
        scores.insert(Metric::LOSS, self.loss);
        scores
    }
}

/// Numbers of tokens with a label.
#[derive(Debug, Clone, Copy, Default)]
struct LabelCounts {
    actual: usize,
    predicted: usize,
    right: usize,
}

impl LabelCounts {
    fn add(&mut self, other: &Self) {
        self.actual += other.actual;
        self.predicted += other.predicted;
        self.right += other.right;
    }
}

/// The counts of each label that a sentence has or is predicted to have.
fn label_counts(actual: &[usize], predicted: &[usize]) -> Vec<(usize, LabelCounts)> {
    let mut counts: BTreeMap<usize, LabelCounts> = BTreeMap::new();
    for (actual, predicted) in pairs(actual, predicted) {
        counts.entry(actual).or_default().actual += 1;
        counts.entry(predicted).or_default().predicted += 1;
        counts.entry(actual).or_default().right += usize::from(actual == predicted);
    }
    counts.into_iter().collect()
}

/// The mean F1 of the labels that occur, as [`ConfusionMatrix::scores`] has it.
fn macro_f1(by_label: &[LabelCounts]) -> f64 {
    let occurs = |counts: &&LabelCounts| counts.actual + counts.predicted > 0;
    let f1 = |counts: &LabelCounts| 2.0 * counts.right as f64 / (counts.actual + counts.predicted) as f64;
    let each: Vec<f64> = by_label.iter().filter(occurs).map(f1).collect();
    each.iter().sum::<f64>() / each.len().max(1) as f64
}

/// Predicted labels of each row and, if `with_loss`, the mean loss; `None` if stopped.
pub(super) fn predict(
    network: &Tagger,
    rows: &[&Encoded],
    with_loss: bool,
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Predicted> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.words.len()).collect();
    let (mut tags, mut sentence_labels) = (vec![Vec::new(); rows.len()], vec![Vec::new(); rows.len()]);
    let (mut sum, mut tokens) = (0.0, 0);
    for batch in batch::sorted(&lengths, &lengths, EVALUATION) {
        if stop() {
            return None;
        }
        let rows: Vec<&Encoded> = batch.iter().map(|&index| rows[index]).collect();
        let targets = Targets::of(&rows);
        let output = network.decode(&sentences(&rows, device), with_loss.then(|| targets.borrowed()));
        let count: usize = rows.iter().map(|row| row.words.len()).sum();
        sum += output.loss.unwrap_or(0.0) * count as f64;
        tokens += count;
        batch.iter().zip(output.labels).for_each(|(&index, predicted)| tags[index] = predicted);
        batch.iter().zip(output.sentences).for_each(|(&index, predicted)| sentence_labels[index] = predicted);
    }
    Some(Predicted { tags, sentences: sentence_labels, loss: sum / tokens.max(1) as f64 })
}
