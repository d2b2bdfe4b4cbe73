//! Training of forecasters.

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_datasets::series::{RollingOrigin, Series};
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::Forecaster;
use seqzoo_models::parameters::Array;

use super::{Codec, EVALUATION_BATCH, Settings};
use crate::spec::equal_batches;
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Training of a forecaster.
#[derive(Debug, Clone)]
pub struct ForecastingTraining {
    pub(super) codec: Codec,
    pub(super) spec: ModelSpec,
    series: Series,
    origins: Vec<usize>,
}

impl ForecastingTraining {
    /// Training of a model.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, series: &Series) -> Result<Self, InvalidShape> {
        let RollingOrigin { window, horizon, .. } = spec.settings::<Settings>().rolling_origin();
        let codec = Codec::of(spec, series);
        codec.check(spec)?;
        Ok(Self {
            codec,
            spec: spec.clone(),
            series: series.clone(),
            origins: series.origins(Split::Train, window, horizon),
        })
    }

    pub(super) fn rolling_origin(&self) -> RollingOrigin {
        self.spec.settings::<Settings>().rolling_origin()
    }

    /// Scaled target values after each origin, `[origins, horizon]`.
    fn targets(&self, origins: &[usize], device: &Device) -> Tensor<2> {
        let horizon = self.rolling_origin().horizon;
        let target = self.series.target();
        let scaled = |&origin: &usize| {
            let from = self.codec.origin(target[origin - 1]);
            target[origin..origin + horizon]
                .iter()
                .map(move |&value| (self.codec.scaling.standardize(0, value) - from) as f32)
        };
        let values: Vec<f32> = origins.iter().flat_map(scaled).collect();
        Tensor::from_data(TensorData::new(values, [origins.len(), horizon]), device)
    }
}

impl TrainingTask for ForecastingTraining {
    type Network = Forecaster;

    fn network(&self, device: &Device) -> Forecaster {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        equal_batches(&self.spec, self.origins.len(), self.rolling_origin().window, epoch)
    }

    fn loss(
        &self,
        network: &Forecaster,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let RollingOrigin { window, horizon, .. } = self.rolling_origin();
        let origins: Vec<usize> = batch.iter().map(|&index| self.origins[index]).collect();
        let past = self.codec.windows(&self.series, &origins, window, device);
        let loss =
            network.loss(past, &vec![window; origins.len()], self.targets(&origins, device), keys.dropout(batch));
        BatchLoss {
            loss,
            weight: (origins.len() * horizon) as f64,
            tokens: origins.len() * window,
            recurrent_state: None,
        }
    }

    fn validate(&self, network: &Forecaster, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let RollingOrigin { window, horizon, .. } = self.rolling_origin();
        let (mut loss, mut squares, mut count) = (0.0, 0.0, 0);
        for origins in self.series.origins(Split::Validation, window, horizon).chunks(EVALUATION_BATCH) {
            if stop() {
                return None;
            }
            let past = self.codec.windows(&self.series, origins, window, device);
            let forecast = network.forecast(past, &vec![window; origins.len()]);
            let head = network.head();
            let mean: f32 = head.loss(forecast.clone(), self.targets(origins, device)).into_scalar();
            loss += f64::from(mean) * (origins.len() * horizon) as f64;
            let outputs = Array::of(forecast).values;
            let target = self.series.target();
            let rows = origins
                .iter()
                .flat_map(|&origin| (origin..origin + horizon).map(move |row| (target[origin - 1], target[row])));
            for (outputs, (last, actual)) in outputs.chunks_exact(head.output_size()).zip(rows) {
                squares += (self.codec.unscaled(outputs[head.point_index()], last) - actual).powi(2);
                count += 1;
            }
        }
        let examples = f64::from(count.max(1));
        let metrics = [(Metric::LOSS, loss / examples), (Metric::RMSE, (squares / examples).sqrt())];
        Some(Scores::new(count as usize, metrics))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}
