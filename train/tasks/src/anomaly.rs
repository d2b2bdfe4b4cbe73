//! Anomaly detection: rows of a series that a forecaster does not expect.

mod predict;
mod settings;
mod training;

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::DataError;
use seqzoo_datasets::anomalies::{self, ALARM_RATE, Anomalies, CALIBRATED, NAB, RECALL};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_models::InvalidShape;
use seqzoo_models::layers::PerceptronShape;
use seqzoo_models::networks::{BackboneShape, ForecastHead, Forecaster, ForecasterShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::skipped::joined;
use crate::{
    Backbone, Command, DynTrainingTask, Examples, ModelSpec, Prepared, Task, fields, forecasting, open, resolve,
    vocabularies,
};
pub use predict::AnomalyDetector;
pub use settings::Settings;
pub use training::AnomalyTraining;

/// Anomaly detection: rows of a series that a forecaster does not expect.
pub static TASK: Task = Task {
    data: &anomalies::DATA,
    summary: "rows of a series that a forecaster does not expect",
    metrics: &[NAB, CALIBRATED, RECALL, ALARM_RATE, Metric::LOSS],
    command: Command::Detect,
    shared: &["range_tolerance", "dead_time"],
    averages: false,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check: forecasting::check_backbone,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

fn prepare(data: &Splits, _: &Table) -> Result<Prepared, DataError> {
    let has_labels = data.columns.get("label").is_some();
    let mut data = Anomalies::from_records(data)?;
    let short = data.remove_short();
    let of_short = (!short.is_empty())
        .then(|| format!("series with a probationary period of fewer than 10 rows are left out: {}", short.join(", ")));
    let of_labels =
        (!has_labels).then(|| "without a label column, alarms are not compared with known anomalies".to_owned());
    let of_rows = joined(std::mem::take(&mut data.notes).into_iter().map(Some));
    Ok(Prepared { examples: Box::new(data), note: joined([of_rows, of_short, of_labels]) })
}

impl Examples for Anomalies {
    fn digest(&self) -> String {
        Anomalies::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.series.iter().map(|series| series.split(split).len()).sum(), "rows")
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut rows: Vec<usize> = self.series.iter().map(|series| series.values.len()).collect();
        rows.sort_unstable();
        let windows: usize = self.series.iter().map(|series| series.windows.len()).sum();
        let [least, median, most] = [0, rows.len() / 2, rows.len().saturating_sub(1)].map(|index| rows.get(index));
        let count = |count: Option<&usize>| count.map_or_else(String::new, usize::to_string);
        vec![
            ("series", rows.len().to_string()),
            ("rows per series", format!("{} to {}, median {}", count(least), count(most), count(median))),
            ("known anomalies", windows.to_string()),
        ]
    }

    fn check(&self, split: Split, settings: &Table) -> Result<(), String> {
        let Settings { horizon, .. } = crate::spec::settings(settings);
        if split == Split::Test || !origins(self, split, horizon).is_empty() {
            return Ok(());
        }
        let longest = self.series.iter().map(|series| series.split(split).len()).max().unwrap_or(0);
        let name = split.name();
        Err(format!(
            "the {name} split has at most {longest} rows of a series, too few for a horizon of {horizon}; reduce it with --set \
             task.horizon={}, or use longer series or a larger data.split.fraction",
            longest.max(1)
        ))
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(AnomalyTraining::new(spec, self)?))
    }
}

/// Series and first row of each forecast whose rows are all in a split; the first row of a series has no past.
fn origins(data: &Anomalies, split: Split, horizon: usize) -> Vec<(usize, usize)> {
    let of_series = |(index, series): (usize, &anomalies::Monitored)| {
        let rows = series.split(split);
        (rows.start.max(1)..(rows.end + 1).saturating_sub(horizon)).map(move |origin| (index, origin))
    };
    data.series.iter().enumerate().flat_map(of_series).collect()
}

/// Windows of standardized values that end before each origin, `[origins, window, 1]`; before its first row, a series repeats it.
///
/// ```text
/// x = arsinh(z),  z = (value - mean) / std
/// ```
///
/// so that a value far from all others does not saturate the network.
fn windows<'a>(
    origins: impl ExactSizeIterator<Item = (&'a [f64], usize)>,
    window: usize,
    device: &Device,
) -> Tensor<3> {
    let count = origins.len();
    let mut values: Vec<f32> = Vec::with_capacity(count * window);
    for (series, origin) in origins {
        values.extend((0..window).map(|step| series[(origin + step).saturating_sub(window)].asinh() as f32));
    }
    Tensor::from_data(TensorData::new(values, [count, window, 1]), device)
}

/// What a detector keeps of its data: series are standardized by their own probationary period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Name of the column of the values.
    pub column: String,
}

impl Codec {
    fn shape(spec: &ModelSpec) -> ForecasterShape {
        let Settings { window, horizon, .. } = spec.settings();
        let backbone = match spec.backbone {
            Backbone::Recurrent(_) => BackboneShape::Recurrent(spec.stack(1)),
            Backbone::Perceptron => BackboneShape::Perceptron(PerceptronShape {
                window,
                features: 1,
                hidden_sizes: spec.network.hidden_sizes.clone(),
            }),
        };
        ForecasterShape { backbone, horizon, head: ForecastHead::Point, dropout: spec.dropout.output }
    }
}

impl crate::Codec for Codec {
    type Network = Forecaster;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        Self::shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Forecaster {
        Forecaster::new(Self::shape(spec), spec.seed, device)
    }
}
