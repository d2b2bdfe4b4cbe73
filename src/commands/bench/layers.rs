//! `seqzoo bench layers`

use std::io::Write;

use burn::tensor::{Device, Distribution, Tensor};
use clap::Args;
use serde_json::{Value, json};

use super::BenchArgs;
use super::measurement::{Case, SHAPES, Shape, layer, median, random_input, run_layer, wait};
use crate::failure::Failure;

/// Benchmark recurrent layers: forward only, and forward with backward.
#[derive(Debug, Args)]
pub struct Layers {
    /// Batch, time steps, input size and hidden size to time, such as 64x50x64x64 [default: shapes of common benchmarks]
    #[arg(long, value_name = "BxTxIxH", value_parser = shape)]
    shape: Option<Shape>,
    #[command(flatten)]
    options: BenchArgs,
}

/// Parses a shape such as `64x50x64x64`.
fn shape(text: &str) -> Result<Shape, String> {
    let sizes: Option<Vec<usize>> = text.split('x').map(|size| size.parse().ok()).collect();
    let sizes = sizes.filter(|sizes| sizes.iter().all(|size| (1..=4_096).contains(size)));
    let shape = sizes.and_then(|sizes| Shape::try_from(sizes).ok());
    shape.ok_or_else(|| "expected four sizes from 1 to 4096, such as 64x50x64x64".to_owned())
}

impl Layers {
    pub fn run(&self) -> Result<(), Failure> {
        let options = &self.options;
        let device = options.open()?;
        let fused = options.fused(&device);
        let peak = product(&device);
        let mut out = std::io::stdout().lock();
        if options.json {
            writeln!(out, "{}", json!({ "pass": "matrix product", "size": PRODUCT, "gflops": peak }))?;
        } else {
            writeln!(out, "a matrix product of {PRODUCT} × {PRODUCT} × {PRODUCT}: {peak:.1} GFLOP/s")?;
        }
        drop(out);
        for cell in options.cells()? {
            for &shape in self.shape.as_ref().map_or(&SHAPES[..], std::slice::from_ref) {
                self.measure(&Case { cell, shape, fused }, &device)?;
            }
        }
        Ok(())
    }

    fn measure(&self, subject: &Case, device: &Device) -> Result<(), Failure> {
        let Case { cell, shape, .. } = *subject;
        let [batch, time, input, hidden] = shape;
        let flops = (batch * time) as f64 * cell.flops_per_step(input, hidden) as f64;
        let (repeats, execution) = (self.options.repeats(flops), self.options.execution());
        let tracked = device.clone().autodiff();
        let (inference, trained) = (layer(cell, shape, device), layer(cell, shape, &tracked));
        let given = Tensor::<3>::from_data(random_input(shape), device);
        let leaf = Tensor::<3>::from_data(random_input(shape), &tracked).require_grad();
        let forward = median(repeats, || {
            drop(run_layer(&inference, &given, execution));
            wait(device);
        });
        self.options.print(subject, "forward", forward, flops, Value::Null)?;
        let both = median(repeats, || {
            let gradients = run_layer(&trained, &leaf, execution).sum().backward();
            drop(leaf.grad(&gradients).expect("the input requires a gradient"));
            wait(device);
        });
        self.options.print(subject, "forward+backward", both, 3.0 * flops, Value::Null)
    }
}

const PRODUCT: usize = 1536;

/// GFLOP/s of the backend's matrix product, the best of five: the reference point for layers.
fn product(device: &Device) -> f64 {
    let matrix = || Tensor::<2>::random([PRODUCT, PRODUCT], Distribution::Default, device);
    let (a, b) = (matrix(), matrix());
    let once = || {
        median(1, || {
            drop(a.clone().matmul(b.clone()));
            wait(device);
        })
    };
    2.0 * (PRODUCT as f64).powi(3) / (0..5).map(|_| once()).fold(f64::INFINITY, f64::min) * 1e-9
}
