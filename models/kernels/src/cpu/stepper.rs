//! One sequence, processed step by step with weights that are packed once.

use super::dimensions::{Dimensions, plane_count};
use super::elementwise::Elementwise;
use super::forward::{ChunkPass, RowStates};
use super::planes::GatePlanes;
use super::product::Resources;
use super::schedule::{Schedule, Shape};
use super::sequence::Inputs;
use super::weights::ForwardWeights;

/// A cell with its state. A step allocates nothing.
#[derive(Debug)]
pub(crate) struct Stepper {
    dimensions: Dimensions,
    /// Of one row and one step.
    schedule: Schedule,
    weights: ForwardWeights,
    bias: Vec<f32>,
    extra: Vec<f32>,
    /// Gate planes of the current step.
    planes: Vec<f32>,
    states: RowStates,
}

impl Stepper {
    /// Starts from the state in `inputs`; `shape` has one row and one step.
    pub(crate) fn new<E: Elementwise>(shape: &Shape, inputs: &Inputs) -> Self {
        let dimensions = Dimensions::of::<E>(shape).sharing_products();
        let schedule = dimensions.schedules(shape).remove(0);
        let mut states = RowStates::new::<E>(&schedule, dimensions.hidden);
        states.hidden.copy_from_slice(inputs.hidden);
        states.cell.copy_from_slice(inputs.cell);
        Self {
            dimensions,
            weights: ForwardWeights::pack::<E>(&dimensions, inputs),
            bias: inputs.bias.to_vec(),
            extra: inputs.extra.to_vec(),
            planes: vec![0.0; plane_count::<E>() * dimensions.hidden],
            states,
            schedule,
        }
    }

    /// Computes the step that reads `input`, `[input_size]`, and returns the hidden state after it.
    ///
    /// # Panics
    /// If `input` has another length.
    pub(crate) fn step<E: Elementwise>(&mut self, input: &[f32]) -> &[f32] {
        let Self { dimensions, schedule, weights, bias, extra, planes, states } = self;
        assert_eq!(input.len(), dimensions.input, "a step has {} features", dimensions.input);
        let inputs = Inputs { input, bias, extra, weight_ih: &[], weight_hh: &[], hidden: &[], cell: &[] };
        // On a thread outside of the pool, other threads would have to wake up for each step.
        let in_pool = rayon::current_thread_index().is_some();
        let threads = if in_pool { dimensions.resources.threads } else { 1 };
        let dimensions = &Dimensions { resources: Resources { threads, ..dimensions.resources }, ..*dimensions };
        let mut planes = GatePlanes { values: &mut planes[..], stride: dimensions.hidden, first: 0 };
        let pass = ChunkPass { dimensions, schedule, inputs: &inputs, weights };
        pass.run::<E>(&(0..1), &mut planes, states, None);
        &self.states.hidden
    }

    /// The hidden state after the last step.
    pub(crate) fn hidden(&self) -> &[f32] {
        &self.states.hidden
    }

    /// The cell state after the last step; empty if there is none.
    pub(crate) fn cell(&self) -> &[f32] {
        &self.states.cell
    }
}
