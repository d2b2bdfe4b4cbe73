//! Every cell, unidirectional, bidirectional and in two layers, against PyTorch (`tests/golden/generate.py`): outputs,
//! final states, and the gradients of the input, the initial states and every parameter.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Tensor, TensorData};
use seqzoo_kernels::{Backend, devices};
use seqzoo_models::Architecture;
use seqzoo_models::layers::{LayerState, Stack, StackShape};
use seqzoo_models::state::NamedState;
use serde_json::Value;

use crate::support::{difference, gradients, key, tensor, values, with_parameters};

/// One case (line) of a golden file.
struct Golden(Value);

impl Golden {
    fn array(&self, part: &str, name: &str) -> Vec<f32> {
        let found = &self.0[part][name]["values"];
        let numbers = found.as_array().unwrap_or_else(|| panic!("{part}.{name} is not in the golden file"));
        numbers.iter().map(|number| number.as_f64().unwrap() as f32).collect()
    }

    fn shape<const D: usize>(&self, part: &str, name: &str) -> [usize; D] {
        let shape = self.0[part][name]["shape"].as_array().unwrap();
        std::array::from_fn(|axis| shape[axis].as_u64().unwrap() as usize)
    }

    fn leaf<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        tensor(self.array("inputs", name), self.shape("inputs", name), device).require_grad()
    }

    fn list(&self, name: &str) -> Vec<usize> {
        self.0[name].as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
    }
}

/// Loss of one tensor: its elements weighted by cos(0.3 k + index), as in the generating script.
fn weighted<const D: usize>(tensor: Tensor<D>, index: usize) -> Tensor<1> {
    let shape = tensor.dims();
    let count: usize = shape.iter().product();
    let weights: Vec<f32> = (0..count).map(|k| (0.3 * k as f64 + index as f64).cos() as f32).collect();
    (tensor.clone() * Tensor::from_data(TensorData::new(weights, shape), &tensor.device())).sum()
}

/// Tolerances of values and gradients, relative to the largest magnitude of a tensor.
fn tolerances(backend: Backend) -> (f32, f32) {
    if matches!(backend, Backend::Flex | Backend::Ndarray) { (1e-5, 1e-4) } else { (1e-4, 1e-3) }
}

fn check(golden: &Golden, backend: Backend, device: &Device) {
    let name = golden.0["architecture"].as_str().unwrap();
    let architecture = Architecture::from_name(name).unwrap();
    let (hidden_sizes, lengths) = (golden.list("hidden_sizes"), golden.list("lengths"));
    let input = golden.leaf::<3>("input", device);
    let shape = StackShape::plain(architecture, input.dims()[2], hidden_sizes.clone());
    let set = |name: &str, _: usize| golden.array("inputs", name).into_iter().map(f64::from).collect();
    let stack = with_parameters(Stack::new(shape, key(0), device), &set, DType::F32);

    let mut leaves: BTreeMap<String, Tensor<2>> = BTreeMap::new();
    let has_cell = golden.0["finals"]["0.forward.cell"].is_object();
    let mut state = |layer: usize, direction: &str| {
        let mut leaf = |part: &str| {
            let name = format!("initial.{layer}.{direction}.{part}");
            let leaf = golden.leaf::<2>(&name, device);
            leaves.insert(name, leaf.clone());
            leaf
        };
        NamedState { hidden: leaf("hidden"), cell: has_cell.then(|| leaf("cell")) }
    };
    let both = architecture.directions() == 2;
    let initial = (0..hidden_sizes.len())
        .map(|layer| LayerState { forward: state(layer, "forward"), backward: both.then(|| state(layer, "backward")) });
    let initial = initial.collect();

    let result = stack.forward(input.clone(), &lengths, Some(initial), None);
    let (forward, backward) = tolerances(backend);
    let outputs = golden.0["outputs"]["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32);
    let label = |part: &str| format!("{name} {hidden_sizes:?} on {}: {part}", backend.name());
    assert!(
        difference(&values(result.outputs.clone()), &outputs.collect::<Vec<_>>()) <= forward,
        "{}",
        label("outputs")
    );

    let (mut loss, mut index) = (weighted(result.outputs, 0), 0);
    for (layer, state) in result.states.into_iter().enumerate() {
        for (direction, state) in [("forward", Some(state.forward)), ("backward", state.backward)] {
            let Some(state) = state else { continue };
            for (part, tensor) in [("hidden", Some(state.hidden)), ("cell", state.cell)] {
                let Some(tensor) = tensor else { continue };
                index += 1;
                let name = format!("{layer}.{direction}.{part}");
                let expected = golden.array("finals", &name);
                assert!(difference(&values(tensor.clone()), &expected) <= forward, "{}", label(&name));
                loss = loss + weighted(tensor, index);
            }
        }
    }

    let tape = loss.backward();
    let mut found = gradients(&stack, &tape);
    found.insert("input".to_owned(), values(input.grad(&tape).unwrap()));
    found.extend(leaves.into_iter().map(|(name, leaf)| (name, values(leaf.grad(&tape).unwrap()))));
    let expected = golden.0["gradients"].as_object().unwrap();
    assert_eq!(found.len(), expected.len(), "{}", label("every gradient has a golden value"));
    for (name, gradient) in found {
        let error = difference(&gradient, &golden.array("gradients", &name));
        assert!(error <= backward, "{}: {error}", label(&name));
    }
}

#[test]
fn values_and_gradients_of_every_cell_equal_pytorch() {
    for architecture in Architecture::ALL.into_iter().filter(|architecture| architecture.directions() == 1) {
        let file = format!("{}/tests/golden/{}.json", env!("CARGO_MANIFEST_DIR"), architecture.name());
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(cases.len(), 3, "{file}: one direction, both, two layers");
        for (backend, device) in devices() {
            for case in &cases {
                check(&Golden(case.clone()), backend, &device.clone().autodiff());
            }
        }
    }
}
