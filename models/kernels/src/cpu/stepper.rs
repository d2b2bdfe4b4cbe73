//! One sequence, processed step by step with weights that are packed once.

use std::marker::PhantomData;
use std::sync::Arc;

use super::dimensions::{Dimensions, plane_count};
use super::elementwise::Elementwise;
use super::forward::{ChunkPass, RowStates};
use super::planes::GatePlanes;
use super::product::Resources;
use super::schedule::{Schedule, Shape};
use super::sequence::Inputs;
use super::weights::ForwardWeights;
use crate::execution::Execution;
use crate::stream::Steps;

/// A cell with its state. A step allocates nothing.
#[derive(Debug)]
pub(super) struct Stepper<E> {
    dimensions: Dimensions,
    /// Of one row and one step.
    schedule: Schedule,
    weights: Arc<ForwardWeights>,
    bias: Vec<f32>,
    extra: Vec<f32>,
    /// Gate planes of the current step.
    planes: Vec<f32>,
    states: RowStates,
    elementwise: PhantomData<E>,
}

impl<E: Elementwise> Stepper<E> {
    /// Starts from the state in `inputs`; `shape` has one row and one step.
    pub(super) fn new(shape: &Shape, inputs: &Inputs, weights: Arc<ForwardWeights>, execution: Execution) -> Self {
        let dimensions = Dimensions::of::<E>(shape, execution).sharing_products();
        let schedule = dimensions.schedules(shape).remove(0);
        let mut states = RowStates::new::<E>(&schedule, dimensions.hidden);
        states.hidden.copy_from_slice(inputs.hidden);
        states.cell.copy_from_slice(inputs.cell);
        Self {
            dimensions,
            weights,
            bias: inputs.bias.to_vec(),
            extra: inputs.extra.to_vec(),
            planes: vec![0.0; plane_count::<E>() * dimensions.hidden],
            states,
            schedule,
            elementwise: PhantomData,
        }
    }
}

impl<E: Elementwise> Steps for Stepper<E> {
    fn step(&mut self, input: &[f32]) -> &[f32] {
        let Self { dimensions, schedule, weights, bias, extra, planes, states, .. } = self;
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

    fn hidden(&self) -> &[f32] {
        &self.states.hidden
    }

    fn cell(&self) -> &[f32] {
        &self.states.cell
    }

    fn set_state(&mut self, hidden: &[f32], cell: &[f32]) {
        self.states.hidden.copy_from_slice(hidden);
        self.states.cell.copy_from_slice(cell);
    }
}
