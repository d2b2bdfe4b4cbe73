//! `seqzoo bench inference`

use burn::tensor::{Device, Tensor};
use clap::Args;
use seqzoo_kernels::pooled;
use serde_json::Value;

use super::BenchArgs;
use super::measurement::{Case, SHAPES, layer, median, random_input, run_layer, wait};
use crate::failure::Failure;

/// Benchmark inference of recurrent layers: whole batches without autodiff, and single steps of one sequence.
#[derive(Debug, Args)]
pub struct Inference {
    #[command(flatten)]
    options: BenchArgs,
}

/// Input and hidden size of the single step.
const STEP: usize = 256;
/// Number of steps per measurement.
const STEPS: usize = 200;

impl Inference {
    pub fn run(&self) -> Result<(), Failure> {
        let options = &self.options;
        let device = options.open()?;
        let fused = options.fused(&device);
        for cell in options.cells()? {
            self.step(&Case { cell, shape: [1, 1, STEP, STEP], fused }, &device)?;
            for shape in SHAPES {
                self.batch(&Case { cell, shape, fused }, &device)?;
            }
        }
        Ok(())
    }

    fn batch(&self, subject: &Case, device: &Device) -> Result<(), Failure> {
        let Case { cell, shape, .. } = *subject;
        let [batch, time, input, hidden] = shape;
        let flops = (batch * time) as f64 * cell.flops_per_step(input, hidden) as f64;
        let (layer, given) = (layer(cell, shape, device), Tensor::<3>::from_data(random_input(shape), device));
        let seconds = median(self.options.repeats(flops), || {
            drop(run_layer(&layer, &given, self.options.execution()));
            wait(device);
        });
        self.options.print(subject, "forward", seconds, flops, Value::Null)
    }

    /// Times a step of the streaming kernel, or of the layer if the cell has none.
    fn step(&self, subject: &Case, device: &Device) -> Result<(), Failure> {
        let Case { cell, shape, fused } = *subject;
        let flops = cell.flops_per_step(STEP, STEP) as f64;
        let layer = layer(cell, shape, device);
        let data = random_input(shape);
        let stream = if fused { layer.stream(None, self.options.execution()) } else { None };
        let (streaming, seconds) = match stream {
            Some(mut stream) => {
                let input = data.try_to_vec::<f32>().expect("the data are f32");
                let seconds = pooled(move || {
                    median(self.options.repeats, || {
                        for _ in 0..STEPS {
                            std::hint::black_box(stream.step(&input));
                        }
                    })
                });
                (true, seconds / STEPS as f64)
            }
            None => {
                let given = Tensor::<3>::from_data(data, device);
                let seconds = median(self.options.repeats, || {
                    drop(run_layer(&layer, &given, self.options.execution()));
                    wait(device);
                });
                (false, seconds)
            }
        };
        let subject = Case { fused: streaming, ..*subject };
        self.options.print(&subject, "step", seconds, flops, Value::Null)
    }
}
