//! Shapes, inputs and timing of benchmarks.

use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use seqzoo_kernels::{Execution, InstructionSet, Lengths};
use seqzoo_models::Architecture;
use seqzoo_models::architecture::Recurrent;
use seqzoo_models::layers::{LayerOptions, Regularization};
use seqzoo_random::{Key, Purpose, RngExt};

/// Batch, time, input size, hidden size.
pub type Shape = [usize; 4];

pub const SHAPES: [Shape; 10] = [
    [1, 100, 128, 256],
    [1, 35, 200, 200],
    [8, 64, 64, 64],
    [20, 35, 200, 200],
    [20, 35, 650, 650],
    [32, 100, 128, 256],
    [32, 400, 100, 50],
    [64, 50, 64, 64],
    [64, 128, 512, 512],
    [128, 200, 256, 512],
];

/// Case of a measurement.
pub struct Case {
    pub cell: Architecture,
    pub shape: Shape,
    pub fused: bool,
}

pub fn engine(fused: bool) -> String {
    if fused {
        format!("fused kernels where a cell has them ({:?})", InstructionSet::default())
    } else {
        "reference loop".to_owned()
    }
}

pub fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Deterministic random input.
pub fn random_input([batch, time, input, _]: Shape) -> TensorData {
    let mut stream = Key::new(1, Purpose::Data).stream();
    let values = (0..batch * time * input).map(|_| stream.random_range(-1.0f32..1.0)).collect();
    TensorData::new::<f32, _>(values, [batch, time, input])
}

pub fn layer(cell: Architecture, [.., input, hidden]: Shape, device: &Device) -> Recurrent {
    cell.build(input, hidden, Key::new(1, Purpose::Weights), device)
}

/// Runs a layer on full-length sequences.
pub fn run_layer(layer: &Recurrent, input: &Tensor<3>, execution: Execution) -> Tensor<3> {
    let [batch, time, _] = input.dims();
    let lengths = Lengths::full(batch, time);
    let options = LayerOptions {
        lengths,
        initial_state: None,
        regularization: Regularization::OFF,
        hidden_offset: None,
        execution,
    };
    layer.forward(input.clone(), options).outputs
}

pub fn wait(device: &Device) {
    device.sync().expect("a device that computed can be waited for");
}

/// The median time of an operation, after two warm-up calls.
pub fn median(repeats: u32, mut operation: impl FnMut()) -> f64 {
    operation();
    operation();
    let timed = |_| {
        let started = Instant::now();
        operation();
        started.elapsed().as_secs_f64()
    };
    let mut samples: Vec<f64> = (0..repeats).map(timed).collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
