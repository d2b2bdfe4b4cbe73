//! Mixture density networks: likelihoods against their formulas, gradients, padding, streaming.

use burn::tensor::{DType, Device, Tensor};
use seqzoo_kernels::devices;
use seqzoo_models::Architecture;
use seqzoo_models::layers::StackShape;
use seqzoo_models::networks::{POINT_FEATURES, PointDistribution, PointLikelihoods, Trajectory, TrajectoryShape};

use crate::support::{difference, gradients, numbers, tensor, values};

fn network(architecture: Architecture, mixtures: usize, device: &Device) -> Trajectory {
    let stack = StackShape::plain(architecture, POINT_FEATURES, vec![7]);
    Trajectory::new(TrajectoryShape { stack, mixtures, dropout: 0.0 }, 1, device)
}

/// Points of pseudorandom offsets, flat: the pen is lifted after every third one.
fn points(count: usize, index: u64) -> Vec<f32> {
    let offsets = numbers(2 * count, index);
    let point = |at: usize| {
        let lifted = f32::from(at % 3 == 2);
        [offsets[2 * at], offsets[2 * at + 1], 1.0 - lifted, lifted, 0.0]
    };
    (0..count).flat_map(point).collect()
}

/// Log-density of a bivariate normal distribution, by the inverse and the determinant of its covariance matrix.
fn log_density(at: [f64; 2], mean: [f64; 2], deviation: [f64; 2], correlation: f64) -> f64 {
    let [xx, yy] = deviation.map(|deviation| deviation * deviation);
    let xy = correlation * deviation[0] * deviation[1];
    let determinant = xx * yy - xy * xy;
    let [x, y] = [at[0] - mean[0], at[1] - mean[1]];
    let distance = (yy * x * x - 2.0 * xy * x * y + xx * y * y) / determinant;
    -0.5 * (distance + (std::f64::consts::TAU.powi(2) * determinant).ln())
}

/// Log-likelihoods of an offset and a pen state under outputs, `[6 M + 3]`.
fn expected(outputs: &[f32], next: &[f32]) -> [f64; 2] {
    let outputs: Vec<f64> = outputs.iter().map(|&output| output.into()).collect();
    let mixtures = (outputs.len() - 3) / 6;
    let total: f64 = outputs[..mixtures].iter().map(|output| output.exp()).sum();
    let density = |index: usize| {
        let output = |part: usize| outputs[part * mixtures + index];
        let deviation = [3, 4].map(|part| (1.0 + output(part).exp()).ln() + 0.01);
        let at = [next[0], next[1]].map(f64::from);
        output(0).exp() / total * log_density(at, [output(1), output(2)], deviation, 0.99 * output(5).tanh()).exp()
    };
    let pens = &outputs[6 * mixtures..];
    let pen = next[2..].iter().position(|&state| state == 1.0).unwrap();
    let of_all: f64 = pens.iter().map(|output| output.exp()).sum();
    [(0..mixtures).map(density).sum::<f64>().ln(), pens[pen] - of_all.ln()]
}

fn both(likelihoods: PointLikelihoods) -> [Vec<f32>; 2] {
    [values(likelihoods.offsets), values(likelihoods.pens)]
}

#[test]
fn likelihoods_equal_those_of_the_formula_in_f64() {
    for (_, device) in devices() {
        for mixtures in [1, 3, 20] {
            let network = network(Architecture::Lstm, mixtures, &device);
            let width = 6 * mixtures + 3;
            let (outputs, next) = (numbers(4 * width, 1), points(4, 2));
            let found = both(network.log_likelihoods(
                tensor(outputs.clone(), [1, 4, width], &device),
                tensor(next.clone(), [1, 4, POINT_FEATURES], &device),
            ));
            for (step, (outputs, next)) in outputs.chunks(width).zip(next.chunks(POINT_FEATURES)).enumerate() {
                let expected = expected(outputs, next);
                for (found, expected) in found.iter().zip(expected) {
                    assert!((f64::from(found[step]) - expected).abs() < 1e-4, "{} is not {expected}", found[step]);
                }
                let host = PointDistribution::of_outputs(outputs);
                let at = [next[0], next[1]].map(f64::from);
                let density = host.components.iter().map(|component| {
                    let log = log_density(at, component.mean, component.deviation, component.correlation);
                    (component.log_weight + log).exp()
                });
                assert!((density.sum::<f64>().ln() - expected[0]).abs() < 1e-9);
                let pen = next[2..].iter().position(|&state| state == 1.0).unwrap();
                assert!((host.log_pens[pen] - expected[1]).abs() < 1e-9);
            }
        }
    }
}

#[test]
fn one_component_is_a_normal_distribution() {
    for (_, device) in devices() {
        let network = network(Architecture::Gru, 1, &device);
        // Mean (0.5, -1), σ̂ = 0: σ = log 2 + 0.01, no correlation; equal pen states.
        let outputs = tensor(vec![9.0, 0.5, -1.0, 0.0, 0.0, 0.0, 4.0, 4.0, 4.0], [1, 1, 9], &device);
        let next = tensor(vec![0.5, -1.0, 0.0, 0.0, 1.0], [1, 1, POINT_FEATURES], &device);
        let [offset, pen] = both(network.log_likelihoods(outputs, next));
        let deviation = 2f32.ln() + 0.01;
        assert!((offset[0] + (std::f32::consts::TAU * deviation * deviation).ln()).abs() < 1e-5, "{offset:?}");
        assert!((pen[0] + 3f32.ln()).abs() < 1e-6);
    }
}

#[test]
fn extreme_offsets_and_collapsed_components_have_finite_gradients() {
    for (_, device) in devices() {
        let device = device.autodiff();
        let network = network(Architecture::Lstm, 2, &device);
        let next = |offset: f32| tensor(vec![offset, -offset, 1.0, 0.0, 0.0], [1, 1, POINT_FEATURES], &device);
        for outputs in [
            vec![0.0; 15],
            // Collapsed and perfectly correlated; one component without weight; wide; one certain pen state.
            vec![0.0, -200.0, 0.0, 0.0, 0.0, 0.0, -200.0, -200.0, -200.0, 90.0, 50.0, -50.0, 99.0, -99.0, -99.0],
            vec![1e4, -1e4, 1e4, -1e4, -1e4, 1e4, 1e4, -1e4, -1e4, 1e4, 1e4, 1e4, -1e4, 1e4, 0.0],
        ] {
            for offset in [0.0, 1.0, 1e4, -1e4] {
                let outputs: Tensor<3> = tensor::<3>(outputs.clone(), [1, 1, 15], &device).require_grad();
                let PointLikelihoods { offsets, pens } = network.log_likelihoods(outputs.clone(), next(offset));
                let loss = (offsets + pens).sum().neg();
                let gradient = values(outputs.grad(&loss.backward()).unwrap());
                let loss = values(loss)[0];
                assert!(loss.is_finite() && gradient.iter().all(|value| value.is_finite()), "{loss} {gradient:?}");
            }
        }
    }
}

#[test]
fn padding_changes_no_loss_and_no_gradient_of_a_trajectory() {
    for (_, device) in devices() {
        let device = device.autodiff();
        let network = network(Architecture::Lstm, 3, &device);
        let rows = [points(5, 3), points(3, 4)];
        let at = |time: usize| {
            let side = |from: usize| {
                let padded = |row: &Vec<f32>| {
                    let mut own = row[from * POINT_FEATURES..row.len() - (1 - from) * POINT_FEATURES].to_vec();
                    own.resize(time * POINT_FEATURES, 0.0);
                    own
                };
                tensor(rows.iter().flat_map(padded).collect(), [2, time, POINT_FEATURES], &device)
            };
            let loss = network.loss(side(0), &[4, 2], side(1), None);
            (values(loss.clone()), gradients(&network, &loss.backward()))
        };
        let ((exact, gradients), (padded, padded_gradients)) = (at(4), at(9));
        assert!(difference(&padded, &exact) < 1e-5);
        for (name, gradient) in &gradients {
            assert!(difference(&padded_gradients[name], gradient) < 1e-4, "{name}");
        }
    }
}

#[test]
fn streaming_equals_the_whole_trajectory_with_and_without_kernels() {
    for (_, device) in devices() {
        for architecture in [Architecture::Lstm, Architecture::PeepholeLstm] {
            let network = network(architecture, 4, &device);
            let all = points(6, 5);
            let outputs = network.forward(tensor(all.clone(), [1, 6, POINT_FEATURES], &device), &[6], None);
            assert_eq!((outputs.dims(), outputs.dtype()), ([1, 6, 27], DType::F32));
            let outputs = values(outputs);
            let mut stream = network.stream(&device);
            for (point, outputs) in all.chunks(POINT_FEATURES).zip(outputs.chunks(27)) {
                let (found, expected) =
                    (stream.step(point.try_into().unwrap()), PointDistribution::of_outputs(outputs));
                for (found, expected) in found.components.iter().zip(&expected.components) {
                    assert!((found.log_weight - expected.log_weight).abs() < 1e-5);
                    assert!((found.mean[0] - expected.mean[0]).abs() < 1e-5);
                    assert!((found.correlation - expected.correlation).abs() < 1e-5);
                }
                assert!((found.log_pens[2] - expected.log_pens[2]).abs() < 1e-5);
            }
        }
    }
}

#[test]
fn shapes_of_other_inputs_or_both_directions_are_refused() {
    let shape = |architecture, input_size, mixtures| TrajectoryShape {
        stack: StackShape::plain(architecture, input_size, vec![2]),
        mixtures,
        dropout: 0.0,
    };
    for (shape, field) in [
        (shape(Architecture::Gru, 3, 1), "stack.input_size"),
        (shape(Architecture::Gru, POINT_FEATURES, 0), "mixtures"),
        (shape(Architecture::BiGru, POINT_FEATURES, 1), "stack.architecture"),
    ] {
        assert_eq!(shape.check().unwrap_err().field, field);
    }
    assert!(shape(Architecture::Gru, POINT_FEATURES, 1).check().is_ok());
}
