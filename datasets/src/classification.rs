//! What a data set for sequence classification consists of.

use sha2::{Digest, Sha256};

/// One text and the number of its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// As people write it.
    pub text: String,
    /// Index into [`Classification::labels`].
    pub label: usize,
    /// Groups by which accuracy is told apart, as (kind, value): ("attractors", "3").
    pub groups: Vec<(&'static str, String)>,
}

/// A part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Learnt from.
    Train,
    /// Decides when to stop and which checkpoint is best.
    Validation,
    /// Looked at only to report.
    Test,
}

/// A data set for sequence classification, loaded.
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
    /// Rules that need no training, to be beaten.
    pub baselines: Vec<Baseline>,
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

    /// Accuracy on a part of each baseline, the most frequent label of the training part among them.
    pub fn baselines(&self, split: Split) -> Vec<(&'static str, f64)> {
        let examples = self.split(split);
        let share = |right: usize| right as f64 / examples.len().max(1) as f64;
        let mut counts = vec![0; self.labels.len()];
        self.train.iter().for_each(|example| counts[example.label] += 1);
        let majority = (0..counts.len()).max_by_key(|&label| counts[label]);
        let hits = examples.iter().filter(|example| Some(example.label) == majority).count();
        let mut all = vec![("most frequent label", share(hits))];
        all.extend(self.baselines.iter().map(|baseline| {
            let hits = examples.iter().filter(|example| (baseline.rule)(&example.text) == Some(example.label)).count();
            (baseline.name, share(hits))
        }));
        all
    }

    /// SHA-256 over labels and the training and validation parts: two runs with the same digest learn from the same data.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        self.labels.iter().for_each(|label| text(label));
        for example in self.train.iter().chain(&self.validation) {
            text(&example.text);
            text(&self.labels[example.label]);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
