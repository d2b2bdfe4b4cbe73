//! Tasks: what turns examples into a loss, and a network's output into an answer.

pub mod classification;
pub mod forecasting;
pub mod language_model;
pub mod tagging;
mod trained;
pub mod transduction;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use seqzoo_datasets::batch::{self, BatchLimits, Padded};
use seqzoo_datasets::catalog::Data;
use seqzoo_datasets::scores::Scores;
use seqzoo_kernels::Execution;
use seqzoo_models::invalid_shape::InvalidShape;
use seqzoo_random::Key;

use crate::checkpoint::Files;
use crate::recipe::{MAX_BATCH_TOKENS, ModelSpec};
use classification::ClassificationTask;
use forecasting::ForecastingTask;
use language_model::LanguageModelTask;
use tagging::TaggingTask;
pub use trained::{Codec, Trained};
use transduction::TransductionTask;

/// The state that a network carries from batch to batch, by name, without gradients: `[rows, hidden_size]` each.
pub type RecurrentState = BTreeMap<String, Tensor<2>>;

/// What the learner must know of a task.
pub trait Task {
    /// The network that is trained.
    type Network: Module;

    /// A network with initial weights, a function of the run's seed alone.
    fn network(&self, device: &Device) -> Self::Network;

    /// Sets how the network's layers are computed; a network without kernels ignores it.
    fn set_execution(&self, _network: &mut Self::Network, _execution: Execution) {}

    /// The batches of a pass, as lists of examples or windows; a pure function of the run's seed and `epoch`.
    fn batches(&self, epoch: u64) -> Vec<Vec<usize>>;

    /// Whether a batch goes on where the one before it ended, so that their order is fixed. Each pass begins anew.
    fn is_stateful(&self) -> bool {
        false
    }

    /// The name of a batch's numbers and the first of them that is not finite, if there is one.
    fn defect(&self, _batch: &[usize]) -> Option<(String, f32)> {
        None
    }

    /// The mean loss of a batch, going on from `recurrent_state`; `noise` is the key of this step's dropout masks.
    fn loss(
        &self,
        network: &Self::Network,
        batch: &[usize],
        recurrent_state: Option<&RecurrentState>,
        noise: Key,
        device: &Device,
    ) -> BatchLoss;

    /// How well the validation part is answered, nothing dropped; `None` if `stop` asked to leave it.
    fn validate(&self, network: &Self::Network, device: &Device, stop: &dyn Fn() -> bool) -> Option<Scores>;

    /// What people should know of the task before training, if anything.
    fn note(&self) -> Option<String> {
        None
    }

    /// What a checkpoint must hold beside weights to answer new input.
    fn files(&self) -> Files;
}

/// The loss of a batch, what it is a mean of, and what is recurrent_state on from it.
#[derive(Debug, Clone)]
pub struct BatchLoss {
    /// Mean over predictions, `[1]`.
    pub loss: Tensor<1>,
    /// Predictions: what the batch counts for beside others.
    pub weight: f64,
    /// True tokens read, padding not counted.
    pub tokens: usize,
    /// The state after the batch, for the next one.
    pub recurrent_state: Option<RecurrentState>,
}

/// Limits of batches for evaluation and prediction.
const fn evaluation_limits(rows: usize) -> BatchLimits {
    BatchLimits { rows, tokens: MAX_BATCH_TOKENS }
}

/// Rows of token numbers as one rectangle, `[rows, time]`, and how many of each are true.
fn rectangle<'a>(rows: impl Iterator<Item = &'a [u32]> + Clone, device: &Device) -> (Tensor<2, Int>, Vec<usize>) {
    let Padded { tokens, lengths, time } = batch::pad(rows);
    (Tensor::from_data(TensorData::new(tokens, [lengths.len(), time]), device), lengths)
}

/// What is done with a task, of whichever kind it is.
pub trait Work {
    /// What comes of it.
    type Outcome;

    /// Does it.
    fn with<T: Task>(self, task: &T) -> Self::Outcome;
}

/// Does `work` with the task that a model of a recipe makes of data.
///
/// # Errors
/// If the model and the sizes of the data do not fit each other.
pub fn with_task<W: Work>(spec: &ModelSpec, data: &Data, work: W) -> Result<W::Outcome, InvalidShape> {
    Ok(match data {
        Data::Labeled(data) => work.with(&ClassificationTask::new(spec, data)?),
        Data::Text(corpus) => work.with(&LanguageModelTask::new(spec, corpus)?),
        Data::Tagged(data) => work.with(&TaggingTask::new(spec, data)?),
        Data::Pairs(data) => work.with(&TransductionTask::new(spec, data)?),
        Data::Series(series) => work.with(&ForecastingTask::new(spec, series)?),
    })
}
