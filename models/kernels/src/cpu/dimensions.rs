//! Sizes that follow from a cell and the shape of a call.

use super::elementwise::{Elementwise, SeparateGate};
use super::product::{MIN_SHARED_WORK, Resources};
use super::schedule::{Schedule, Shape};
use crate::execution::{Activations, Execution};

/// Gate values of a chunk, about, unless there are many weights.
const CHUNK_VALUES: usize = 1 << 17;
/// Bounds of the positions of a chunk, unless a single step has more.
const MIN_CHUNK: usize = 128;
const MAX_CHUNK: usize = 512;

/// Sizes of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dimensions {
    /// Resources of a product inside a thread's share.
    pub(super) resources: Resources,
    /// Threads that share a call.
    pub(super) threads: usize,
    pub(super) time: usize,
    pub(super) input: usize,
    pub(super) hidden: usize,
    /// Columns of all gates.
    pub(super) gates: usize,
    /// Columns of the gates whose recurrent products are computed together: all but a separate gate.
    pub(super) joint: usize,
    /// Columns of `weight_hh`.
    pub(super) recurrent_columns: usize,
}

impl Dimensions {
    pub(super) fn of<E: Elementwise>(shape: &Shape, execution: Execution) -> Self {
        let h = shape.hidden;
        let gates = E::GATES * h;
        let joint = if E::SEPARATE == SeparateGate::None { gates } else { gates - h };
        let recurrent_columns = if E::SEPARATE == SeparateGate::Factor { joint } else { gates };
        Self {
            resources: Resources { instructions: execution.instructions, threads: 1 },
            threads: execution.thread_count(),
            time: shape.time,
            input: shape.input,
            hidden: h,
            gates,
            joint,
            recurrent_columns,
        }
    }

    /// For a single row, which cannot be divided: threads share each product if it is large enough.
    pub(super) fn sharing_products(self) -> Self {
        let large = self.hidden * self.joint >= 2 * MIN_SHARED_WORK;
        let threads = if large { self.threads } else { 1 };
        Self { resources: Resources { threads, ..self.resources }, ..self }
    }

    /// Resources of work outside of the threads' shares.
    pub(super) fn all_threads(&self) -> Resources {
        Resources { threads: self.threads, ..self.resources }
    }

    /// The share of each thread.
    pub(super) fn schedules(&self, shape: &Shape) -> Vec<Schedule> {
        // Gradients of large weights should pass through the cache seldom, so large weights get large chunks.
        let values = CHUNK_VALUES.max((self.input + self.hidden) * self.gates / 4);
        let chunk = (values / self.gates.max(1)).clamp(MIN_CHUNK, MAX_CHUNK);
        Schedule::for_threads(shape, self.threads, chunk)
    }
}

/// Number of gate planes of a cell.
pub(super) const fn plane_count<E: Elementwise>() -> usize {
    E::GATES + E::EXTRA_PLANE as usize
}

/// Number of floats that a thread saves for the backward pass.
pub(super) fn saved_len<E: Elementwise>(schedule: &Schedule, h: usize, activations: Option<Activations>) -> usize {
    match activations {
        Some(Activations::Kept) => plane_count::<E>() * schedule.positions() * h,
        // The cell state before each chunk; the hidden state is among the outputs.
        Some(Activations::Recomputed) if E::CELL_STATE => schedule.chunks.len() * schedule.order.len() * h,
        _ => 0,
    }
}
