//! Layers on top of the recurrence: CRF against enumeration of all label sequences; attention, pooling and perceptron against their
//! formulas.

use burn::tensor::{DType, Tensor};
use proptest::prelude::*;
use seqzoo_kernels::devices;
use seqzoo_models::layers::{Attention, AttentionScore, Crf, Perceptron, PerceptronShape, Pooling, SequencePooling};

use crate::support::{difference, key, numbers, parameters, paths, tensor, values, with_parameters};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_crf_equals_enumeration_of_all_label_sequences(labels in 2..4usize, lengths in proptest::collection::vec(1..5usize, 1..4), index in 0..99u64) {
        let (batch, time) = (lengths.len(), 1 + lengths.iter().max().unwrap());
        for (_, device) in devices() {
            let device = device.autodiff();
            let drawn = |name: &str, count: usize| numbers(count, index + name.len() as u64).into_iter().map(f64::from).collect();
            let crf = with_parameters(Crf::new(labels, key(index), &device), &drawn, DType::F32);
            let weights = parameters(&crf);
            let all = numbers(batch * time * labels, index).iter().map(|value| value * 3.0).collect::<Vec<_>>();
            let emissions = tensor(all.clone(), [batch, time, labels], &device);
            let score = |row: usize, path: &Vec<usize>| -> f64 {
                let emitted = path.iter().enumerate().map(|(step, label)| all[(row * time + step) * labels + label]);
                let followed = path.windows(2).map(|pair| weights["transition"][pair[0] * labels + pair[1]]);
                let ends = [weights["start"][path[0]], weights["end"][path[path.len() - 1]]];
                emitted.chain(followed).chain(ends).map(f64::from).sum()
            };
            let decoded = crf.decode(emissions.clone(), &lengths);
            let found = values(crf.log_partition(emissions.clone(), &lengths));
            let targets: Vec<Vec<usize>> = lengths.iter().map(|&length| (0..length).map(|step| step % labels).collect()).collect();
            let likelihoods = values(crf.log_likelihood(emissions, &targets));
            for (row, &length) in lengths.iter().enumerate() {
                let all = paths(labels, length);
                let sum = all.iter().map(|path| score(row, path).exp()).sum::<f64>().ln();
                prop_assert!((f64::from(found[row]) - sum).abs() < 1e-4, "{} against {sum}", found[row]);
                let expected = score(row, &targets[row]) - sum;
                prop_assert!((f64::from(likelihoods[row]) - expected).abs() < 1e-4);
                let best = all.iter().map(|path| score(row, path)).fold(f64::MIN, f64::max);
                prop_assert!((score(row, &decoded[row]) - best).abs() < 1e-5, "Viterbi finds the best path");
            }
        }
    }

    #[test]
    fn attention_equals_its_formula(count in 1..4usize, lengths in proptest::collection::vec(1..5usize, 1..4), index in 0..99u64) {
        let (batch, time, size) = (lengths.len(), 1 + lengths.iter().max().unwrap(), 3);
        for (_, device) in devices() {
            for kind in [AttentionScore::Dot, AttentionScore::General, AttentionScore::Additive] {
                let attention = Attention::new(kind, size, size, key(index), &device);
                let weights = parameters(&attention);
                let (queries, memory) = (numbers(batch * count * size, index), numbers(batch * time * size, index + 100));
                let attention = attention.forward(
                    tensor(queries.clone(), [batch, count, size], &device), tensor(memory.clone(), [batch, time, size], &device), &lengths,
                );
                let mapped = |vector: &[f32], name: &str| -> Vec<f32> {
                    (0..size).map(|column| (0..size).map(|row| vector[row] * weights[name][row * size + column]).sum()).collect()
                };
                let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
                let score = |q: &[f32], m: &[f32]| match kind {
                    AttentionScore::Dot => dot(q, m),
                    AttentionScore::General => dot(&mapped(q, "weight_query"), m),
                    AttentionScore::Additive => {
                        let sum = mapped(q, "weight_query").iter().zip(mapped(m, "weight_memory")).map(|(a, b)| (a + b).tanh()).collect::<Vec<_>>();
                        dot(&sum, &weights["vector"])
                    }
                };
                let mut contexts = Vec::new();
                for (row, &length) in lengths.iter().enumerate() {
                    let memories: Vec<&[f32]> = (0..length).map(|t| &memory[(row * time + t) * size..][..size]).collect();
                    for u in 0..count {
                        let q = &queries[(row * count + u) * size..][..size];
                        let exps: Vec<f32> = memories.iter().map(|m| score(q, m).exp()).collect();
                        let total: f32 = exps.iter().sum();
                        contexts.extend((0..size).map(|f| memories.iter().zip(&exps).map(|(m, e)| m[f] * e / total).sum::<f32>()));
                    }
                }
                prop_assert!(difference(&values(attention.context), &contexts) < 1e-4, "{kind:?}");
                let rows = values(attention.weights);
                let sums_to_one = rows.chunks(time).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                prop_assert!(sums_to_one, "{kind:?}: weights sum to one");
            }
        }
    }
}

#[test]
fn poolings_equal_their_formulas_and_ignore_padding() {
    for (_, device) in devices() {
        let (lengths, time) = ([3, 1], 4);
        let all = numbers(2 * time * 2, 7);
        let outputs = tensor(all.clone(), [2, time, 2], &device);
        let at = |row: usize, step: usize, feature: usize| all[(row * time + step) * 2 + feature];
        let over = |row: usize, feature: usize| (0..lengths[row]).map(move |step| (row, step, feature));
        let summary = |pooling, directions| {
            values(SequencePooling::new(pooling, 2, key(1), &device).forward(outputs.clone(), &lengths, directions))
        };
        let each = |of: &dyn Fn(usize, usize) -> f32| vec![of(0, 0), of(0, 1), of(1, 0), of(1, 1)];
        let mean = |row: usize, f: usize| over(row, f).map(|(r, s, f)| at(r, s, f)).sum::<f32>() / lengths[row] as f32;
        let max = |row: usize, f: usize| over(row, f).map(|(r, s, f)| at(r, s, f)).fold(f32::MIN, f32::max);
        assert!(difference(&summary(Pooling::Mean, 1), &each(&mean)) < 1e-6);
        assert!(difference(&summary(Pooling::Max, 1), &each(&max)) < 1e-6);
        assert!(difference(&summary(Pooling::Last, 1), &each(&|row, f| at(row, lengths[row] - 1, f))) < 1e-6);
        let both = each(&|row, f| if f == 0 { at(row, lengths[row] - 1, 0) } else { at(row, 0, 1) });
        assert!(difference(&summary(Pooling::Last, 2), &both) < 1e-6);
        let scorer = SequencePooling::new(Pooling::Attention, 2, key(1), &device);
        let weights = parameters(&scorer);
        let (w, v) = (&weights["attention.weight"], &weights["attention.vector"]);
        let score = |row: usize, step: usize| {
            let hidden = |column: usize| (at(row, step, 0) * w[column] + at(row, step, 1) * w[2 + column]).tanh();
            (v[0] * hidden(0) + v[1] * hidden(1)).exp()
        };
        let weighted = |row: usize, f: usize| {
            let total: f32 = (0..lengths[row]).map(|step| score(row, step)).sum();
            (0..lengths[row]).map(|step| score(row, step) / total * at(row, step, f)).sum()
        };
        assert!(difference(&summary(Pooling::Attention, 1), &each(&weighted)) < 1e-5);
    }
}

#[test]
fn a_perceptron_depends_on_the_order_of_its_window() {
    for (_, device) in devices() {
        let shape = PerceptronShape { window: 4, features: 2, hidden_sizes: vec![5, 3] };
        let perceptron = Perceptron::new(&shape, key(1), &device);
        let input = tensor(numbers(16, 3), [2, 4, 2], &device);
        let output = perceptron.forward(input.clone());
        assert_eq!((output.dims(), shape.output_size()), ([2, 3], 3));
        assert!(difference(&values(perceptron.forward(input.flip([1]))), &values(output)) > 1e-3, "order matters");
        let refused = PerceptronShape { hidden_sizes: vec![], ..shape }.check().unwrap_err();
        assert_eq!(refused.field, "hidden_sizes");
    }
}

#[test]
#[should_panic(expected = "labels: a CRF needs at least two labels, got 1")]
fn building_an_invalid_shape_panics() {
    Crf::new(1, key(0), &devices().remove(0).1);
}

#[test]
#[should_panic(expected = "lengths [2, 0] must be in 1..=3")]
fn attention_over_an_empty_row_panics() {
    let (_, device) = devices().remove(0);
    let attention = Attention::new(AttentionScore::Dot, 2, 2, key(0), &device);
    attention.forward(Tensor::ones([2, 1, 2], &device), Tensor::ones([2, 3, 2], &device), &[2, 0]);
}
