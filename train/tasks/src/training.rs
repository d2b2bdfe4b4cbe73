//! Training: the interface of tasks to the learner.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::networks::Network;
use seqzoo_models::parameters::DynNetwork;
use seqzoo_random::{Key, Purpose};

use crate::Files;

/// Recurrent state passed from one batch to the next, by name: tensors `[rows, hidden_size]`, detached from the autodiff graph.
pub type RecurrentState = BTreeMap<String, Tensor<2>>;

/// The training of one network on the examples of a dataset.
pub trait TrainingTask {
    /// Type of the network.
    type Network: Network;

    /// A network with initial weights, which depend only on the seed of the run.
    fn network(&self, device: &Device) -> Self::Network;

    /// The batches of an epoch, as lists of indices of examples or windows; a pure function of the seed and `epoch`.
    fn batches(&self, epoch: u64) -> Vec<Vec<usize>>;

    /// Number of time steps of each training example, by the indices in batches, to find the largest batch; none if all batches are alike.
    fn lengths(&self) -> Vec<usize> {
        Vec::new()
    }

    /// Whether each batch continues from the recurrent state of the previous one, so that their order is fixed. Every epoch starts without
    /// a state.
    fn is_stateful(&self) -> bool {
        false
    }

    /// Name and value of the first input of a batch that is not finite; `None` if all are.
    fn invalid_value(&self, _batch: &[usize]) -> Option<(String, f32)> {
        None
    }

    /// Computes the mean loss of a batch, starting from `recurrent_state`; `keys` are the random keys of this step's dropout masks.
    fn loss(
        &self,
        network: &Self::Network,
        batch: &[usize],
        recurrent_state: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss;

    /// Metrics on the validation split, without dropout; `None` if `stop` returned true before the end.
    fn validate(&self, network: &Self::Network, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores>;

    /// Whether [`TrainingTask::validate`] reports a metric of the task, with these settings and data.
    fn reports(&self, _metric: Metric) -> bool {
        true
    }

    /// Note for the user before training, if any.
    fn note(&self) -> Option<String> {
        None
    }

    /// Files that prediction needs in addition to the weights, such as the encoder.
    fn files(&self) -> Files;
}

/// Random keys of a training step.
#[derive(Debug, Clone, Copy)]
pub struct StepKeys {
    /// Key that differs in each step.
    pub batch: Key,
    /// Key that differs in each epoch.
    pub epoch: Key,
}

impl StepKeys {
    /// The keys of a step, from the index of its batch in the run and its epoch.
    pub fn new(seed: u64, global_batch: u64, epoch: u64) -> Self {
        let key = Key::new(seed, Purpose::Dropout);
        Self { batch: key.with_first(global_batch), epoch: key.with_first(epoch) }
    }

    /// The keys of the dropout masks of a batch, given the example in each row. The mask of an example depends on the epoch and the
    /// example, not on its batch.
    pub fn dropout(self, examples: &[usize]) -> DropoutKey {
        let examples: Vec<u64> = examples.iter().map(|&example| example as u64).collect();
        DropoutKey::new(self.batch, self.epoch, &examples)
    }
}

/// Loss of a batch.
#[derive(Debug, Clone)]
pub struct BatchLoss {
    /// Mean over predictions, `[1]`.
    pub loss: Tensor<1>,
    /// Number of predictions: the weight of the batch in a mean over batches.
    pub weight: f64,
    /// Number of tokens in the batch, padding excluded.
    pub tokens: usize,
    /// Recurrent state after the batch, for the next batch.
    pub recurrent_state: Option<RecurrentState>,
}

/// [`TrainingTask`] as a trait object, without the type of its network; implemented for every training task.
///
/// # Panics
/// Methods panic if their network was not created by [`DynTrainingTask::network`] of the same task.
pub trait DynTrainingTask {
    /// See [`TrainingTask::network`].
    fn network(&self, device: &Device) -> Box<dyn DynNetwork>;

    /// See [`TrainingTask::batches`].
    fn batches(&self, epoch: u64) -> Vec<Vec<usize>>;

    /// See [`TrainingTask::lengths`].
    fn lengths(&self) -> Vec<usize>;

    /// See [`TrainingTask::is_stateful`].
    fn is_stateful(&self) -> bool;

    /// See [`TrainingTask::invalid_value`].
    fn invalid_value(&self, batch: &[usize]) -> Option<(String, f32)>;

    /// See [`TrainingTask::loss`].
    fn loss(
        &self,
        network: &dyn DynNetwork,
        batch: &[usize],
        recurrent_state: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss;

    /// See [`TrainingTask::validate`].
    fn validate(&self, network: &dyn DynNetwork, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores>;

    /// See [`TrainingTask::reports`].
    fn reports(&self, metric: Metric) -> bool;

    /// See [`TrainingTask::note`].
    fn note(&self) -> Option<String>;

    /// See [`TrainingTask::files`].
    fn files(&self) -> Files;
}

impl<T: TrainingTask<Network: 'static>> DynTrainingTask for T {
    fn network(&self, device: &Device) -> Box<dyn DynNetwork> {
        Box::new(TrainingTask::network(self, device))
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        TrainingTask::batches(self, epoch)
    }

    fn lengths(&self) -> Vec<usize> {
        TrainingTask::lengths(self)
    }

    fn is_stateful(&self) -> bool {
        TrainingTask::is_stateful(self)
    }

    fn invalid_value(&self, batch: &[usize]) -> Option<(String, f32)> {
        TrainingTask::invalid_value(self, batch)
    }

    fn loss(
        &self,
        network: &dyn DynNetwork,
        batch: &[usize],
        recurrent_state: Option<&RecurrentState>,
        keys: StepKeys,
        device: &Device,
    ) -> BatchLoss {
        TrainingTask::loss(self, own(network), batch, recurrent_state, keys, device)
    }

    fn validate(&self, network: &dyn DynNetwork, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        TrainingTask::validate(self, own(network), device, stop)
    }

    fn reports(&self, metric: Metric) -> bool {
        TrainingTask::reports(self, metric)
    }

    fn note(&self) -> Option<String> {
        TrainingTask::note(self)
    }

    fn files(&self) -> Files {
        TrainingTask::files(self)
    }
}

fn own<N: 'static>(network: &dyn DynNetwork) -> &N {
    network.as_any().downcast_ref().expect("the network is the one that this task built")
}
