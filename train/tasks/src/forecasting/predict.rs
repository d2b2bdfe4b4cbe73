//! Forecasts and metrics of trained forecasters.

use burn::tensor::{Tensor, TensorData};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Evaluation, Interval};
use seqzoo_datasets::series::{RollingOrigin, Series};
use seqzoo_datasets::timestamps::TimeStep;
use seqzoo_models::networks::ForecastHead;
use seqzoo_models::parameters::Array;

use super::{Codec, EVALUATION_BATCH, PastWindow, Settings};
use crate::{Examples, PredictError, Predictor, TrainedModel, examples_as};

/// A trained forecaster with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::series::{Column, Series};
/// use seqzoo_datasets::timestamps::TimeStep;
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::forecasting::{SeriesForecaster, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let values = (0..40).map(|row| f64::from(row % 7)).collect();
/// let data = Series {
///     columns: vec![Column { name: "sales".to_owned(), values }],
///     timestamps: (0..40).map(|row| row.to_string()).collect(),
///     step: TimeStep::Count(1),
///     first_step: 0,
///     season: Some(7),
///     train_end: 30,
///     validation_end: 35,
/// };
/// let spec = ModelSpec::new("gru-8", &TASK, "window = 7\nhorizon = 2".parse()?)?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = SeriesForecaster::open(&spec, &training.files(), &weights, &device)?;
/// let forecast = model.forecast(&model.recent()); // mean and standard deviation of the next two values
/// assert_eq!((forecast.len(), forecast[0].len()), (2, 2));
/// # Ok(()) }
/// ```
pub type SeriesForecaster = TrainedModel<Codec>;

impl SeriesForecaster {
    /// Names of the input columns, the target first.
    pub fn columns(&self) -> &[String] {
        &self.codec.columns
    }

    /// Time step between two rows.
    pub fn step(&self) -> TimeStep {
        self.codec.step
    }

    /// Parameters of rolling-origin evaluation.
    pub fn rolling_origin(&self) -> RollingOrigin {
        self.spec.settings::<Settings>().rolling_origin()
    }

    /// Forecast head.
    pub fn head(&self) -> &ForecastHead {
        self.network.head()
    }

    /// The last window of the training data.
    pub fn recent(&self) -> PastWindow {
        let Codec { recent_rows: rows, first_row, times, next_times, .. } = self.codec.clone();
        PastWindow { rows, first_row, times, next_times }
    }

    /// Forecast after a past window, in the target's unit: `[horizon][width of the head]`.
    ///
    /// # Panics
    /// If the shape of the past is not `[window][columns]`.
    pub fn forecast(&self, past: &PastWindow) -> Vec<Vec<f64>> {
        let window = self.rolling_origin().window;
        assert!(past.rows.len() == window && past.rows.iter().all(|row| row.len() == self.codec.columns.len()));
        let mut values = Vec::new();
        let last = past.rows[window - 1][0];
        for (number, row) in (past.first_row..).zip(&past.rows) {
            self.codec.encode(number, row.iter().copied(), last, &mut values);
        }
        let shape = [1, window, self.codec.features()];
        let input = Tensor::from_data(TensorData::new(values, shape), &self.device);
        let outputs = Array::of(self.network.forecast(input, &[window])).values;
        outputs.chunks_exact(self.head().output_size()).map(|outputs| self.unscaled(outputs, last)).collect()
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
        let RollingOrigin { window, horizon, .. } = self.rolling_origin();
        let past = self.codec.windows(series, origins, window, &self.device);
        let outputs = Array::of(self.network.forecast(past, &vec![window; origins.len()])).values;
        let width = self.head().output_size();
        let unscaled = |(&origin, outputs): (&usize, &[f32])| {
            let last = series.target()[origin - 1];
            outputs.chunks_exact(width).map(|outputs| self.unscaled(outputs, last)).collect()
        };
        origins.iter().zip(outputs.chunks_exact(width * horizon)).map(unscaled).collect()
    }

    /// Rolling-origin evaluation on a split of a series with the same columns, one batch of forecasts at a time.
    pub fn evaluate_series(&self, series: &Series, split: Split) -> Evaluation {
        let (framing, head) = (self.rolling_origin(), self.head());
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
            Some(forecast.iter().map(|outputs| outputs[head.point_index()]).collect())
        });
        Evaluation { interval: coverage.interval(), ..evaluation }
    }
}

impl SeriesForecaster {
    /// Checks that a series has the columns and the time step of the training data.
    ///
    /// # Errors
    /// If it does not.
    pub fn check_series(&self, series: &Series) -> Result<(), PredictError> {
        if !self.columns().iter().eq(series.columns.iter().map(|column| &column.name)) {
            return Err(PredictError::ColumnMismatch { needed: self.columns().join(", ") });
        }
        let (needed, found) = (self.step(), series.step);
        if needed == found { Ok(()) } else { Err(PredictError::StepMismatch { needed, found }) }
    }
}

impl Predictor for SeriesForecaster {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let series: &Series = examples_as(examples)?;
        self.check_series(series)?;
        Ok(self.evaluate_series(series, split))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples_as::<Series>(examples)?.baselines(split, self.rolling_origin()))
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
    use super::super::ForecastingTraining;
    use super::*;
    use crate::{StepKeys, TrainingTask as _, test_spec};
    use seqzoo_datasets::scores::Metric;
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

    fn task(series: &Series) -> ForecastingTraining {
        task_of(series, "")
    }

    fn task_of(series: &Series, more: &str) -> ForecastingTraining {
        let settings = format!("window = 5\nhorizon = 3\ncalendar = true\ndifference = true\n{more}");
        ForecastingTraining::new(&test_spec("forecasting", &settings, "gru-8"), series).unwrap()
    }

    #[test]
    fn training_sees_no_row_after_the_training_split() {
        let (_, device) = devices().remove(0);
        let loss = |series: &Series| -> Vec<f32> {
            let task = task(series);
            let network = task.network(&device.clone().autodiff());
            let keys = StepKeys::new(1, 0, 0);
            let of = |batch: Vec<usize>| {
                task.loss(&network, &batch, None, keys, &device.clone().autodiff()).loss.into_scalar()
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
        let quantiles = "distribution = \"quantiles\"\nquantiles = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]";
        let task = task_of(&series, quantiles);
        let network = task.network(&device);
        let past = |origin: usize| task.codec.windows(&series, &[origin], 5, &device);
        let raw = Array::of(network.forward(past(42), &[5], None)).values;
        assert!(raw.chunks_exact(9).any(|quantiles| !quantiles.is_sorted()), "untrained quantiles cross");
        let validated = task.validate(&network, &device, &|| false).unwrap();
        let ForecastingTraining { codec, spec, .. } = task.clone();
        let trained = TrainedModel {
            codec,
            spec,
            network: network.clone(),
            device: device.clone(),
            decision: Default::default(),
        };
        let reported = trained.evaluate_series(&series, Split::Validation).all;
        let [validated, reported] = [validated, reported].map(|scores| scores.get(Metric::RMSE).unwrap());
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
        let framing = task.rolling_origin();
        let mut squares = 0.0;
        for origin in series.origins(Split::Validation, framing.window, framing.horizon) {
            let past = task.codec.windows(&series, &[origin], framing.window, &device);
            let outputs = Array::of(network.forward(past, &[framing.window], None)).values;
            for (step, outputs) in outputs.chunks_exact(2).enumerate() {
                let from_last = f64::from(outputs[0]) * task.codec.scaling.std[0];
                squares += (series.target()[origin - 1] + from_last - series.target()[origin + step]).powi(2);
            }
        }
        assert!((scores.get(Metric::RMSE).unwrap() - (squares / 24.0).sqrt()).abs() < 1e-5);
    }
}
