//! One sequence read step by step, as its steps come.

use burn::tensor::{DType, Device, Tensor};

use crate::engine::InstructionSet;
use crate::operation::{Extra, Given, Kernel, for_kernel, serves};
use crate::plan::Shape;
use crate::product::{How, Onto, Out, Packed, Rows};
use crate::sequence::{Inputs, Stepper};
use crate::slices::Numbers;

/// A cell with its state, which reads a step at a time; weights are packed once, and a step allocates nothing.
///
/// Steps equal those of [`run`](crate::run) on the same rows.
#[derive(Debug)]
pub struct Stream {
    kernel: Kernel,
    stepper: Stepper,
}

impl Stream {
    /// Begins from the state in `given`, of which `input` tells no more than how many features a step has: `[1, 0.., input_size]`.
    ///
    /// # Panics
    /// If [`serves`] does not hold, or a tensor that the kernel needs is not there.
    pub fn new(kernel: Kernel, given: Given) -> Self {
        let values = |data: burn::tensor::TensorData| data.try_to_vec::<f32>().expect("serves() lets only f32 through");
        let Given { input, weight_ih, bias, weight_hh, extra, hidden, cell } = given;
        let ([batch, h], [.., features]) = (hidden.dims(), input.dims());
        assert_eq!(batch, 1, "a stream is one row");
        let extra = match extra {
            Extra::None => Vec::new(),
            Extra::Bias(bias) => values(bias.into_data()),
            Extra::Weights(weights) => values(weights.into_data()),
        };
        let shape = Shape { batch, time: 1, input: features, hidden: h, lengths: vec![1], backward: false };
        let (weight_ih, bias) = (values(weight_ih.into_data()), values(bias.into_data()));
        let (weight_hh, hidden) = (values(weight_hh.into_data()), values(hidden.into_data()));
        let cell = cell.map_or_else(Vec::new, |cell| values(cell.into_data()));
        let inputs = Inputs {
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

    /// Whether a stream can be made of tensors of this type on this device.
    pub fn serves(device: &Device, dtype: DType) -> bool {
        serves(device, dtype)
    }

    /// Reads `input`, `[input_size]`, and gives the hidden state after it, `[hidden_size]`.
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

    /// The cell after the last step; empty if there is none.
    pub fn cell(&self) -> &[f32] {
        self.stepper.cell()
    }
}

/// An output layer of a stream: its weights packed once, and a step allocates nothing.
#[derive(Debug)]
pub struct Output {
    weight: Packed,
    bias: Vec<f32>,
    scores: Vec<f32>,
}

impl Output {
    /// y = x W + b of `[features, classes]` and `[classes]`; `None` where no kernel serves.
    pub fn new(weight: &Tensor<2>, bias: &Tensor<1>) -> Option<Self> {
        let [features, classes] = weight.dims();
        let (weight, bias) = (Numbers::of(weight)?, Numbers::of(bias)?);
        let how = How { set: InstructionSet::current(), threads: 1 };
        let weight = Packed::new(how, weight.slice(), classes, features, classes);
        Some(Self { weight, bias: bias.slice().to_vec(), scores: vec![0.0; classes] })
    }

    /// The scores of `[features]`.
    pub fn of(&mut self, features: &[f32]) -> &[f32] {
        let threads = if rayon::current_thread_index().is_some() { rayon::current_num_threads() } else { 1 };
        let how = How { set: InstructionSet::current(), threads };
        let left = Rows { values: features, starts: &[0] };
        let out = Out::matrix(&mut self.scores, self.bias.len(), Onto::Row(&self.bias));
        self.weight.multiply(how, 0..features.len(), &left, 1, out);
        &self.scores
    }
}
