//! Scores and metrics of trained anomaly detectors.

use seqzoo_datasets::anomalies::{Anomalies, Judged, Monitored, Rule};
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::{Evaluation, Metric};
use seqzoo_models::parameters::Array;

use super::{Codec, Settings, windows};
use crate::{Examples, PredictError, Predictor, TrainedModel, batches, examples_as};

/// Number of forecasts per batch.
const BATCH: usize = 512;

/// A trained anomaly detector: a forecaster whose errors are scored, see [`Rule`].
///
/// ```text
/// e_t = sqrt(mean over k of (z_t - forecast of z_t from the rows up to t - k)²),  k = 1 … horizon
/// ```
///
/// Several horizons judge a row by what was expected just before it and long before it (Malhotra et al., "Long short term memory
/// networks for anomaly detection in time series", ESANN 2015). Values are standardized by the probationary period of their own series, so
/// that a detector applies to series that it was not trained on.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::anomalies::{Anomalies, Monitored};
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::anomaly::{AnomalyDetector, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::flex();
/// let mut values: Vec<f64> = (0..300).map(|row| f64::from(row % 7)).collect();
/// values[200] = 99.0;
/// let series = Monitored { values, train_end: 60, validation_end: 90, ..Monitored::default() };
/// let data = Anomalies { column: "load".to_owned(), series: vec![series], ..Anomalies::default() };
/// let spec = ModelSpec::new("gru-8", &TASK, "window = 14\nhorizon = 7".parse()?)?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = AnomalyDetector::open(&spec, &training.files(), &weights, &device)?;
/// let judged = model.judge(&data.series[0]);
/// let alarms: Vec<usize> = (90..300).filter(|&row| judged.is_alarm(row)).collect();
/// assert_eq!(alarms, [200]);
/// # Ok(()) }
/// ```
pub type AnomalyDetector = TrainedModel<Codec>;

impl AnomalyDetector {
    /// Name of the column of the values in the training data.
    pub fn column(&self) -> &str {
        &self.codec.column
    }

    /// How errors become scores.
    pub fn rule(&self) -> Rule {
        self.spec.settings::<Settings>().rule()
    }

    /// Scores all rows of a series.
    pub fn judge(&self, series: &Monitored) -> Judged {
        self.judge_by(series, self.rule())
    }

    /// As [`AnomalyDetector::judge`], by another rule.
    pub fn judge_by(&self, series: &Monitored, rule: Rule) -> Judged {
        let errors = self.errors(&series.standardized());
        Judged::new(&series.values, errors, series.probation(), rule)
    }

    /// The error of the forecasts of each standardized value; 0 for the first one.
    fn errors(&self, values: &[f64]) -> Vec<f64> {
        let Settings { window, horizon, .. } = self.spec.settings();
        let origins: Vec<usize> = (1..values.len()).collect();
        let all: Vec<Vec<usize>> = origins.chunks(BATCH).map(<[usize]>::to_vec).collect();
        let forecasts = batches::each(
            &self.network,
            &all,
            &self.device,
            |network, origins| {
                let past = windows(origins.iter().map(|&origin| (values, origin)), window, &self.device);
                Array::of(network.forecast(past, &vec![window; origins.len()])).values
            },
            &|| false,
        );
        let forecasts = forecasts.expect("never stopped").concat();
        let mut squares = vec![0.0; values.len()];
        for (index, forecast) in forecasts.chunks_exact(horizon).enumerate() {
            let rows = squares.iter_mut().zip(values).skip(index + 1);
            for ((sum, value), forecast) in rows.zip(forecast) {
                *sum += (value - f64::from(*forecast)).powi(2);
            }
        }
        let mean = |(row, sum): (usize, f64)| (sum / row.clamp(1, horizon) as f64).sqrt();
        squares.into_iter().enumerate().map(mean).collect()
    }
}

impl Predictor for AnomalyDetector {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let data: &Anomalies = examples_as(examples)?;
        let (mut squares, mut count) = (0.0, 0);
        let mut evaluation = data.evaluate(split, |series| {
            let errors = self.errors(&series.standardized());
            let rows = series.split(split);
            count += rows.len();
            squares += errors[rows].iter().map(|error| error.powi(2)).sum::<f64>();
            Judged::new(&series.values, errors, series.probation(), self.rule())
        });
        evaluation.all.insert(Metric::LOSS, squares / f64::from(u32::try_from(count.max(1)).unwrap_or(u32::MAX)));
        Ok(evaluation)
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples_as::<Anomalies>(examples)?.baselines(split, self.rule()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::AnomalyTraining;
    use super::*;
    use crate::{StepKeys, TrainingTask as _, test_spec};
    use seqzoo_kernels::devices;

    fn data(from: usize, shift: f64) -> Anomalies {
        let value = |row: usize| (row as f64 * 0.7).sin() + if row < from { 0.0 } else { shift };
        let values: Vec<f64> = (0..120).map(value).collect();
        let long = Monitored { values: values.clone(), train_end: 40, validation_end: 60, ..Monitored::default() };
        let short =
            Monitored { values: values[..70].to_vec(), train_end: 20, validation_end: 30, ..Monitored::default() };
        Anomalies { column: "load".to_owned(), series: vec![long, short], ..Anomalies::default() }
    }

    fn training(data: &Anomalies) -> AnomalyTraining {
        AnomalyTraining::new(&test_spec("anomaly", "window = 6\nhorizon = 4", "gru-8"), data).unwrap()
    }

    #[test]
    fn training_sees_no_row_after_the_probationary_period() {
        let (_, device) = devices().remove(0);
        let losses = |data: &Anomalies| -> Vec<f32> {
            let task = training(data);
            let device = device.clone().autodiff();
            let network = task.network(&device);
            let of = |batch: Vec<usize>| {
                task.loss(&network, &batch, None, StepKeys::new(1, 0, 0), &device).loss.into_scalar()
            };
            task.batches(0).into_iter().map(of).collect()
        };
        let plain = losses(&data(0, 0.0));
        assert_eq!(losses(&data(60, 1e3)), plain);
        assert_ne!(losses(&data(59, 1e3)), plain, "it is standardized by the whole period");
    }

    #[test]
    fn errors_match_single_forecasts_and_depend_on_no_later_row() {
        for (_, device) in devices() {
            let data = data(0, 0.0);
            let task = training(&data);
            let network = task.network(&device);
            let values = data.series[0].standardized();
            let spec = test_spec("anomaly", "window = 6\nhorizon = 4", "gru-8");
            let codec = Codec { column: "load".to_owned() };
            let model = TrainedModel { codec, spec, network, device: device.clone(), decision: Default::default() };
            let errors = model.errors(&values);
            assert_eq!((errors.len(), errors[0]), (120, 0.0));
            for row in [1usize, 2, 50] {
                let mut squares = Vec::new();
                for origin in row.saturating_sub(4) + 1..=row {
                    let past = windows([(values.as_slice(), origin)].into_iter(), 6, &device);
                    let forecast = Array::of(model.network.forecast(past, &[6])).values;
                    squares.push((values[row] - f64::from(forecast[row - origin])).powi(2));
                }
                let expected = (squares.iter().sum::<f64>() / squares.len() as f64).sqrt();
                assert!((errors[row] - expected).abs() < 1e-5, "row {row}: {} {expected}", errors[row]);
            }
            let part = model.errors(&values[..80]);
            assert!(part.iter().zip(&errors).all(|(part, whole)| (part - whole).abs() < 1e-5));
        }
    }

    #[test]
    fn windows_repeat_the_first_row_and_compress_values() {
        let (_, device) = devices().remove(0);
        let series = [1.0, 2.0, 3.0, 1e6];
        let found = Array::of(windows([(&series[..], 2), (&series[..], 4)].into_iter(), 3, &device)).values;
        let expected = [1.0, 1.0, 2.0, 2.0, 3.0, 1e6f64].map(|value| value.asinh() as f32);
        assert_eq!(found, expected);
    }
}
