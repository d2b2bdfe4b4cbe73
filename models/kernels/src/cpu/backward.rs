//! The backward pass over whole sequences: gradients of states and sums, step by step from the last to the first.

use std::ops::Range;

use super::buffer::Buffer;
use super::dimensions::{Dimensions, plane_count, saved_len};
use super::elementwise::{self, Elementwise, SavedStep, SeparateGate};
use super::forward::{ChunkPass, RowStates};
use super::planes::GatePlanes;
use super::product::{Accumulate, OutputMatrix, Rows};
use super::schedule::Shape;
use super::sequence::{
    InputGradients, Inputs, OutputGradients, row_range, run_jobs, sort_rows, split_into, unsort_rows,
};
use super::weight_gradients::{Scratch, WeightGradients};
use super::worker::{BackwardPass, ChunkBuffers, Worker};
use crate::execution::Execution;

/// Computes the gradients of the inputs. `results` are `outputs` and `saved` of the forward pass. The gradient of `input` is empty
/// unless it is wanted.
pub(crate) fn backward<E: Elementwise>(
    shape: &Shape,
    inputs: &Inputs,
    weights: BackwardPass,
    (outputs, saved): (&[f32], &[f32]),
    gradients: OutputGradients,
    execution: Execution,
) -> InputGradients {
    let dimensions = Dimensions::of::<E>(shape, execution);
    let dimensions = if shape.batch == 1 { dimensions.sharing_products() } else { dimensions };
    let (time, h) = (shape.time, shape.hidden);
    let schedules = dimensions.schedules(shape);
    let mut all = InputGradients {
        input: vec![0.0; if weights.input.is_some() { shape.batch * time * shape.input } else { 0 }],
        hidden: vec![0.0; shape.batch * h],
        cell: vec![0.0; if E::CELL_STATE { shape.batch * h } else { 0 }],
        ..InputGradients::default()
    };
    let mut sums: Vec<WeightGradients> = schedules.iter().map(|_| WeightGradients::default()).collect();
    let rows = |width: usize| schedules.iter().map(move |schedule| schedule.rows.len() * width);
    let mut end = 0;
    let saved = schedules.iter().map(|schedule| {
        let size = saved_len::<E>(schedule, h, Some(execution.activations));
        end += size;
        &saved[end - size..end]
    });
    let jobs: Vec<_> = schedules
        .iter()
        .zip(split_into(&mut all.input, rows(time * shape.input)))
        .zip(split_into(&mut all.hidden, rows(h)))
        .zip(split_into(&mut all.cell, rows(h)))
        .zip(saved)
        .zip(&mut sums)
        .collect();
    run_jobs(jobs, |(((((schedule, input), hidden), cell), saved), sums)| {
        let rows = &schedule.rows;
        let mut worker = Worker {
            dimensions: &dimensions,
            schedule,
            inputs: inputs.of_rows(rows, &dimensions),
            outputs: row_range(outputs, rows, time * h),
            output_gradients: row_range(gradients.outputs, rows, time * h),
            weights,
            gradients: RowStates::new::<E>(schedule, h),
            buffers: ChunkBuffers::new::<E>(&dimensions, schedule),
        };
        sort_rows(schedule, h, row_range(gradients.hidden, rows, h), &mut worker.gradients.hidden);
        sort_rows(schedule, h, row_range(gradients.cell, rows, h), &mut worker.gradients.cell);
        *sums = WeightGradients::zeros::<E>(&dimensions);
        worker.run::<E>(saved, sums, input);
        unsort_rows(schedule, h, &worker.gradients.hidden, hidden);
        unsort_rows(schedule, h, &worker.gradients.cell, cell);
    });
    let WeightGradients { weight_ih, bias, weight_hh, extra } = WeightGradients::sum(sums);
    InputGradients { weight_ih, bias, weight_hh, extra, ..all }
}

impl Worker<'_> {
    /// Processes all chunks, the last one first. With weights of the forward pass, gates were not saved and are recomputed.
    fn run<E: Elementwise>(&mut self, saved: &[f32], sums: &mut WeightGradients, input_gradient: &mut [f32]) {
        let (schedule, h, forward_weights) = (self.schedule, self.dimensions.hidden, self.weights.forward);
        let stride = schedule.largest_chunk() * h;
        let mut initial_cell = vec![0.0; if E::CELL_STATE { schedule.order.len() * h } else { 0 }];
        sort_rows(schedule, h, self.inputs.cell, &mut initial_cell);
        let recomputed = if forward_weights.is_some() { plane_count::<E>() * stride } else { 0 };
        let mut recomputed = Buffer::take(recomputed);
        let mut states = forward_weights.map(|_| RowStates::new::<E>(schedule, h));
        let mut scratch = Scratch::new(self.dimensions, schedule);
        for (number, chunk) in schedule.chunks.iter().enumerate().rev() {
            let first = schedule.step_starts[chunk.start];
            self.gather_hidden(chunk);
            if let (Some(weights), Some(states)) = (forward_weights, &mut states) {
                let active = schedule.step(chunk.start).len() * h;
                states.hidden[..active].copy_from_slice(&self.buffers.hidden[..active]);
                let cell = &saved[number * states.cell.len()..][..states.cell.len()];
                states.cell.copy_from_slice(cell);
                let mut planes = GatePlanes { values: &mut recomputed[..], stride, first };
                let pass = ChunkPass { dimensions: self.dimensions, schedule, inputs: &self.inputs, weights };
                pass.run::<E>(chunk, &mut planes, states, None);
                self.chunk::<E>(chunk, &GatePlanes { values: &recomputed[..], stride, first }, cell);
            } else {
                let planes = GatePlanes { values: saved, stride: schedule.positions() * h, first: 0 };
                let cell = match chunk.start.checked_sub(1) {
                    Some(step) if E::CELL_STATE => planes.at(&schedule.step(step), h)[E::GATES],
                    _ => &initial_cell,
                };
                self.chunk::<E>(chunk, &planes, cell);
            }
            self.input_gradient::<E>(chunk, &mut scratch, input_gradient);
            sums.add_chunk::<E>(self, chunk, &mut scratch);
        }
    }

    /// Copies the hidden state before each position of a chunk to `buffers.hidden`.
    fn gather_hidden(&mut self, chunk: &Range<usize>) {
        let (schedule, h) = (self.schedule, self.dimensions.hidden);
        let mut rows = self.buffers.hidden.chunks_exact_mut(h);
        for step in chunk.clone() {
            for row in 0..schedule.step(step).len() {
                let before = match step.checked_sub(1) {
                    None => &self.inputs.hidden[schedule.order[row] * h..],
                    Some(step) => &self.outputs[schedule.indices[schedule.step_starts[step] + row] * h..],
                };
                rows.next().expect("room for the largest chunk").copy_from_slice(&before[..h]);
            }
        }
    }

    /// Computes the gradients of the sums and states of a chunk; `cell` is the cell state before its first step.
    fn chunk<E: Elementwise>(&mut self, chunk: &Range<usize>, planes: &GatePlanes<&[f32]>, cell: &[f32]) {
        let &Dimensions { resources, hidden: h, joint, .. } = self.dimensions;
        let (schedule, weights, buffers) = (self.schedule, self.weights.recurrent, &mut self.buffers);
        let stride = schedule.largest_chunk() * h;
        let first = schedule.step_starts[chunk.start];
        let mut gates = GatePlanes { values: &mut buffers.gates[..], stride, first };
        for step in chunk.clone().rev() {
            let positions = schedule.step(step);
            let (active, count, at) = (positions.len(), positions.len() * h, (positions.start - first) * h);
            let hidden = &mut self.gradients.hidden[..count];
            if !self.output_gradients.is_empty() {
                for (hidden, index) in hidden.chunks_exact_mut(h).zip(&schedule.indices[positions.clone()]) {
                    hidden
                        .iter_mut()
                        .zip(&self.output_gradients[index * h..][..h])
                        .for_each(|(sum, gradient)| *sum += gradient);
                }
            }
            let old_cell = match E::CELL_STATE {
                false => &[][..],
                true if step == chunk.start => &cell[..count],
                true => &planes.at(&schedule.step(step - 1), h)[E::GATES][..count],
            };
            let saved =
                SavedStep { planes: planes.at(&positions, h), hidden: &buffers.hidden[at..][..count], cell: old_cell };
            let cell = if E::CELL_STATE { &mut self.gradients.cell[..count] } else { &mut [][..] };
            elementwise::backward::<E>(resources.instructions, saved, hidden, cell, gates.at(&positions, h));
            let offsets = &self.gradients.row_offsets;
            if E::SEPARATE == SeparateGate::Factor {
                let left = Rows { values: gates.from(E::GATES - 1, positions.start, h), offsets };
                let gradient = &mut buffers.factor_gradient[..count];
                let out = OutputMatrix::matrix(gradient, h, Accumulate::Overwrite);
                weights.separate.multiply(resources, 0..h, &left, active, out);
                let factor = &mut buffers.factors[at..][..count];
                let gates = gates.at(&positions, h);
                elementwise::factor_backward::<E>(resources.instructions, saved, gradient, factor, hidden, gates);
            }
            for gate in 0..joint / h {
                let left = Rows { values: gates.from(gate, positions.start, h), offsets };
                let out = OutputMatrix::matrix(hidden, h, Accumulate::Add);
                weights.joint.multiply(resources, gate * h..(gate + 1) * h, &left, active, out);
            }
            if E::SEPARATE == SeparateGate::Product {
                let left = Rows { values: gates.from(E::GATES, positions.start, h), offsets };
                let out = OutputMatrix::matrix(hidden, h, Accumulate::Add);
                weights.separate.multiply(resources, 0..h, &left, active, out);
            }
        }
    }
}
