//! Optimizers: SGD, Adam, AdamW, RMSprop and averaged SGD.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use seqzoo_kernels::{self as kernels, Execution, Parameter, Rule, Step, Updated};
use seqzoo_models::parameters::{self, Array, Arrays, DynNetwork};
use seqzoo_run::recipe::{OptimizerKind, OptimizerSettings, learning_rate_factor};

use crate::gradients::Flat;

/// An optimizer and its state. Each variable of a parameter is flattened to `[elements]`, on the parameter's device.
///
/// ```text
/// g ← g + λ θ                                            for matrices, except in AdamW
/// sgd      v ← μ v + g                                   θ ← θ − lr v
/// adam     m ← β₁ m + (1 − β₁) g    v ← β₂ v + (1 − β₂) g²
///          θ ← θ − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
/// adamw    as adam                                       θ ← θ − lr λ θ for matrices, before it
/// rmsprop  v ← α v + (1 − α) g²     b ← μ b + g / (√v + ε)      θ ← θ − lr b
/// asgd     as sgd; once averaging has begun, the model uses the mean of θ over updates
/// ```
///
/// The optimizer counts its own updates t: after a reset it restarts at t = 1, regardless of the step of the run, so that the bias
/// correction matches the moments.
///
/// Equations and defaults as in PyTorch, except that weight decay excludes biases and gains (one dimension). Kingma and Ba, ICLR 2015;
/// Loshchilov and Hutter, ICLR 2019; Tieleman and Hinton 2012; Merity et al., ICLR 2018, after Polyak and Juditsky 1992.
#[derive(Debug, Clone)]
pub struct Optimizer {
    settings: OptimizerSettings,
    /// Factors of the learning rate by layer.
    rates: BTreeMap<String, f64>,
    /// State variables by parameter and symbol, such as `output.weight/m`.
    state: BTreeMap<String, Tensor<1>>,
    /// Number of updates, t of the equations.
    updates: u64,
    /// Number of averaged weight vectors; 0 before averaging begins.
    averaged: u64,
    /// How the update is computed: by the kernel or the reference.
    execution: Execution,
}

/// Learning rate and clipping of one update.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Learning rate.
    pub learning_rate: f64,
    /// Factor that clipping applies to the gradients.
    pub clip_factor: f64,
}

/// Names of the mean weights and of the saved counts.
const MEAN: &str = "mean";
const UPDATES: &str = "updates";
const AVERAGED: &str = "averaged";
/// Name of the current weights, from which training continues once averaging has begun.
const CURRENT: &str = "current";

impl Optimizer {
    /// Creates an optimizer without state.
    pub fn new(settings: OptimizerSettings) -> Self {
        let (state, rates) = (BTreeMap::new(), BTreeMap::new());
        Self { settings, rates, state, updates: 0, averaged: 0, execution: Execution::default() }
    }

    /// With factors of the learning rate by layer, see [`learning_rate_factor`]; the parameters of layers with factor 0 are never changed.
    pub fn with_rates(self, rates: BTreeMap<String, f64>) -> Self {
        Self { rates, ..self }
    }

    /// Updates the network with `gradients`; parameters without a gradient are unchanged.
    pub fn update(&mut self, network: &mut dyn DynNetwork, gradients: Flat, update: Update) {
        self.updates += 1;
        if self.averaged > 0 {
            self.averaged += 1;
        }
        let mut stepper = Stepper {
            settings: self.settings,
            rates: &self.rates,
            state: &mut self.state,
            gradients,
            update,
            updates: self.updates,
            averaged: self.averaged,
            execution: self.execution,
        };
        network.change_parameters(&mut |name, shape, value| stepper.update_parameter(name, shape, value));
    }

    /// Begins averaging the weights of a network. No effect if averaging has begun or the optimizer is not ASGD.
    pub fn begin_averaging(&mut self, network: &dyn DynNetwork, device: &Device) {
        if self.settings.kind != OptimizerKind::Asgd || self.averaged > 0 {
            return;
        }
        self.averaged = 1;
        for (name, array) in parameters::read(network) {
            self.state.insert(format!("{name}/{MEAN}"), flat(&array, device));
        }
    }

    /// The network for evaluation and inference: with mean weights once averaging has begun, else a copy of `network`.
    ///
    /// # Panics
    /// If the mean weights belong to another network.
    pub fn evaluation_network(&self, network: &dyn DynNetwork) -> Box<dyn DynNetwork> {
        let mut network = network.boxed_clone();
        if self.averaged > 0 {
            network.change_parameters(&mut |name, _, _| Some(self.state[&format!("{name}/{MEAN}")].clone()));
        }
        network
    }

    /// The optimizer state by name; once averaging has begun, also the current weights of the network.
    pub fn to_arrays(&self, network: &dyn DynNetwork) -> Arrays {
        let mut arrays: Arrays =
            self.state.iter().map(|(name, tensor)| (name.clone(), Array::of(tensor.clone()))).collect();
        arrays.insert(UPDATES.to_owned(), of_count(self.updates));
        if self.averaged > 0 {
            arrays.insert(AVERAGED.to_owned(), of_count(self.averaged));
            arrays.extend(
                parameters::read(network).into_iter().map(|(name, array)| (format!("{name}/{CURRENT}"), array)),
            );
        }
        arrays
    }

    /// Restores an optimizer from [`Optimizer::to_arrays`]; also returns the current weights, if averaging has begun.
    ///
    /// `step`, the number of updates of the run, replaces the optimizer's own count if `arrays` has none (older checkpoints).
    pub fn from_arrays(
        settings: OptimizerSettings,
        arrays: &Arrays,
        step: u64,
        device: &Device,
    ) -> (Self, Option<Arrays>) {
        let (mut state, mut current) = (BTreeMap::new(), Arrays::new());
        for (name, array) in arrays {
            match name.strip_suffix(&format!("/{CURRENT}")) {
                Some(name) => drop(current.insert(name.to_owned(), array.clone())),
                None if [UPDATES, AVERAGED].contains(&name.as_str()) => {}
                None => drop(state.insert(name.clone(), flat(array, device))),
            }
        }
        let updates = arrays.get(UPDATES).map_or(step, count);
        let averaged = arrays.get(AVERAGED).map_or(0, count);
        let execution = Execution::default();
        let rates = BTreeMap::new();
        (Self { settings, rates, state, updates, averaged, execution }, (averaged > 0).then_some(current))
    }

    /// State variables by name.
    pub fn state(&self) -> impl Iterator<Item = (&String, &Tensor<1>)> {
        self.state.iter()
    }
}

/// Base of the two digits of a saved count; f32 represents integers up to it exactly.
const DIGIT: u64 = 1 << 24;

fn of_count(count: u64) -> Array {
    Array { shape: vec![2], values: vec![(count / DIGIT) as f32, (count % DIGIT) as f32] }
}

/// Decodes a count of any number of digits; older checkpoints have one.
fn count(array: &Array) -> u64 {
    array.values.iter().fold(0u64, |count, &digit| count.saturating_mul(DIGIT).saturating_add(digit as u64))
}

fn flat(array: &Array, device: &Device) -> Tensor<1> {
    Tensor::from_data(array.values.as_slice(), device)
}

/// Bias corrections 1 − β₁ᵗ and √(1 − β₂ᵗ). Factoring the second one out of √v, and scaling ε by it, saves one traversal of the elements.
fn corrections(beta_1: f64, beta_2: f64, updates: u64) -> (f64, f64) {
    let exponent = i32::try_from(updates).unwrap_or(i32::MAX);
    (1.0 - beta_1.powi(exponent), (1.0 - beta_2.powi(exponent)).sqrt())
}

struct Stepper<'a> {
    settings: OptimizerSettings,
    rates: &'a BTreeMap<String, f64>,
    state: &'a mut BTreeMap<String, Tensor<1>>,
    gradients: Flat,
    update: Update,
    updates: u64,
    averaged: u64,
    execution: Execution,
}

impl Stepper<'_> {
    /// Updates a state variable by a function of its previous value, which is zero at first.
    fn update_state(&mut self, name: &str, like: &Tensor<1>, new: impl FnOnce(Tensor<1>) -> Tensor<1>) -> Tensor<1> {
        let old = self.state.remove(name).unwrap_or_else(|| like.zeros_like());
        let new = new(old);
        self.state.insert(name.to_owned(), new.clone());
        new
    }

    /// The updated parameter, computed by the fused kernel; `None` if there is none for this optimizer.
    fn fused(&mut self, name: &str, g: &Tensor<1>, value: &Tensor<1>, decays: bool) -> Option<Tensor<1>> {
        let OptimizerSettings { kind, beta_1, beta_2, epsilon, momentum, weight_decay, .. } = self.settings;
        let Update { learning_rate, clip_factor } = self.update;
        let decay = if decays { weight_decay } else { 0.0 };
        let mut shared = Step {
            learning_rate: learning_rate as f32,
            clip_factor: clip_factor as f32,
            decay: decay as f32,
            shrink: 0.0,
        };
        let (rule, variables): (_, &[&str]) = match kind {
            OptimizerKind::Sgd | OptimizerKind::Asgd if momentum == 0.0 => (Rule::Sgd, &[]),
            OptimizerKind::Sgd | OptimizerKind::Asgd => (Rule::Momentum { momentum: momentum as f32 }, &["v"]),
            OptimizerKind::Adam | OptimizerKind::AdamW => {
                if kind == OptimizerKind::AdamW {
                    (shared.decay, shared.shrink) = (0.0, (learning_rate * decay) as f32);
                }
                let (one, two) = corrections(beta_1, beta_2, self.updates);
                shared.learning_rate = (learning_rate * two / one) as f32;
                let [beta_1, beta_2, epsilon] = [beta_1, beta_2, epsilon * two].map(|number| number as f32);
                (Rule::Adam { beta_1, beta_2, epsilon }, &["m", "v"])
            }
            OptimizerKind::RmsProp => return None,
        };
        let names: Vec<String> = variables.iter().map(|variable| format!("{name}/{variable}")).collect();
        let old = names.iter().map(|name| self.state.get(name).cloned().unwrap_or_else(|| g.zeros_like()));
        let state: Vec<Tensor<1>> = old.collect();
        let parameter = Parameter { value, gradient: g, state: &state };
        let Updated { value, state } = kernels::update(rule, shared, parameter, self.execution)?;
        self.state.extend(names.into_iter().zip(state));
        Some(value)
    }

    /// The change to subtract from a parameter, given its gradient; `value` is its value if weight decay applies.
    fn change(&mut self, name: &str, mut g: Tensor<1>, value: Option<Tensor<1>>) -> Tensor<1> {
        let OptimizerSettings { kind, beta_1, beta_2, alpha, epsilon, momentum, weight_decay, .. } = self.settings;
        let learning_rate = self.update.learning_rate;
        let of = |variable: &str| format!("{name}/{variable}");
        let decay = value.filter(|_| weight_decay > 0.0).map(|value| value * weight_decay);
        let decoupled = kind == OptimizerKind::AdamW;
        if let Some(decay) = decay.clone().filter(|_| !decoupled) {
            g = g + decay;
        }
        match kind {
            OptimizerKind::Sgd | OptimizerKind::Asgd if momentum == 0.0 => g * learning_rate,
            OptimizerKind::Sgd | OptimizerKind::Asgd => {
                self.update_state(&of("v"), &g, |v| v * momentum + g.clone()) * learning_rate
            }
            OptimizerKind::Adam | OptimizerKind::AdamW => {
                let first = self.update_state(&of("m"), &g, |m| m * beta_1 + g.clone() * (1.0 - beta_1));
                let second = self.update_state(&of("v"), &g, |v| v * beta_2 + g.clone().square() * (1.0 - beta_2));
                let (one, two) = corrections(beta_1, beta_2, self.updates);
                let change = first / (second.sqrt() + epsilon * two) * (learning_rate * two / one);
                match decay {
                    Some(decay) if decoupled => change + decay * learning_rate,
                    _ => change,
                }
            }
            OptimizerKind::RmsProp => {
                let squares = self.update_state(&of("v"), &g, |v| v * alpha + g.clone().square() * (1.0 - alpha));
                let scaled = g.clone() / (squares.sqrt() + epsilon);
                match momentum > 0.0 {
                    false => scaled * learning_rate,
                    true => self.update_state(&of("b"), &g, |b| b * momentum + scaled) * learning_rate,
                }
            }
        }
    }

    /// The new value of a parameter; `None` without a gradient, or if its learning rate is 0.
    fn update_parameter(&mut self, name: &str, shape: &[usize], old: Tensor<1>) -> Option<Tensor<1>> {
        let factor = learning_rate_factor(self.rates, name);
        let gradient = self.gradients.remove(name).filter(|_| factor > 0.0)?;
        let common = self.update;
        self.update.learning_rate *= factor;
        let value = self.updated(name, shape, gradient, old);
        self.update = common;
        Some(value)
    }

    /// The new value of a parameter with a gradient.
    fn updated(&mut self, name: &str, shape: &[usize], gradient: Tensor<1>, old: Tensor<1>) -> Tensor<1> {
        let decays = shape.len() >= 2 && self.settings.weight_decay > 0.0;
        let value = self.fused(name, &gradient, &old, decays).unwrap_or_else(|| {
            let factor = self.update.clip_factor;
            let gradient = if factor == 1.0 { gradient } else { gradient * factor };
            old.clone() - self.change(name, gradient, decays.then_some(old))
        });
        if self.averaged > 0 {
            let new = value.clone();
            let count = self.averaged as f64;
            self.update_state(&format!("{name}/{MEAN}"), &new, |mean| mean.clone() + (new.clone() - mean) / count);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::{Module, Param};
    use burn::tensor::TensorData;
    use seqzoo_models::networks::Network;
    use seqzoo_run::devices;

    const TARGET: [f32; 3] = [0.5, -2.0, 30.0];

    #[derive(Module, Debug)]
    struct Linear {
        weight: Param<Tensor<2>>,
        bias: Option<Param<Tensor<1>>>,
    }

    impl Network for Linear {}

    /// A weight `[1, 3]` and a bias `[3]`, with the loss Σ (θ − target)² / 2 of each.
    fn module(device: &Device) -> Linear {
        let weight = Param::from_data([[1.0f32, 2.0, 3.0]], device);
        Linear { weight, bias: Some(Param::from_data([1.0f32, 2.0, 3.0], device)) }
    }

    fn gradients_of(module: &Linear) -> Flat {
        let (weight, bias) = (module.weight.val(), module.bias.as_ref().unwrap().val());
        let target = Tensor::<1>::from_data(TARGET, &weight.device());
        let loss = (weight - target.clone().unsqueeze()).square().sum() + (bias - target).square().sum();
        DynNetwork::gradients(module, &(loss * 0.5).backward())
    }

    fn settings(kind: OptimizerKind) -> OptimizerSettings {
        let momentum = if kind == OptimizerKind::RmsProp || kind == OptimizerKind::Sgd { 0.7 } else { 0.0 };
        OptimizerSettings { kind, momentum, weight_decay: 0.01, ..OptimizerSettings::default() }
    }

    /// Reference update of one scalar in f64: θ and its two state variables.
    fn scalar(settings: OptimizerSettings, [theta, a, b]: [f64; 3], target: f64, decays: bool, step: i32) -> [f64; 3] {
        let OptimizerSettings { kind, beta_1, beta_2, alpha, epsilon, momentum, weight_decay, .. } = settings;
        let (lr, decay) = (0.1, if decays { weight_decay * theta } else { 0.0 });
        let g = theta - target + if kind == OptimizerKind::AdamW { 0.0 } else { decay };
        match kind {
            OptimizerKind::Sgd | OptimizerKind::Asgd => {
                let v = momentum * a + g;
                [theta - lr * v, v, b]
            }
            OptimizerKind::Adam | OptimizerKind::AdamW => {
                let (m, v) = (beta_1 * a + (1.0 - beta_1) * g, beta_2 * b + (1.0 - beta_2) * g * g);
                let direction = m / (1.0 - beta_1.powi(step)) / ((v / (1.0 - beta_2.powi(step))).sqrt() + epsilon);
                let decoupled = if kind == OptimizerKind::AdamW { decay } else { 0.0 };
                [theta - lr * direction - lr * decoupled, m, v]
            }
            OptimizerKind::RmsProp => {
                let v = alpha * a + (1.0 - alpha) * g * g;
                let b = momentum * b + g / (v.sqrt() + epsilon);
                [theta - lr * b, v, b]
            }
        }
    }

    const KINDS: [OptimizerKind; 5] =
        [OptimizerKind::Sgd, OptimizerKind::Adam, OptimizerKind::AdamW, OptimizerKind::RmsProp, OptimizerKind::Asgd];

    /// With clipping and weight decay, over more elements than one thread processes at a time.
    #[test]
    fn the_fused_update_matches_the_reference() {
        let device = Device::flex().autodiff();
        let numbers = |salt: usize| -> Vec<f32> {
            (0..3 * 9001).map(|k| ((k * 7919 + salt) % 1013) as f32 / 1013.0 - 0.5).collect()
        };
        for kind in KINDS {
            let settings = settings(kind);
            let updated = |execution: Execution| {
                let weight = Param::from_data(TensorData::new(numbers(1), [3, 9001]), &device);
                let optimizer = Optimizer::new(settings);
                let (mut module, mut optimizer) = (Linear { weight, bias: None }, Optimizer { execution, ..optimizer });
                for step in 1..=4 {
                    let data = TensorData::new(numbers(step), [3 * 9001]);
                    let gradients =
                        Flat::from([("weight".to_owned(), Tensor::from_data(data, &device.clone().inner()))]);
                    let update = Update { learning_rate: 0.1, clip_factor: 0.3 };
                    optimizer.update(&mut module, gradients, update);
                }
                let state = optimizer.to_arrays(&module);
                let mut all = parameters::read(&module).remove("weight").unwrap().values;
                all.extend(state.into_values().flat_map(|array| array.values));
                all
            };
            let (fused, reference) = (updated(Execution::default()), updated(Execution::reference()));
            assert_eq!(fused.len(), reference.len());
            let difference = fused.iter().zip(&reference).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(difference < 1e-5, "{kind:?}: {difference}");
        }
    }

    #[test]
    fn updates_follow_the_equations_with_decay_of_matrices_only_and_a_save_at_every_step() {
        for (_, device) in devices() {
            let (plain, device) = (device.clone(), device.autodiff());
            for kind in KINDS {
                let settings = settings(kind);
                let (mut module, mut optimizer) = (module(&device), Optimizer::new(settings));
                let mut expected = [[[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [3.0, 0.0, 0.0]]; 2];
                for step in 1..=20 {
                    let update = Update { learning_rate: 0.1, clip_factor: 1.0 };
                    let gradients = gradients_of(&module);
                    optimizer.update(&mut module, gradients, update);
                    optimizer = Optimizer::from_arrays(settings, &optimizer.to_arrays(&module), 0, &plain).0;
                    for (numbers, decays) in expected.iter_mut().zip([true, false]) {
                        for (number, target) in numbers.iter_mut().zip(TARGET) {
                            *number = scalar(settings, *number, f64::from(target), decays, step);
                        }
                    }
                }
                let found = parameters::read(&module);
                for (name, expected) in ["weight", "bias"].into_iter().zip(expected) {
                    for (found, expected) in found[name].values.iter().zip(expected) {
                        assert!(
                            (f64::from(*found) - expected[0]).abs() < 2e-5,
                            "{kind:?} {name}: {found} {expected:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn evaluation_uses_averaged_weights_and_training_continues_from_the_current_ones() {
        let plain = devices().remove(0).1;
        let device = plain.clone().autodiff();
        let settings = OptimizerSettings { weight_decay: 0.0, ..settings(OptimizerKind::Asgd) };
        let (mut module, mut optimizer) = (module(&device), Optimizer::new(settings));
        optimizer.begin_averaging(&module, &plain);
        let mut seen = vec![parameters::read(&module)["weight"].values[2]];
        for _ in 0..5 {
            let gradients = gradients_of(&module);
            optimizer.update(&mut module, gradients, Update { learning_rate: 0.1, clip_factor: 1.0 });
            seen.push(parameters::read(&module)["weight"].values[2]);
            let (restored, current) = Optimizer::from_arrays(settings, &optimizer.to_arrays(&module), 0, &plain);
            assert_eq!(current.unwrap(), parameters::read(&module));
            optimizer = restored;
        }
        let mean = seen.iter().sum::<f32>() / seen.len() as f32;
        let evaluated = parameters::read(&*optimizer.evaluation_network(&module))["weight"].values[2];
        assert!((evaluated - mean).abs() < 1e-5, "{evaluated}, not {mean}");
    }

    #[test]
    fn the_first_update_after_a_reset_has_the_size_of_the_learning_rate() {
        let plain = devices().remove(0).1;
        let update = Update { learning_rate: 0.1, clip_factor: 1.0 };
        for kind in [OptimizerKind::Adam, OptimizerKind::AdamW] {
            let settings = OptimizerSettings { weight_decay: 0.0, ..settings(kind) };
            let (mut module, mut optimizer) = (module(&plain.clone().autodiff()), Optimizer::new(settings));
            for _ in 0..50 {
                let gradients = gradients_of(&module);
                optimizer.update(&mut module, gradients, update);
            }
            let before = parameters::read(&module)["bias"].values.clone();
            let gradients = gradients_of(&module);
            Optimizer::new(settings).update(&mut module, gradients, update);
            for (before, after) in before.iter().zip(&parameters::read(&module)["bias"].values) {
                // m / (1 − β₁) = g and √(v / (1 − β₂)) = |g|.
                assert!(((before - after).abs() - 0.1).abs() < 1e-5, "{kind:?}: {before} to {after}");
            }
        }
    }

    #[test]
    fn update_counts_round_trip_and_older_checkpoints_use_the_step_of_the_run() {
        let plain = devices().remove(0).1;
        let settings = settings(OptimizerKind::Asgd);
        let module = module(&plain.clone().autodiff());
        let mut optimizer = Optimizer::new(settings);
        optimizer.begin_averaging(&module, &plain);
        // Not representable in f32.
        (optimizer.updates, optimizer.averaged) = ((1 << 40) + 1, (1 << 24) + 1);
        let mut arrays = optimizer.to_arrays(&module);
        let (restored, _) = Optimizer::from_arrays(settings, &arrays, 7, &plain);
        assert_eq!((restored.updates, restored.averaged), ((1 << 40) + 1, (1 << 24) + 1));
        arrays.remove(UPDATES);
        arrays.insert(AVERAGED.to_owned(), Array { shape: vec![1], values: vec![12.0] });
        let (older, _) = Optimizer::from_arrays(settings, &arrays, 7, &plain);
        assert_eq!((older.updates, older.averaged), (7, 12));
    }
}
