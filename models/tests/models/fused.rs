//! Kernels against the reference loop in f64: outputs, states and every gradient, for every available instruction set.

use std::num::NonZeroUsize;

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use seqzoo_kernels::{Activations, Engine, Execution, InstructionSet, devices, supports};
use seqzoo_models::Architecture;
use seqzoo_models::layers::{Attention, AttentionScore, LayerState, Linear, Stack, StackShape};
use seqzoo_models::networks::{LanguageModel, LanguageModelShape, Network};
use seqzoo_models::state::NamedState;

use crate::support::{key, numbers, parameters, tensor, values, wide_gradients, with_parameters};

/// The architectures whose cells have a kernel.
fn fused() -> Vec<Architecture> {
    let cells = seqzoo_kernels::cells();
    let all = Architecture::ALL.into_iter();
    let fused: Vec<_> = all.filter(|architecture| cells.contains(&architecture.forward().name())).collect();
    assert!(!cells.is_empty() && fused.len() == 2 * cells.len(), "kernels of {cells:?}, but cells of {fused:?}");
    fused
}

/// What the loss depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    Everything,
    LastOutput,
    LastCell,
}

#[derive(Debug)]
struct Case {
    batch: usize,
    time: usize,
    hidden: usize,
    ragged: bool,
    loss: From,
}

const INPUT: usize = 5;

/// Requires kernels; panics without one.
fn fused_only() -> Execution {
    Execution { engine: Engine::Fused, ..Execution::default() }
}

/// All results of a case by name: outputs, states, gradients.
fn run_case(
    architecture: Architecture,
    case: &Case,
    dtype: DType,
    device: &Device,
    execution: Execution,
) -> Vec<(String, Vec<f64>)> {
    let &Case { batch, time, hidden, ragged, loss } = case;
    let start = Stack::new(StackShape::plain(architecture, INPUT, vec![hidden]), key(7), device);
    let weights = parameters(&start);
    let stack = with_parameters(start, &|name, _| weights[name].iter().copied().map(f64::from).collect(), dtype)
        .with_execution(execution);
    let leaf = |count: usize, index: u64| -> Tensor<1> {
        let values: Vec<f64> = numbers(count, index).into_iter().map(f64::from).collect();
        Tensor::from_data(TensorData::new(values, [count]), (device, dtype)).require_grad()
    };
    let input = leaf(batch * time * INPUT, 1);
    let parts = architecture.directions() * architecture.state_tensors();
    let initial: Vec<Tensor<1>> = (0..parts).map(|part| leaf(batch * hidden, 2 + part as u64)).collect();
    let lengths: Vec<usize> = (0..batch).map(|row| if ragged { 1 + (row * 7 + 3) % time } else { time }).collect();
    let mut states = initial.iter().map(|state| state.clone().reshape([batch, hidden]));
    let mut named = || {
        let hidden = states.next().unwrap();
        NamedState { hidden, cell: (architecture.state_tensors() == 2).then(|| states.next().unwrap()) }
    };
    let forward = named();
    let states = vec![LayerState { forward, backward: (architecture.directions() == 2).then(&mut named) }];
    let result = stack.forward(input.clone().reshape([batch, time, INPUT]), &lengths, Some(states), None);

    let last = &result.states[0];
    let mut results = vec![("outputs".to_owned(), result.outputs.clone().flatten::<1>(0, 2))];
    for (direction, state) in [("forward", Some(&last.forward)), ("backward", last.backward.as_ref())] {
        let Some(state) = state else { continue };
        results.push((format!("{direction} hidden"), state.hidden.clone().flatten(0, 1)));
        results.extend(state.cell.clone().map(|cell| (format!("{direction} cell"), cell.flatten(0, 1))));
    }
    let weighted = |tensor: Tensor<1>, index: u64| -> Tensor<1> {
        let count = tensor.dims()[0];
        let weights: Vec<f64> = numbers(count, index).into_iter().map(f64::from).collect();
        (tensor * Tensor::from_data(TensorData::new(weights, [count]), (device, dtype))).sum()
    };
    let width = architecture.directions() * hidden;
    let loss = match loss {
        From::Everything => {
            let each = results.iter().zip(100..).map(|((_, tensor), index)| weighted(tensor.clone(), index));
            each.reduce(|sum, part| sum + part).unwrap()
        }
        From::LastOutput => weighted(result.outputs.narrow(1, time - 1, 1).reshape([batch * width]), 99),
        From::LastCell => weighted(results.last().unwrap().1.clone(), 98),
    };
    let tape = loss.backward();
    let mut all: Vec<(String, Vec<f64>)> =
        results.into_iter().map(|(name, tensor)| (name, tensor.try_into_vec_as::<f64>().unwrap())).collect();
    let mut gradient = |name: String, leaf: &Tensor<1>| {
        let zeros = || vec![0.0; leaf.dims()[0]];
        all.push((name, leaf.grad(&tape).map_or_else(zeros, |values| values.try_into_vec_as::<f64>().unwrap())));
    };
    gradient("gradient of input".to_owned(), &input);
    initial.iter().enumerate().for_each(|(part, state)| gradient(format!("gradient of initial {part}"), state));
    let of_weights = wide_gradients(&stack, &tape);
    all.extend(of_weights.into_iter().map(|(name, values)| (format!("gradient of {name}"), values)));
    all
}

/// Compares every instruction set with the reference.
fn compare(architecture: Architecture, case: &Case, device: &Device, reference: &Device) {
    let expected = run_case(architecture, case, DType::F64, reference, Execution::reference());
    for instructions in InstructionSet::available() {
        let execution = Execution { instructions, ..fused_only() };
        let found = run_case(architecture, case, DType::F32, device, execution);
        assert_near(&expected, &found, &format!("{architecture:?}, {case:?}, {instructions:?}"));
    }
}

/// Asserts that each tensor equals the reference within tolerance.
fn assert_near(expected: &[(String, Vec<f64>)], found: &[(String, Vec<f64>)], what: &str) {
    assert_eq!(expected.len(), found.len());
    for ((name, expected), (_, found)) in expected.iter().zip(found) {
        let largest = expected.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let error = expected.iter().zip(found).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
        let tolerance = if name.starts_with("gradient") { 1e-4 } else { 1e-5 };
        let passed = found.iter().all(|value| value.is_finite()) && error <= tolerance * largest.max(1e-6);
        assert!(passed, "{what}: error of {name} is {error}, largest value {largest}");
    }
}

#[test]
fn kernels_equal_the_reference_loop_for_every_size_and_instruction_set() {
    let reference = Device::flex().autodiff();
    for (_, device) in devices().into_iter().filter(|(_, device)| supports(device, DType::F32)) {
        let device = device.autodiff();
        for architecture in fused() {
            let case = |(batch, time, hidden), ragged, loss| Case { batch, time, hidden, ragged, loss };
            for size in [(1, 1, 1), (1, 63, 7), (63, 1, 7), (3, 5, 1), (5, 4, 63), (63, 9, 63), (2, 300, 5)] {
                for ragged in [false, true] {
                    compare(architecture, &case(size, ragged, From::Everything), &device, &reference);
                }
            }
            if architecture.directions() == 1 {
                compare(architecture, &case((7, 2, 500), true, From::Everything), &device, &reference);
                compare(architecture, &case((3, 6, 7), true, From::LastCell), &device, &reference);
            }
            compare(architecture, &case((3, 6, 7), true, From::LastOutput), &device, &reference);
        }
    }
}

#[test]
fn results_are_bit_exactly_reproducible() {
    let (_, device) = devices().into_iter().find(|(_, device)| supports(device, DType::F32)).unwrap();
    let case = Case { batch: 13, time: 9, hidden: 33, ragged: true, loss: From::Everything };
    let once = run_case(Architecture::BiLstm, &case, DType::F32, &device.clone().autodiff(), Execution::default());
    assert!((0..5).all(|_| run_case(
        Architecture::BiLstm,
        &case,
        DType::F32,
        &device.clone().autodiff(),
        Execution::default()
    ) == once));
}

#[test]
fn recomputed_activations_equal_kept_activations() {
    let (_, device) = devices().into_iter().find(|(_, device)| supports(device, DType::F32)).unwrap();
    let device = device.autodiff();
    for architecture in fused() {
        // More time steps than fit one block of products.
        let case = Case { batch: 9, time: 140, hidden: 20, ragged: true, loss: From::Everything };
        let with = |activations| {
            let execution = Execution { activations, ..Execution::default() };
            run_case(architecture, &case, DType::F32, &device, execution)
        };
        let (kept, recomputed) = (with(Activations::Kept), with(Activations::Recomputed));
        assert_eq!(kept, recomputed, "{architecture:?}");
    }
}

#[test]
fn streaming_equals_processing_the_whole_sequence() {
    let (_, device) = devices().into_iter().find(|(_, device)| supports(device, DType::F32)).unwrap();
    for architecture in fused().into_iter().filter(|architecture| architecture.directions() == 1) {
        let stack = Stack::new(StackShape::plain(architecture, INPUT, vec![33, 70]), key(3), &device);
        let steps = numbers(12 * INPUT, 4);
        let input = |from: usize, to: usize| {
            let values = steps[from * INPUT..to * INPUT].to_vec();
            Tensor::<3>::from_data(TensorData::new(values, [1, to - from, INPUT]), &device)
        };
        let before = stack.forward(input(0, 5), &[5], None, None);
        let after = stack.forward(input(5, 12), &[7], Some(before.states.clone()), None);
        let mut stream = stack.stream(Some(before.states)).expect("there is a kernel");
        let streamed: Vec<f32> = steps.chunks(INPUT).skip(5).flat_map(|step| stream.step(step).to_vec()).collect();
        assert_eq!(after.outputs.try_into_vec_as::<f32>().unwrap(), streamed, "{architecture:?}");
    }
}

#[test]
fn fused_output_layer_and_loss_equal_the_separate_operations() {
    let reference = Device::flex().autodiff();
    for (_, device) in devices().into_iter().filter(|(_, device)| supports(device, DType::F32)) {
        for (vocabulary, rows, width, tied) in
            [(1, 3, 4, false), (7, 5, 4, true), (65, 9, 20, false), (1300, 30, 7, true)]
        {
            let shape = || {
                let stack = StackShape::plain(Architecture::Rnn, width, vec![width]);
                LanguageModelShape { vocabulary, stack, tied, dropout: 0.0, embedding_dropout: 0.0 }
            };
            let next: Vec<u32> = (0..rows).map(|row| (row * 31 % vocabulary) as u32).collect();
            let all = |device: &Device, dtype: DType, execution: Execution| -> Vec<(String, Vec<f64>)> {
                let mut model = LanguageModel::new(shape(), 1, device);
                model.set_execution(execution);
                // Large weights, so that scores differ widely.
                let count = std::cell::Cell::new(0);
                let model = with_parameters(
                    model,
                    &|_, size| {
                        count.set(count.get() + 1);
                        numbers(size, count.get()).into_iter().map(|number| 3.0 * f64::from(number)).collect()
                    },
                    dtype,
                );
                let tokens: Vec<i32> = (0..rows).map(|row| (row * 17 % vocabulary) as i32).collect();
                let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [1, rows]), device);
                let features = model.forward(tokens, &[rows], None, None).features;
                let loss = model.mean_loss(features.clone(), next.clone());
                // An upstream gradient other than 1.
                let tape = (loss.clone() * 2.5).backward();
                let mut all = vec![("loss".to_owned(), loss.try_into_vec_as::<f64>().unwrap())];
                let gradients = wide_gradients(&model, &tape).into_iter();
                all.extend(gradients.map(|(name, values)| (format!("gradient of {name}"), values)));
                let (mean, correct) = model.valid().evaluate(features.inner(), &next);
                all.extend([("graded loss".to_owned(), vec![mean]), ("correct".to_owned(), vec![correct as f64])]);
                all
            };
            let expected = all(&reference, DType::F64, Execution::reference());
            for instructions in InstructionSet::available() {
                let execution = Execution { instructions, ..Execution::default() };
                let found = all(&device.clone().autodiff(), DType::F32, execution);
                assert_near(&expected, &found, &format!("{vocabulary} classes, {rows} rows, {instructions:?}"));
            }
        }
    }
}

#[test]
fn the_loss_of_non_finite_features_is_not_finite() {
    let (_, device) = devices().into_iter().find(|(_, device)| supports(device, DType::F32)).unwrap();
    let stack = StackShape::plain(Architecture::Rnn, 3, vec![3]);
    let shape = LanguageModelShape { vocabulary: 40, stack, tied: false, dropout: 0.0, embedding_dropout: 0.0 };
    let model = LanguageModel::new(shape, 1, &device);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let features = Tensor::<3>::from_data([[[0.1, value, 0.3]]], &device);
        assert!(!model.mean_loss(features, vec![4]).into_scalar::<f32>().is_finite(), "{value}");
    }
}

#[test]
fn outputs_are_bit_exact_for_any_batch_and_number_of_threads() {
    for (_, device) in devices().into_iter().filter(|(_, device)| supports(device, DType::F32)) {
        let (lengths, time) = ([9, 1, 4, 9, 7, 3, 8, 2, 5, 6, 9], 9);
        let input = tensor(numbers(11 * time * INPUT, 4), [11, time, INPUT], &device);
        for (architecture, hidden) in
            fused().into_iter().flat_map(|architecture| [(architecture, 21), (architecture, 300)])
        {
            let stack = Stack::new(StackShape::plain(architecture, INPUT, vec![hidden]), key(2), &device);
            let output = Linear::new(stack.shape().output_size(), 5, 0.1, key(3), &device);
            for instructions in InstructionSet::available() {
                let run = |input: Tensor<3>, lengths: &[usize], threads: usize| {
                    let execution =
                        Execution { instructions, threads: NonZeroUsize::new(threads), ..Execution::default() };
                    let mut output = output.clone();
                    output.set_execution(execution);
                    let outputs = stack.clone().with_execution(execution).forward(input, lengths, None, None).outputs;
                    values(output.forward(outputs))
                };
                let batch = run(input.clone(), &lengths, 1);
                for threads in [2, 3, 4] {
                    assert!(run(input.clone(), &lengths, threads) == batch, "{architecture:?}, {threads} threads");
                }
                for (row, &length) in lengths.iter().enumerate() {
                    let alone = run(input.clone().narrow(0, row, 1), &[length], 2);
                    assert!(alone == batch[row * time * 5..][..time * 5], "{architecture:?}, row {row}");
                }
            }
        }
    }
}

/// Outputs and gradients of a linear layer, for a weighted sum of the outputs as loss.
fn linear_results(
    rows: usize,
    [inputs, outputs]: [usize; 2],
    dtype: DType,
    device: &Device,
    execution: Execution,
) -> Vec<(String, Vec<f64>)> {
    let start = Linear::new(inputs, outputs, 0.1, key(7), device);
    let weights = parameters(&start);
    let mut layer = with_parameters(start, &|name, _| weights[name].iter().copied().map(f64::from).collect(), dtype);
    layer.set_execution(execution);
    let wide = |count: usize, index: u64| -> Vec<f64> { numbers(count, index).into_iter().map(f64::from).collect() };
    let input = TensorData::new(wide(rows * inputs, 1), [rows, inputs]);
    let input = Tensor::<2>::from_data(input, (device, dtype)).require_grad();
    let output = layer.forward(input.clone());
    let weighting = Tensor::<2>::from_data(TensorData::new(wide(rows * outputs, 2), [rows, outputs]), (device, dtype));
    let tape = (output.clone() * weighting).sum().backward();
    let mut all = vec![("output".to_owned(), output.try_into_vec_as::<f64>().unwrap())];
    all.push(("gradient of input".to_owned(), input.grad(&tape).unwrap().try_into_vec_as::<f64>().unwrap()));
    let gradients = wide_gradients(&layer, &tape).into_iter();
    all.extend(gradients.map(|(name, values)| (format!("gradient of {name}"), values)));
    all
}

#[test]
fn linear_layers_equal_their_equation_forward_and_backward() {
    let reference = Device::flex().autodiff();
    for (_, device) in devices().into_iter().filter(|(_, device)| supports(device, DType::F32)) {
        for (rows, sizes) in [(1, [1, 1]), (1, [300, 700]), (70, [33, 2]), (5, [7, 1300]), (641, [20, 65])] {
            let expected = linear_results(rows, sizes, DType::F64, &reference, Execution::reference());
            for instructions in InstructionSet::available() {
                let execution = Execution { instructions, ..Execution::default() };
                let found = linear_results(rows, sizes, DType::F32, &device.clone().autodiff(), execution);
                assert_near(&expected, &found, &format!("{rows} rows, {sizes:?}, {instructions:?}"));
            }
        }
    }
}

/// Outputs and all gradients of a stack.
fn outputs_and_gradients(stack: &Stack, device: &Device) -> Vec<Vec<f64>> {
    let input = Tensor::<3>::from_data(TensorData::new(numbers(2 * 3 * INPUT, 8), [2, 3, INPUT]), device);
    let outputs = stack.forward(input, &[3, 2], None, None).outputs;
    let tape = outputs.clone().square().sum().backward();
    let gradients = wide_gradients(stack, &tape).into_values();
    gradients.chain([outputs.try_into_vec_as::<f64>().unwrap()]).collect()
}

#[test]
fn cached_packed_weights_follow_every_update_of_the_weights() {
    for (_, device) in devices().into_iter().filter(|(_, device)| supports(device, DType::F32)) {
        let device = device.autodiff();
        for architecture in fused() {
            let shape = || StackShape::plain(architecture, INPUT, vec![7, 20]);
            let stack = Stack::new(shape(), key(0), &device);
            let first = outputs_and_gradients(&stack, &device);
            let mut updated = stack.clone();
            for update in 1..4 {
                let weights = |_: &str, count: usize| numbers(count, 50 + update).into_iter().map(f64::from).collect();
                updated = with_parameters(updated, &weights, DType::F32);
                let fresh = with_parameters(Stack::new(shape(), key(9), &device), &weights, DType::F32);
                let expected = outputs_and_gradients(&fresh, &device);
                assert_eq!(outputs_and_gradients(&updated, &device), expected, "{architecture:?}, update {update}");
                assert_eq!(outputs_and_gradients(&updated, &device), expected, "{architecture:?}, kept");
                // The stack before the update shares the packed weights and still computes with its own.
                assert_eq!(outputs_and_gradients(&stack, &device), first, "{architecture:?}, before update {update}");
            }
        }
    }
}

/// `fused_only` panics if a layer falls back to the loop.
#[test]
fn layers_with_a_kernel_never_fall_back_to_the_loop() {
    for (_, device) in devices().into_iter().filter(|(_, device)| supports(device, DType::F32)) {
        for architecture in fused() {
            let stack = Stack::new(StackShape::plain(architecture, INPUT, vec![3, 4]), key(0), &device);
            let input = Tensor::zeros([2, 3, INPUT], &device);
            let auto = stack.forward(input.clone(), &[3, 1], None, None).outputs;
            let fused = stack.with_execution(fused_only()).forward(input, &[3, 1], None, None).outputs;
            assert_eq!(auto.try_into_vec_as::<f32>().unwrap(), fused.try_into_vec_as::<f32>().unwrap());
        }
    }
}

#[test]
#[should_panic(expected = "no fused kernel supports this cell")]
fn requiring_a_missing_kernel_panics() {
    let (_, device) = devices().into_iter().find(|(_, device)| supports(device, DType::F32)).unwrap();
    let stack = Stack::new(StackShape::plain(Architecture::PeepholeLstm, 3, vec![3]), key(0), &device);
    stack.with_execution(fused_only()).forward(Tensor::zeros([1, 2, 3], &device), &[2], None, None);
}

#[test]
fn tied_scores_and_attention_products_have_the_same_bits_alone_and_in_a_batch() {
    for (_, device) in devices().into_iter().filter(|(_, device)| supports(device, DType::F32)) {
        let stack = StackShape::plain(Architecture::Gru, 33, vec![33]);
        let shape = LanguageModelShape { vocabulary: 70, stack, tied: true, dropout: 0.0, embedding_dropout: 0.0 };
        let model = LanguageModel::new(shape, 1, &device);
        let attention = Attention::new(AttentionScore::Additive, 33, 33, key(4), &device);
        let features = tensor(numbers(7 * 5 * 33, 1), [7, 5, 33], &device);
        let run = |features: Tensor<3>| {
            let output = attention.forward(features.clone(), features.clone(), vec![5; features.dims()[0]].as_slice());
            (values(model.scores(features)), values(output.weights))
        };
        let (scores, weights) = run(features.clone());
        for row in 0..7 {
            let alone = run(features.clone().narrow(0, row, 1));
            assert!(alone.0 == scores[row * 5 * 70..][..5 * 70], "scores of row {row}");
            assert!(alone.1 == weights[row * 5 * 5..][..5 * 5], "attention weights of row {row}");
        }
    }
}
