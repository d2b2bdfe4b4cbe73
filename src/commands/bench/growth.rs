//! `seqzoo bench growth`

use burn::tensor::Tensor;
use clap::Args;
use seqzoo_kernels::{Activations, Execution};
use serde_json::json;

use super::BenchArgs;
use super::measurement::{Case, layer, median, random_input, run_layer, wait};
use crate::failure::Failure;
use crate::memory::peak_memory;

/// Benchmark time and memory of a layer's forward and backward pass over a growing number of time steps.
#[derive(Debug, Args)]
pub struct Growth {
    /// Recompute gates in the backward pass instead of keeping them.
    #[arg(long)]
    recompute: bool,
    /// Numbers of time steps, separated by commas.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [100, 200, 400, 800, 1600, 3200],
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    time: Vec<usize>,
    #[command(flatten)]
    options: BenchArgs,
}

/// Batch size, input size, hidden size.
const SIZES: [usize; 3] = [32, 128, 256];

impl Growth {
    pub fn run(&self) -> Result<(), Failure> {
        let options = &self.options;
        let device = options.open()?;
        let fused = options.fused(&device);
        let activations = if self.recompute { Activations::Recomputed } else { Activations::Kept };
        let execution = Execution { activations, ..options.execution() };
        let [batch, input, hidden] = SIZES;
        let tracked = device.clone().autodiff();
        for cell in options.cells()? {
            let mut steps = self.time.clone();
            // Peak memory never decreases, so the longest sequence comes last.
            steps.sort_unstable();
            for time in steps {
                let shape = [batch, time, input, hidden];
                let flops = 3.0 * (batch * time) as f64 * cell.flops_per_step(input, hidden) as f64;
                let trained = layer(cell, shape, &tracked);
                let leaf = Tensor::<3>::from_data(random_input(shape), &tracked).require_grad();
                let seconds = median(options.repeats(flops), || {
                    drop(run_layer(&trained, &leaf, execution).sum().backward());
                    wait(&device);
                });
                let memory = peak_memory().map(|bytes| bytes >> 20);
                let more = json!({ "recomputed": self.recompute, "peak_mib": memory });
                options.print(&Case { cell, shape, fused }, "forward+backward", seconds, flops, more)?;
            }
        }
        Ok(())
    }
}
