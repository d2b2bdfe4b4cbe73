//! Training of models of memory.

use std::borrow::Cow;

use burn::tensor::{Device, Tensor};
use seqzoo_datasets::batch;
use seqzoo_datasets::memory::{self, Memory, Sequence};
use seqzoo_datasets::problems::{Example, Inputs, Parameters, Targets};
use seqzoo_datasets::scores::Scores;
use seqzoo_models::InvalidShape;
use seqzoo_models::networks::StepClassifier;

use super::predict::evaluate;
use super::{Codec, Settings, target_steps};
use crate::{BatchLoss, Codec as _, Files, ModelSpec, RecurrentState, StepKeys, TrainingTask};

/// Training of a model of memory.
#[derive(Debug, Clone)]
pub struct MemoryTraining {
    codec: Codec,
    spec: ModelSpec,
    train: Vec<Sequence>,
    validation: Vec<Sequence>,
    /// The problem from which training examples are drawn in each epoch.
    problem: Option<Parameters>,
}

impl MemoryTraining {
    /// Training of a model.
    ///
    /// # Errors
    /// If the sizes of the model do not match the data.
    pub fn new(spec: &ModelSpec, data: &Memory) -> Result<Self, InvalidShape> {
        let codec = Codec::of(data);
        codec.check(spec)?;
        let Settings { fresh } = spec.settings();
        Ok(Self {
            codec,
            spec: spec.clone(),
            train: data.train.clone(),
            validation: data.validation.clone(),
            problem: data.problem.clone().filter(|_| fresh),
        })
    }

    /// A training example; a drawn one depends on the seed, the epoch and its index only.
    fn example(&self, index: usize, epoch: u64) -> Cow<'_, Example> {
        match &self.problem {
            Some(problem) => Cow::Owned(problem.training_example(self.spec.seed, epoch, index)),
            None => Cow::Borrowed(&self.train[index].example),
        }
    }
}

impl TrainingTask for MemoryTraining {
    type Network = StepClassifier;

    fn network(&self, device: &Device) -> StepClassifier {
        self.spec.initialize(self.codec.network(&self.spec, device))
    }

    fn lengths(&self) -> Vec<usize> {
        self.train.iter().map(|sequence| sequence.example.steps()).collect()
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        let lengths = TrainingTask::lengths(self);
        batch::shuffled(&lengths, &lengths, self.spec.batch, self.spec.order(epoch))
    }

    fn loss(
        &self,
        network: &StepClassifier,
        batch: &[usize],
        _: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        let examples: Vec<Cow<'_, Example>> =
            batch.iter().map(|&index| self.example(index, keys.epoch.first())).collect();
        let examples: Vec<&Example> = examples.iter().map(|example| &**example).collect();
        let inputs: Vec<&Inputs> = examples.iter().map(|example| &example.inputs).collect();
        let (inputs, lengths) = self.codec.batch(&inputs, device);
        let steps = target_steps(&examples, &lengths);
        let features = network.features(inputs, &lengths, &steps, keys.dropout(batch));
        let loss = loss(network, features, &examples);
        BatchLoss { loss, weight: steps.len() as f64, tokens: lengths.iter().sum(), recurrent_state: None }
    }

    fn validate(&self, network: &StepClassifier, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        let found = evaluate(&self.codec, network, &self.validation, device, stop)?;
        Some(memory::scores(found.into_iter()))
    }

    fn files(&self) -> Files {
        self.codec.files()
    }
}

/// Mean loss of the targets of examples, `[1]`; `features` has a row per target.
fn loss(network: &StepClassifier, features: Tensor<2>, examples: &[&Example]) -> Tensor<1> {
    let (mut symbols, mut numbers): (Vec<u32>, Vec<f32>) = (Vec::new(), Vec::new());
    for example in examples {
        match &example.targets {
            Targets::Symbols(all) => symbols.extend(all.iter().flatten()),
            Targets::Numbers(all) => numbers.extend(all.iter().flatten()),
        }
    }
    if numbers.is_empty() { network.cross_entropy(features, symbols) } else { network.squared_error(features, numbers) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_spec;
    use seqzoo_datasets::scores::Metric;
    use seqzoo_datasets::settings::DataSettings;
    use seqzoo_kernels::devices;
    use seqzoo_models::parameters::DynNetwork;
    use std::collections::BTreeMap;
    use std::path::Path;
    use toml::Table;

    fn data(options: &str) -> Memory {
        let options: Table = format!("{options}\ntest_lengths = []\ntest_examples = 100").parse().unwrap();
        let settings = DataSettings { dataset: Some("memory".to_owned()), options, ..DataSettings::default() };
        Memory::from_records(&settings.load(Path::new("data"), &memory::DATA).unwrap()).unwrap()
    }

    #[test]
    fn examples_are_drawn_anew_in_each_epoch_with_the_same_lengths() {
        let data = data("problem = \"reverse-string\"\nlength = 12\nexamples = 30");
        let fresh = MemoryTraining::new(&test_spec("memory", "", "gru-8"), &data).unwrap();
        for index in 0..30 {
            assert_eq!(fresh.example(index, 3), fresh.example(index, 3));
            assert_eq!(fresh.example(index, 3).steps(), data.train[index].example.steps());
        }
        assert!((0..30).any(|index| fresh.example(index, 3) != fresh.example(index, 4)));
        let fixed = MemoryTraining::new(&test_spec("memory", "fresh = false", "gru-8"), &data).unwrap();
        assert!((0..30).all(|index| *fixed.example(index, 3) == data.train[index].example));
    }

    #[test]
    fn the_loss_of_a_batch_is_the_mean_over_its_targets() {
        for problem in ["copy", "adding"] {
            let data = data(&format!("problem = \"{problem}\"\nlength = 9\nexamples = 8"));
            let task = MemoryTraining::new(&test_spec("memory", "", "lstm-8"), &data).unwrap();
            let device = devices().remove(0).1;
            let network = task.network(&device);
            let loss = |batch: &[usize]| {
                let found = task.loss(&network, batch, None, StepKeys::new(1, 0, 0), &device);
                (f64::from(found.loss.into_scalar::<f32>()), found.weight)
            };
            let each: Vec<(f64, f64)> = (0..8).map(|index| loss(&[index])).collect();
            let targets: f64 = each.iter().map(|(_, weight)| weight).sum();
            let mean = each.iter().map(|(loss, weight)| loss * weight).sum::<f64>() / targets;
            let (together, weight) = loss(&[0, 1, 2, 3, 4, 5, 6, 7]);
            assert!(weight == targets && (together - mean).abs() < 1e-5, "{problem}: {together} is not {mean}");
        }
    }

    /// Updates a parameter by the moments of its gradient, as Adam does, but without bias correction.
    fn update(moments: &mut [Tensor<1>; 2], gradient: Tensor<1>) -> Tensor<1> {
        let [first, second] = moments;
        *first = first.clone() * 0.9 + gradient.clone() * 0.1;
        *second = second.clone() * 0.99 + gradient.clone() * gradient * 0.01;
        first.clone() / (second.clone().sqrt() + 1e-6) * 1e-2
    }

    #[test]
    fn a_small_rnn_learns_even_pairs() {
        use crate::DynTrainingTask;
        let data = data("problem = \"even-pairs\"\nlength = 6\nexamples = 32");
        let training = MemoryTraining::new(&test_spec("memory", "", "rnn-16"), &data).unwrap();
        let task: &dyn DynTrainingTask = &training;
        let device = devices().remove(0).1;
        let autodiff = device.clone().autodiff();
        let mut network = task.network(&autodiff);
        let accuracy = |network: &dyn DynNetwork| {
            let scores = task.validate(&*network.boxed_valid(), &device, &|| false).unwrap();
            scores.get(Metric::ACCURACY).unwrap()
        };
        let untrained = accuracy(&*network);
        let mut moments: BTreeMap<String, [Tensor<1>; 2]> = BTreeMap::new();
        for epoch in 0..400 {
            let batch = task.batches(epoch).remove(0);
            let loss = task.loss(&*network, &batch, None, StepKeys::new(1, epoch, epoch), &autodiff).loss;
            let mut gradients = network.gradients(&loss.backward());
            network.change_parameters(&mut |name, _, old| {
                let gradient = gradients.remove(name)?;
                let moments =
                    moments.entry(name.to_owned()).or_insert_with(|| [gradient.zeros_like(), gradient.zeros_like()]);
                Some(old - update(moments, gradient))
            });
        }
        let trained = accuracy(&*network);
        assert!(untrained < 0.8 && trained > 0.95, "{untrained} {trained}");
    }
}
