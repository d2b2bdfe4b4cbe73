//! One training step: loss, gradients and, once enough are accumulated, an update; atomic.

use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{Activations, Execution};
use seqzoo_models::parameters::{self, Arrays, DynNetwork};
use seqzoo_run::faults;
use seqzoo_run::progress::Progress;
use seqzoo_run::recipe::{Recipe, learning_rate_factor};
use seqzoo_run::record::{Onset, Untrained};
use seqzoo_tasks::{BatchLoss, DynTrainingTask, RecurrentState, StepKeys};

use crate::error::TrainError;
use crate::gradients::{self, Accumulated, Contribution, Flat, Norm};
use crate::optimizer::{Optimizer, Update};
use crate::recovery::{Anomaly, Site};
use crate::schedule;

/// Number of batches over which the loss of the untrained model is measured: enough for a median.
pub const REFERENCE_BATCHES: usize = 8;

/// Training state: everything that the next batch depends on. Tensors are shared, so a copy is cheap, and a failed step is
/// discarded as a whole.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) network: Box<dyn DynNetwork>,
    pub(crate) optimizer: Optimizer,
    /// Initial state of the next window.
    pub(crate) recurrent_state: Option<RecurrentState>,
    /// Gradients of the batches since the last update.
    pub(crate) accumulated: Accumulated,
    pub(crate) progress: Progress,
}

/// Task, recipe and device: what is constant during training.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) task: &'a dyn DynTrainingTask,
    pub(crate) recipe: &'a Recipe,
    /// Without autodiff.
    pub(crate) device: &'a Device,
}

/// A batch and its position in the run.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// Index in its epoch, counted from 0, before any batch is postponed.
    pub(crate) index: u64,
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
pub(crate) fn batches(task: &dyn DynTrainingTask) -> Result<impl Iterator<Item = Batch>, TrainError> {
    let of_epoch = |epoch| Some(task.batches(epoch)).filter(|batches| !batches.is_empty());
    of_epoch(0).ok_or(TrainError::NoBatches)?;
    let epochs = (0..).map_while(of_epoch).flat_map(|batches| {
        let batches_per_epoch = batches.len() as u64;
        (0..).zip(batches).map(move |(index, examples)| (batches_per_epoch, index, examples))
    });
    Ok((0..).zip(epochs).map(|(global_batch, (batches_per_epoch, index, examples))| {
        let is_last = index + 1 == batches_per_epoch;
        Batch { index, global_batch, examples, is_last, batches_per_epoch }
    }))
}

/// Result of a training step.
pub(crate) struct StepResult {
    pub(crate) state: State,
    pub(crate) loss: f64,
    pub(crate) tokens: usize,
    /// Gradient norm before clipping; only if there was an update.
    pub(crate) gradient_norm: Option<f64>,
    pub(crate) learning_rate: f64,
}

fn found(site: Site, name: Option<String>, value: f64) -> Anomaly {
    Anomaly { site, name, value }
}

impl State {
    /// Initial state of training; `initial` replaces the random weights.
    pub(crate) fn initial(context: Context, initial: Option<&Arrays>) -> Self {
        let mut network = context.task.network(&context.device.clone().autodiff());
        if let Some(initial) = initial {
            network.change_parameters(&mut |name, _, _| {
                Some(Tensor::from_data(initial.get(name)?.values.as_slice(), context.device))
            });
        }
        Self {
            network,
            optimizer: Optimizer::new(context.recipe.optimizer).with_rates(context.recipe.init.learning_rates.clone()),
            recurrent_state: None,
            accumulated: Accumulated::default(),
            progress: Progress::start(),
        }
    }

    /// Loss of the untrained model on the first batches, the reference of the divergence detector.
    pub(crate) fn untrained(context: Context) -> Option<Untrained> {
        let device = context.device.clone().autodiff();
        let network = context.task.network(&device);
        let mut recurrent_state = None;
        let mut losses = Vec::new();
        for (global_batch, examples) in (0..).zip(context.task.batches(0)).take(REFERENCE_BATCHES) {
            faults::set_batch(global_batch, global_batch, 1);
            let keys = StepKeys::new(context.recipe.training.seed, global_batch, 0);
            let found = context.task.loss(&*network, &examples, recurrent_state.as_ref(), keys, &device);
            losses.push(f64::from(found.loss.into_scalar::<f32>()));
            recurrent_state = found.recurrent_state;
        }
        Untrained::of(&losses)
    }

    /// The state after a training step on a batch; `attempt` is 0 at first and increases with each retry.
    pub(crate) fn step(&self, context: Context, batch: &Batch, attempt: u32) -> Result<StepResult, Anomaly> {
        faults::set_batch(batch.global_batch, batch.index, attempt);
        let recipe = context.recipe;
        let mut state = self.clone();
        let (contribution, tokens) = state.contribution(context, batch)?;
        let loss = contribution.loss;
        state.progress.loss_sum += loss * contribution.weight;
        state.progress.predictions += contribution.weight;
        state.progress.batch += 1;
        state.progress.divergence.add(loss, Onset { step: self.progress.step, global_batch: batch.global_batch });
        if state.progress.divergence.diverged(batch.batches_per_epoch * recipe.training.epochs as u64) {
            return Err(found(Site::Divergence, None, loss));
        }
        let learning_rate = state.learning_rate(recipe, batch);
        let accumulate = recipe.training.accumulate as u64;
        let gradient_norm = if accumulate == 1 {
            Some(state.update(recipe, contribution.gradients, learning_rate)?)
        } else {
            check_norm(&gradients::norm(&contribution.gradients))?;
            state.accumulated.add(contribution);
            match state.accumulated.count == accumulate || batch.is_last {
                true => state.apply_accumulated(recipe, batch)?,
                false => None,
            }
        };
        state.check()?;
        Ok(StepResult { state, loss, tokens, gradient_norm, learning_rate })
    }

    /// Computes the gradients of a batch and moves the recurrent state past it; also returns the number of its tokens.
    fn contribution(&mut self, context: Context, batch: &Batch) -> Result<(Contribution, usize), Anomaly> {
        let Context { task, recipe, device } = context;
        if let Some((name, value)) = task.invalid_value(&batch.examples) {
            return Err(found(Site::Data, Some(name), value.into()));
        }
        let epoch = batch.global_batch / batch.batches_per_epoch;
        let keys = StepKeys::new(recipe.training.seed, batch.global_batch, epoch);
        let device = device.clone().autodiff();
        let activations = if recipe.training.recompute { Activations::Recomputed } else { Activations::Kept };
        self.network.set_execution(Execution { activations, ..Execution::default() });
        let mut network = self.network.clone();
        if let Some(value) = faults::value("activation") {
            // The last parameter belongs to the output layer, so this scales its activations.
            scale(&mut *network, value, parameters::read(&*self.network).len() - 1);
        }
        let BatchLoss { mut loss, weight, tokens, mut recurrent_state } =
            task.loss(&*network, &batch.examples, self.recurrent_state.as_ref(), keys, &device);
        if let Some(value) = faults::value("loss") {
            loss = loss * value;
        }
        let value = f64::from(loss.clone().into_scalar::<f32>());
        if !value.is_finite() {
            return Err(found(Site::Loss, None, value));
        }
        let mut gradients = network.gradients(&loss.backward());
        // Parameters that do not change do not affect the gradient norm.
        gradients.retain(|name, _| learning_rate_factor(&recipe.init.learning_rates, name) > 0.0);
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
        self.recurrent_state = recurrent_state;
        Ok((Contribution { gradients, weight, loss: value }, tokens))
    }

    /// The state after a batch is skipped; at the end of an epoch, accumulated gradients are still applied.
    pub(crate) fn skip(mut self, context: Context, batch: &Batch) -> Result<Self, Anomaly> {
        self.progress.batch += 1;
        if batch.is_last {
            self.apply_accumulated(context.recipe, batch)?;
            self.check()?;
        }
        Ok(self)
    }

    /// Updates the network with the accumulated gradients, if there are any; returns the gradient norm before clipping.
    fn apply_accumulated(&mut self, recipe: &Recipe, batch: &Batch) -> Result<Option<f64>, Anomaly> {
        let Some(mean) = self.accumulated.take_mean() else { return Ok(None) };
        let learning_rate = self.learning_rate(recipe, batch);
        self.update(recipe, mean, learning_rate).map(Some)
    }

    fn learning_rate(&self, recipe: &Recipe, batch: &Batch) -> f64 {
        let batches_per_epoch = batch.batches_per_epoch.div_ceil(recipe.training.accumulate as u64);
        schedule::learning_rate(recipe, &self.progress, batches_per_epoch)
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
        self.optimizer.update(&mut *self.network, gradients, Update { learning_rate, clip_factor });
        if let Some(value) = faults::value("weights") {
            scale(&mut *self.network, value, 0);
        }
        self.progress.norms.add(before.value, clip_factor < 1.0);
        Ok(before.value)
    }

    /// Checks that weights, optimizer state, accumulated gradients and recurrent state are finite.
    fn check(&self) -> Result<(), Anomaly> {
        let mut all = Vec::new();
        let mut add = |site, name: &str, tensor: Tensor<1>| all.push(((site, name.to_owned()), tensor));
        self.network.visit_parameters(&mut |name, _, weights| add(Site::Weight, name, weights));
        self.optimizer.state().for_each(|(name, tensor)| add(Site::OptimizerState, name, tensor.clone()));
        self.accumulated.sum.iter().for_each(|(name, gradient)| add(Site::Gradient, name, gradient.clone()));
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

/// Fault injection: multiplies the parameter with an index by a value.
fn scale(network: &mut dyn DynNetwork, value: f32, index: usize) {
    let mut next = 0;
    network.change_parameters(&mut |_, _, old| {
        next += 1;
        (next - 1 == index).then(|| old * value)
    });
}
