//! Datasets for sequence classification.

use std::collections::HashMap;
use std::sync::Arc;

use crate::DataError;
pub use crate::baselines::{Baseline, NaiveBayesFeatures};
use crate::cleaning::Cleaning;
use crate::data_spec::{Content, DataSpec, Role};
use crate::digest::Digest;
use crate::naive_bayes::NaiveBayes;
use crate::records::Records;
pub use crate::records::Split;
use crate::scores::{ConfusionMatrix, Evaluation, Group};
use crate::split_rule::SplitRule;
use crate::splits::Splits;

/// Data for sequence classification.
pub static DATA: DataSpec = DataSpec {
    task: "classification",
    roles: &[
        Role::required("text", Content::Text, "Column of the texts."),
        Role::required("label", Content::Label, "Column of the label of each text."),
        Role::GROUPS,
    ],
    fields: &["labels", "naive_bayes"],
    default_format: None,
    default_split: SplitRule::SYSTEMATIC,
    split_rules: &["systematic", "folds", "shuffle", "rows", "every"],
    split_note: "whole texts are assigned to splits",
};

/// A text and its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The text, before tokenization.
    pub text: String,
    /// Index into [`Classification::labels`].
    pub label: usize,
    /// Groups for per-group metrics.
    pub groups: Arc<[Group]>,
}

/// A loaded dataset for sequence classification.
#[derive(Debug, Clone, Default)]
pub struct Classification {
    /// Names of the labels.
    pub labels: Vec<String>,
    /// Training split.
    pub train: Vec<Example>,
    /// Validation split.
    pub validation: Vec<Example>,
    /// Test split; empty if its file is missing.
    pub test: Vec<Example>,
    /// Cleaning steps that were applied to these texts, and that a model applies to new ones.
    pub cleaning: Cleaning,
    /// Rule-based baselines.
    pub baselines: Vec<Baseline>,
    /// Features of the naive Bayes baseline; `None` to omit it.
    pub naive_bayes: Option<NaiveBayesFeatures>,
}

impl Classification {
    /// Converts records, using the columns `text`, `label` and `groups`.
    ///
    /// # Errors
    /// If a column is missing, a label is not among those of the dataset, or there are fewer than two labels.
    pub fn from_records(splits: &Splits) -> Result<Self, DataError> {
        let (text, label) = (splits.columns.need("text")?, splits.columns.need("label")?);
        let found = splits.labeled().map(|records| records.texts("label", label)).collect::<Result<Vec<_>, _>>()?;
        let labels = splits.labels_of(found.into_iter().flatten().map(|label| &**label));
        if labels.len() < 2 {
            let detail = format!("`{}` is the only label; at least two are needed", labels.concat());
            return Err(DataError::of_records(splits.file(), detail));
        }
        let examples = |records: &Records| {
            if records.is_empty() {
                return Ok(Vec::new());
            }
            let (texts, names) = (records.texts("text", text)?, records.texts("label", label)?);
            let groups = records.groups(splits.columns.several("groups"))?;
            let indices = label_indices(&labels);
            let example = |row: usize| {
                let label = indices.get(&*names[row]).copied().ok_or_else(|| {
                    let expected = format!("expected one of {}; name all labels in data.labels", label_list(&labels));
                    records.error(row, format!("invalid label {:?}: {expected}", &*names[row]))
                })?;
                Ok(Example { text: (*texts[row]).to_owned(), label, groups: groups[row].clone() })
            };
            (0..records.len()).map(example).collect::<Result<Vec<_>, DataError>>()
        };
        Ok(Self {
            train: examples(&splits.train)?,
            validation: examples(&splits.validation)?,
            test: examples(&splits.test)?,
            labels,
            cleaning: splits.cleaning.clone(),
            baselines: splits.baselines.clone(),
            naive_bayes: splits.naive_bayes,
        })
    }

    /// The examples of a split.
    pub fn split(&self, split: Split) -> &[Example] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// Evaluates every baseline on a split, including the most frequent label of the training split. Naive Bayes is fitted on the
    /// training split and tuned on the validation split.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let mut counts = vec![0; self.labels.len()];
        self.train.iter().for_each(|example| counts[example.label] += 1);
        let majority = (0..counts.len()).max_by_key(|&label| counts[label]).unwrap_or(0);
        let rules = self.baselines.iter().map(|baseline| {
            let predict = |example: &Example| (baseline.rule)(&example.text);
            (baseline.name, self.evaluate(split, predict))
        });
        let bayes = self.naive_bayes.map(|NaiveBayesFeatures { level, max_n }| {
            let [train, validation] = [&self.train, &self.validation]
                .map(|split| split.iter().map(|example| (example.text.as_str(), example.label)).collect::<Vec<_>>());
            let bayes = NaiveBayes::tuned(&train, &validation, self.labels.len(), level, max_n);
            ("naive Bayes", self.evaluate(split, |example| Some(bayes.predict(&example.text))))
        });
        let first = ("most frequent label", self.evaluate(split, |_| Some(majority)));
        std::iter::once(first).chain(rules).chain(bayes).collect()
    }

    /// Evaluates a rule on a split; a missing prediction counts as wrong.
    fn evaluate(&self, split: Split, predict: impl Fn(&Example) -> Option<usize>) -> Evaluation {
        let wrong = |label: usize| (label + 1) % self.labels.len().max(1);
        let pair = |example: &Example| (example.label, predict(example).unwrap_or_else(|| wrong(example.label)));
        let confusion = ConfusionMatrix::from_pairs(&self.labels, self.split(split).iter().map(pair));
        Evaluation::of(confusion.scores()).with_confusion(confusion)
    }

    /// SHA-256 digest of the labels and the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::default();
        self.labels.iter().for_each(|label| digest.text(label));
        for example in self.train.iter().chain(&self.validation) {
            digest.text(&example.text);
            digest.text(&self.labels[example.label]);
        }
        digest.finish()
    }
}

/// The index of each label.
pub(crate) fn label_indices(labels: &[String]) -> HashMap<&str, usize> {
    labels.iter().enumerate().map(|(index, label)| (label.as_str(), index)).collect()
}

/// Labels in a message: the first thirty.
pub(crate) fn label_list(labels: &[String]) -> String {
    let more = if labels.len() > 30 { ", …" } else { "" };
    labels.iter().take(30).map(String::as_str).collect::<Vec<_>>().join(", ") + more
}
