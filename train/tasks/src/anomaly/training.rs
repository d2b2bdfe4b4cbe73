//! Training of anomaly detectors: forecasting the probationary period.

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::anomalies::{Anomalies, Monitored};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::Forecaster;

use super::{Codec, Settings, origins, windows};
use crate::spec::equal_batches;
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Number of windows per batch in validation.
const VALIDATION_BATCH: usize = 512;

/// Training of an anomaly detector, whose network forecasts the rows of the probationary period.
#[derive(Debug, Clone)]
pub struct AnomalyTraining {
    codec: Codec,
    spec: ModelSpec,
    /// The standardized values of the probationary period of each series.
    series: Vec<Vec<f64>>,
    /// Series and first forecast row of each window.
    train: Vec<(usize, usize)>,
    validation: Vec<(usize, usize)>,
}

impl AnomalyTraining {
    /// Training of a model.
    ///
    /// # Errors
    /// If the sizes of the model are invalid.
    pub fn new(spec: &ModelSpec, data: &Anomalies) -> Result<Self, InvalidShape> {
        let codec = Codec { column: data.column.clone() };
        codec.check(spec)?;
        let Settings { horizon, .. } = spec.settings();
        let values = |series: &Monitored| {
            let mut values = series.standardized();
            values.truncate(series.validation_end);
            values
        };
        let [train, validation] = [Split::Train, Split::Validation].map(|split| origins(data, split, horizon));
        Ok(Self { codec, spec: spec.clone(), series: data.series.iter().map(values).collect(), train, validation })
    }

    fn windows(&self, origins: &[(usize, usize)], device: &Device) -> Tensor<3> {
        let Settings { window, .. } = self.spec.settings();
        windows(origins.iter().map(|&(series, origin)| (self.series[series].as_slice(), origin)), window, device)
    }

    /// Standardized values from each origin on, `[origins, horizon]`.
    fn targets(&self, origins: &[(usize, usize)], device: &Device) -> Tensor<2> {
        let Settings { horizon, .. } = self.spec.settings();
        let rows = origins.iter().flat_map(|&(series, origin)| &self.series[series][origin..origin + horizon]);
        let values: Vec<f32> = rows.map(|&value| value as f32).collect();
        Tensor::from_data(TensorData::new(values, [origins.len(), horizon]), device)
    }
}

impl TrainingTask for AnomalyTraining {
    type Network = Forecaster;

    fn network(&self, device: &Device) -> Forecaster {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let Settings { window, .. } = self.spec.settings();
        equal_batches(&self.spec, self.train.len(), window, epoch)
    }

    fn loss(
        &self,
        network: &Forecaster,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let Settings { window, horizon, .. } = self.spec.settings();
        let origins: Vec<(usize, usize)> = batch.iter().map(|&index| self.train[index]).collect();
        let (past, targets) = (self.windows(&origins, device), self.targets(&origins, device));
        let loss = network.loss(past, &vec![window; origins.len()], targets, keys.dropout(batch));
        let (weight, tokens) = ((origins.len() * horizon) as f64, origins.len() * window);
        BatchLoss { loss, weight, tokens, recurrent_state: None }
    }

    fn validate(&self, network: &Forecaster, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let Settings { window, horizon, .. } = self.spec.settings();
        let mut loss = 0.0;
        for origins in self.validation.chunks(VALIDATION_BATCH) {
            if stop() {
                return None;
            }
            let forecast = network.forecast(self.windows(origins, device), &vec![window; origins.len()]);
            let mean: f32 = network.head().loss(forecast, self.targets(origins, device)).into_scalar();
            loss += f64::from(mean) * origins.len() as f64;
        }
        let count = self.validation.len();
        Some(Scores::new(count * horizon, [(Metric::LOSS, loss / count.max(1) as f64)]))
    }

    /// The other metrics need the forecasts of whole series.
    fn reports(&self, metric: Metric) -> bool {
        metric == Metric::LOSS
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}
