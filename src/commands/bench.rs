//! `seqzoo bench`; longer than other commands because of its options.

mod growth;
mod inference;
mod layers;
mod measurement;
mod training;

use std::io::Write;

use burn::tensor::{DType, Device};
use clap::{Args, Subcommand};
use measurement::{Case, engine, threads};
use seqzoo_kernels::{Execution, InstructionSet, supports};
use seqzoo_models::Architecture;
use serde_json::{Value, json};

use crate::arguments::BackendArgs;
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
    Training(Box<training::Training>),
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

/// Number of floating-point operations per shape after which, beyond three measurements, no more are made.
const ENOUGH: f64 = 4e11;

impl BenchArgs {
    /// The architectures to time.
    fn cells(&self) -> Result<Vec<Architecture>, Failure> {
        match &self.cell {
            None => Ok(vec![Architecture::Rnn, Architecture::Lstm, Architecture::GruResetAfter]),
            Some(name) => Ok(vec![crate::arguments::architecture(name)?]),
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
    fn print(&self, subject: &Case, pass: &str, seconds: f64, flops: f64, more: Value) -> Result<(), Failure> {
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
