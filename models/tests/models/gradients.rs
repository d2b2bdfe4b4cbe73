//! Gradients against central differences in f64.

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use seqzoo_kernels::{Backend, devices};
use seqzoo_models::Architecture;
use seqzoo_models::layers::stack::RegularizationRates;
use seqzoo_models::layers::{
    Attention, AttentionScore, Crf, LayerState, Pooling, SequencePooling, Skip, Stack, StackShape,
};
use seqzoo_models::state::NamedState;
use seqzoo_random::{Key, Purpose};
use std::collections::BTreeMap;

use crate::support::{key, numbers, parameters, wide_gradients, with_parameters};

const STEP: f64 = 1e-5;

/// Names and values of what a loss depends on.
type Values = BTreeMap<String, Vec<f64>>;

/// Compares the gradient of every tensor with central differences of the loss, relative to its largest element: every
/// third element, at least two of each tensor.
fn check(name: &str, mut values: Values, at: &dyn Fn(&Values) -> f64, found: &BTreeMap<String, Vec<f64>>) {
    assert!(values.keys().eq(found.keys()), "{name}: a gradient for each of {:?}", values.keys());
    for (tensor, found) in found {
        let largest = found.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        assert!(largest > 1e-6, "{name}: the loss depends on {tensor}");
        for index in (0..found.len()).step_by(3.min(found.len().max(2) - 1)) {
            let old = values[tensor][index];
            let mut perturbed = |by: f64| {
                values.get_mut(tensor).unwrap()[index] = old + by;
                at(&values)
            };
            let expected = (perturbed(STEP) - perturbed(-STEP)) / (2.0 * STEP);
            perturbed(0.0);
            let error = (expected - found[index]).abs() / largest;
            assert!(error <= 1e-6, "{name}, {tensor}[{index}]: {}, expected {expected}", found[index]);
        }
    }
}

fn wide(values: Vec<f32>) -> Vec<f64> {
    values.into_iter().map(f64::from).collect()
}

/// An f64 tensor that requires a gradient.
fn leaf<const D: usize>(values: &Values, name: &str, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values[name].clone(), shape), (device, DType::F64)).require_grad()
}

/// Σ tanh(outputs · weights), a loss that is nonlinear in every output.
fn curved<const D: usize>(outputs: Tensor<D>, index: u64) -> Tensor<1> {
    let shape = outputs.dims();
    let weights = wide(numbers(shape.iter().product(), index));
    let weights = Tensor::<D>::from_data(TensorData::new(weights, shape), (&outputs.device(), DType::F64));
    (outputs * weights).tanh().sum()
}

/// Gradients of a module's parameters and of additional leaf tensors.
fn all_gradients<M: Module>(module: &M, leaves: &[(&str, Tensor<1>)], loss: Tensor<1>) -> BTreeMap<String, Vec<f64>> {
    let tape = loss.backward();
    let mut found = wide_gradients(module, &tape);
    for (name, leaf) in leaves {
        found.insert((*name).to_owned(), leaf.grad(&tape).unwrap().try_into_vec_as::<f64>().unwrap());
    }
    found
}

fn stack(shape: &StackShape, dropout_key: Option<Key>, device: &Device) {
    let (lengths, time) = ([4, 2], 4);
    let start = Stack::new(shape.clone(), key(0), device);
    let mut values: Values = parameters(&start).into_iter().map(|(name, values)| (name, wide(values))).collect();
    let state = shape.architecture.directions() * shape.architecture.state_tensors() * 2 * shape.hidden_sizes[0];
    values.insert("input".to_owned(), wide(numbers(2 * time * 3, 1)));
    values.insert("initial".to_owned(), wide(numbers(state, 2)));
    let run = |values: &Values| {
        let stack = with_parameters(start.clone(), &|name, _| values[name].clone(), DType::F64);
        let input = leaf(values, "input", [2 * time * 3], device);
        let initial = leaf(values, "initial", [state], device);
        // Only the first layer has a nonzero initial state.
        let states = shape.hidden_sizes.iter().enumerate().map(|(layer, &size)| {
            let mut taken = 0;
            let mut part = || {
                taken += 2 * size;
                match layer {
                    0 => initial.clone().narrow(0, taken - 2 * size, 2 * size).reshape([2, size]),
                    _ => Tensor::zeros([2, size], (device, DType::F64)),
                }
            };
            let cell = shape.architecture.state_tensors() == 2;
            let mut named = || NamedState { hidden: part(), cell: cell.then(&mut part) };
            let both = shape.architecture.directions() == 2;
            LayerState { forward: named(), backward: both.then(&mut named) }
        });
        let result = stack.forward(input.clone().reshape([2, time, 3]), &lengths, Some(states.collect()), dropout_key);
        let last = result.states.last().unwrap().forward.hidden.clone();
        let loss = curved(result.outputs, 3) + curved(last, 4);
        (stack, input, initial, loss)
    };
    let (module, input, initial, loss) = run(&values);
    let found = all_gradients(&module, &[("input", input), ("initial", initial)], loss);
    // The gradient of padding is zero.
    assert!(found["input"][(4 + 2) * 3..].iter().all(|&gradient| gradient == 0.0));
    let at = |values: &Values| run(values).3.into_scalar::<f64>();
    check(&format!("{shape:?}"), values, &at, &found);
}

/// The CPU backend whose forward pass is f64 throughout; GPUs lack f64, and on ndarray
/// central differences are quantized.
fn flex() -> Option<Device> {
    devices().into_iter().find(|(backend, _)| *backend == Backend::Flex).map(|(_, device)| device.autodiff())
}

#[test]
fn gradients_of_skip_connections_and_regularization_equal_central_differences() {
    let Some(device) = flex() else { return };
    for skip in [Skip::None, Skip::Residual, Skip::Highway, Skip::Dense] {
        let plain = StackShape::plain(Architecture::BiLstm, 3, vec![2, 3]);
        let shape = StackShape { skip, projection: true, ..plain };
        stack(&shape, None, &device);
        let rates = RegularizationRates {
            input_dropout: 0.2,
            dropout: 0.2,
            locked_dropout: 0.2,
            recurrent_dropout: 0.2,
            zoneout: 0.3,
        };
        let regularized = StackShape { rates, ..shape };
        stack(&regularized, None, &device);
        stack(&regularized, Some(Key::new(1, Purpose::Dropout)), &device);
    }
}

#[test]
fn gradients_of_every_cell_equal_central_differences() {
    let Some(device) = flex() else { return };
    for architecture in Architecture::ALL {
        stack(&StackShape::plain(architecture, 3, vec![2]), None, &device);
    }
}

#[test]
fn gradients_of_a_crf_equal_central_differences() {
    let Some(device) = flex() else { return };
    let labels = [vec![0, 2, 1, 1], vec![2, 0]];
    let start = Crf::new(3, key(0), &device);
    let mut values: Values = parameters(&start).into_iter().map(|(name, values)| (name, wide(values))).collect();
    values.insert("emissions".to_owned(), wide(numbers(2 * 4 * 3, 1)));
    let run = |values: &Values| {
        let crf = with_parameters(start.clone(), &|name, _| values[name].clone(), DType::F64);
        let emissions = leaf(values, "emissions", [2 * 4 * 3], &device);
        let loss = crf.log_likelihood(emissions.clone().reshape([2, 4, 3]), &labels).sum();
        (crf, emissions, loss)
    };
    let (crf, emissions, loss) = run(&values);
    let found = all_gradients(&crf, &[("emissions", emissions)], loss);
    check("CRF", values, &|values| run(values).2.into_scalar::<f64>(), &found);
}

#[test]
fn gradients_of_attention_and_pooling_equal_central_differences() {
    let Some(device) = flex() else { return };
    for score in [AttentionScore::Dot, AttentionScore::General, AttentionScore::Additive] {
        let start = Attention::new(score, 3, 3, key(0), &device);
        let mut values: Values = parameters(&start).into_iter().map(|(name, values)| (name, wide(values))).collect();
        values.insert("queries".to_owned(), wide(numbers(2 * 2 * 3, 1)));
        values.insert("memory".to_owned(), wide(numbers(2 * 4 * 3, 2)));
        let run = |values: &Values| {
            let attention = with_parameters(start.clone(), &|name, _| values[name].clone(), DType::F64);
            let (queries, memory) =
                (leaf(values, "queries", [2 * 2 * 3], &device), leaf(values, "memory", [2 * 4 * 3], &device));
            let [query, key_value] = [(&queries, 2), (&memory, 4)].map(|(all, time)| all.clone().reshape([2, time, 3]));
            let loss = curved(attention.forward(query, key_value, &[4, 2]).context, 3);
            (attention, queries, memory, loss)
        };
        let (attention, queries, memory, loss) = run(&values);
        let found = all_gradients(&attention, &[("queries", queries), ("memory", memory)], loss);
        check(&format!("{score:?}"), values, &|values| run(values).3.into_scalar::<f64>(), &found);
    }
    for pooling in [Pooling::Last, Pooling::Mean, Pooling::Max, Pooling::Attention] {
        let start = SequencePooling::new(pooling, 4, key(0), &device);
        let mut values: Values = parameters(&start).into_iter().map(|(name, values)| (name, wide(values))).collect();
        values.insert("outputs".to_owned(), wide(numbers(2 * 4 * 4, 1)));
        let run = |values: &Values| {
            let summary = with_parameters(start.clone(), &|name, _| values[name].clone(), DType::F64);
            let outputs = leaf(values, "outputs", [2 * 4 * 4], &device);
            let loss = curved(summary.forward(outputs.clone().reshape([2, 4, 4]), &[4, 2], 2), 3);
            (summary, outputs, loss)
        };
        let (summary, outputs, loss) = run(&values);
        let found = all_gradients(&summary, &[("outputs", outputs)], loss);
        check(&format!("{pooling:?}"), values, &|values| run(values).2.into_scalar::<f64>(), &found);
    }
}
