//! Predictions and metrics of trained models of memory.

use burn::tensor::{Device, Tensor, activation::log_softmax};
use seqzoo_datasets::batch;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::memory::{self, Memory, Predicted, Sequence};
use seqzoo_datasets::problems::{ANSWER, Example, Inputs};
use seqzoo_datasets::scores::Evaluation;
use seqzoo_models::networks::StepClassifier;
use serde_json::json;

use super::{Codec, target_steps};
use crate::{
    Examples, Output, PredictError, Predictor, TextOptions, TrainedModel, batches, evaluation_limits, examples_as,
    most_probable,
};

/// A trained model of memory with its codec.
///
/// ```
/// use burn::tensor::Device;
/// use seqzoo_datasets::memory::{DATA, Memory};
/// use seqzoo_datasets::settings::DataSettings;
/// use seqzoo_models::parameters::read;
/// use seqzoo_tasks::memory::{MemoryModel, TASK};
/// use seqzoo_tasks::{Examples, ModelSpec, Predictor, TextOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (device, options) = (Device::flex(), "length = 5\nexamples = 10".parse::<toml::Table>()?);
/// let settings = DataSettings { dataset: Some("memory".to_owned()), options, ..DataSettings::default() };
/// let data = Memory::from_records(&settings.load("data".as_ref(), &DATA)?)?;
/// let spec = ModelSpec::new("lstm-8", &TASK, Default::default())?;
/// let training = data.training(&spec)?;
/// let weights = read(&*training.network(&device)); // untrained
/// let model = MemoryModel::open(&spec, &training.files(), &weights, &device)?;
/// let output = &model.predict(&["1 1 0 1 ?"], TextOptions::default())?[0];
/// assert!(["0", "1"].contains(&output.line.as_str()));
/// # Ok(()) }
/// ```
pub type MemoryModel = TrainedModel<Codec>;

/// Number of sequences of a batch.
const ROWS: usize = 64;

impl Predictor for MemoryModel {
    fn evaluate(&self, examples: &dyn Examples, split: Split) -> Result<Evaluation, PredictError> {
        let data = examples_as::<Memory>(examples)?;
        if Codec::of(data) != self.codec {
            return Err(PredictError::KindMismatch);
        }
        let sequences = data.split(split);
        let found = evaluate(&self.codec, &self.network, sequences, &self.device, &|| false).expect("never stopped");
        Ok(memory::evaluation(found, sequences))
    }

    fn baselines(
        &self,
        examples: &dyn Examples,
        split: Split,
    ) -> Result<Vec<(&'static str, Evaluation)>, PredictError> {
        Ok(examples_as::<Memory>(examples)?.baselines(split))
    }

    /// The outputs at the answer steps of each text, or at all of its steps if there are none. Inputs are separated by whitespace.
    fn predict(&self, texts: &[&str], _: TextOptions) -> Result<Vec<Output>, PredictError> {
        let output = |(index, text): (usize, &&str)| {
            let inputs = memory::parse_inputs(text, &self.codec.inputs)
                .map_err(|detail| PredictError::InvalidSequence { index, detail })?;
            let names: Vec<&str> = text.split_whitespace().collect();
            let answers: Vec<usize> = (0..names.len()).filter(|&step| names[step] == ANSWER).collect();
            let steps = if answers.is_empty() { (0..names.len()).collect() } else { answers };
            if steps.is_empty() {
                return Err(PredictError::Empty { index });
            }
            let predictions = self.predictions(&inputs, &steps);
            Ok(Output::new(predictions.join(" "), [("steps", json!(steps)), ("predictions", json!(predictions))]))
        };
        texts.iter().enumerate().map(output).collect()
    }
}

impl MemoryModel {
    /// The outputs at steps of a sequence.
    fn predictions(&self, inputs: &Inputs, steps: &[usize]) -> Vec<String> {
        let (batch, lengths) = self.codec.batch(&[inputs], &self.device);
        let rows = outputs(&self.codec, &self.network, batch, &lengths, steps);
        let shown = |row: &Vec<f32>| match self.codec.outputs.is_empty() {
            true => row[0].to_string(),
            false => self.codec.outputs[most_probable(row)].clone(),
        };
        rows.iter().map(shown).collect()
    }
}

/// Log probabilities of the output symbols, or the number, at steps of a batch.
fn outputs(
    codec: &Codec,
    network: &StepClassifier,
    batch: Tensor<3>,
    lengths: &[usize],
    steps: &[usize],
) -> Vec<Vec<f32>> {
    let outputs = network.outputs(network.features(batch, lengths, steps, None));
    let outputs = if codec.outputs.is_empty() { outputs } else { log_softmax(outputs, 1) };
    let [_, width] = outputs.dims();
    let values = outputs.try_into_vec_as::<f32>().expect("a computed tensor can be read");
    values.chunks_exact(width).map(<[f32]>::to_vec).collect()
}

/// Predictions of the targets of each sequence; `None` if stopped.
pub(super) fn evaluate(
    codec: &Codec,
    network: &StepClassifier,
    sequences: &[Sequence],
    device: &Device,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Predicted>> {
    let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.example.steps()).collect();
    let batches = batch::sorted(&lengths, &lengths, evaluation_limits(ROWS));
    let compute = |network: &StepClassifier, batch: &[usize]| {
        let examples: Vec<&Example> = batch.iter().map(|&index| &sequences[index].example).collect();
        let inputs: Vec<&Inputs> = examples.iter().map(|example| &example.inputs).collect();
        let (inputs, lengths) = codec.batch(&inputs, device);
        let steps = target_steps(&examples, &lengths);
        let rows = outputs(codec, network, inputs, &lengths, &steps);
        let mut rows = rows.iter();
        let predicted = |example: &&Example| {
            let count = example.target_steps().len();
            let rows: Vec<&[f32]> = rows.by_ref().take(count).map(Vec::as_slice).collect();
            match codec.outputs.is_empty() {
                true => Predicted::of_numbers(&example.targets, rows.iter().map(|row| row[0])),
                false => Predicted::of_symbols(&example.targets, rows.into_iter()),
            }
        };
        examples.iter().map(predicted).collect::<Vec<_>>()
    };
    let found = batches::each(network, &batches, device, compute, stop)?;
    let mut ordered = vec![Predicted::default(); sequences.len()];
    batches.iter().flatten().zip(found.into_iter().flatten()).for_each(|(&index, found)| ordered[index] = found);
    Some(ordered)
}
