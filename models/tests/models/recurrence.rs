//! Invariants of every cell and layer: padding, splitting time, permuting the batch, direction, regularization.

use std::collections::BTreeMap;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use seqzoo_kernels::{Backend, Execution, Lengths, devices};
use seqzoo_models::Architecture;
use seqzoo_models::cell::{Cell, Direction, UnrollOptions, UnrollOutput, Zoneout, unroll};
use seqzoo_models::cells::{Gru, Lstm, Rnn};
use seqzoo_models::dropout_key::DropoutKey;
use seqzoo_models::layers::dropout::{drop_connect, dropout, embedding_dropout, locked_dropout};
use seqzoo_models::layers::{LayerState, Pooling, Skip, Stack, StackShape};
use seqzoo_models::networks::{Classifier, ClassifierShape};
use seqzoo_models::probe::gradient_norms;
use seqzoo_models::state::NamedState;
use seqzoo_random::{Key, Purpose};

use crate::support::{difference, gradients, key, numbers, parameters, tensor, values, with_parameters};

const INPUT: usize = 3;
const HIDDEN: usize = 4;

/// Results of a stack on a ragged batch.
struct Results {
    outputs: Vec<f32>,
    last: Vec<f32>,
    gradients: BTreeMap<String, Vec<f32>>,
}

/// Outputs over the time steps that all rows have, final states, and the gradients of a loss of both. `padding` fills
/// the input beyond each row's length.
fn run_padded(shape: &StackShape, lengths: &[usize], time: usize, padding: f32, device: &Device) -> Results {
    let batch = lengths.len();
    let row = |(row, &length): (usize, &usize)| {
        let mut row = numbers(length * INPUT, row as u64);
        row.resize(time * INPUT, padding);
        row
    };
    let input: Vec<f32> = lengths.iter().enumerate().flat_map(row).collect();
    let input = tensor(input, [batch, time, INPUT], device).require_grad();
    let stack = Stack::new(shape.clone(), key(0), device);
    let output = stack.forward(input.clone(), lengths, None, None);
    let width = shape.output_size();
    let weights = tensor(numbers(width, 99), [1, 1, width], device);
    let shortest = *lengths.iter().min().unwrap();
    let top = output.states.last().unwrap().forward.hidden.clone();
    let loss = (output.outputs.clone() * weights).sum() + top.clone().square().sum();
    let tape = loss.backward();
    let mut gradients = gradients(&stack, &tape);
    gradients.insert("input".to_owned(), values(input.grad(&tape).unwrap().narrow(1, 0, shortest)));
    Results { outputs: values(output.outputs.narrow(1, 0, shortest)), last: values(top), gradients }
}

/// Every architecture in two layers, and every skip connection.
fn shapes() -> Vec<StackShape> {
    let plain = |architecture| StackShape::plain(architecture, INPUT, vec![HIDDEN, 3]);
    let skips = [Skip::Residual, Skip::Highway, Skip::Dense];
    let skipping = |architecture| skips.map(|skip| StackShape { skip, projection: true, ..plain(architecture) });
    let skipping = [Architecture::Gru, Architecture::BiGru].into_iter().flat_map(skipping);
    Architecture::ALL.into_iter().map(plain).chain(skipping).collect()
}

#[test]
fn padding_changes_no_output_and_no_gradient() {
    let lengths = [3, 1, 5];
    for (_, device) in devices() {
        let device = device.autodiff();
        for shape in shapes() {
            let exact = run_padded(&shape, &lengths, 5, 0.0, &device);
            for (time, padding) in [(5, 1e4), (9, -3.0), (6, f32::NAN)] {
                let padded = run_padded(&shape, &lengths, time, padding, &device);
                assert!(difference(&padded.outputs, &exact.outputs) <= 1e-6, "{shape:?}: outputs");
                assert!(difference(&padded.last, &exact.last) <= 1e-6, "{shape:?}: last state");
                for (name, gradient) in &exact.gradients {
                    assert!(
                        padded.gradients[name].iter().all(|value| value.is_finite()),
                        "{shape:?}: {name} is finite"
                    );
                    assert!(difference(&padded.gradients[name], gradient) <= 1e-5, "{shape:?}: gradient of {name}");
                }
            }
        }
    }
}

#[test]
fn a_row_of_a_ragged_batch_equals_the_row_alone() {
    for (_, device) in devices() {
        for shape in shapes() {
            let stack = Stack::new(shape.clone(), key(0), &device);
            let (time, lengths) = (6, [6, 2, 4]);
            let input = tensor(numbers(3 * time * INPUT, 1), [3, time, INPUT], &device);
            let together = stack.forward(input.clone(), &lengths, None, None);
            for (row, &length) in lengths.iter().enumerate() {
                let alone = stack.forward(input.clone().narrow(0, row, 1).narrow(1, 0, length), &[length], None, None);
                let outputs = together.outputs.clone().narrow(0, row, 1);
                assert!(difference(&values(outputs.clone().narrow(1, 0, length)), &values(alone.outputs)) <= 1e-5);
                for (together, alone) in together.states.iter().zip(&alone.states) {
                    let state = values(together.forward.hidden.clone().narrow(0, row, 1));
                    assert!(difference(&state, &values(alone.forward.hidden.clone())) <= 1e-5);
                }
                let beyond = values(outputs).split_off(length * shape.output_size());
                assert!(beyond.iter().all(|&value| value == 0.0), "{shape:?}: outputs at padding are zero");
            }
        }
    }
}

#[test]
fn unidirectional_outputs_do_not_depend_on_later_steps() {
    for (_, device) in devices() {
        for shape in shapes().into_iter().filter(|shape| shape.architecture.directions() == 1) {
            let stack = Stack::new(shape, key(0), &device);
            let input = tensor(numbers(6 * INPUT, 1), [1, 6, INPUT], &device);
            let whole = stack.forward(input.clone(), &[6], None, None).outputs.narrow(1, 0, 4);
            let other = Tensor::cat(vec![input.narrow(1, 0, 4), Tensor::ones([1, 2, INPUT], &device)], 1);
            assert_eq!(values(whole), values(stack.forward(other, &[6], None, None).outputs.narrow(1, 0, 4)));
        }
    }
}

fn options<S>(lengths: &[usize], initial: Option<S>, direction: Direction) -> UnrollOptions<S> {
    let execution = Execution::default();
    UnrollOptions {
        lengths: lengths.into(),
        initial_state: initial,
        direction,
        zoneout: Zoneout::OFF,
        hidden_offset: None,
        execution,
    }
}

/// Each tensor of a layer's state.
fn parts(state: &LayerState) -> Vec<Vec<f32>> {
    let named = |state: &NamedState| [Some(state.hidden.clone()), state.cell.clone()].into_iter().flatten().map(values);
    named(&state.forward).chain(state.backward.iter().flat_map(named)).collect()
}

/// Largest relative difference between two states over their tensors.
fn state_difference(a: &LayerState, b: &LayerState) -> f32 {
    let (a, b) = (parts(a), parts(b));
    assert_eq!(a.len(), b.len());
    a.iter().zip(&b).map(|(a, b)| difference(a, b)).fold(0.0, f32::max)
}

/// For each device and cell, one unidirectional and one bidirectional layer.
fn layer_pairs() -> Vec<(Device, [Stack; 2])> {
    let mut all = Vec::new();
    for (_, device) in devices() {
        for forward in Architecture::ALL.into_iter().filter(|architecture| architecture.directions() == 1) {
            let both = Architecture::from_name(&format!("bi{}", forward.name())).unwrap();
            let layer = |one| Stack::new(StackShape::plain(one, INPUT, vec![HIDDEN]), key(4), &device);
            all.push((device.clone(), [layer(forward), layer(both)]));
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn splitting_time_and_passing_the_state_equals_the_whole(time in 2..20usize, part in 0.0..1.0f64, batch in 1..4usize) {
        let cut = 1 + (part * (time - 1) as f64) as usize;
        for (device, [stack, _]) in layer_pairs() {
            let input = tensor(numbers(batch * time * INPUT, 2), [batch, time, INPUT], &device);
            let run = |input: Tensor<3>, states| stack.forward(input.clone(), &vec![input.dims()[1]; batch], states, None);
            let whole = run(input.clone(), None);
            let first = run(input.clone().narrow(1, 0, cut), None);
            let second = run(input.narrow(1, cut, time - cut), Some(first.states));
            let outputs = Tensor::cat(vec![first.outputs, second.outputs], 1);
            prop_assert!(difference(&values(outputs), &values(whole.outputs)) <= 1e-5, "{:?}", stack.shape());
            prop_assert!(state_difference(&second.states[0], &whole.states[0]) <= 1e-5, "{:?}", stack.shape());
        }
    }

    #[test]
    fn the_backward_direction_equals_the_forward_direction_on_reversed_rows(lengths in proptest::collection::vec(1..9usize, 1..5)) {
        let (batch, time) = (lengths.len(), 1 + lengths.iter().max().unwrap());
        let rows: Vec<Vec<f32>> = lengths.iter().zip(0..).map(|(&length, row)| numbers(length * INPUT, row)).collect();
        let reversed = |row: &[f32], width: usize| -> Vec<f32> { row.chunks(width).rev().flatten().copied().collect() };
        for (device, [forward, both]) in layer_pairs() {
            let fill = |rows: Vec<Vec<f32>>| {
                let filled = rows.into_iter().map(|mut row| {
                    row.resize(time * INPUT, 7.0);
                    row
                });
                tensor(filled.flatten().collect(), [batch, time, INPUT], &device)
            };
            let weights = parameters(&both);
            let of_backward = |name: &str, _: usize| {
                let values = &weights[&name.replace("forward", "backward")];
                values.iter().copied().map(f64::from).collect()
            };
            let alone = with_parameters(forward.clone(), &of_backward, DType::F32);
            let both = both.forward(fill(rows.clone()), &lengths, None, None);
            let alone = alone.forward(fill(rows.iter().map(|row| reversed(row, INPUT)).collect()), &lengths, None, None);
            let backward = LayerState { forward: both.states[0].backward.clone().unwrap(), backward: None };
            prop_assert!(state_difference(&backward, &alone.states[0]) <= 1e-5, "{:?}", forward.shape());
            for (row, &length) in lengths.iter().enumerate() {
                let backward_outputs = both.outputs.clone().narrow(0, row, 1).narrow(1, 0, length).narrow(2, HIDDEN, HIDDEN);
                let forward_outputs = values(alone.outputs.clone().narrow(0, row, 1).narrow(1, 0, length));
                prop_assert!(difference(&values(backward_outputs), &reversed(&forward_outputs, HIDDEN)) <= 1e-5, "{:?}", forward.shape());
            }
        }
    }

    #[test]
    fn permuting_the_batch_permutes_the_scores(lengths in proptest::collection::vec(1..9usize, 2..6), turn in 1..5usize, model in 0..Architecture::ALL.len()) {
        let (batch, time) = (lengths.len(), *lengths.iter().max().unwrap());
        let shape = |pooling| ClassifierShape {
            vocabulary: 11,
            stack: StackShape::plain(Architecture::ALL[model], INPUT, vec![HIDDEN]),
            pooling,
            labels: 3,
            dropout: 0.5,
            embedding_dropout: 0.5,
        };
        let tokens: Vec<i32> = numbers(batch * time, 8).into_iter().map(|value| (value * 5.0 + 5.0) as i32).collect();
        let permuted = |rows: &[i32]| {
            let mut rows: Vec<Vec<i32>> = rows.chunks(time).map(<[i32]>::to_vec).collect();
            rows.rotate_left(turn % batch);
            rows.concat()
        };
        let mut permuted_lengths = lengths.clone();
        permuted_lengths.rotate_left(turn % batch);
        let poolings = [Pooling::Last, Pooling::Mean, Pooling::Max, Pooling::Attention];
        for ((_, device), pooling) in devices().into_iter().flat_map(|device| poolings.map(|pooling| (device.clone(), pooling))) {
            let classifier = Classifier::new(shape(pooling), 1, &device);
            let scores = |tokens: Vec<i32>, lengths: &[usize]| {
                let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [batch, time]), &device);
                values(classifier.forward(tokens, lengths, None))
            };
            let mut expected: Vec<Vec<f32>> =
                scores(tokens.clone(), &lengths).chunks(3).map(<[f32]>::to_vec).collect();
            expected.rotate_left(turn % batch);
            prop_assert!(difference(&scores(permuted(&tokens), &permuted_lengths), &expected.concat()) <= 1e-5);
        }
    }
}

#[test]
fn the_description_of_an_architecture_matches_the_layer() {
    let (_, device) = devices().remove(0);
    for shape in shapes() {
        let architecture = shape.architecture;
        let layer = Stack::new(StackShape::plain(architecture, INPUT, vec![HIDDEN]), key(0), &device);
        let built: Vec<(String, usize)> =
            parameters(&layer).into_iter().map(|(name, values)| (name, values.len())).collect();
        assert_eq!(architecture.parameters(INPUT, HIDDEN), built.iter().map(|(_, count)| count).sum::<usize>());
        let described = architecture.parameter_shapes(INPUT, HIDDEN, &device).into_iter();
        let described: BTreeMap<String, usize> =
            described.map(|(name, shape)| (format!("layers.0.{name}"), shape.iter().product())).collect();
        assert_eq!(described.into_iter().collect::<Vec<_>>(), built, "{}", architecture.name());
        let states = layer.forward(Tensor::zeros([1, 1, INPUT], &device), &[1], None, None).states;
        assert_eq!(parts(&states[0]).len(), architecture.directions() * architecture.state_tensors());
        let stack = parameters(&Stack::new(shape.clone(), key(0), &device));
        let of_cells = stack.iter().filter(|(name, _)| name.starts_with("layers"));
        assert_eq!(shape.parameters(), of_cells.map(|(_, values)| values.len() as u128).sum::<u128>(), "{shape:?}");
    }
}

/// The first layer of a two-layer LSTM and of a two-layer vanilla RNN, against central differences in its hidden state.
#[test]
fn reach_equals_the_gradient_at_each_hidden_state() {
    let device = devices().into_iter().find(|(backend, _)| *backend == Backend::Flex).unwrap().1.autodiff();
    let time = 5;
    for (architecture, skip) in [(Architecture::Lstm, Skip::None), (Architecture::Rnn, Skip::Residual)] {
        let plain = StackShape::plain(architecture, INPUT, vec![INPUT, INPUT]);
        let stack = Stack::new(StackShape { skip, ..plain }, key(0), &device);
        let input = tensor(numbers(time * INPUT, 1), [1, time, INPUT], &device);
        let weights = tensor(numbers(INPUT, 2), [1, 1, INPUT], &device);
        let loss = |outputs: Tensor<3>| (outputs.narrow(1, time - 1, 1) * weights.clone()).sum();
        let found = gradient_norms(&stack, input.clone(), &[time], loss);
        assert_eq!(found.len(), time);
        for (distance, found) in found.into_iter().enumerate() {
            let at = |unit: usize, by: f32| {
                let mut hidden_offset = vec![0.0; time * INPUT];
                hidden_offset[(time - 1 - distance) * INPUT + unit] = by;
                let hidden_offset = Some(tensor(hidden_offset, [1, time, INPUT], &device));
                let outputs =
                    stack.forward_with_hidden_offset(input.clone(), &[time], None, None, hidden_offset).outputs;
                f64::from(values(loss(outputs))[0])
            };
            let gradient = |unit| (at(unit, 1e-2) - at(unit, -1e-2)) / 2e-2;
            let norm = (0..INPUT).map(|unit| gradient(unit).powi(2)).sum::<f64>().sqrt();
            assert!(
                (norm - found).abs() < 1e-3 * norm.max(0.1),
                "{architecture:?}, {distance}: {found}, expected {norm}"
            );
        }
    }
}

#[test]
fn initial_recurrent_weights_are_orthogonal_and_equal_on_every_backend() {
    for (_, device) in devices() {
        let weights = seqzoo_models::init::orthogonal(7, 2, key(0), &device).val();
        for block in 0..2 {
            let block = weights.clone().narrow(1, block * 7, 7);
            let product = values(block.clone().matmul(block.transpose()));
            let identity: Vec<f32> = (0..49).map(|index| if index % 8 == 0 { 1.0 } else { 0.0 }).collect();
            assert!(difference(&product, &identity) < 1e-5);
        }
        let flex = seqzoo_models::init::orthogonal(7, 2, key(0), &Device::flex()).val();
        assert_eq!(values(weights), values(flex));
    }
}

#[test]
fn dropout_preserves_the_mean_and_is_determined_by_its_key() {
    for (_, device) in devices() {
        let ones = Tensor::<3>::ones([10, 20, 50], &device);
        let key = Key::new(1, Purpose::Dropout);
        let drop = |key| values(dropout(ones.clone(), 0.25, Some(key)));
        let once = drop(key);
        let dropped = once.iter().filter(|&&value| value == 0.0).count();
        assert!((2_300..2_700).contains(&dropped), "{dropped} of 10,000 dropped at a rate of 0.25");
        assert!(once.iter().all(|&value| value == 0.0 || (value - 4.0 / 3.0).abs() < 1e-6));
        assert_eq!(once, drop(key));
        assert_ne!(once, drop(key.with_first(1)));
        let steps = values(locked_dropout(ones.clone(), 0.25, Some(key)));
        assert!(
            steps.chunks(20 * 50).all(|row| row.chunks(50).all(|step| step == &row[..50])),
            "one mask for all steps"
        );
        let table = values(embedding_dropout(Tensor::ones([200, 5], &device), 0.25, Some(key)));
        assert!(table.chunks(5).all(|row| row.iter().all(|value| *value == row[0])), "whole rows");
    }
}

#[test]
fn recurrent_weight_dropout_affects_only_recurrent_weights_and_their_gradients() {
    let device = devices().remove(0).1.autodiff();
    let gru = Gru::new(INPUT, 16, key(0), &device);
    let dropped = drop_connect(gru.clone(), 0.5, Key::new(1, Purpose::Dropout));
    let (before, after) = (parameters(&gru), parameters(&dropped));
    for (name, values) in &after {
        let zeros = values.iter().filter(|&&value| value == 0.0).count();
        match name.as_str() {
            "weights.weight_hh" | "weight_hn" => assert!(zeros * 3 > values.len() && zeros * 3 < 2 * values.len()),
            _ => assert_eq!(values, &before[name], "{name}"),
        }
    }
    let input = tensor(numbers(4 * INPUT, 1), [1, 4, INPUT], &device);
    let result = unroll(&dropped, input, options(&[4], None, Direction::Forward));
    let gradients = gradients(&gru, &result.outputs.sum().backward());
    let masked = after["weight_hn"].iter().zip(&gradients["weight_hn"]).filter(|(weight, _)| **weight == 0.0);
    assert!(masked.clone().count() > 0 && masked.into_iter().all(|(_, gradient)| *gradient == 0.0));
    assert!(gradients["weight_hn"].iter().any(|gradient| *gradient != 0.0));
}

#[test]
fn zoneout_keeps_old_values_in_training_and_uses_the_expectation_at_inference() {
    for (_, device) in devices() {
        let cell = Lstm::new(INPUT, 64, key(0), &device);
        let input = tensor(numbers(4 * INPUT, 1), [4, 1, INPUT], &device);
        let state = seqzoo_models::state::LstmState {
            hidden: Tensor::ones([4, 64], &device),
            cell: Tensor::ones([4, 64], &device) * 2.0,
        };
        let run = |zoneout| {
            let options = UnrollOptions {
                lengths: Lengths::full(4, 1),
                initial_state: Some(state.clone()),
                direction: Direction::Forward,
                zoneout,
                hidden_offset: None,
                execution: Execution::default(),
            };
            let UnrollOutput { final_state, .. } = unroll(&cell, input.clone(), options);
            [values(final_state.hidden), values(final_state.cell)]
        };
        let plain = run(Zoneout::OFF);
        let noisy = run(Zoneout { rate: 0.3, dropout_key: Some(Key::new(1, Purpose::Dropout)).into() });
        let expected = run(Zoneout { rate: 0.3, dropout_key: DropoutKey::NONE });
        let mut masks = Vec::new();
        for (part, old) in [1.0, 2.0].into_iter().enumerate() {
            let kept: Vec<bool> = noisy[part].iter().map(|&value| value == old).collect();
            let share = kept.iter().filter(|&&kept| kept).count() as f64 / kept.len() as f64;
            assert!((0.2..0.4).contains(&share), "{share} kept at a rate of 0.3");
            for (index, kept) in kept.iter().enumerate() {
                assert!(*kept || (noisy[part][index] - plain[part][index]).abs() < 1e-6);
                let mean = 0.3 * old + 0.7 * plain[part][index];
                assert!((expected[part][index] - mean).abs() < 1e-5);
            }
            masks.push(kept);
        }
        assert_ne!(masks[0], masks[1], "hidden state and cell state have different masks");
        assert_eq!(noisy, run(Zoneout { rate: 0.3, dropout_key: Some(Key::new(1, Purpose::Dropout)).into() }));
    }
}

#[test]
fn a_stack_resumes_from_the_state_of_each_layer() {
    for (_, device) in devices() {
        for shape in shapes().into_iter().filter(|shape| shape.architecture.directions() == 1) {
            let stack = Stack::new(shape.clone(), key(0), &device);
            let input = tensor(numbers(2 * 7 * INPUT, 1), [2, 7, INPUT], &device);
            let whole = stack.forward(input.clone(), &[7, 7], None, None);
            let first = stack.forward(input.clone().narrow(1, 0, 3), &[3, 3], None, None);
            let second = stack.forward(input.narrow(1, 3, 4), &[4, 4], Some(first.states), None);
            let parts = Tensor::cat(vec![first.outputs, second.outputs], 1);
            assert!(difference(&values(parts), &values(whole.outputs)) <= 1e-5, "{shape:?}");
        }
    }
}

#[test]
fn skip_connections_between_different_sizes_need_a_projection() {
    for skip in [Skip::Residual, Skip::Highway] {
        let shape = StackShape { skip, ..StackShape::plain(Architecture::Lstm, INPUT, vec![HIDDEN]) };
        assert!(
            shape
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("hidden_sizes: the skip connection around layer 1 joins 3 features to 4")
        );
        assert!(StackShape { projection: true, ..shape.clone() }.check().is_ok());
        assert!(StackShape { input_size: HIDDEN, ..shape }.check().is_ok());
    }
}

#[test]
#[should_panic(expected = "input is [2, 3, 5]")]
fn a_mismatched_input_panics_with_its_shape() {
    let (_, device) = devices().remove(0);
    let cell = Rnn::new(INPUT, HIDDEN, key(0), &device);
    unroll(&cell, Tensor::zeros([2, 3, 5], &device), options(&[3, 3], None, Direction::Forward));
}
