//! Memory: a target at some steps of a sequence, such as the output of a problem after its input.

mod predict;
mod settings;
mod training;

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_datasets::DataError;
use seqzoo_datasets::classification::Split;
use seqzoo_datasets::memory::{self, Memory, NO_TARGET, Sequence};
use seqzoo_datasets::problems::{CHANNELS, Example, Inputs, Targets};
use seqzoo_datasets::scores::Metric;
use seqzoo_datasets::splits::Splits;
use seqzoo_datasets::tagging::EXACT_MATCH;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::{StepClassifier, StepClassifierShape};
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{
    Command, DynTrainingTask, Examples, InvalidValue, Item, ModelSpec, Prepared, Task, fields, open, resolve,
    vocabularies,
};
pub use predict::MemoryModel;
pub use settings::Settings;
pub use training::MemoryTraining;

/// Memory: a target at some steps of a sequence, such as the output of a problem after its input.
pub static TASK: Task = Task {
    data: &memory::DATA,
    summary: "a symbol or number at some steps of a sequence",
    metrics: &[Metric::ACCURACY, EXACT_MATCH, Metric::LOSS],
    command: Command::Predict,
    shared: &[],
    averages: false,
    resolve: resolve::<Settings>,
    fields: fields::of::<Settings>,
    check,
    examples: prepare,
    vocabularies: vocabularies::<Codec>,
    open: open::<Codec>,
};

fn check(spec: &ModelSpec) -> Result<(), InvalidValue> {
    let stack = spec.check_recurrent(None)?;
    let invalid = |error: InvalidShape| InvalidValue::new("models", &spec.name, error.reason);
    stack.check_unidirectional("the steps after the one that is predicted").map_err(invalid)
}

fn prepare(data: &Splits, _: &Table) -> Result<Prepared, DataError> {
    let data = Memory::from_records(data)?;
    let note = data.without_target.note("sequences", "without a target");
    Ok(Prepared { examples: Box::new(data), note })
}

impl Examples for Memory {
    fn digest(&self) -> String {
        Memory::digest(self)
    }

    fn size(&self, split: Split) -> (usize, &'static str) {
        (self.split(split).len(), "sequences")
    }

    fn items(&self, split: Split, _: &Table) -> Vec<Item> {
        let codec = Codec::of(self);
        let item = |sequence: &Sequence| Item {
            text: String::new(),
            tokens: codec.input_names(&sequence.example.inputs),
            labels: codec.target_names(&sequence.example.targets),
        };
        self.split(split).iter().map(item).collect()
    }

    fn training(&self, spec: &ModelSpec) -> Result<Box<dyn DynTrainingTask>, InvalidShape> {
        Ok(Box::new(MemoryTraining::new(spec, self)?))
    }
}

/// Names of the symbols.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// Names of the input symbols; none if the inputs are numbers.
    pub inputs: Vec<String>,
    /// Names of the output symbols; none if the targets are numbers.
    pub outputs: Vec<String>,
}

impl Codec {
    /// The codec for a dataset.
    pub fn of(data: &Memory) -> Self {
        Self { inputs: data.inputs.clone(), outputs: data.outputs.clone() }
    }

    fn shape(&self, spec: &ModelSpec) -> StepClassifierShape {
        StepClassifierShape {
            stack: spec.stack(self.input_size()),
            outputs: self.outputs.len().max(1),
            dropout: spec.dropout.output,
        }
    }

    /// Number of features of a step.
    fn input_size(&self) -> usize {
        if self.inputs.is_empty() { CHANNELS } else { self.inputs.len() }
    }

    fn input_names(&self, inputs: &Inputs) -> Vec<String> {
        match inputs {
            Inputs::Symbols(symbols) => symbols.iter().map(|&symbol| self.inputs[symbol as usize].clone()).collect(),
            Inputs::Numbers(steps) => {
                steps.iter().map(|step| step.map(|number| number.to_string()).join(",")).collect()
            }
        }
    }

    fn target_names(&self, targets: &Targets) -> Vec<String> {
        let shown = |name: Option<String>| name.unwrap_or_else(|| NO_TARGET.to_owned());
        match targets {
            Targets::Symbols(all) => {
                all.iter().map(|target| shown(target.map(|symbol| self.outputs[symbol as usize].clone()))).collect()
            }
            Targets::Numbers(all) => all.iter().map(|target| shown(target.map(|number| number.to_string()))).collect(),
        }
    }

    /// Encodes sequences, padded to the longest: symbols as one-hot vectors.
    fn batch(&self, inputs: &[&Inputs], device: &Device) -> (Tensor<3>, Vec<usize>) {
        let length = |inputs: &&Inputs| match inputs {
            Inputs::Symbols(symbols) => symbols.len(),
            Inputs::Numbers(numbers) => numbers.len(),
        };
        let lengths: Vec<usize> = inputs.iter().map(length).collect();
        let (time, size) = (lengths.iter().copied().max().unwrap_or(0), self.input_size());
        let mut values = vec![0f32; inputs.len() * time * size];
        for (row, inputs) in values.chunks_exact_mut((time * size).max(1)).zip(inputs) {
            let steps = row.chunks_exact_mut(size);
            match inputs {
                Inputs::Symbols(symbols) => {
                    steps.zip(symbols).for_each(|(features, &symbol)| features[symbol as usize] = 1.0);
                }
                Inputs::Numbers(numbers) => {
                    steps.zip(numbers).for_each(|(features, numbers)| features.copy_from_slice(numbers));
                }
            }
        }
        (Tensor::from_data(TensorData::new(values, [inputs.len(), time, size]), device), lengths)
    }
}

/// Indices of the target steps of a batch, as [`StepClassifier::features`] needs them.
fn target_steps(examples: &[&Example], lengths: &[usize]) -> Vec<usize> {
    let time = lengths.iter().copied().max().unwrap_or(0);
    let of_row =
        |(row, example): (usize, &&Example)| example.target_steps().into_iter().map(move |step| row * time + step);
    examples.iter().enumerate().flat_map(of_row).collect()
}

impl crate::Codec for Codec {
    type Network = StepClassifier;

    fn check(&self, spec: &ModelSpec) -> Result<(), InvalidShape> {
        self.shape(spec).check()
    }

    fn network(&self, spec: &ModelSpec, device: &Device) -> StepClassifier {
        StepClassifier::new(self.shape(spec), spec.seed, device)
    }
}
