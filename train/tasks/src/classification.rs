//! Text classification: one label per text.

mod examples;
mod predict;
mod settings;
mod training;

use std::any::Any;

use burn::tensor::Device;
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::{self, Classification, Split};
use seqzoo_datasets::data_spec::DataSpec;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::text::Encoder;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{Classifier, ClassifierShape};
use seqzoo_models::parameters::Arrays;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::fields::{self, Field};
use crate::{DynTrainingTask, Examples, Files, InvalidValue, LoadError, ModelSpec, Predictor, Prepared, Task, resolve};
pub use predict::{Prediction, TextClassifier, most_probable};
pub use settings::Settings;
pub use training::ClassificationTraining;

/// The task.
pub static TASK: ClassificationTask = ClassificationTask;

/// Text classification: one label per text.
#[derive(Debug)]
pub struct ClassificationTask;

impl Task for ClassificationTask {
    fn summary(&self) -> &'static str {
        "one label per text"
    }

    fn metrics(&self) -> &'static [Metric] {
        &[Metric::ACCURACY, Metric::MACRO_F1, Metric::LOSS]
    }

    fn resolve(&self, given: Table) -> Result<Table, toml::de::Error> {
        resolve::<Settings>(given)
    }

    fn fields(&self) -> Vec<Field> {
        fields::of::<Settings>()
    }

    fn data(&self) -> &'static DataSpec {
        &classification::DATA
    }

    fn shared(&self) -> &'static [&'static str] {
        &["level", "min_count", "max_vocabulary", "max_tokens", "keep"]
    }

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidValue> {
        let settings: Settings = spec.settings();
        spec.check_recurrent(Some(settings.embedding_size)).map(drop)
    }

    fn examples(&self, data: &Splits, settings: &Table) -> Result<Prepared, DataError> {
        let data = Classification::from_records(data)?;
        examples::prepare(data, &crate::spec::settings(settings))
    }

    fn open(
        &self,
        spec: &ModelSpec,
        files: &Files,
        weights: &Arrays,
        device: &Device,
    ) -> Result<Box<dyn Predictor>, LoadError> {
        Ok(Box::new(TextClassifier::open(spec, files, weights, device)?))
    }
}

impl Examples for Classification {
    fn digest(&self) -> String {
        Classification::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "texts")
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(ClassificationTraining::new(spec, self)?))
    }

    fn as_any(&self) -> &dyn Any {
        self
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
    type Network = Classifier;

    const FILE: &'static str = "encoder.json";

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Classifier {
        Classifier::new(self.shape(spec), spec.seed, device)
    }
}
