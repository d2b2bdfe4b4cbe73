//! Tasks: what turns examples into a loss, and a network's output into an answer.

pub mod classification;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use seqzoo_random::Key;

use crate::checkpoint::Files;
use crate::progress::Scores;

/// What the learner must know of a task.
pub trait Task {
    /// The network that is trained.
    type Network: Module;

    /// A network with initial weights, a function of the run's seed alone.
    fn network(&self, device: &Device) -> Self::Network;

    /// The batches of a pass, as lists of examples; a pure function of the run's seed and `epoch`.
    fn batches(&self, epoch: u64) -> Vec<Vec<usize>>;

    /// The mean loss of a batch; `noise` is the key of this step's dropout masks.
    fn loss(&self, network: &Self::Network, batch: &[usize], noise: Key, device: &Device) -> BatchLoss;

    /// How well the validation part is answered, nothing dropped.
    fn validate(&self, network: &Self::Network, device: &Device) -> Scores;

    /// What a checkpoint must hold beside weights to answer new input.
    fn files(&self) -> Files;
}

/// The loss of a batch, and how much was read for it.
#[derive(Debug, Clone)]
pub struct BatchLoss {
    /// Mean over examples, `[1]`.
    pub loss: Tensor<1>,
    /// True tokens, padding not counted.
    pub tokens: usize,
}
