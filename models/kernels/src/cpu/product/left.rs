//! The left operand of products: rows that are read in place, or the transpose of a matrix.

use std::ops::Range;

use crate::cpu::buffer::Buffer;

/// Most rows of a tile.
const MAX_ROWS: usize = 6;

/// A matrix whose rows a tile reads a few at a time.
pub(crate) trait LeftOperand: Sync {
    /// The elements `terms` of `ROWS` rows, the first of which is `row`.
    fn rows<const ROWS: usize>(&self, row: usize, terms: Range<usize>) -> impl RowBlock<ROWS>;
}

/// The elements of `ROWS` rows.
pub(crate) trait RowBlock<const ROWS: usize>: Copy {
    /// The element `term` of row `row`.
    ///
    /// # Safety
    /// `term` is less than the number of requested terms.
    #[allow(unsafe_code)]
    unsafe fn at(&self, row: usize, term: usize) -> f32;
}

/// Rows that start at `offsets` in a borrowed buffer.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) offsets: &'a [usize],
}

impl LeftOperand for Rows<'_> {
    #[inline(always)]
    fn rows<const ROWS: usize>(&self, row: usize, terms: Range<usize>) -> impl RowBlock<ROWS> {
        std::array::from_fn::<&[f32], ROWS, _>(|r| &self.values[self.offsets[row + r]..][terms.clone()])
    }
}

impl<const ROWS: usize> RowBlock<ROWS> for [&[f32]; ROWS] {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn at(&self, row: usize, term: usize) -> f32 {
        // SAFETY: each slice has as many elements as there are terms.
        unsafe { *self[row].get_unchecked(term) }
    }
}

/// The transpose of a matrix, for sums over its rows (gradients of weights).
///
/// `values` is `[row blocks, depth, rows of the block]`, so that a tile reads consecutive memory. The memory comes from the buffer
/// pool and is kept from one `fill` to the next of the same size.
#[derive(Debug, Default)]
pub(crate) struct Transposed {
    values: Buffer,
    depth: usize,
}

impl Transposed {
    /// Stores the transpose of `depth` rows of `count` elements.
    pub(crate) fn fill<'a>(&mut self, depth: usize, count: usize, row: impl Fn(usize) -> &'a [f32]) {
        if self.values.len() != depth * count {
            self.values = Buffer::take(depth * count);
        }
        self.depth = depth;
        let blocks = RowBlocks::of(count);
        for k in 0..depth {
            let row = &row(k)[..count];
            for block in 0..blocks.count {
                let (first, rows) = (blocks.first(block), blocks.rows(block));
                let to = &mut self.values[first * depth + k * rows..][..rows];
                // Most blocks have one of these sizes, which are copied without a call.
                match (row[first..].first_chunk::<MAX_ROWS>(), rows) {
                    (Some(from), MAX_ROWS) => to.copy_from_slice(from),
                    (Some(from), 5) => to.copy_from_slice(&from[..5]),
                    _ => to.copy_from_slice(&row[first..first + rows]),
                }
            }
        }
    }
}

impl LeftOperand for Transposed {
    #[inline(always)]
    fn rows<const ROWS: usize>(&self, row: usize, terms: Range<usize>) -> impl RowBlock<ROWS> {
        &self.values[row * self.depth..][..self.depth * ROWS].as_chunks::<ROWS>().0[terms]
    }
}

impl<const ROWS: usize> RowBlock<ROWS> for &[[f32; ROWS]] {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn at(&self, row: usize, term: usize) -> f32 {
        // SAFETY: there are as many groups as there are terms.
        unsafe { self.get_unchecked(term)[row] }
    }
}

/// Rows cut into blocks of at most [`MAX_ROWS`], as even as possible: the first `larger` blocks have one row more.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowBlocks {
    count: usize,
    small: usize,
    larger: usize,
}

impl RowBlocks {
    pub(super) fn of(rows: usize) -> Self {
        let count = rows.div_ceil(MAX_ROWS).max(1);
        Self { count, small: rows / count, larger: rows % count }
    }

    /// Number of blocks.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Rows of the largest block.
    pub(super) fn max_rows(&self) -> usize {
        self.small + usize::from(self.larger > 0)
    }

    /// First row of a block; for `count()`, the number of rows.
    pub(super) fn first(&self, block: usize) -> usize {
        block * self.small + block.min(self.larger)
    }

    /// Rows of a block.
    pub(super) fn rows(&self, block: usize) -> usize {
        self.small + usize::from(block < self.larger)
    }
}
