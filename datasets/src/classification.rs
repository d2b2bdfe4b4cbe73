//! What a dataset for sequence classification consists of.

use std::sync::Arc;

use crate::cleaning::Cleaning;
use crate::digest::Digest;
use crate::naive_bayes::NaiveBayes;
use crate::scores::{Confusion, Evaluation, Group};
use crate::text::Level;

/// One text and the number of its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// As people write it.
    pub text: String,
    /// Index into [`Classification::labels`].
    pub label: usize,
    /// By which accuracy is told apart.
    pub groups: Arc<[Group]>,
}

/// A part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Learnt from.
    Train,
    /// Decides when to stop and which checkpoint is best.
    Validation,
    /// Looked at only to report.
    Test,
}

/// A dataset for sequence classification, loaded.
#[derive(Debug, Clone, Default)]
pub struct Classification {
    /// Names of the labels.
    pub labels: Vec<String>,
    /// Examples to learn from.
    pub train: Vec<Example>,
    /// Examples that decide when to stop.
    pub validation: Vec<Example>,
    /// Examples to report on; empty where the publishers' part is not there.
    pub test: Vec<Example>,
    /// How texts are cleaned: those here are, and new ones must be before a model reads them.
    pub cleaning: Cleaning,
    /// Rules that need no training, to be beaten.
    pub baselines: Vec<Baseline>,
    /// How naive Bayes competes, if it does.
    pub bayes: Option<Bayes>,
}

/// What naive Bayes counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bayes {
    /// What a token is.
    pub level: Level,
    /// Tokens of the longest n-gram that is tried.
    pub longest: usize,
}

/// A rule that answers without training; `None` where it does not apply.
#[derive(Debug, Clone, Copy)]
pub struct Baseline {
    /// Its name in reports.
    pub name: &'static str,
    /// From text to label.
    pub rule: fn(&str) -> Option<usize>,
}

impl Split {
    /// Every split.
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// The name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }

    /// The split of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }
}

impl Classification {
    /// The examples of a part.
    pub fn split(&self, split: Split) -> &[Example] {
        match split {
            Split::Train => &self.train,
            Split::Validation => &self.validation,
            Split::Test => &self.test,
        }
    }

    /// How well each baseline answers a part, the most frequent label of the training part among them. Naive Bayes learns
    /// from the training part and chooses its settings by the validation part, as models do.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, Evaluation)> {
        let mut counts = vec![0; self.labels.len()];
        self.train.iter().for_each(|example| counts[example.label] += 1);
        let majority = (0..counts.len()).max_by_key(|&label| counts[label]).unwrap_or(0);
        let rules = self.baselines.iter().map(|baseline| {
            let answer = |example: &Example| (baseline.rule)(&example.text);
            (baseline.name, self.graded(split, answer))
        });
        let bayes = self.bayes.map(|Bayes { level, longest }| {
            let bayes = NaiveBayes::tuned(&self.train, &self.validation, self.labels.len(), level, longest);
            ("naive Bayes", self.graded(split, |example| Some(bayes.answer(&example.text))))
        });
        let first = ("most frequent label", self.graded(split, |_| Some(majority)));
        std::iter::once(first).chain(rules).chain(bayes).collect()
    }

    /// How well a rule answers a part; where it has no answer it is wrong.
    fn graded(&self, split: Split, answer: impl Fn(&Example) -> Option<usize>) -> Evaluation {
        let wrong = |label: usize| (label + 1) % self.labels.len().max(1);
        let pair = |example: &Example| (example.label, answer(example).unwrap_or_else(|| wrong(example.label)));
        let confusion = Confusion::of(&self.labels, self.split(split).iter().map(pair));
        Evaluation { all: confusion.scores(), ..Evaluation::default() }
    }

    /// SHA-256 over labels and the training and validation parts: two runs with the same digest learn from the same data.
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
