//! One training step: loss, gradients and, once enough are accumulated, an update; atomic.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Activations, Execution};
use seqzoo_random::{Key, Purpose};
use seqzoo_run::faults;
use seqzoo_run::progress::Progress;
use seqzoo_run::recipe::Recipe;
use seqzoo_run::record::{Onset, Untrained};
use seqzoo_run::tasks::{BatchLoss, RecurrentState, Task};

use crate::gradients::{self, Flat, Norm};
use crate::learner::TrainError;
use crate::optimizer::{Optimizer, Update};
use crate::recovery::{Anomaly, Site};
use crate::schedule;

/// Number of batches over which the loss of the untrained model is measured: enough for a median.
pub const REFERENCE_BATCHES: usize = 8;

/// Training state: everything that the next batch depends on. Tensors are shared, so a copy is cheap, and a failed step is
/// discarded as a whole.
#[derive(Debug, Clone)]
pub(crate) struct State<N> {
    pub(crate) network: N,
    pub(crate) optimizer: Optimizer,
    /// Initial state of the next window.
    pub(crate) recurrent_state: Option<RecurrentState>,
    /// Accumulated gradients, weighted by the predictions of each batch.
    pub(crate) accumulated: Flat,
    pub(crate) progress: Progress,
}

/// Task, recipe and device: what is constant during training.
#[derive(Debug)]
pub(crate) struct Setting<'a, T> {
    pub(crate) task: &'a T,
    pub(crate) recipe: &'a Recipe,
    /// Without autodiff.
    pub(crate) device: &'a Device,
}

/// A batch and its position in the run.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// Index in its epoch, counted from 0, before any batch is postponed.
    pub(crate) place: u64,
    /// Index in the run, counted from 0.
    pub(crate) global_batch: u64,
    pub(crate) examples: Vec<usize>,
    /// Whether it is the last batch of the epoch.
    pub(crate) is_last: bool,
    /// Number of batches per epoch.
    pub(crate) batches_per_epoch: u64,
}

/// Iterates over the batches of a run, epoch after epoch.
///
/// # Errors
/// [`TrainError::NoBatches`].
pub(crate) fn batches<T: Task>(task: &T) -> Result<impl Iterator<Item = Batch>, TrainError> {
    let of_epoch = |epoch| Some(task.batches(epoch)).filter(|batches| !batches.is_empty());
    of_epoch(0).ok_or(TrainError::NoBatches)?;
    let epochs = (0..).map_while(of_epoch).flat_map(|batches| {
        let batches_per_epoch = batches.len() as u64;
        (0..).zip(batches).map(move |(place, examples)| (batches_per_epoch, place, examples))
    });
    Ok((0..).zip(epochs).map(|(global_batch, (batches_per_epoch, place, examples))| {
        let is_last = place + 1 == batches_per_epoch;
        Batch { place, global_batch, examples, is_last, batches_per_epoch }
    }))
}

/// Result of a training step.
pub(crate) struct Taken<N> {
    pub(crate) state: State<N>,
    pub(crate) loss: f64,
    pub(crate) tokens: usize,
    /// Gradient norm before clipping; only if there was an update.
    pub(crate) gradient_norm: Option<f64>,
    pub(crate) learning_rate: f64,
}

fn found(site: Site, name: Option<String>, value: f64) -> Anomaly {
    Anomaly { site, name, value }
}

impl<N: Module> State<N> {
    /// Initial state of training.
    pub(crate) fn fresh<T: Task<Network = N>>(setting: &Setting<T>) -> Self {
        Self {
            network: setting.task.network(&setting.device.clone().autodiff()),
            optimizer: Optimizer::new(setting.recipe.optimizer),
            recurrent_state: None,
            accumulated: Flat::new(),
            progress: Progress::start(),
        }
    }

    /// Loss of the untrained model on the first batches, the reference of the divergence detector.
    pub(crate) fn untrained<T: Task<Network = N>>(setting: &Setting<T>) -> Option<Untrained> {
        let device = setting.device.clone().autodiff();
        let network = setting.task.network(&device);
        let mut recurrent_state = None;
        let mut losses = Vec::new();
        for (global_batch, examples) in (0..).zip(setting.task.batches(0)).take(REFERENCE_BATCHES) {
            faults::moment(global_batch, global_batch, 1);
            let noise = Key::new(setting.recipe.training.seed, Purpose::Dropout).with_first(global_batch);
            let read = setting.task.loss(&network, &examples, recurrent_state.as_ref(), noise, &device);
            losses.push(f64::from(read.loss.into_scalar::<f32>()));
            recurrent_state = read.recurrent_state;
        }
        Untrained::of(&losses)
    }

    /// The state after a training step on a batch; `attempt` is 0 at first and increases with each retry.
    pub(crate) fn read<T: Task<Network = N>>(
        &self,
        setting: &Setting<T>,
        batch: &Batch,
        attempt: u32,
    ) -> Result<Taken<N>, Anomaly> {
        faults::moment(batch.global_batch, batch.place, attempt);
        let Setting { task, recipe, device } = *setting;
        if let Some((name, value)) = task.defect(&batch.examples) {
            return Err(found(Site::Data, Some(name), value.into()));
        }
        let mut state = self.clone();
        let noise = Key::new(recipe.training.seed, Purpose::Dropout).with_first(batch.global_batch);
        let device = device.clone().autodiff();
        let activations = if recipe.training.recompute { Activations::Recomputed } else { Activations::Kept };
        task.set_execution(&mut state.network, Execution { activations, ..Execution::default() });
        let BatchLoss { mut loss, weight, tokens, mut recurrent_state } =
            task.loss(&state.network, &batch.examples, state.recurrent_state.as_ref(), noise, &device);
        if let Some(value) = faults::value("loss") {
            loss = loss * value;
        }
        let value = f64::from(loss.clone().into_scalar::<f32>());
        if !value.is_finite() {
            return Err(found(Site::Loss, None, value));
        }
        let mut gradients = gradients::of(&state.network, &loss.backward());
        if let Some(value) = faults::value("gradient") {
            gradients.values_mut().take(1).for_each(|gradient| *gradient = gradient.clone() * value);
        }
        if let Some(value) = faults::value("recurrent_state") {
            recurrent_state
                .iter_mut()
                .flat_map(RecurrentState::values_mut)
                .take(1)
                .for_each(|state| *state = state.clone() * value);
        }
        state.recurrent_state = recurrent_state;
        state.progress.loss_sum += value * weight;
        state.progress.predictions += weight;
        state.progress.batch += 1;
        state.progress.divergence.add(value, Onset { step: self.progress.step, global_batch: batch.global_batch });
        if state.progress.divergence.diverged(batch.batches_per_epoch * recipe.training.epochs as u64) {
            return Err(found(Site::Exploded, None, value));
        }
        let learning_rate = state.learning_rate(recipe, batch);
        let accumulate = recipe.training.accumulate as u64;
        let gradient_norm = match accumulate {
            1 => Some(state.update(recipe, gradients, learning_rate)?),
            _ => {
                let norm = gradients::norm(&gradients);
                check_norm(&norm)?;
                for (name, gradient) in gradients {
                    let weighted = gradient * weight;
                    let sum = state.accumulated.remove(&name).map_or(weighted.clone(), |sum| sum + weighted);
                    state.accumulated.insert(name, sum);
                }
                state.progress.accumulated_batches += 1;
                state.progress.accumulated_weight += weight;
                match state.progress.accumulated_batches == accumulate || batch.is_last {
                    true => state.apply_accumulated(recipe, batch)?,
                    false => None,
                }
            }
        };
        state.check()?;
        Ok(Taken { state, loss: value, tokens, gradient_norm, learning_rate })
    }

    /// The state after a batch is skipped; at the end of an epoch, accumulated gradients are still applied.
    pub(crate) fn without<T: Task<Network = N>>(
        mut self,
        setting: &Setting<T>,
        batch: &Batch,
    ) -> Result<Self, Anomaly> {
        self.progress.batch += 1;
        if batch.is_last {
            self.apply_accumulated(setting.recipe, batch)?;
            self.check()?;
        }
        Ok(self)
    }

    /// Updates the network with the accumulated gradients, if there are any; returns the gradient norm before clipping.
    fn apply_accumulated(&mut self, recipe: &Recipe, batch: &Batch) -> Result<Option<f64>, Anomaly> {
        if self.progress.accumulated_batches == 0 {
            return Ok(None);
        }
        let weight = self.progress.accumulated_weight;
        let accumulated = std::mem::take(&mut self.accumulated);
        let mean = accumulated.into_iter().map(|(name, sum)| (name, sum / weight)).collect();
        (self.progress.accumulated_batches, self.progress.accumulated_weight) = (0, 0.0);
        let learning_rate = self.learning_rate(recipe, batch);
        self.update(recipe, mean, learning_rate).map(Some)
    }

    fn learning_rate(&self, recipe: &Recipe, batch: &Batch) -> f64 {
        let batches_per_epoch = batch.batches_per_epoch.div_ceil(recipe.training.accumulate as u64);
        schedule::rate(recipe, &self.progress, batches_per_epoch)
    }

    /// Clips the gradients and updates the network; returns the gradient norm before clipping.
    fn update(&mut self, recipe: &Recipe, mut gradients: Flat, learning_rate: f64) -> Result<f64, Anomaly> {
        let before = gradients::norm(&gradients);
        check_norm(&before)?;
        let mut norm = before.value;
        if recipe.training.clip_value > 0.0 {
            gradients = gradients::clip_values(gradients, recipe.training.clip_value);
            norm = gradients::norm(&gradients).value;
        }
        let threshold = recipe.training.clip_norm * self.progress.recovery.clip_factor;
        let clip_factor = if threshold > 0.0 { gradients::clip_factor(norm, threshold) } else { 1.0 };
        self.progress.step += 1;
        let update = Update { learning_rate, clip_factor };
        self.network = self.optimizer.update(self.network.clone(), gradients, update);
        if let Some(value) = faults::value("weights") {
            self.network = self.network.clone().map(&mut InjectFault { value, done: false });
        }
        self.progress.norms.add(before.value, clip_factor < 1.0);
        Ok(before.value)
    }

    /// Checks that weights, optimizer state, accumulated gradients and recurrent state are finite.
    fn check(&self) -> Result<(), Anomaly> {
        let mut all = Vec::new();
        let mut add = |site, name: &String, tensor: Tensor<1>| all.push(((site, name.clone()), tensor));
        gradients::weights(&self.network).into_iter().for_each(|(name, weights)| add(Site::Weight, &name, weights));
        self.optimizer.memory().for_each(|(name, tensor)| add(Site::Moment, name, tensor.clone()));
        self.accumulated.iter().for_each(|(name, gradient)| add(Site::Gradient, name, gradient.clone()));
        self.recurrent_state
            .iter()
            .flatten()
            .for_each(|(name, state)| add(Site::RecurrentState, name, state.clone().flatten(0, 1)));
        match gradients::not_finite(all) {
            None => Ok(()),
            Some(((site, name), value)) => Err(found(site, Some(name), value.into())),
        }
    }
}

fn check_norm(norm: &Norm) -> Result<(), Anomaly> {
    if norm.value.is_finite() { Ok(()) } else { Err(found(Site::Gradient, norm.culprit.clone(), norm.value)) }
}

/// Fault injection: multiplies the first parameter by a value.
struct InjectFault {
    value: f32,
    done: bool,
}

impl ModuleMapper for InjectFault {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if std::mem::replace(&mut self.done, true) {
            return param;
        }
        let value = self.value;
        param.map(|old| Tensor::from_inner(old.inner() * value).require_grad())
    }
}
