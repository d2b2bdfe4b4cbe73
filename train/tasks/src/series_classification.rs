//! Classification of series: one label per recording of one or several channels.

mod predict;
mod settings;
mod training;

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::signal::{Scaling, Signal};
use seqzoo_datasets::signals::{self, Signals};
use seqzoo_datasets::splits::Splits;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{Ensemble, SeriesClassifier, SeriesClassifierShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::classes;
use crate::skipped::unseen;
use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, Item, ModelSpec, Prepared, Task, fields, open, resolve,
    vocabularies,
};
pub use predict::SignalClassifier;
pub use settings::{Settings, Standardize};
pub use training::SeriesClassificationTraining;

/// Classification of series: one label per recording of one or several channels.
pub static TASK: Task = Task {
    data: &signals::DATA,
    summary: "one label per series of one or several channels",
    metrics: &[Metric::ACCURACY, Metric::MACRO_F1, Metric::LOSS],
    command: Command::Predict,
    shared: &["standardize"],
    averages: true,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    // The input size depends on the number of channels.
    spec.check_recurrent(None).map(drop)
}

fn prepare(data: &Splits, _: &Table) -> Result<Prepared, DataError> {
    let data = Signals::from_records(data)?;
    let note = unseen(&data.labels, data.train.iter().map(|example| example.label));
    Ok(Prepared { examples: Box::new(data), note })
}

impl Examples for Signals {
    fn digest(&self) -> String {
        Signals::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "series")
    }

    fn items(&self, split: Split, _: &Table) -> Vec<Item> {
        let step = |step: &[f32]| step.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
        let item = |example: &signals::Example| Item {
            text: String::new(),
            tokens: example.signal.values().chunks_exact(self.channels).map(step).collect(),
            labels: vec![self.labels[example.label].clone()],
        };
        self.split(split).iter().map(item).collect()
    }

    fn training_note(&self, settings: &Table) -> Option<String> {
        let Settings { class_weights, .. } = crate::spec::settings(settings);
        classes::imbalance(&self.labels, class_weights, self.train.iter().map(|example| example.label))
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(SeriesClassificationTraining::new(spec, self)?))
    }
}

/// Scaling of series and names of the labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Scaling of each channel, whose number it has too.
    pub scaling: Scaling,
    /// Names of the labels.
    pub labels: Vec<String>,
}

impl Codec {
    fn shape(&self, spec: &ModelSpec) -> SeriesClassifierShape {
        let settings: Settings = spec.settings();
        SeriesClassifierShape {
            stack: spec.stack(self.channels()),
            pooling: settings.pooling,
            labels: self.labels.len(),
            dropout: spec.dropout.output,
        }
    }

    fn channels(&self) -> usize {
        self.scaling.means.len()
    }
}

impl crate::Codec for Codec {
    type Network = Ensemble<SeriesClassifier>;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Ensemble<SeriesClassifier> {
        spec.ensemble(|seed| SeriesClassifier::new(self.shape(spec), seed, device))
    }
}

/// Pads scaled series to a tensor `[rows, time, channels]`; also returns the length of each.
fn pad<'a>(rows: impl Iterator<Item = &'a Signal> + Clone, device: &Device) -> (Tensor<3>, Vec<usize>) {
    let lengths: Vec<usize> = rows.clone().map(Signal::len).collect();
    let (time, channels) =
        (lengths.iter().copied().max().unwrap_or(0), rows.clone().next().map_or(1, Signal::channels));
    let mut values = Vec::with_capacity(lengths.len() * time * channels);
    for row in rows {
        values.extend_from_slice(row.values());
        values.resize(values.len() + (time - row.len()) * channels, 0.0);
    }
    (Tensor::from_data(TensorData::new(values, [lengths.len(), time, channels]), device), lengths)
}
