//! The forward pass over whole sequences.

use std::ops::Range;

use super::buffer::Buffer;
use super::dimensions::{Dimensions, plane_count, saved_len};
use super::elementwise::{self, Elementwise, SeparateGate};
use super::planes::GatePlanes;
use super::product::{Accumulate, OutputMatrix, Rows};
use super::schedule::{Schedule, Shape};
use super::sequence::{Inputs, Outputs, run_jobs, sort_rows, split_into, unsort_rows};
use super::weights::ForwardWeights;
use crate::execution::{Activations, Execution};

/// The state of a thread's rows, in the order of the schedule, and scratch memory of a step.
#[derive(Debug)]
pub(super) struct RowStates {
    /// `[rows, h]`.
    pub(super) hidden: Vec<f32>,
    /// `[rows, h]`, or empty.
    pub(super) cell: Vec<f32>,
    /// Scratch `[rows, h]`: the factor of a separate gate, or empty.
    factor: Vec<f32>,
    /// Where rows of `h` consecutive elements start, for as many rows as a chunk has positions.
    pub(super) row_offsets: Vec<usize>,
    /// Scratch: where the inputs of a chunk's positions start.
    input_offsets: Vec<usize>,
}

impl RowStates {
    /// States of zeros.
    pub(super) fn new<E: Elementwise>(schedule: &Schedule, h: usize) -> Self {
        let rows = schedule.order.len();
        Self {
            hidden: vec![0.0; rows * h],
            cell: vec![0.0; if E::CELL_STATE { rows * h } else { 0 }],
            factor: vec![0.0; if E::SEPARATE == SeparateGate::Factor { rows * h } else { 0 }],
            row_offsets: (0..rows.max(schedule.largest_chunk())).map(|row| row * h).collect(),
            input_offsets: Vec::new(),
        }
    }
}

/// Computes a batch. With `saves`, what the backward pass needs is saved.
pub(crate) fn forward<E: Elementwise>(
    shape: &Shape,
    inputs: &Inputs,
    weights: &ForwardWeights,
    execution: Execution,
    saves: bool,
) -> Outputs {
    let activations = saves.then_some(execution.activations);
    let dimensions = Dimensions::of::<E>(shape, execution);
    let dimensions = if shape.batch == 1 { dimensions.sharing_products() } else { dimensions };
    let (time, h) = (shape.time, shape.hidden);
    let schedules = dimensions.schedules(shape);
    let saved: Vec<usize> = schedules.iter().map(|schedule| saved_len::<E>(schedule, h, activations)).collect();
    let mut all = Outputs {
        outputs: vec![0.0; shape.batch * time * h],
        hidden: vec![0.0; shape.batch * h],
        cell: vec![0.0; if E::CELL_STATE { shape.batch * h } else { 0 }],
        saved: Buffer::take(saved.iter().sum()),
    };
    let rows = |width: usize| schedules.iter().map(move |schedule| schedule.rows.len() * width);
    let jobs: Vec<_> = schedules
        .iter()
        .zip(split_into(&mut all.outputs, rows(time * h)))
        .zip(split_into(&mut all.hidden, rows(h)))
        .zip(split_into(&mut all.cell, rows(h)))
        .zip(split_into(&mut all.saved, saved))
        .collect();
    run_jobs(jobs, |((((schedule, outputs), hidden), cell), saved)| {
        let inputs = inputs.of_rows(&schedule.rows, &dimensions);
        let mut states = RowStates::new::<E>(schedule, h);
        sort_rows(schedule, h, inputs.hidden, &mut states.hidden);
        sort_rows(schedule, h, inputs.cell, &mut states.cell);
        let keeps_gates = activations == Some(Activations::Kept);
        let scratch = if keeps_gates { 0 } else { plane_count::<E>() * schedule.largest_chunk() * h };
        let mut scratch = vec![0.0; scratch];
        for (number, chunk) in schedule.chunks.iter().enumerate() {
            if activations == Some(Activations::Recomputed) && E::CELL_STATE {
                saved[number * states.cell.len()..][..states.cell.len()].copy_from_slice(&states.cell);
            }
            let mut planes = if keeps_gates {
                GatePlanes { values: &mut *saved, stride: schedule.positions() * h, first: 0 }
            } else {
                let first = schedule.step_starts[chunk.start];
                GatePlanes { values: &mut scratch[..], stride: schedule.largest_chunk() * h, first }
            };
            let pass = ChunkPass { dimensions: &dimensions, schedule, inputs: &inputs, weights };
            pass.run::<E>(chunk, &mut planes, &mut states, Some(&mut *outputs));
        }
        unsort_rows(schedule, h, &states.hidden, hidden);
        unsort_rows(schedule, h, &states.cell, cell);
    });
    all
}

/// What the forward pass over a chunk reads.
pub(super) struct ChunkPass<'a> {
    pub(super) dimensions: &'a Dimensions,
    pub(super) schedule: &'a Schedule,
    pub(super) inputs: &'a Inputs<'a>,
    pub(super) weights: &'a ForwardWeights,
}

impl ChunkPass<'_> {
    /// Computes the steps of a chunk: fills their gate planes and advances the states. Hidden states are written to `outputs`,
    /// `[rows, time, h]`, if there is one.
    pub(super) fn run<E: Elementwise>(
        &self,
        chunk: &Range<usize>,
        planes: &mut GatePlanes<&mut [f32]>,
        states: &mut RowStates,
        mut outputs: Option<&mut [f32]>,
    ) {
        let &Self { dimensions, schedule, inputs, weights } = self;
        let &Dimensions { resources, input, hidden: h, gates, .. } = dimensions;
        let positions = schedule.steps(chunk);
        states.input_offsets.clear();
        states.input_offsets.extend(schedule.indices[positions.clone()].iter().map(|index| index * input));
        let left = Rows { values: inputs.input, offsets: &states.input_offsets };
        let stride = planes.stride;
        let out = planes.from(0, positions.start, h);
        let out = OutputMatrix::planes(out, gates, h, stride, Accumulate::Row(inputs.bias));
        weights.input.multiply(resources, 0..input, &left, positions.len(), out);

        for step in chunk.clone() {
            let positions = schedule.step(step);
            self.step::<E>(&positions, planes, states);
            if let Some(outputs) = &mut outputs {
                for (row, index) in states.hidden.chunks_exact(h).zip(&schedule.indices[positions]) {
                    outputs[index * h..][..h].copy_from_slice(row);
                }
            }
        }
    }

    /// Computes one step, whose planes hold the projected input.
    #[inline(always)]
    fn step<E: Elementwise>(
        &self,
        positions: &Range<usize>,
        planes: &mut GatePlanes<&mut [f32]>,
        states: &mut RowStates,
    ) {
        let &Self { dimensions, inputs, weights, .. } = self;
        let &Dimensions { resources, hidden: h, joint, .. } = dimensions;
        let (active, count, stride) = (positions.len(), positions.len() * h, planes.stride);
        let left = Rows { values: &states.hidden, offsets: &states.row_offsets };
        let out = OutputMatrix::planes(planes.from(0, positions.start, h), joint, h, stride, Accumulate::Add);
        weights.joint.multiply(resources, 0..h, &left, active, out);
        match E::SEPARATE {
            SeparateGate::None => {}
            SeparateGate::Product => {
                let product = &mut planes.from(E::GATES, positions.start, h)[..count];
                let out = OutputMatrix::matrix(product, h, Accumulate::Row(inputs.extra));
                weights.separate.multiply(resources, 0..h, &left, active, out);
            }
            SeparateGate::Factor => {
                let factor = &mut states.factor[..count];
                let hidden = &states.hidden[..count];
                elementwise::factor::<E>(resources.instructions, planes.at(positions, h), hidden, factor);
                let left = Rows { values: factor, offsets: &states.row_offsets };
                let out = OutputMatrix::matrix(planes.from(E::GATES - 1, positions.start, h), h, Accumulate::Add);
                weights.separate.multiply(resources, 0..h, &left, active, out);
            }
        }
        let cell = if E::CELL_STATE { &mut states.cell[..count] } else { &mut [][..] };
        let hidden = &mut states.hidden[..count];
        elementwise::forward::<E>(resources.instructions, planes.at(positions, h), cell, hidden);
    }
}
