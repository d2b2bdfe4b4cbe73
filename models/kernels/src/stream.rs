//! Step-by-step inference on one sequence.

use burn::tensor::{DType, Device, Tensor, TensorData};

use crate::cpu::{Accumulate, CpuSlice, Inputs as Slices, OutputMatrix, PackedMatrix, Resources, Rows, Shape, Stepper};
use crate::engine::InstructionSet;
use crate::kernel::{Extra, Inputs, Kernel, for_kernel, supports};

/// A cell with its state, which processes one step at a time. Weights are packed once, and a step allocates nothing.
///
/// Steps give the same bits as [`run`](crate::run) on the same sequence.
#[derive(Debug)]
pub struct Stream {
    kernel: Kernel,
    stepper: Stepper,
}

impl Stream {
    /// Starts from the state in `inputs`, whose `input` only tells the number of features: `[1, 0.., input_size]`.
    ///
    /// # Panics
    /// If the device and type are not [supported](supports), or a tensor that the cell needs is missing.
    pub fn new(kernel: Kernel, inputs: Inputs) -> Self {
        let values = |data: TensorData| data.try_to_vec::<f32>().expect("supports() admits f32 only");
        let Inputs { input, weight_ih, bias, weight_hh, extra, hidden, cell } = inputs;
        let ([batch, h], [.., features]) = (hidden.dims(), input.dims());
        assert_eq!(batch, 1, "a stream is one sequence");
        let extra = match extra {
            Extra::None => Vec::new(),
            Extra::Bias(bias) => values(bias.into_data()),
            Extra::Weights(weights) => values(weights.into_data()),
        };
        let shape = Shape { batch, time: 1, input: features, hidden: h, lengths: vec![1], backward: false };
        let (weight_ih, bias) = (values(weight_ih.into_data()), values(bias.into_data()));
        let (weight_hh, hidden) = (values(weight_hh.into_data()), values(hidden.into_data()));
        let cell = cell.map_or_else(Vec::new, |cell| values(cell.into_data()));
        let inputs = Slices {
            input: &[],
            weight_ih: &weight_ih,
            bias: &bias,
            weight_hh: &weight_hh,
            extra: &extra,
            hidden: &hidden,
            cell: &cell,
        };
        Self { kernel, stepper: for_kernel!(kernel, Cell => Stepper::new::<Cell>(&shape, &inputs)) }
    }

    /// Whether there are streams for tensors of this type on this device.
    pub fn supports(device: &Device, dtype: DType) -> bool {
        supports(device, dtype)
    }

    /// Processes `input`, `[input_size]`, and returns the hidden state after it, `[hidden_size]`.
    ///
    /// # Panics
    /// If `input` has another length.
    pub fn step(&mut self, input: &[f32]) -> &[f32] {
        for_kernel!(self.kernel, Cell => self.stepper.step::<Cell>(input))
    }

    /// The hidden state after the last step.
    pub fn hidden(&self) -> &[f32] {
        self.stepper.hidden()
    }

    /// The cell state after the last step; empty if there is none.
    pub fn cell(&self) -> &[f32] {
        self.stepper.cell()
    }
}

/// The output layer of a stream. Weights are packed once, and a step allocates nothing.
#[derive(Debug)]
pub struct OutputLayer {
    weight: PackedMatrix,
    bias: Vec<f32>,
    scores: Vec<f32>,
}

impl OutputLayer {
    /// y = x W + b with `weight` `[features, classes]` and `bias` `[classes]`; `None` where there is no kernel.
    pub fn new(weight: &Tensor<2>, bias: &Tensor<1>) -> Option<Self> {
        let [features, classes] = weight.dims();
        let (weight, bias) = (CpuSlice::of(weight)?, CpuSlice::of(bias)?);
        let resources = Resources { instructions: InstructionSet::current(), threads: 1 };
        let weight = PackedMatrix::pack(resources, weight.slice(), classes, features, classes);
        Some(Self { weight, bias: bias.slice().to_vec(), scores: vec![0.0; classes] })
    }

    /// The scores of `features`.
    pub fn scores(&mut self, features: &[f32]) -> &[f32] {
        let threads = if rayon::current_thread_index().is_some() { rayon::current_num_threads() } else { 1 };
        let resources = Resources { instructions: InstructionSet::current(), threads };
        let left = Rows { values: features, offsets: &[0] };
        let out = OutputMatrix::matrix(&mut self.scores, self.bias.len(), Accumulate::Row(&self.bias));
        self.weight.multiply(resources, 0..features.len(), &left, 1, out);
        &self.scores
    }
}
