//! `seqzoo bench`

mod growth;
mod inference;
mod layers;
mod training;

use std::io::Write;
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use clap::{Args, Subcommand};
use seqzoo_kernels::{Execution, InstructionSet, Lengths, supports};
use seqzoo_models::Architecture;
use seqzoo_models::architecture::Recurrent;
use seqzoo_models::layers::{LayerOptions, Regularization};
use seqzoo_random::{Key, Purpose, RngExt};
use serde_json::{Value, json};

use super::BackendArgs;
use crate::failure::Failure;
use crate::say::say;

/// Benchmark layers, inference and training, at the shapes of common benchmarks.
///
/// Examples: `seqzoo bench layers --cell lstm`, `seqzoo bench inference --json`,
/// `seqzoo bench training sentences`, `seqzoo bench growth`
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Layers(layers::Layers),
    Inference(inference::Inference),
    Training(training::Training),
    Growth(growth::Growth),
}

impl Bench {
    pub fn run(&self) -> Result<(), Failure> {
        match &self.what {
            What::Layers(bench) => bench.run(),
            What::Inference(bench) => bench.run(),
            What::Training(bench) => bench.run(),
            What::Growth(bench) => bench.run(),
        }
    }
}

/// Options of the layer benchmarks.
#[derive(Debug, Args)]
struct BenchArgs {
    /// Architecture to time [default: rnn, lstm and gru-reset-after, the GRU of PyTorch]
    #[arg(long, value_name = "NAME")]
    cell: Option<String>,
    /// Maximum number of measurements per shape; the median is reported.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeats: u32,
    /// Use the reference loop instead of fused kernels.
    #[arg(long)]
    reference: bool,
    /// Print one JSON object per measurement.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendArgs,
}

/// Batch, time, input size, hidden size.
type Shape = [usize; 4];

const SHAPES: [Shape; 10] = [
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

/// Floating-point operations per shape, which limit its number of measurements.
const ENOUGH: f64 = 4e11;

/// Case of a measurement.
struct Case {
    cell: Architecture,
    shape: Shape,
    fused: bool,
}

impl BenchArgs {
    /// The architectures to time.
    fn cells(&self) -> Result<Vec<Architecture>, Failure> {
        match &self.cell {
            None => Ok(vec![Architecture::Rnn, Architecture::Lstm, Architecture::GruResetAfter]),
            Some(name) => Ok(vec![super::architecture(name)?]),
        }
    }

    /// Opens the backend and prints what will run.
    fn open(&self) -> Result<Device, Failure> {
        let (backend, device) = self.backend.open(None)?;
        say(format_args!("{} backend, {}, {} threads", backend.name(), engine(self.fused(&device)), threads()));
        Ok(device)
    }

    fn fused(&self, device: &Device) -> bool {
        !self.reference && supports(device, DType::F32)
    }

    fn execution(&self) -> Execution {
        if self.reference { Execution::reference() } else { Execution::default() }
    }

    /// Number of measurements of a shape.
    fn repeats(&self, flops: f64) -> u32 {
        ((ENOUGH / flops) as u32).clamp(3, self.repeats.max(3))
    }

    /// Prints a measurement of `flops` floating-point operations.
    fn tell(&self, subject: &Case, pass: &str, seconds: f64, flops: f64, more: Value) -> Result<(), Failure> {
        let Case { cell, shape: [batch, time, input, hidden], fused } = *subject;
        let gflops = flops / seconds * 1e-9;
        let mut out = std::io::stdout().lock();
        if self.json {
            let mut line = json!({
                "cell": cell.name(), "batch": batch, "time": time, "input": input, "hidden": hidden, "pass": pass,
                "median_ms": seconds * 1e3, "gflops": gflops, "fused": fused,
                "instructions": format!("{:?}", InstructionSet::default()), "threads": threads(),
            });
            if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
                line.extend(more);
            }
            writeln!(out, "{line}")?;
        } else {
            let shape = format!("{batch}×{time}×{input}→{hidden}");
            let milliseconds = seconds * 1e3;
            let more = if more.is_null() { String::new() } else { format!("  {more}") };
            let name = cell.name();
            writeln!(out, "{name:<16} {shape:<18} {pass:<17} {milliseconds:>9.3} ms {gflops:>7.1} GFLOP/s{more}")?;
        }
        Ok(())
    }
}

fn engine(fused: bool) -> String {
    if fused {
        format!("fused kernels where a cell has them ({:?})", InstructionSet::default())
    } else {
        "reference loop".to_owned()
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Deterministic random input.
fn numbers([batch, time, input, _]: Shape) -> TensorData {
    let mut stream = Key::new(1, Purpose::Data).stream();
    let numbers = (0..batch * time * input).map(|_| stream.random_range(-1.0f32..1.0)).collect();
    TensorData::new::<f32, _>(numbers, [batch, time, input])
}

fn layer(cell: Architecture, [.., input, hidden]: Shape, device: &Device) -> Recurrent {
    cell.build(input, hidden, Key::new(1, Purpose::Weights), device)
}

/// Runs a layer on full-length sequences.
fn read(layer: &Recurrent, input: &Tensor<3>, execution: Execution) -> Tensor<3> {
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

fn wait(device: &Device) {
    device.sync().expect("a device that computed can be waited for");
}

/// The median time of an operation, after two warm-up calls.
fn median(repeats: u32, mut operation: impl FnMut()) -> f64 {
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

/// Peak memory of this process in bytes; `None` if the system does not report it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?)
}
