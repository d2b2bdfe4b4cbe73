//! Predictions and metrics of trained classifiers of series.

use burn::tensor::Device;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::scores::Evaluation;
use seqzoo_datasets::signal::Signal;
use seqzoo_datasets::signals::Signals;
use seqzoo_models::networks::{Ensemble, SeriesClassifier};

use super::{Codec, pad};
use crate::classes::{self, Decision, LabelPredictor, Labeled, Prediction};
use crate::prediction::label_indices;
use crate::{Examples, PredictError, TrainedModel, examples_as};

/// A trained classifier of series with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::signal::Signal;
/// use seqzoo_datasets::signals::{Example, Signals};
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::series_classification::{SignalClassifier, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (device, labels) = (Device::flex(), ["flat", "rising"].map(str::to_owned).to_vec());
/// let example = |text: &str, label| -> Result<Example, String> {
///     Ok(Example { signal: Signal::parse(text)?.into(), label, groups: [].into() })
/// };
/// let train = vec![example("1,1,1:0,0,0", 0)?, example("1,2:0,1", 1)?];
/// let data = Signals { labels, channels: 2, train, ..Signals::default() };
/// let spec = ModelSpec::new("bigru-8", &TASK, Default::default())?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = SignalClassifier::open(&spec, &training.files(), &weights, &device)?;
/// let prediction = &model.predictions(&[&Signal::parse("1,2,3:0,1,2")?])?[0];
/// assert!(prediction.probability >= 0.5);
/// # Ok(()) }
/// ```
pub type SignalClassifier = TrainedModel<Codec>;

impl SignalClassifier {
    /// Names of the labels.
    pub fn labels(&self) -> &[String] {
        &self.codec.labels
    }

    /// Predicts the label of each series. Batching changes results only by rounding.
    ///
    /// # Errors
    /// If a series has another number of channels than the model, or no steps.
    pub fn predictions(&self, series: &[&Signal]) -> Result<Vec<Prediction>, PredictError> {
        if let Some(index) = series.iter().position(|signal| signal.is_empty()) {
            return Err(PredictError::Empty { index });
        }
        let needed = self.codec.channels();
        if let Some(other) = series.iter().find(|signal| signal.channels() != needed) {
            return Err(PredictError::ChannelMismatch { needed, found: other.channels() });
        }
        let rows = self.log_probabilities(series.iter().copied());
        Ok(rows.iter().map(|row| Prediction::new(self.labels(), row, self.decision)).collect())
    }

    fn log_probabilities<'a>(&self, series: impl Iterator<Item = &'a Signal>) -> Vec<Vec<f32>> {
        let scaled: Vec<Signal> = series.map(|signal| self.codec.scaling.apply(signal)).collect();
        let rows: Vec<&Signal> = scaled.iter().collect();
        log_probabilities(&self.network, &rows, &self.device, &|| false).expect("never stopped")
    }
}

impl LabelPredictor for SignalClassifier {
    fn label_names(&self) -> &[String] {
        self.labels()
    }

    fn decision(&self) -> Decision {
        self.decision
    }

    fn set_decision(&mut self, decision: Decision) {
        self.decision = decision;
    }

    fn labeled<'a>(&self, examples: &'a dyn Examples, split: Split) -> Result<Labeled<'a>, PredictError> {
        let data = examples_as::<Signals>(examples)?;
        let examples = data.split(split);
        if data.channels != self.codec.channels() {
            return Err(PredictError::ChannelMismatch { needed: self.codec.channels(), found: data.channels });
        }
        // The labels of other data may be others, or in another order.
        let used = examples.iter().map(|example| example.label);
        let indices = label_indices(&data.labels, used, self.labels())?;
        Ok(Labeled {
            log_probabilities: self.log_probabilities(examples.iter().map(|example| &*example.signal)),
            labels: examples.iter().map(|example| indices[example.label]).collect(),
            groups: examples.iter().map(|example| example.groups.clone()).collect(),
            input: Box::new(|index| format!("a series of {} steps", examples[index].signal.len())),
        })
    }

    fn evaluate_baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples_as::<Signals>(examples)?.baselines(split))
    }

    fn predict_labels(&self, texts: &[&str]) -> Result<Vec<Prediction>, PredictError> {
        let parse = |(index, text): (usize, &&str)| match text.trim() {
            "" => Err(PredictError::Empty { index }),
            text => Signal::parse(text).map_err(|detail| PredictError::InvalidSeries { index, detail }),
        };
        let series: Vec<Signal> = texts.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
        let series: Vec<&Signal> = series.iter().collect();
        self.predictions(&series)
    }
}

/// Log probabilities of scaled series, in their order; `None` if stopped.
pub(super) fn log_probabilities(
    network: &Ensemble<SeriesClassifier>,
    rows: &[&Signal],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Vec<f32>>> {
    let lengths: Vec<usize> = rows.iter().map(|row| row.len()).collect();
    let logits = |network: &SeriesClassifier, batch: &[usize]| {
        let (series, lengths) = pad(batch.iter().map(|&index| rows[index]), device);
        network.forward(series, &lengths, None)
    };
    classes::log_probabilities(network, &lengths, device, logits, stop)
}
