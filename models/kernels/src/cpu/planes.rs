//! Gate planes: one matrix `[positions, hidden_size]` for each gate, so that a step's elementwise work is one contiguous run.

use std::ops::Range;

use super::elementwise::MAX_PLANES;

/// The gate planes of a run of positions, in borrowed memory.
///
/// Position `p` of plane `g` starts at `values[g · stride + (p − first) · hidden_size]`.
pub(super) struct GatePlanes<V> {
    pub(super) values: V,
    /// Distance of two planes.
    pub(super) stride: usize,
    /// First position.
    pub(super) first: usize,
}

impl GatePlanes<&mut [f32]> {
    /// Each plane's values at some positions; planes that do not exist are empty.
    pub(super) fn at(&mut self, positions: &Range<usize>, h: usize) -> [&mut [f32]; MAX_PLANES] {
        let mut all: [&mut [f32]; MAX_PLANES] = Default::default();
        let at = (positions.start - self.first) * h;
        for (slot, plane) in all.iter_mut().zip(self.values.chunks_exact_mut(self.stride.max(1))) {
            *slot = &mut plane[at..][..positions.len() * h];
        }
        all
    }

    /// A plane, and the memory after it, from a position on.
    pub(super) fn from(&mut self, plane: usize, position: usize, h: usize) -> &mut [f32] {
        &mut self.values[plane * self.stride + (position - self.first) * h..]
    }
}

impl GatePlanes<&[f32]> {
    /// Each plane's values at some positions; planes that do not exist are empty.
    pub(super) fn at(&self, positions: &Range<usize>, h: usize) -> [&[f32]; MAX_PLANES] {
        let mut all: [&[f32]; MAX_PLANES] = Default::default();
        let at = (positions.start - self.first) * h;
        for (slot, plane) in all.iter_mut().zip(self.values.chunks_exact(self.stride.max(1))) {
            *slot = &plane[at..][..positions.len() * h];
        }
        all
    }
}
