//! Task with one parameter θ: reach a target of 3 that is perturbed in each batch; ten batches per epoch.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use seqzoo_datasets::scores::{Metric, Scores};
use seqzoo_models::networks::Network;
use seqzoo_random::RngExt;
use seqzoo_run::checkpoint::Files;
use seqzoo_tasks::{BatchLoss, RecurrentState, StepKeys, TrainingTask};
use seqzoo_train::REFERENCE_BATCHES;

#[derive(Module, Debug)]
pub(crate) struct Scalar {
    theta: Param<Tensor<1>>,
}

impl Network for Scalar {}

#[derive(Default)]
pub(crate) struct Shaken {
    /// Number of training losses that are NaN, after the first twelve.
    pub(crate) bad_losses: Cell<usize>,
    /// Index in the run of the first batch with a NaN loss, instead of after twelve losses.
    pub(crate) bad_from: Option<u64>,
    /// Number of losses so far, including those of the untrained model.
    pub(crate) losses: Cell<usize>,
    /// Request a stop at this training loss.
    pub(crate) stop_at: Option<(usize, &'static AtomicBool)>,
    /// Start at the limit of f32 with a linear loss, so that the first update overflows.
    pub(crate) huge: bool,
    /// There are no batches.
    pub(crate) empty: bool,
    /// Request a stop when validation begins.
    pub(crate) stop_in_validation: Option<&'static AtomicBool>,
}

impl TrainingTask for Shaken {
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
        keys: StepKeys,
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
        let perturbation: f32 = keys.batch.stream().random_range(-0.5..0.5) + batch[0] as f32 * 0.01;
        let begun = match self.bad_from {
            Some(batch) => keys.batch.first() >= batch,
            None => self.losses.get() > 12 + REFERENCE_BATCHES,
        };
        let bad = begun && self.bad_losses.get() > 0;
        if bad {
            self.bad_losses.set(self.bad_losses.get() - 1);
        }
        let target = Tensor::from_data([if bad { f32::NAN } else { 3.0 + perturbation }], device);
        BatchLoss { loss: (network.theta.val() - target).square().sum(), weight, tokens, recurrent_state }
    }

    fn validate(&self, network: &Scalar, _: &Device, stop: &dyn Fn() -> bool) -> Option<Scores> {
        if let Some(requested) = self.stop_in_validation {
            requested.store(true, Ordering::Relaxed);
        }
        if stop() {
            return None;
        }
        let theta = f64::from(network.theta.val().into_scalar::<f32>());
        let accuracy = 1.0 / (1.0 + (theta - 3.0).abs());
        Some(Scores::new(1, [(Metric::ACCURACY, accuracy), (Metric::LOSS, (theta - 3.0).powi(2))]))
    }

    fn files(&self) -> Files {
        Files::from([("encoder.json".to_owned(), b"{}".to_vec())])
    }
}
