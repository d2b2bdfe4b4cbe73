//! Gradients against central differences in f64, where no other program computes them.

use burn::tensor::{DType, Device, Tensor, TensorData};
use seqzoo_kernels::{Backend, devices};
use seqzoo_models::Architecture;
use seqzoo_models::layers::stack::StackRates;
use seqzoo_models::layers::{Skip, Stack, StackShape};
use seqzoo_random::{Key, Purpose};
use std::collections::BTreeMap;

use crate::support::{gradients, key, numbers, parameters, with_parameters};

const LENGTHS: [usize; 2] = [4, 2];
const STEP: f64 = 1e-5;

/// Σ tanh(outputs · weights), a loss that is curved in every output.
fn loss(stack: &Stack, noise: Option<Key>, device: &Device) -> Tensor<1> {
    let input: Vec<f64> = numbers(2 * 4 * 3, 1).into_iter().map(f64::from).collect();
    let input = Tensor::<3>::from_data(TensorData::new(input, [2, 4, 3]), (device, DType::F64));
    let outputs = stack.read(input, &LENGTHS, None, noise).outputs;
    let count = outputs.dims().iter().product();
    let weights: Vec<f64> = numbers(count, 2).into_iter().map(f64::from).collect();
    let weights = Tensor::<3>::from_data(TensorData::new(weights, outputs.dims()), (device, DType::F64));
    (outputs * weights).tanh().sum()
}

fn check(shape: &StackShape, noise: Option<Key>, device: &Device) {
    let device = device.clone().autodiff();
    let start = Stack::new(shape.clone(), key(0), &device);
    let mut values: BTreeMap<String, Vec<f64>> = parameters(&start)
        .into_iter()
        .map(|(name, values)| (name, values.into_iter().map(f64::from).collect()))
        .collect();
    let with = |values: &BTreeMap<String, Vec<f64>>| {
        with_parameters(start.clone(), &|name, _| values[name].clone(), DType::F64)
    };
    let at = |values: &BTreeMap<String, Vec<f64>>| -> f64 { loss(&with(values), noise, &device).into_scalar::<f64>() };
    let stack = with(&values);
    let found = gradients(&stack, &loss(&stack, noise, &device).backward());
    let largest = found.values().flatten().fold(0.0, |most: f32, value| most.max(value.abs()));
    for (name, found) in &found {
        // Every third element, at least two of each parameter.
        for index in (0..found.len()).step_by(3.min(found.len() - 1)) {
            let old = values[name][index];
            let mut moved = |by: f64| {
                values.get_mut(name).unwrap()[index] = old + by;
                at(&values)
            };
            let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            moved(0.0);
            let error = (slope - f64::from(found[index])).abs() / f64::from(largest);
            assert!(error <= 1e-6, "{shape:?}, {name}[{index}]: {} against {slope}", found[index]);
        }
    }
}

#[test]
fn skip_connections_and_zoneout_have_the_gradients_that_differences_show() {
    for (backend, device) in devices() {
        if backend != Backend::Flex {
            continue; // GPUs have no f64, and on ndarray differences come out quantised to f32
        }
        for skip in [Skip::None, Skip::Residual, Skip::Highway, Skip::Dense] {
            let plain = StackShape::plain(Architecture::BiLstm, 3, vec![2, 3]);
            let shape = StackShape { skip, projection: true, ..plain };
            check(&shape, None, &device);
            let rates = StackRates { zoneout: 0.3, recurrent: 0.2, dropout: 0.2, locked: 0.2 };
            let disturbed = StackShape { rates, ..shape };
            check(&disturbed, None, &device);
            check(&disturbed, Some(Key::new(1, Purpose::Dropout)), &device);
        }
        for architecture in [Architecture::LayerNormLstm, Architecture::PeepholeLstm, Architecture::Gru] {
            check(&StackShape::plain(architecture, 3, vec![2]), None, &device);
        }
    }
}
