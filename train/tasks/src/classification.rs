//! Text classification: one label per text.

mod examples;
mod predict;
mod settings;
mod training;

use burn::tensor::Device;
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::{self, Classification, Split};
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::{Encoder, Vocabulary};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{Classifier, ClassifierShape, Ensemble};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, Item, ModelSpec, Prepared, Task, classes, fields, open, resolve,
    vocabularies,
};
pub use predict::TextClassifier;
pub use settings::Settings;
pub use training::ClassificationTraining;

/// Text classification: one label per text.
pub static TASK: Task = Task {
    data: &classification::DATA,
    summary: "one label per text",
    metrics: &[Metric::ACCURACY, Metric::MACRO_F1, Metric::LOSS],
    command: Command::Predict,
    shared: &["level", "min_count", "max_vocabulary", "max_tokens", "keep"],
    averages: true,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    let settings: Settings = spec.settings();
    spec.check_recurrent(Some(settings.embedding_size)).map(drop)
}

fn prepare(data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
    examples::prepare(Classification::from_records(data)?, data, &crate::spec::settings(settings))
}

impl Examples for Classification {
    fn digest(&self) -> String {
        Classification::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "texts")
    }

    fn items(&self, split: Split, settings: &Table) -> Vec<Item> {
        let Settings { level, .. } = crate::spec::settings(settings);
        let item = |example: &classification::Example| Item {
            text: example.text.clone(),
            tokens: level.tokens(&example.text).collect(),
            labels: vec![self.labels[example.label].clone()],
        };
        self.split(split).iter().map(item).collect()
    }

    fn training_note(&self, settings: &Table) -> Option<String> {
        let Settings { class_weights, .. } = crate::spec::settings(settings);
        classes::imbalance(&self.labels, class_weights, self.train.iter().map(|example| example.label))
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(ClassificationTraining::new(spec, self)?))
    }
}

/// Encoder of texts and names of the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Encoder from text to token ids.
    pub encoder: Encoder,
    /// Names of the labels.
    pub labels: Vec<String>,
}

impl Codec {
    fn shape(&self, spec: &ModelSpec) -> ClassifierShape {
        let settings: Settings = spec.settings();
        ClassifierShape {
            vocabulary: self.encoder.vocabulary.size(),
            stack: spec.stack(settings.embedding_size),
            pooling: settings.pooling,
            labels: self.labels.len(),
            dropout: spec.dropout.output,
            embedding_dropout: spec.dropout.embedding,
        }
    }
}

impl crate::Codec for Codec {
    type Network = Ensemble<Classifier>;

    const FILE: &'static str = "encoder.json";

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
