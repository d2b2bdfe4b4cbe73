//! θ, which is to reach 3 although every batch's goal is shaken: ten batches a pass.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_random::{Key, RngExt};
use seqzoo_run::checkpoint::Files;
use seqzoo_run::tasks::{BatchLoss, RecurrentState, Task};
use seqzoo_train::REFERENCE_BATCHES;

#[derive(Module, Debug)]
pub(crate) struct Scalar {
    theta: Param<Tensor<1>>,
}

#[derive(Default)]
pub(crate) struct Shaken {
    /// After twelve losses of training, so many are not numbers.
    pub(crate) bad_losses: Cell<usize>,
    /// They begin at this batch of the run instead.
    pub(crate) bad_from: Option<u64>,
    /// Number of losses so far, those of the untrained model included.
    pub(crate) losses: Cell<usize>,
    /// Ask to stop at a loss of training.
    pub(crate) stop_at: Option<(usize, &'static AtomicBool)>,
    /// Start where one more step is infinite, under a loss that is linear.
    pub(crate) huge: bool,
    /// There are no batches.
    pub(crate) empty: bool,
    /// Ask to stop when validation begins.
    pub(crate) stop_in_validation: Option<&'static AtomicBool>,
}

impl Task for Shaken {
    type Network = Scalar;

    fn network(&self, device: &Device) -> Scalar {
        Scalar { theta: Param::from_data([if self.huge { -f32::MAX } else { 0.0 }], device) }
    }

    fn batches(&self, epoch: u64) -> Vec<Vec<usize>> {
        (0..if self.empty { 0 } else { 10 }).map(|batch| vec![(batch + epoch as usize) % 10]).collect()
    }

    fn loss(
        &self,
        network: &Scalar,
        batch: &[usize],
        _: Option<&RecurrentState>,
        noise: Key,
        device: &Device,
    ) -> BatchLoss {
        self.losses.set(self.losses.get() + 1);
        if let Some((at, stop)) = self.stop_at {
            stop.fetch_or(self.losses.get() == at + REFERENCE_BATCHES, Ordering::Relaxed);
        }
        let (weight, tokens, recurrent_state) = (1.0 + batch[0] as f64, 1, None);
        if self.huge {
            return BatchLoss { loss: network.theta.val().sum() * 1e-3, weight, tokens, recurrent_state };
        }
        let shake: f32 = noise.stream().random_range(-0.5..0.5) + batch[0] as f32 * 0.01;
        let begun = match self.bad_from {
            Some(batch) => noise.first() >= batch,
            None => self.losses.get() > 12 + REFERENCE_BATCHES,
        };
        let bad = begun && self.bad_losses.get() > 0;
        if bad {
            self.bad_losses.set(self.bad_losses.get() - 1);
        }
        let goal = Tensor::from_data([if bad { f32::NAN } else { 3.0 + shake }], device);
        BatchLoss { loss: (network.theta.val() - goal).square().sum(), weight, tokens, recurrent_state }
    }

    fn validate(&self, network: &Scalar, _: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        if let Some(asked) = self.stop_in_validation {
            asked.store(true, Ordering::Relaxed);
        }
        if stop() {
            return None;
        }
        let theta = f64::from(network.theta.val().into_scalar::<f32>());
        let accuracy = 1.0 / (1.0 + (theta - 3.0).abs());
        Some(Scores::new(1, [(Metric::Accuracy, accuracy), (Metric::Loss, (theta - 3.0).powi(2))]))
    }

    fn files(&self) -> Files {
        Files::from([("encoder.json".to_owned(), b"{}".to_vec())])
    }
}
