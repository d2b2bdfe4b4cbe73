//! Datasets for token classification (tagging), and their baselines.

mod tokenizer;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::DataError;
use crate::classification::{NaiveBayesFeatures, label_indices, label_list};
use crate::cleaning::Cleaning;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::naive_bayes::NaiveBayes;
use crate::records::{Records, Split};
use crate::scores::{ConfusionMatrix, Evaluation, Scores, metrics};
use crate::spans::{self, Scheme};
use crate::split_rule::SplitRule;
use crate::splits::Splits;
use crate::wording::counted;
pub use tokenizer::{split_tokens, tokenize};

/// Data for tagging.
pub static DATA: DataSpec = DataSpec {
    task: "tagging",
    roles: &[
        Role::required("tokens", Content::Tokens, "Column of the tokens of each sentence."),
        Role::required("tags", Content::Tags, "Column of the tags, one per token."),
        Role::optional(
            "label",
            Content::Label,
            "Column of a label of each sentence, such as its intent, which the model predicts together with the tags.",
        ),
    ],
    fields: &["labels"],
    default_format: Some("conll"),
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole sentences are assigned to splits",
};

metrics! {
    /// Share of sentences whose label is predicted correctly.
    pub const LABEL_ACCURACY = Higher("label-accuracy", "");

    /// Share of sentences whose label and tags are all predicted correctly.
    pub const EXACT_MATCH = Higher("exact-match", "");
}

/// The tokens of a sentence, one label per token, and possibly one of the sentence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sentence {
    /// The tokens.
    pub tokens: Vec<String>,
    /// Indices into [`Tagging::labels`].
    pub labels: Vec<usize>,
    /// Index into [`Tagging::sentence_labels`]; `None` if there are none.
    pub label: Option<usize>,
}

/// A loaded dataset for tagging.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tagging {
    /// Names of the labels.
    pub labels: Vec<String>,
    /// Names of the labels of whole sentences; empty if sentences have no label.
    pub sentence_labels: Vec<String>,
    /// Training split.
    pub train: Vec<Sentence>,
    /// Validation split.
    pub validation: Vec<Sentence>,
    /// Test split; empty if its file is missing.
    pub test: Vec<Sentence>,
    /// Cleaning applied to these texts; a model needs it for new texts too.
    pub cleaning: Cleaning,
}

impl Tagging {
    /// Converts records, using the columns `tokens`, `tags` and `label`.
    ///
    /// # Errors
    /// If a column is missing, a tag or label is not among those of the dataset, or a sentence does not have one tag per token.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let columns @ [tokens, tags] = [splits.columns.need("tokens")?, splits.columns.need("tags")?];
        let found = splits.labeled().map(|records| records.lists("tags", tags)).collect::<Result<Vec<_>, _>>()?;
        let labels = splits.labels_of(found.into_iter().flatten().flatten().map(String::as_str));
        if labels.len() < 2 {
            let detail = format!("`{}` is the only tag; at least two are needed", labels.concat());
            return Err(DataError::of_records(splits.file(), detail));
        }
        let sentence_labels = sentence_labels(splits)?;
        let (indices, label_indices) = (label_indices(&labels), label_indices(&sentence_labels));
        let sentences = |records: &Records| {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let (tokens, names) = (records.lists("tokens", tokens)?, records.lists("tags", tags)?);
            let of_rows = splits.columns.get("label").map(|label| records.texts("label", label)).transpose()?;
            let sentence = |row: usize| {
                let (tokens, names) = (&tokens[row], &names[row]);
                if tokens.len() != names.len() {
                    let detail = format!(
                        "{} in column `{}`, but {} in column `{}`; expected one tag per token",
                        counted(tokens.len(), "tokens"),
                        columns[0],
                        counted(names.len(), "tags"),
                        columns[1]
                    );
                    return Err(records.error(row, detail));
                }
                let label = |(item, name): (usize, &String)| {
                    indices.get(name.as_str()).copied().ok_or_else(|| {
                        let expected = format!("expected one of {}", label_list(&labels));
                        records.item_error(row, item, format!("invalid tag {name:?} in column {tags}: {expected}"))
                    })
                };
                let labels = names.iter().enumerate().map(label).collect::<Result<_, _>>()?;
                let invalid = |label: &str| {
                    let known = label_list(&sentence_labels);
                    records.error(row, format!("invalid label {label:?} of the sentence: expected one of {known}"))
                };
                let of_sentence = |label: &str| label_indices.get(label).copied().ok_or_else(|| invalid(label));
                let label = of_rows.map(|labels| of_sentence(&labels[row])).transpose()?;
                Ok(Sentence { tokens: tokens.clone(), labels, label })
            };
            (0..records.len()).map(sentence).collect::<Result<Vec<_>, DataError>>()
        };
        let [train, validation, test] = [&splits.train, &splits.validation, &splits.test].map(sentences);
        let cleaning = splits.cleaning.clone();
        let [train, validation, test] = [train?, validation?, test?];
        Ok(Self { train, validation, test, labels, sentence_labels, cleaning })
    }

    /// The sentences of a split.
    pub fn split(&self, split: Split) -> &[Sentence] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// How the labels mark spans.
    pub fn scheme(&self) -> Scheme {
        Scheme::of(self.labels.iter().map(String::as_str))
    }

    /// Metrics of predicted labels, one list per sentence: those of tokens, and F1 of spans.
    pub fn scores<'a>(
        labels: &[String],
        sentences: impl Iterator<Item = (&'a [usize], &'a [usize])> + Clone,
    ) -> Scores {
        let pairs =
            sentences.clone().flat_map(|(actual, predicted)| actual.iter().copied().zip(predicted.iter().copied()));
        let mut scores = ConfusionMatrix::from_pairs(labels, pairs).scores();
        let scheme = Scheme::of(labels.iter().map(String::as_str));
        let names = |indices: &'a [usize]| indices.iter().map(|&label| labels[label].as_str());
        let (counts, _) = spans::count(scheme, sentences.map(|(actual, predicted)| (names(actual), names(predicted))));
        let of_spans = counts.scores();
        let reported =
            if scheme.has_prefixes() { &[spans::F1, spans::PRECISION, spans::RECALL][..] } else { &[spans::F1] };
        for &metric in reported {
            scores.insert(metric, of_spans.get(metric).unwrap_or(0.0));
        }
        scores
    }

    /// Accuracy of the labels of sentences by naive Bayes, fitted on the training split and tuned on the validation split.
    fn naive_bayes(&self, split: Split) -> Scores {
        let texts = |sentences: &[Sentence]| -> Vec<(String, usize)> {
            let text = |sentence: &Sentence| Some((sentence.tokens.join(" "), sentence.label?));
            sentences.iter().filter_map(text).collect()
        };
        let [train, validation, own] = [&self.train[..], &self.validation, self.split(split)].map(texts);
        let NaiveBayesFeatures { level, max_n } = NaiveBayesFeatures::default();
        let [train, validation] =
            [&train, &validation].map(|texts| texts.iter().map(|(text, label)| (&**text, *label)).collect::<Vec<_>>());
        let bayes = NaiveBayes::tuned(&train, &validation, self.sentence_labels.len(), level, max_n);
        let right = own.iter().filter(|(text, label)| bayes.predict(text) == *label).count();
        Scores::new(own.len(), [(LABEL_ACCURACY, right as f64 / own.len().max(1) as f64)])
    }

    /// Evaluates frequency baselines, fitted on the training split, on a split.
    ///
    /// "Most frequent label of the word" labels unknown words with the most frequent label of the words that occur once in the
    /// training split, since those resemble them most. "Dictionary of spans", for labels with prefixes, marks the longest sequences of
    /// words that are a span in the training split, with their most frequent type. Ties go to the first label. "Naive Bayes" predicts
    /// the labels of sentences, if they have any.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let none = || vec![0usize; self.labels.len()];
        let most =
            |counts: &[usize]| (0..counts.len()).max_by_key(|&label| (counts[label], Reverse(label))).unwrap_or(0);
        let (mut all, mut once) = (none(), none());
        let mut by_word: HashMap<&str, Vec<usize>> = HashMap::new();
        for (token, &label) in self.train.iter().flat_map(|sentence| sentence.tokens.iter().zip(&sentence.labels)) {
            all[label] += 1;
            by_word.entry(token).or_insert_with(none)[label] += 1;
        }
        let rare = by_word.values().filter(|counts| counts.iter().sum::<usize>() == 1);
        rare.for_each(|counts| once[most(counts)] += 1);
        let any = most(&all);
        let unknown = if once.iter().any(|&count| count > 0) { most(&once) } else { any };
        let by_word: HashMap<&str, usize> = by_word.iter().map(|(&word, counts)| (word, most(counts))).collect();
        let sentences = self.split(split);
        let evaluate = |rule: &dyn Fn(&[String]) -> Vec<usize>| {
            let predicted: Vec<Vec<usize>> = sentences.iter().map(|sentence| rule(&sentence.tokens)).collect();
            let pairs =
                sentences.iter().map(|sentence| sentence.labels.as_slice()).zip(predicted.iter().map(Vec::as_slice));
            Evaluation::of(Self::scores(&self.labels, pairs))
        };
        let each = |rule: &dyn Fn(&str) -> usize| evaluate(&|tokens| tokens.iter().map(|token| rule(token)).collect());
        let mut found = vec![
            ("most frequent label", each(&|_| any)),
            ("most frequent label of the word", each(&|word| by_word.get(word).copied().unwrap_or(unknown))),
        ];
        if self.scheme().has_prefixes() {
            let dictionary = Dictionary::of(self);
            found.push(("dictionary of spans", evaluate(&|tokens| dictionary.tag(tokens, &self.labels))));
        }
        if !self.sentence_labels.is_empty() {
            found.push(("naive Bayes", Evaluation::of(self.naive_bayes(split))));
        }
        found
    }

    /// SHA-256 digest of the labels and the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        digest.number(self.labels.len() as u64);
        self.labels.iter().chain(&self.sentence_labels).for_each(|label| digest.text(label));
        for split in [&self.train, &self.validation] {
            digest.number(split.len() as u64);
            for sentence in split {
                digest.number(sentence.tokens.len() as u64);
                for (token, &label) in sentence.tokens.iter().zip(&sentence.labels) {
                    digest.text(token);
                    digest.text(&self.labels[label]);
                }
                if let Some(label) = sentence.label {
                    digest.text(&self.sentence_labels[label]);
                }
            }
        }
        digest.finish()
    }
}

/// Adds the metrics of labels of sentences to those of their tags. `actual` and `predicted` have the label and the tags of each
/// sentence.
pub fn add_label_scores<'a>(
    scores: &mut Scores,
    actual: &[(usize, &[usize])],
    predicted: impl Iterator<Item = (usize, &'a [usize])>,
) {
    let (mut right, mut exact) = (0, 0);
    for (&(label, tags), (predicted, predicted_tags)) in actual.iter().zip(predicted) {
        right += usize::from(label == predicted);
        exact += usize::from(label == predicted && tags == predicted_tags);
    }
    let share = |count: usize| count as f64 / actual.len().max(1) as f64;
    scores.insert(LABEL_ACCURACY, share(right));
    scores.insert(EXACT_MATCH, share(exact));
}

/// Names of the labels of whole sentences.
fn sentence_labels(splits: &Splits) -> Result<Vec<String>, DataError> {
    let Some(column) = splits.columns.get("label") else { return Ok(Vec::new()) };
    let found = splits.labeled().map(|records| records.texts("label", column)).collect::<Result<Vec<_>, _>>()?;
    let found: BTreeSet<&str> = found.into_iter().flatten().map(|label| &**label).collect();
    if found.len() < 2 {
        let detail = format!(
            "`{}` is the only label in column {column}; at least two are needed",
            Vec::from_iter(found).concat()
        );
        return Err(DataError::of_records(splits.file(), detail));
    }
    Ok(found.into_iter().map(str::to_owned).collect())
}

/// The spans of the training split, by their words.
struct Dictionary<'a> {
    types: HashMap<&'a [String], String>,
    longest: usize,
}

impl<'a> Dictionary<'a> {
    fn of(data: &'a Tagging) -> Self {
        let mut counts: HashMap<&[String], BTreeMap<String, usize>> = HashMap::new();
        let scheme = data.scheme();
        for Sentence { tokens, labels, .. } in &data.train {
            for (range, kind) in scheme.spans(labels.iter().map(|&label| data.labels[label].as_str())) {
                *counts.entry(&tokens[range]).or_default().entry(kind).or_default() += 1;
            }
        }
        let most = |counts: BTreeMap<String, usize>| {
            counts.into_iter().rev().max_by_key(|(_, count)| *count).map_or_else(String::new, |(kind, _)| kind)
        };
        let types: HashMap<&[String], String> =
            counts.into_iter().map(|(words, counts)| (words, most(counts))).collect();
        let longest = types.keys().map(|words| words.len()).max().unwrap_or(0);
        Self { types, longest }
    }

    /// Labels of a sentence: the longest known spans from left to right.
    fn tag(&self, tokens: &[String], labels: &[String]) -> Vec<usize> {
        let index = |name: &str| labels.iter().position(|label| label == name);
        // The first of these labels that exists.
        let label = |prefixes: &[&str], kind: &str| {
            let name = |prefix: &&str| if kind.is_empty() { (*prefix).to_owned() } else { format!("{prefix}-{kind}") };
            prefixes.iter().find_map(|prefix| index(&name(prefix)))
        };
        let outside = index("O").unwrap_or(0);
        let mut found = vec![outside; tokens.len()];
        let mut start = 0;
        while start < tokens.len() {
            let ends = (start + 1..=tokens.len().min(start + self.longest)).rev();
            let known = ends.into_iter().find_map(|end| Some((end, self.types.get(&tokens[start..end])?)));
            let Some((end, kind)) = known else {
                start += 1;
                continue;
            };
            for (position, label_of_token) in (start..).zip(&mut found[start..end]) {
                let prefixes: &[&str] = match (position == start, position + 1 == end) {
                    (true, true) => &["S", "U", "B", "I"],
                    (true, false) => &["B", "I"],
                    (false, true) => &["E", "L", "I"],
                    (false, false) => &["I"],
                };
                *label_of_token = label(prefixes, kind).unwrap_or(outside);
            }
            start = end;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::Metric;

    fn sentence(text: &str) -> Sentence {
        let (tokens, labels) = text.split(' ').filter_map(|pair| pair.split_once('/')).unzip::<_, _, Vec<_>, Vec<_>>();
        Sentence {
            tokens: tokens.into_iter().map(str::to_owned).collect(),
            labels: labels.into_iter().map(|label| label.parse().unwrap()).collect(),
            label: None,
        }
    }

    fn data() -> Tagging {
        Tagging {
            labels: ["A", "B", "C"].map(str::to_owned).to_vec(),
            train: vec![sentence("run/0 run/2 run/2 set/1 set/0"), sentence("set/1 go/1 see/1 be/0 of/0 of/0")],
            validation: vec![sentence("run/0 set/1"), sentence("unheard/2")],
            ..Tagging::default()
        }
    }

    #[test]
    fn baselines_match_hand_computed_accuracies() {
        let accuracies = |data: &Tagging| -> Vec<f64> {
            data.baselines(Split::Validation)
                .iter()
                .map(|(_, found)| found.all.get(Metric::ACCURACY).unwrap())
                .collect()
        };
        // Predictions: A A A; and C (for `run`), B (for `set`), B (for words that occur once).
        assert_eq!(accuracies(&data()), [1.0 / 3.0, 1.0 / 3.0]);
        let split = |validation: &str| vec![sentence(validation)];
        assert_eq!(accuracies(&Tagging { validation: split("run/2 set/1 unheard/1"), ..data() }), [0.0, 1.0]);
        let tied = Tagging { train: vec![sentence("a/2 a/1")], validation: split("a/1 b/1"), ..data() };
        assert_eq!(accuracies(&tied), [1.0, 1.0], "ties go to the first label");
    }

    #[test]
    fn labels_of_sentences_are_scored_by_hand_computed_shares() {
        let labeled = |text: &str, label| Sentence { label: Some(label), ..sentence(text) };
        let train = vec![labeled("play/0 jazz/1", 0), labeled("will/0 it/0 rain/2", 1), labeled("play/0 rock/1", 0)];
        let validation = vec![labeled("play/0 it/0", 0), labeled("rain/2", 1), labeled("jazz/1", 1)];
        let data =
            Tagging { sentence_labels: ["Music", "Weather"].map(str::to_owned).to_vec(), train, validation, ..data() };
        let mut scores = Scores::default();
        // Right, right with a wrong tag, wrong.
        let predicted = [(0, &[0, 0][..]), (1, &[1]), (0, &[1])];
        let actual: Vec<(usize, &[usize])> =
            data.validation.iter().map(|sentence| (sentence.label.unwrap(), sentence.labels.as_slice())).collect();
        add_label_scores(&mut scores, &actual, predicted.into_iter());
        assert_eq!((scores.get(LABEL_ACCURACY), scores.get(EXACT_MATCH)), (Some(2.0 / 3.0), Some(1.0 / 3.0)));
        let (name, found) = data.baselines(Split::Validation).pop().unwrap();
        assert_eq!((name, found.all.get(LABEL_ACCURACY), found.all.examples), ("naive Bayes", Some(2.0 / 3.0), 3));
        let other = Tagging { train: vec![labeled("play/0 jazz/1", 1)], ..data.clone() };
        assert_ne!(Tagging { train: data.train[..1].to_vec(), ..data.clone() }.digest(), other.digest());
    }

    #[test]
    fn the_dictionary_of_spans_marks_the_longest_known_ones() {
        let labels = ["B-LOC", "B-PER", "I-LOC", "O"].map(str::to_owned).to_vec();
        let train = vec![sentence("New/0 York/2 and/3 York/0 saw/3 New/1"), sentence("York/0 New/3")];
        let validation = vec![sentence("in/3 New/0 York/2 ,/3 York/1 ,/3 New/3")];
        let data = Tagging { labels: labels.clone(), train, validation, ..Tagging::default() };
        let dictionary = Dictionary::of(&data);
        assert_eq!(dictionary.tag(&data.validation[0].tokens, &labels), [3, 0, 2, 3, 0, 3, 1]);
        // Actual spans: LOC 1–3, PER 4–5. Predicted: LOC 1–3 (right), LOC 4–5, PER 6–7.
        let (name, found) = data.baselines(Split::Validation).pop().unwrap();
        let values = [spans::PRECISION, spans::RECALL, spans::F1].map(|metric| found.all.get(metric).unwrap());
        assert_eq!((name, values), ("dictionary of spans", [1.0 / 3.0, 0.5, 0.4]));
        assert_eq!(found.all.examples, 7, "tokens");
    }

    #[test]
    fn the_digest_covers_everything_but_the_test_split() {
        let changed = |change: fn(&mut Tagging)| {
            let mut data = data();
            change(&mut data);
            data.digest()
        };
        assert_eq!(changed(|data| data.test = data.train.clone()), data().digest());
        let others = [
            changed(|_| ()),
            changed(|data| data.train[0].tokens[0] = "ran".to_owned()),
            changed(|data| data.train[0].labels[0] = 1),
            changed(|data| data.labels[2] = "D".to_owned()),
            changed(|data| data.train[0].tokens[..2].clone_from_slice(&["ru".to_owned(), "nrun".to_owned()])),
            changed(|data| data.validation.insert(0, data.train[1].clone())),
            changed(|data| {
                let last = data.train.pop().unwrap();
                data.validation.insert(0, last);
            }),
            changed(|data| {
                let [first, second] = [0, 1].map(|index| data.validation[index].clone());
                data.validation = vec![Sentence {
                    tokens: [first.tokens, second.tokens].concat(),
                    labels: [first.labels, second.labels].concat(),
                    label: None,
                }];
            }),
        ];
        let distinct: std::collections::HashSet<&String> = others.iter().collect();
        assert_eq!(distinct.len(), others.len());
    }
}
