//! Adam.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_run::parameters::{Array, Arrays, Path};

use crate::gradients::Flat;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Adam with the constants of its paper.
///
/// ```text
/// m ← β₁ m + (1 − β₁) g      v ← β₂ v + (1 − β₂) g²
/// θ ← θ − lr · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
/// ```
///
/// Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015. Moments live on the device of the parameters
/// they belong to and are saved under the parameter's name.
#[derive(Debug, Clone, Default)]
pub struct Adam {
    moments: BTreeMap<String, Moments>,
}

/// Running means of a parameter's gradient and of its square, `[elements]`.
#[derive(Debug, Clone)]
struct Moments {
    first: Tensor<1>,
    second: Tensor<1>,
}

/// One update.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    /// Counted from 1.
    pub step: u64,
    /// Step size.
    pub learning_rate: f64,
    /// Gradients are multiplied by this first.
    pub clip_factor: f64,
}

impl Adam {
    /// The module after an update along `gradients`.
    pub fn update<M: Module>(&mut self, module: M, gradients: Flat, update: Update) -> M {
        module.map(&mut Stepper { path: Path::default(), moments: &mut self.moments, gradients, update })
    }

    /// All moments by name.
    pub fn to_arrays(&self) -> Arrays {
        let named = |(name, moments): (&String, &Moments)| {
            let array = |tensor: &Tensor<1>| Array::of(tensor.clone());
            [(format!("{name}.m"), array(&moments.first)), (format!("{name}.v"), array(&moments.second))]
        };
        self.moments.iter().flat_map(named).collect()
    }

    /// The optimiser whose moments are `arrays`; arrays under other names are left aside.
    pub fn from_arrays(arrays: &Arrays, device: &Device) -> Self {
        let tensor =
            |array: &Array| Tensor::from_data(TensorData::new(array.values.clone(), [array.values.len()]), device);
        let moments = arrays.iter().filter_map(|(name, first)| {
            let name = name.strip_suffix(".m")?;
            let second = arrays.get(&format!("{name}.v"))?;
            Some((name.to_owned(), Moments { first: tensor(first), second: tensor(second) }))
        });
        Self { moments: moments.collect() }
    }
}

struct Stepper<'a> {
    path: Path,
    moments: &'a mut BTreeMap<String, Moments>,
    gradients: Flat,
    update: Update,
}

impl ModuleMapper for Stepper<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let name = self.path.name();
        let Some(gradient) = self.gradients.remove(&name) else { return param };
        let Update { step, learning_rate, clip_factor } = self.update;
        let g = if clip_factor < 1.0 { gradient * clip_factor } else { gradient };
        let zeros = || Moments { first: g.zeros_like(), second: g.zeros_like() };
        let old = self.moments.remove(&name).unwrap_or_else(zeros);
        let first = old.first * BETA_1 + g.clone() * (1.0 - BETA_1);
        let second = old.second * BETA_2 + g.square() * (1.0 - BETA_2);
        let exponent = i32::try_from(step).unwrap_or(i32::MAX);
        let (correction_1, correction_2) = (1.0 - BETA_1.powi(exponent), (1.0 - BETA_2.powi(exponent)).sqrt());
        // The second correction moved out of the root: one pass over the elements less.
        let direction = first.clone() / (second.clone().sqrt() + EPSILON * correction_2);
        let change = direction * (learning_rate * correction_2 / correction_1);
        self.moments.insert(name, Moments { first, second });
        param.map(|value| {
            let shape = value.dims();
            let value = value.inner() - change.reshape(shape);
            Tensor::from_inner(value).require_grad()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradients;
    use burn::nn::Linear;
    use seqzoo_run::{devices, parameters};

    /// A parameter `[1, 3]` under the loss Σ (θ − goal)² / 2.
    fn gradients_of(module: &Linear, goal: [f32; 3]) -> Flat {
        let weight = module.weight.val();
        let difference = weight.clone() - Tensor::from_data([goal], &weight.device());
        gradients::of(module, &(difference.square().sum() * 0.5).backward())
    }

    /// The same update for one number, in f64.
    fn scalar(theta: &mut [f64; 3], g: f64, step: i32) {
        theta[1] = BETA_1 * theta[1] + (1.0 - BETA_1) * g;
        theta[2] = BETA_2 * theta[2] + (1.0 - BETA_2) * g * g;
        let (m, v) = (theta[1] / (1.0 - BETA_1.powi(step)), theta[2] / (1.0 - BETA_2.powi(step)));
        theta[0] -= 0.1 * m / (v.sqrt() + EPSILON);
    }

    #[test]
    fn updates_follow_the_equations_and_survive_saving() {
        for (_, device) in devices() {
            let device = device.autodiff();
            let goal = [0.5, -2.0, 30.0];
            let weight = Param::from_data([[1.0f32, 2.0, 3.0]], &device);
            let mut module = Linear { weight, bias: None };
            let mut adam = Adam::default();
            let mut expected = [[1.0, 0.0, 0.0], [2.0, 0.0, 0.0], [3.0, 0.0, 0.0]];
            for step in 1..=20 {
                let gradients = gradients_of(&module, goal);
                module = adam.update(module, gradients, Update { step, learning_rate: 0.1, clip_factor: 1.0 });
                adam = Adam::from_arrays(&adam.to_arrays(), &device.clone().inner());
                for (number, goal) in expected.iter_mut().zip(goal) {
                    scalar(number, number[0] - f64::from(goal), step as i32);
                }
            }
            let found = &parameters::read(&module)["weight"].values;
            for (found, expected) in found.iter().zip(expected) {
                assert!((f64::from(*found) - expected[0]).abs() < 1e-5, "{found} {expected:?}");
            }
        }
    }
}
