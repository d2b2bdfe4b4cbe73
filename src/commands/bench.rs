//! `seqzoo bench`

use std::io::Write;
use std::time::Instant;

use burn::tensor::{DType, Device, Tensor, TensorData};
use clap::{Args, ValueEnum};
use seqzoo_kernels::{Engine, InstructionSet, serves};
use seqzoo_models::Architecture;
use seqzoo_models::architecture::Recurrent;
use seqzoo_models::layers::{Noise, Passage};
use seqzoo_random::{Key, Purpose, RngExt};
use serde_json::json;

use super::BackendChoice;
use crate::failure::Failure;
use crate::say::say;

/// Time the layers that training uses, at the shapes that other programs are timed at.
///
/// Examples: `seqzoo bench layers`, `seqzoo bench layers --cell lstm --json`
#[derive(Debug, Args)]
pub struct Bench {
    /// What is timed.
    what: What,
    /// Time one architecture instead of rnn, lstm and gru-reset-after (the GRU of PyTorch).
    #[arg(long, value_name = "NAME")]
    cell: Option<String>,
    /// Measurements of each shape at most; the median is told.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    repeats: u32,
    /// Read with the readable loop instead of kernels.
    #[arg(long)]
    reference: bool,
    /// Print one JSON object per measurement.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    backend: BackendChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Recurrent layers, forward alone and with the backward pass.
    Layers,
}

/// Batch, time, features read, units.
const SHAPES: [[usize; 4]; 10] = [
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

/// Floating-point operations after which a shape need not be measured more often.
const ENOUGH: f64 = 4e11;

impl Bench {
    pub fn run(&self) -> Result<(), Failure> {
        let What::Layers = self.what;
        let (backend, device) = self.backend.open(None)?;
        let cells = match &self.cell {
            None => vec![Architecture::Rnn, Architecture::Lstm, Architecture::GruResetAfter],
            Some(name) => vec![super::architecture(name)?],
        };
        let engine = if self.reference { Engine::Reference } else { Engine::Auto };
        let fused = !self.reference && serves(&device, DType::F32);
        let told = if fused { format!("kernels, {:?}", InstructionSet::current()) } else { "readable loop".to_owned() };
        say(format_args!("{} backend, {told} where a cell has one, {} threads", backend.name(), threads()));
        for cell in cells {
            for shape in SHAPES {
                engine.with(|| self.shape(cell, shape, &device, fused))?;
            }
        }
        Ok(())
    }

    fn shape(&self, cell: Architecture, shape: [usize; 4], device: &Device, fused: bool) -> Result<(), Failure> {
        let [batch, time, input, hidden] = shape;
        let flops = (batch * time) as f64 * cell.operations_per_step(input, hidden) as f64;
        let repeats = ((ENOUGH / flops) as u32).clamp(3, self.repeats.max(3));
        let numbers = || {
            let mut stream = Key::new(1, Purpose::Data).stream();
            let numbers = (0..batch * time * input).map(|_| stream.random_range(-1.0f32..1.0)).collect();
            TensorData::new::<f32, _>(numbers, [batch, time, input])
        };
        let lengths = vec![time; batch];
        let layer = |device: &Device| cell.build(input, hidden, Key::new(1, Purpose::Weights), device);
        let read = |layer: &Recurrent, input: &Tensor<3>| {
            let passage = Passage { lengths: &lengths, initial: None, noise: Noise::OFF, added: None };
            layer.read(input.clone(), passage).outputs
        };
        let (plain, tracked) = (device.clone(), device.clone().autodiff());
        let (alone, trained) = (layer(&plain), layer(&tracked));
        let given = Tensor::<3>::from_data(numbers(), &plain);
        let leaf = Tensor::<3>::from_data(numbers(), &tracked).require_grad();
        let wait = || device.sync().expect("a device that computed can be waited for");
        let forward = || {
            drop(read(&alone, &given));
            wait();
        };
        let both = || {
            let gradients = read(&trained, &leaf).sum().backward();
            drop(leaf.grad(&gradients).expect("the input asks for one"));
            wait();
        };
        let measured = [("forward", median(&forward, repeats), 1.0), ("forward+backward", median(&both, repeats), 3.0)];
        let mut out = std::io::stdout().lock();
        for (pass, seconds, factor) in measured {
            let gflops = factor * flops / seconds * 1e-9;
            if self.json {
                let line = json!({
                    "cell": cell.name(), "batch": batch, "time": time, "input": input, "hidden": hidden, "pass": pass,
                    "median_ms": seconds * 1e3, "gflops": gflops, "fused": fused,
                    "instructions": format!("{:?}", InstructionSet::current()), "threads": threads(),
                });
                writeln!(out, "{line}")?;
            } else {
                let shape = format!("{batch}×{time}×{input}→{hidden}");
                writeln!(
                    out,
                    "{:<16} {shape:<18} {pass:<17} {:>9.3} ms {gflops:>7.1} GFLOP/s",
                    cell.name(),
                    seconds * 1e3
                )?;
            }
        }
        Ok(())
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The median time of an act, after two that are not counted.
fn median(act: &dyn Fn(), repeats: u32) -> f64 {
    act();
    act();
    let timed = |_| {
        let started = Instant::now();
        act();
        started.elapsed().as_secs_f64()
    };
    let mut samples: Vec<f64> = (0..repeats).map(timed).collect();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
