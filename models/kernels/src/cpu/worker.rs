//! The state of a thread in the backward pass.

use super::buffer::Buffer;
use super::dimensions::Dimensions;
use super::elementwise::{Elementwise, SeparateGate};
use super::forward::RowStates;
use super::product::PackedMatrix;
use super::schedule::Schedule;
use super::sequence::Inputs;
use super::weights::{BackwardWeights, ForwardWeights};

/// Packed weights of the backward pass.
#[derive(Clone, Copy)]
pub(crate) struct BackwardPass<'a> {
    pub(super) recurrent: &'a BackwardWeights,
    /// Transposed input weights, if the gradient of the input is wanted.
    pub(super) input: Option<&'a PackedMatrix>,
    /// Weights of the forward pass, if gates are recomputed.
    pub(super) forward: Option<&'a ForwardWeights>,
}

/// A thread's share of the backward pass.
pub(super) struct Worker<'a> {
    pub(super) dimensions: &'a Dimensions,
    pub(super) schedule: &'a Schedule,
    pub(super) inputs: Inputs<'a>,
    /// `[rows, time, h]`
    pub(super) outputs: &'a [f32],
    /// `[rows, time, h]`, or empty.
    pub(super) output_gradients: &'a [f32],
    pub(super) weights: BackwardPass<'a>,
    /// Gradients of hidden state and cell state.
    pub(super) gradients: RowStates,
    pub(super) buffers: ChunkBuffers,
}

/// Pooled memory of a thread, reused for each chunk. Sizes are those of the largest chunk.
pub(super) struct ChunkBuffers {
    /// Gradients of the sums, in gate planes.
    pub(super) gates: Buffer,
    /// The hidden state before each position, `[positions, h]`.
    pub(super) hidden: Buffer,
    /// The factor of a separate gate at each position, `[positions, h]`, or empty.
    pub(super) factors: Buffer,
    /// The gradient of a step's factor, `[rows, h]`, or empty.
    pub(super) factor_gradient: Buffer,
}

impl ChunkBuffers {
    pub(super) fn new<E: Elementwise>(dimensions: &Dimensions, schedule: &Schedule) -> Self {
        let (h, positions) = (dimensions.hidden, schedule.largest_chunk());
        let planes = E::GATES + usize::from(E::SEPARATE == SeparateGate::Product);
        let has_factor = E::SEPARATE == SeparateGate::Factor;
        Self {
            gates: Buffer::take(planes * positions * h),
            hidden: Buffer::take(positions * h),
            factors: Buffer::take(if has_factor { positions * h } else { 0 }),
            factor_gradient: Buffer::take(if has_factor { schedule.order.len() * h } else { 0 }),
        }
    }
}
