//! Gradients of weights and inputs over a chunk, from the gradients of its sums.

use std::ops::Range;

use rayon::prelude::*;

use super::buffer::Buffer;
use super::dimensions::Dimensions;
use super::elementwise::{Elementwise, SeparateGate};
use super::product::{Accumulate, OutputMatrix, PackedMatrix, Rows, Transposed};
use super::schedule::Schedule;
use super::worker::Worker;

/// Gradients of a cell's weights, summed over a thread's positions. Shapes are those of
/// [`Inputs`](super::sequence::Inputs).
#[derive(Default)]
pub(super) struct WeightGradients {
    pub(super) weight_ih: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) weight_hh: Vec<f32>,
    pub(super) extra: Vec<f32>,
}

/// Pooled operands of a thread's products, reused for each chunk.
pub(super) struct Scratch {
    /// The gradient of the input, `[positions, input_size]`.
    input: Buffer,
    /// Inputs, hidden states or factors of the chunk, transposed.
    left: Transposed,
    /// Gradients of the sums of all gates.
    gates: PackedMatrix,
    /// Gradients of the sums of a separate gate.
    separate: PackedMatrix,
}

impl Scratch {
    pub(super) fn new(dimensions: &Dimensions, schedule: &Schedule) -> Self {
        Self {
            input: Buffer::take(schedule.largest_chunk() * dimensions.input),
            left: Transposed::default(),
            gates: PackedMatrix::default(),
            separate: PackedMatrix::default(),
        }
    }
}

impl WeightGradients {
    pub(super) fn zeros<E: Elementwise>(dimensions: &Dimensions) -> Self {
        let &Dimensions { input, hidden: h, gates, recurrent_columns, .. } = dimensions;
        Self {
            weight_ih: vec![0.0; input * gates],
            bias: vec![0.0; gates],
            weight_hh: vec![0.0; h * recurrent_columns],
            extra: match E::SEPARATE {
                SeparateGate::None => Vec::new(),
                SeparateGate::Product => vec![0.0; h],
                SeparateGate::Factor => vec![0.0; h * h],
            },
        }
    }

    /// The sum over all threads, in their order.
    pub(super) fn sum(all: Vec<Self>) -> Self {
        let mut all = all.into_iter();
        let mut sum = all.next().unwrap_or_default();
        for other in all {
            for (sum, part) in [
                (&mut sum.weight_ih, other.weight_ih),
                (&mut sum.bias, other.bias),
                (&mut sum.weight_hh, other.weight_hh),
                (&mut sum.extra, other.extra),
            ] {
                sum.par_iter_mut().zip(part).with_min_len(1 << 16).for_each(|(sum, part)| *sum += part);
            }
        }
        sum
    }

    /// Adds the gradients of a chunk, whose gate gradients and hidden states are in the worker's buffers.
    pub(super) fn add_chunk<E: Elementwise>(&mut self, worker: &Worker, chunk: &Range<usize>, scratch: &mut Scratch) {
        let Worker { dimensions, schedule, inputs, buffers, .. } = worker;
        let &Dimensions { resources, input, hidden: h, gates, joint, recurrent_columns, .. } = *dimensions;
        let stride = schedule.largest_chunk() * h;
        let positions = schedule.steps(chunk);
        let count = positions.len();
        let indices = &schedule.indices[positions];

        let add_column_sums = |sums: &mut [f32], plane: usize| {
            for row in buffers.gates[plane * stride..][..count * h].chunks_exact(h) {
                sums.iter_mut().zip(row).for_each(|(sum, gradient)| *sum += gradient);
            }
        };
        self.bias.chunks_exact_mut(h).enumerate().for_each(|(gate, sums)| add_column_sums(sums, gate));

        let planes = &buffers.gates;
        scratch.gates.repack(resources, count, gates, |k, column| {
            &planes[column / h * stride + k * h + column % h..column / h * stride + (k + 1) * h]
        });
        scratch.left.fill(count, input, |k| &inputs.input[indices[k] * input..][..input]);
        let out = OutputMatrix::matrix(&mut self.weight_ih, gates, Accumulate::Add);
        scratch.gates.multiply(resources, 0..count, &scratch.left, input, out);

        scratch.left.fill(count, h, |k| &buffers.hidden[k * h..][..h]);
        let out = OutputMatrix::planes(&mut self.weight_hh, joint, recurrent_columns, 0, Accumulate::Add);
        scratch.gates.multiply(resources, 0..count, &scratch.left, h, out);
        match E::SEPARATE {
            SeparateGate::None => {}
            SeparateGate::Product => {
                add_column_sums(&mut self.extra, E::GATES);
                let plane = &planes[E::GATES * stride..];
                scratch.separate.repack(resources, count, h, |k, column| &plane[k * h + column..]);
                let out = &mut self.weight_hh[joint..];
                let out = OutputMatrix::planes(out, h, recurrent_columns, 0, Accumulate::Add);
                scratch.separate.multiply(resources, 0..count, &scratch.left, h, out);
            }
            SeparateGate::Factor => {
                let plane = &planes[(E::GATES - 1) * stride..];
                scratch.separate.repack(resources, count, h, |k, column| &plane[k * h + column..]);
                scratch.left.fill(count, h, |k| &buffers.factors[k * h..][..h]);
                let out = OutputMatrix::matrix(&mut self.extra, h, Accumulate::Add);
                scratch.separate.multiply(resources, 0..count, &scratch.left, h, out);
            }
        }
    }
}

impl Worker<'_> {
    /// Writes the gradient of a chunk's inputs to `gradient`, `[rows, time, input_size]`, if it is wanted.
    pub(super) fn input_gradient<E: Elementwise>(
        &self,
        chunk: &Range<usize>,
        scratch: &mut Scratch,
        gradient: &mut [f32],
    ) {
        let Some(weights) = self.weights.input else { return };
        let &Dimensions { resources, input, hidden: h, .. } = self.dimensions;
        let stride = self.schedule.largest_chunk() * h;
        let positions = self.schedule.steps(chunk);
        for gate in 0..E::GATES {
            let left = Rows { values: &self.buffers.gates[gate * stride..], offsets: &self.gradients.row_offsets };
            let accumulate = if gate == 0 { Accumulate::Overwrite } else { Accumulate::Add };
            let out = OutputMatrix::matrix(&mut scratch.input, input, accumulate);
            weights.multiply(resources, gate * h..(gate + 1) * h, &left, positions.len(), out);
        }
        for (row, index) in scratch.input.chunks_exact(input).zip(&self.schedule.indices[positions]) {
            gradient[index * input..][..input].copy_from_slice(row);
        }
    }
}
