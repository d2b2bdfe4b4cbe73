//! The right operand of products, in the order in which tiles read it.

use std::ops::Range;

use rayon::prelude::*;

use super::Resources;
use crate::cpu::buffer::Buffer;

/// Columns of a panel: one vector of AVX-512, two of AVX2.
pub(super) const PANEL: usize = 16;
/// Number of elements from which packing is shared among threads.
const MIN_SHARED_PACKING: usize = 1 << 17;
/// Rows of a panel that `pack_transposed` writes at a time, so that they stay in the first-level cache.
const TRANSPOSED_ROWS: usize = 64;

/// A matrix `[depth, columns]`, packed.
///
/// `panels` is `[columns / 16, depth, 16]`: panels of 16 columns, each row by row; the last panel is padded with zeros. The memory
/// comes from the buffer pool and belongs to the value; a value that is repacked in the same shape keeps it.
#[derive(Debug, Default)]
pub(crate) struct PackedMatrix {
    panels: Buffer,
    depth: usize,
    columns: usize,
}

impl PackedMatrix {
    /// Packs the first `columns` elements of each of `depth` rows, which start `stride` elements apart.
    pub(crate) fn pack(resources: Resources, matrix: &[f32], stride: usize, depth: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed.repack(resources, depth, columns, |row, column| &matrix[row * stride + column..]);
        packed
    }

    /// Packs the transpose of the first `depth` elements of each of `columns` rows, which start `stride` elements apart.
    pub(crate) fn pack_transposed(
        resources: Resources,
        matrix: &[f32],
        stride: usize,
        depth: usize,
        columns: usize,
    ) -> Self {
        let mut packed = Self::default();
        packed.write_panels(resources, depth, columns, |first, panel| {
            for (part, lines) in panel.chunks_mut(TRANSPOSED_ROWS * PANEL).enumerate() {
                for column in first..columns.min(first + PANEL) {
                    let row = &matrix[column * stride + part * TRANSPOSED_ROWS..][..lines.len() / PANEL];
                    let slots = lines[column - first..].iter_mut().step_by(PANEL);
                    slots.zip(row).for_each(|(slot, value)| *slot = *value);
                }
            }
        });
        packed
    }

    /// Replaces the matrix. `source` returns the elements of a row from a column on, as many as are contiguous.
    pub(crate) fn repack<'a>(
        &mut self,
        resources: Resources,
        depth: usize,
        columns: usize,
        source: impl Fn(usize, usize) -> &'a [f32] + Sync,
    ) {
        self.write_panels(resources, depth, columns, |first, panel| {
            let width = PANEL.min(columns - first);
            for (row, line) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                let mut piece = source(row, first);
                if let (PANEL, Some(whole)) = (width, piece.first_chunk()) {
                    *line = *whole;
                    continue;
                }
                let mut done = 0;
                while done < width {
                    let count = piece.len().min(width - done);
                    line[done..done + count].copy_from_slice(&piece[..count]);
                    done += count;
                    if done < width {
                        piece = source(row, first + done);
                    }
                }
            }
        });
    }

    /// Calls `write` with the first column and the memory of each panel.
    fn write_panels(
        &mut self,
        resources: Resources,
        depth: usize,
        columns: usize,
        write: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        let size = columns.div_ceil(PANEL) * depth * PANEL;
        let panel_size = (depth * PANEL).max(1);
        if (self.depth, self.columns) != (depth, columns) {
            self.panels = Buffer::take(size);
            (self.depth, self.columns) = (depth, columns);
            // The padding of the last panel must be zero, and later writes leave it alone.
            self.panels[size - panel_size.min(size)..].fill(0.0);
        }
        let write_one = |(number, panel): (usize, &mut [f32])| write(number * PANEL, panel);
        if size >= MIN_SHARED_PACKING && resources.threads > 1 {
            let share = (size / panel_size).div_ceil(resources.threads);
            self.panels.par_chunks_exact_mut(panel_size).with_min_len(share).enumerate().for_each(write_one);
        } else {
            self.panels.chunks_exact_mut(panel_size).enumerate().for_each(write_one);
        }
    }

    /// The rows `terms` of a panel.
    #[inline(always)]
    pub(super) fn lines(&self, panel: usize, terms: &Range<usize>) -> &[[f32; PANEL]] {
        &self.panels.as_chunks().0[panel * self.depth..][terms.clone()]
    }
}
