//! Datasets for sequence classification.

use std::sync::Arc;

use crate::cleaning::Cleaning;
use crate::digest::Digest;
use crate::naive_bayes::NaiveBayes;
use crate::scores::{ConfusionMatrix, Evaluation, Group};
use crate::text::Tokenization;

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

/// A split of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// For training.
    Train,
    /// For early stopping and model selection.
    Validation,
    /// For reporting only.
    Test,
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
    /// Cleaning already applied to these texts; a model needs it for new texts too.
    pub cleaning: Cleaning,
    /// Rule-based baselines.
    pub baselines: Vec<Baseline>,
    /// Features of the naive Bayes baseline; `None` to omit it.
    pub bayes: Option<Bayes>,
}

/// Features of naive Bayes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bayes {
    /// Tokenization.
    pub level: Tokenization,
    /// Maximum n of the n-grams, tuned from 1 up.
    pub max_n: usize,
}

/// A rule that predicts a label without training; `None` where it does not apply.
#[derive(Debug, Clone, Copy)]
pub struct Baseline {
    /// Name in reports.
    pub name: &'static str,
    /// Maps a text to a label.
    pub rule: fn(&str) -> Option<usize>,
}

impl Split {
    /// Every split.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// Name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }

    /// The split with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }
}

impl Classification {
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
        let bayes = self.bayes.map(|Bayes { level, max_n }| {
            let bayes = NaiveBayes::tuned(&self.train, &self.validation, self.labels.len(), level, max_n);
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
        Evaluation { all: confusion.scores(), ..Evaluation::default() }
    }

    /// SHA-256 digest of the labels and the training and validation splits: equal digests mean equal training data.
    pub fn digest(&self) -> String {
        let mut digest = Digest::new();
        self.labels.iter().for_each(|label| digest.text(label));
        for example in self.train.iter().chain(&self.validation) {
            digest.text(&example.text);
            digest.text(&self.labels[example.label]);
        }
        digest.finish()
    }
}
