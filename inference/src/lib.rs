//! Open a run's best checkpoint; evaluate it, or ask it about new text.
//!
//! Unlike a resuming learner, which falls back to an older checkpoint, what is opened here answers people: a damaged
//! checkpoint is refused, by file.

use burn::tensor::Device;
use seqzoo_datasets::classification::Example;
use seqzoo_run::checkpoint::{self, CheckpointError};
use seqzoo_run::folder::ModelFolder;
use seqzoo_run::progress::{Progress, Snapshot};
use seqzoo_run::tasks::classification::{Evaluation, TextClassifier, most_probable};

/// A trained model, ready to answer.
#[derive(Debug, Clone)]
pub struct Model {
    /// Updates before the checkpoint that answers.
    pub step: u64,
    /// How far its run has come.
    pub progress: Progress,
    classifier: TextClassifier,
}

/// The answer to a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Name and probability of the most probable label.
    pub label: String,
    /// Its probability.
    pub probability: f64,
    /// All labels with their probabilities, in the data set's order.
    pub probabilities: Vec<(String, f64)>,
}

/// A text has nothing in it to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text is empty: it has no letter, digit or mark to read")]
pub struct EmptyText;

impl Model {
    /// Opens the checkpoint that was best on the validation part; before the first validation, the newest.
    ///
    /// # Errors
    /// If it, or the newest one, which knows which is best, is missing or damaged.
    pub fn open(folder: &ModelFolder, device: &Device) -> Result<Self, CheckpointError> {
        let checkpoints = folder.checkpoints();
        let dir = || folder.path.join("checkpoints");
        let none = || CheckpointError::NoneUsable { dir: dir(), skipped: Vec::new() };
        let (_, newest) = checkpoints.list()?.pop().ok_or_else(none)?;
        let mut opened = checkpoint::open(&newest)?;
        let mut snapshot = Snapshot::of(&opened)?;
        let progress = snapshot.progress.clone();
        let metric = snapshot.about.settings.recipe.stopping.metric;
        if let Some(best) = progress.best(metric).filter(|best| best.step != opened.step) {
            opened = checkpoint::open(&checkpoints.path(best.step))?;
            snapshot = Snapshot::of(&opened)?;
        }
        let classifier = TextClassifier::load(&opened, &snapshot, device)?;
        Ok(Self { step: opened.step, progress, classifier })
    }

    /// Labels of texts, each answered as it would be alone (to rounding).
    ///
    /// # Errors
    /// If a text has nothing to read; with its place among `texts`.
    pub fn predict(&self, texts: &[&str]) -> Result<Vec<Prediction>, (usize, EmptyText)> {
        let rows: Vec<Vec<u32>> = texts.iter().map(|text| self.classifier.encode(text)).collect();
        if let Some(place) = rows.iter().position(Vec::is_empty) {
            return Err((place, EmptyText));
        }
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        let answer = |row: Vec<f32>| {
            let probability = |log: &f32| f64::from(*log).exp();
            let labels = self.classifier.labels().iter().cloned();
            let probabilities: Vec<_> = labels.zip(row.iter().map(probability)).collect();
            let (label, probability) = probabilities[most_probable(&row)].clone();
            Prediction { label, probability, probabilities }
        };
        Ok(self.classifier.log_probabilities(&rows).into_iter().map(answer).collect())
    }

    /// How far back the loss of examples reaches: the gradient's norm at the lowest layer's hidden state, by distance from
    /// the last token, averaged over examples.
    pub fn reach(&self, examples: &[Example]) -> Vec<f64> {
        self.classifier.reach(examples)
    }

    /// How well examples are labelled.
    pub fn evaluate(&self, examples: &[Example]) -> Evaluation {
        let rows: Vec<Vec<u32>> = examples.iter().map(|example| self.classifier.encode(&example.text)).collect();
        let rows: Vec<&[u32]> = rows.iter().map(Vec::as_slice).collect();
        Evaluation::of(&self.classifier.log_probabilities(&rows), examples)
    }
}
