//! Forecasting of time series.

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::batch::{self, BatchLimits};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Evaluation, Interval, Metric, Scores};
use seqzoo_datasets::series::{RollingOrigin, Series, Standardization};
use seqzoo_datasets::timestamps::TimeStep;
use seqzoo_kernels::Execution;
use seqzoo_models::invalid_shape::InvalidShape;
use seqzoo_models::layers::{PerceptronShape, StackShape};
use seqzoo_models::networks::{ForecastHead, Forecaster, ForecasterShape, Network, PastShape};
use seqzoo_random::{Key, Purpose};
use serde::{Deserialize, Serialize};

use super::{BatchLoss, Codec as _, RecurrentState, Task, Trained};
use crate::checkpoint::Files;
use crate::faults;
use crate::parameters::Array;
use crate::recipe::{Backbone, ModelSpec};

/// Number of windows per batch for evaluation.
const EVALUATION_BATCH: usize = 512;

/// Columns, scaling and recent past of a series. With the weights, it is all that inference needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Names of the columns, the target first.
    pub columns: Vec<String>,
    /// Time step between two rows.
    pub step: TimeStep,
    /// Scaling, fitted on the training split only.
    pub scaling: Standardization,
    /// Number of rows of a season, whose phase is an input feature; 0: none.
    pub season: usize,
    /// Whether the target is encoded and forecast as the difference from its last known value.
    pub difference: bool,
    /// The last window of the series trained on, `[rows][columns]`.
    pub recent: Vec<Vec<f64>>,
    /// Number of the first of those rows, as [`Series::first`] counts.
    pub number: i64,
    /// Timestamps of those rows.
    pub times: Vec<String>,
    /// Timestamps of the horizon after them.
    pub next: Vec<String>,
}

/// Past window of a series, with timestamps.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// `[rows][columns]`.
    pub rows: Vec<Vec<f64>>,
    /// Number of the first row, as [`Series::first`] counts.
    pub number: i64,
    /// Timestamp of each row.
    pub times: Vec<String>,
    /// Timestamp of each forecast row.
    pub next: Vec<String>,
}

impl Past {
    /// The last `window` rows of a series and the timestamps of the next `horizon` rows; `None` if it is too short.
    pub fn of(series: &Series, RollingOrigin { window, horizon, .. }: RollingOrigin) -> Option<Self> {
        let first = series.rows().checked_sub(window)?;
        let row = |row: usize| series.columns.iter().map(|column| column.values[row]).collect();
        Some(Self {
            rows: (first..series.rows()).map(row).collect(),
            number: series.first_step + first as i64,
            times: series.timestamps[first..].to_vec(),
            next: (1..=horizon).map(|k| series.next_time(k)).collect(),
        })
    }
}

impl Codec {
    /// The codec of a series and a recipe's model.
    fn of(spec: &ModelSpec, series: &Series) -> Self {
        let settings = &spec.recipe.series;
        let past = Past::of(series, settings.framing());
        let past = past.unwrap_or(Past { rows: Vec::new(), number: 0, times: Vec::new(), next: Vec::new() });
        Self {
            columns: series.columns.iter().map(|column| column.name.clone()).collect(),
            step: series.step,
            scaling: Standardization::fit(series),
            season: if settings.calendar { series.season.unwrap_or(0) } else { 0 },
            difference: settings.difference,
            recent: past.rows,
            number: past.number,
            times: past.times,
            next: past.next,
        }
    }

    /// Number of input features per row: the scaled columns and the season's phase as a point on the unit circle.
    fn features(&self) -> usize {
        self.columns.len() + if self.season > 0 { 2 } else { 0 }
    }

    /// Scaled offset of the target, given its last known value.
    fn origin(&self, last: f64) -> f64 {
        if self.difference { self.scaling.standardize(0, last) } else { 0.0 }
    }

    /// A predicted value in the target's unit.
    fn unscaled(&self, predicted: f32, last: f64) -> f64 {
        self.scaling.inverse(f64::from(predicted) + self.origin(last))
    }

    /// Appends the input features of row `number`.
    fn encode(&self, number: i64, row: impl Iterator<Item = f64>, last: f64, into: &mut Vec<f32>) {
        let from = |column: usize| if column == 0 { self.origin(last) } else { 0.0 };
        into.extend(
            row.enumerate().map(|(column, value)| (self.scaling.standardize(column, value) - from(column)) as f32),
        );
        if self.season > 0 {
            let phase = number.rem_euclid(self.season as i64) as f64 / self.season as f64;
            let phase = std::f64::consts::TAU * phase;
            into.extend([phase.sin() as f32, phase.cos() as f32]);
        }
    }

    /// Input windows that end before each origin, `[origins, window, features]`.
    fn windows(&self, series: &Series, origins: &[usize], window: usize, device: &Device) -> Tensor<3> {
        let mut values = Vec::with_capacity(origins.len() * window * self.features());
        for &origin in origins {
            let last = series.target()[origin - 1];
            for number in origin - window..origin {
                let row = series.columns.iter().map(|column| column.values[number]);
                self.encode(series.first_step + number as i64, row, last, &mut values);
            }
        }
        Tensor::from_data(TensorData::new(values, [origins.len(), window, self.features()]), device)
    }

    fn shape(&self, spec: &ModelSpec) -> ForecasterShape {
        let settings = &spec.recipe.series;
        let past = match spec.backbone {
            Backbone::Recurrent(_) => PastShape::Recurrent(StackShape { input_size: self.features(), ..spec.stack() }),
            Backbone::Perceptron => PastShape::Perceptron(PerceptronShape {
                window: settings.window,
                features: self.features(),
                hidden_sizes: spec.recipe.network.hidden_sizes.clone(),
            }),
        };
        let dropout = spec.recipe.dropout.output;
        ForecasterShape { past, horizon: settings.horizon, head: settings.head(), dropout }
    }
}

impl super::Codec for Codec {
    type Network = Forecaster;

    fn fits(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        let columns = self.columns.len();
        let RollingOrigin { window, horizon, .. } = spec.recipe.series.framing();
        let fits = columns > 0
            && [self.scaling.means.len(), self.scaling.std.len()] == [columns; 2]
            && self.recent.iter().all(|row| row.len() == columns)
            && [self.recent.len(), self.times.len()] == [window; 2]
            && self.next.len() == horizon;
        if !fits {
            return Err(InvalidShape::new(
                "recent",
                "its columns or rows do not match the window, the horizon or each other",
            ));
        }
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> Forecaster {
        Forecaster::new(self.shape(spec), spec.recipe.training.seed, device)
    }
}

/// Training task of a forecaster.
#[derive(Debug, Clone)]
pub struct ForecastingTask {
    codec: Codec,
    spec: ModelSpec,
    series: Series,
    origins: Vec<usize>,
}

impl ForecastingTask {
    /// The task of a recipe's model.
    ///
    /// # Errors
    /// If the model does not fit the data's sizes.
    pub fn new(spec: &ModelSpec, series: &Series) -> Result<Self, InvalidShape> {
        let RollingOrigin { window, horizon, .. } = spec.recipe.series.framing();
        let codec = Codec::of(spec, series);
        codec.fits(spec)?;
        Ok(Self {
            codec,
            spec: spec.clone(),
            series: series.clone(),
            origins: series.origins(Split::Train, window, horizon),
        })
    }

    fn framing(&self) -> RollingOrigin {
        self.spec.recipe.series.framing()
    }

    /// Scaled target values after each origin, `[origins, horizon]`.
    fn targets(&self, origins: &[usize], device: &Device) -> Tensor<2> {
        let horizon = self.framing().horizon;
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

impl Task for ForecastingTask {
    type Network = Forecaster;

    fn network(&self, device: &Device) -> Forecaster {
        self.spec.recipe.begin(self.codec.network(&self.spec, device))
    }

    fn set_execution(&self, network: &mut Self::Network, execution: Execution) {
        network.set_execution(execution);
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let training = &self.spec.recipe.training;
        let window = self.framing().window;
        let key = Key::new(training.seed, Purpose::Order).at(epoch);
        let lengths = vec![window; self.origins.len()];
        batch::shuffled(&lengths, &lengths, BatchLimits { rows: training.batch_size, tokens: usize::MAX }, key)
    }

    fn loss(
        &self,
        network: &Forecaster,
        batch: &[usize],
        _: Option<&RecurrentState>,
        noise: Key,
        device: &Device,
    ) -> BatchLoss {
        let RollingOrigin { window, horizon, .. } = self.framing();
        let origins: Vec<usize> = batch.iter().map(|&index| self.origins[index]).collect();
        let mut past = self.codec.windows(&self.series, &origins, window, device);
        if let Some(value) = faults::value("activation") {
            past = past * value;
        }
        let loss = network.loss(past, &vec![window; origins.len()], self.targets(&origins, device), Some(noise));
        BatchLoss {
            loss,
            weight: (origins.len() * horizon) as f64,
            tokens: origins.len() * window,
            recurrent_state: None,
        }
    }

    fn validate(&self, network: &Forecaster, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let RollingOrigin { window, horizon, .. } = self.framing();
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
            for (outputs, (last, actual)) in outputs.chunks_exact(head.width()).zip(rows) {
                squares += (self.codec.unscaled(outputs[head.middle()], last) - actual).powi(2);
                count += 1;
            }
        }
        let examples = f64::from(count.max(1));
        let metrics = [(Metric::Loss, loss / examples), (Metric::Rmse, (squares / examples).sqrt())];
        Some(Scores::new(count as usize, metrics))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// A trained forecaster with its codec.
pub type SeriesForecaster = Trained<Codec>;

impl SeriesForecaster {
    /// Names of the input columns, the target first.
    pub fn columns(&self) -> &[String] {
        &self.codec.columns
    }

    /// Time step between two rows.
    pub fn step(&self) -> TimeStep {
        self.codec.step
    }

    /// Window and horizon.
    pub fn framing(&self) -> RollingOrigin {
        self.spec.recipe.series.framing()
    }

    /// Forecast head.
    pub fn head(&self) -> &ForecastHead {
        self.network.head()
    }

    /// The last window of the series that it was trained on.
    pub fn recent(&self) -> Past {
        let Codec { recent, number, times, next, .. } = self.codec.clone();
        Past { rows: recent, number, times, next }
    }

    /// Forecast after a past window, in the target's unit: `[horizon][width of the head]`.
    ///
    /// # Panics
    /// If the shape of the past is not `[window][columns]`.
    pub fn forecast(&self, past: &Past) -> Vec<Vec<f64>> {
        let window = self.framing().window;
        assert!(past.rows.len() == window && past.rows.iter().all(|row| row.len() == self.codec.columns.len()));
        let mut values = Vec::new();
        let last = past.rows[window - 1][0];
        for (number, row) in (past.number..).zip(&past.rows) {
            self.codec.encode(number, row.iter().copied(), last, &mut values);
        }
        let shape = [1, window, self.codec.features()];
        let input = Tensor::from_data(TensorData::new(values, shape), &self.device);
        let outputs = Array::of(self.network.forecast(input, &[window])).values;
        outputs.chunks_exact(self.head().width()).map(|outputs| self.unscaled(outputs, last)).collect()
    }

    /// The head's outputs for one value, in the target's unit.
    fn unscaled(&self, outputs: &[f32], last: f64) -> Vec<f64> {
        match self.head() {
            ForecastHead::Gaussian => {
                vec![self.codec.unscaled(outputs[0], last), f64::from(outputs[1]) * self.codec.scaling.std[0]]
            }
            ForecastHead::Point | ForecastHead::Quantiles(_) => {
                outputs.iter().map(|&output| self.codec.unscaled(output, last)).collect()
            }
        }
    }

    /// Forecasts after each origin, in the target's unit: `[origins][horizon][width of the head]`.
    fn forecasts(&self, series: &Series, origins: &[usize]) -> Vec<Vec<Vec<f64>>> {
        let RollingOrigin { window, horizon, .. } = self.framing();
        let past = self.codec.windows(series, origins, window, &self.device);
        let outputs = Array::of(self.network.forecast(past, &vec![window; origins.len()])).values;
        let width = self.head().width();
        let unscaled = |(&origin, outputs): (&usize, &[f32])| {
            let last = series.target()[origin - 1];
            outputs.chunks_exact(width).map(|outputs| self.unscaled(outputs, last)).collect()
        };
        origins.iter().zip(outputs.chunks_exact(width * horizon)).map(unscaled).collect()
    }

    /// Rolling-origin evaluation on a split of a series with the same columns, with one batch of forecasts in memory.
    pub fn evaluate(&self, series: &Series, split: Split) -> Evaluation {
        let (framing, head) = (self.framing(), self.head());
        let origins = series.origins(split, framing.window, framing.horizon);
        let mut batches = origins.chunks(EVALUATION_BATCH);
        let mut batch = Vec::new().into_iter();
        let mut coverage = Coverage::of(head);
        let evaluation = series.evaluate(split, framing, |origin| {
            if batch.len() == 0 {
                batch = self.forecasts(series, batches.next()?).into_iter();
            }
            let forecast: Vec<Vec<f64>> = batch.next()?;
            forecast
                .iter()
                .zip(&series.target()[origin..])
                .for_each(|(outputs, &actual)| coverage.add(outputs, actual));
            Some(forecast.iter().map(|outputs| outputs[head.middle()]).collect())
        });
        Evaluation { interval: coverage.interval(), ..evaluation }
    }
}

/// Empirical coverage of the intervals between the outermost quantiles.
struct Coverage<'a> {
    head: &'a ForecastHead,
    /// Probabilities of those quantiles; `None` if they do not span an interval.
    outermost: Option<(f64, f64)>,
    covered: usize,
    count: usize,
}

impl<'a> Coverage<'a> {
    fn of(head: &'a ForecastHead) -> Self {
        let quantiles = head.quantiles();
        let outermost = quantiles.first().copied().zip(quantiles.last().copied()).filter(|(low, high)| low < high);
        Self { head, outermost, covered: 0, count: 0 }
    }

    fn add(&mut self, outputs: &[f64], actual: f64) {
        let Some((low, high)) = self.outermost else { return };
        let [low, high] = [low, high].map(|probability| self.head.quantile(outputs, probability));
        self.covered += usize::from(low.zip(high).is_some_and(|(low, high)| (low..=high).contains(&actual)));
        self.count += 1;
    }

    fn interval(&self) -> Option<Interval> {
        let (low, high) = self.outermost.filter(|_| self.count > 0)?;
        Some(Interval { nominal: high - low, empirical: self.covered as f64 / self.count as f64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Override, Settings};
    use seqzoo_datasets::series::Column;
    use seqzoo_kernels::devices;

    fn series(shift: f64, from: usize) -> Series {
        let value = |row: usize| (row as f64 * 0.7).sin() + if row < from { 0.0 } else { shift };
        let column = |name: &str| Column { name: name.to_owned(), values: (0..60).map(value).collect() };
        Series {
            columns: vec![column("sold"), column("price")],
            timestamps: (0..60).map(|row| row.to_string()).collect(),
            step: TimeStep::Count(1),
            first_step: 0,
            season: Some(9),
            train_end: 40,
            validation_end: 50,
        }
    }

    fn task(series: &Series) -> ForecastingTask {
        task_of(series, &[])
    }

    fn task_of(series: &Series, more: &[(&str, &str)]) -> ForecastingTask {
        let set = |(field, value): (&str, &str)| Override {
            origin: "--set".to_owned(),
            field: field.to_owned(),
            value: value.to_owned(),
        };
        let values: Vec<Override> =
            [("series.window", "5"), ("series.horizon", "3")].iter().chain(more).copied().map(set).collect();
        let recipe = Settings::resolve("forecast", &values).unwrap().recipe;
        ForecastingTask::new(&recipe.spec("gru").unwrap(), series).unwrap()
    }

    #[test]
    fn training_sees_no_row_after_the_training_split() {
        let (_, device) = devices().remove(0);
        let loss = |series: &Series| -> Vec<f32> {
            let task = task(series);
            let network = task.network(&device.clone().autodiff());
            let noise = Key::new(1, Purpose::Dropout);
            let of = |batch: Vec<usize>| {
                task.loss(&network, &batch, None, noise, &device.clone().autodiff()).loss.into_scalar()
            };
            task.batches(0).into_iter().map(of).collect()
        };
        let plain = loss(&series(0.0, 0));
        assert_eq!(loss(&series(1e3, 40)), plain, "rows from the validation split on change nothing");
        assert_ne!(loss(&series(1e3, 39)), plain, "the last row of the training split is trained on");
    }

    #[test]
    fn an_input_window_contains_no_row_from_its_origin_on() {
        let (_, device) = devices().remove(0);
        let (plain, later) = (series(0.0, 0), series(5.0, 47));
        let codec = task(&plain).codec;
        let window = |series: &Series, origin: usize| Array::of(codec.windows(series, &[origin], 5, &device)).values;
        assert_eq!(window(&later, 47), window(&plain, 47));
        assert_ne!(window(&later, 48), window(&plain, 48));
        // Columns are scaled by the training split, and the phase is that of the row.
        let features = window(&plain, 47);
        assert_eq!(features.len(), 5 * 4);
        let scaled = codec.scaling.standardize(1, plain.target()[46]) as f32;
        let phase = std::f64::consts::TAU * (46 % 9) as f64 / 9.0;
        assert_eq!(features[16..], [0.0, scaled, phase.sin() as f32, phase.cos() as f32], "target minus last value");
    }

    #[test]
    fn features_of_a_row_do_not_depend_on_the_first_row_of_the_table() {
        let (_, device) = devices().remove(0);
        let whole = series(0.0, 0);
        let mut late = whole.clone();
        late.columns.iter_mut().for_each(|column| drop(column.values.drain(..20)));
        (late.first_step, late.timestamps) = (20, late.timestamps.split_off(20));
        let codec = task(&whole).codec;
        let window = |series: &Series, origin: usize| Array::of(codec.windows(series, &[origin], 5, &device)).values;
        assert_eq!(window(&late, 10), window(&whole, 30));
        late.first_step = 0;
        assert_ne!(window(&late, 10), window(&whole, 30), "the phase is a feature");
        late.first_step = 20 - 9 * 100;
        assert_eq!(window(&late, 10), window(&whole, 30), "whole seasons earlier");
    }

    #[test]
    fn empirical_coverage_counts_values_between_the_outermost_quantiles() {
        let coverage = |head: &ForecastHead, forecasts: &[(Vec<f64>, f64)]| {
            let mut coverage = Coverage::of(head);
            forecasts.iter().for_each(|(outputs, actual)| coverage.add(outputs, *actual));
            coverage.interval().map(|found| (found.nominal, found.empirical))
        };
        let quantiles = ForecastHead::Quantiles(vec![0.25, 0.5, 0.75]);
        let forecasts = [0.9, 1.0, 2.5, 4.0, 4.1].map(|actual| (vec![1.0, 2.0, 4.0], actual));
        assert_eq!(coverage(&quantiles, &forecasts), Some((0.5, 0.6)));
        let forecasts = [-3.3, -3.2, 3.2].map(|actual| (vec![0.0, 2.0], actual));
        let expected = Some((0.95 - 0.05, 2.0 / 3.0));
        assert_eq!(coverage(&ForecastHead::Gaussian, &forecasts), expected, "1.645 standard deviations of 2");
        assert_eq!(coverage(&ForecastHead::Point, &[(vec![1.0], 1.0)]), None);
        assert_eq!(
            (coverage(&ForecastHead::Quantiles(vec![0.5]), &[(vec![1.0], 1.0)]), coverage(&quantiles, &[])),
            (None, None)
        );
    }

    #[test]
    fn validation_and_evaluation_agree_and_quantiles_never_cross() {
        let (_, device) = devices().remove(0);
        let series = series(0.0, 0);
        let quantiles = [
            ("series.distribution", "quantiles"),
            ("series.quantiles", "[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]"),
        ];
        let task = task_of(&series, &quantiles);
        let network = task.network(&device);
        let past = |origin: usize| task.codec.windows(&series, &[origin], 5, &device);
        let raw = Array::of(network.forward(past(42), &[5], None)).values;
        assert!(raw.chunks_exact(9).any(|quantiles| !quantiles.is_sorted()), "untrained quantiles cross");
        let validated = task.validate(&network, &device, &|| false).unwrap();
        let ForecastingTask { codec, spec, .. } = task.clone();
        let trained = Trained { codec, spec, network: network.clone(), device: device.clone() };
        let reported = trained.evaluate(&series, Split::Validation).all;
        let [validated, reported] = [validated, reported].map(|scores| scores.get(Metric::Rmse).unwrap());
        assert!((validated - reported).abs() < 1e-12, "{validated} {reported}");
        for outputs in trained.forecasts(&series, &[42, 43]).iter().flatten() {
            assert!(outputs.is_sorted(), "{outputs:?}");
        }
    }

    #[test]
    fn rmse_is_in_the_unit_of_the_series() {
        let (_, device) = devices().remove(0);
        let series = series(0.0, 0);
        let task = task(&series);
        let network = task.network(&device);
        let scores = task.validate(&network, &device, &|| false).unwrap();
        // Ten validation rows have eight origins with a horizon of three.
        assert_eq!(scores.examples, 24);
        let framing = task.framing();
        let mut squares = 0.0;
        for origin in series.origins(Split::Validation, framing.window, framing.horizon) {
            let past = task.codec.windows(&series, &[origin], framing.window, &device);
            let outputs = Array::of(network.forward(past, &[framing.window], None)).values;
            for (step, outputs) in outputs.chunks_exact(2).enumerate() {
                let from_last = f64::from(outputs[0]) * task.codec.scaling.std[0];
                squares += (series.target()[origin - 1] + from_last - series.target()[origin + step]).powi(2);
            }
        }
        assert!((scores.get(Metric::Rmse).unwrap() - (squares / 24.0).sqrt()).abs() < 1e-5);
    }
}
