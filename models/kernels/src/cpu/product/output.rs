//! Where a product is stored, and what it is added to.

use super::packed::PANEL;

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Accumulate<'a> {
    /// Nothing: memory is overwritten, whatever it holds.
    Overwrite,
    /// The same row for each row of the result, such as a bias.
    Row(&'a [f32]),
    /// The values that the memory holds.
    Add,
}

/// A borrowed, writable result: one matrix, or several planes (matrices of `width` columns, `plane_stride` elements apart).
///
/// Element `[row, column]` is at `column / width · plane_stride + row · width + column % width`. `values` starts `skipped`
/// elements after that origin, so that threads can hold disjoint parts of one result.
pub(crate) struct OutputMatrix<'a> {
    values: &'a mut [f32],
    columns: usize,
    width: usize,
    plane_stride: usize,
    accumulate: Accumulate<'a>,
    skipped: usize,
}

impl<'a> OutputMatrix<'a> {
    /// A matrix of `columns` columns.
    pub(crate) fn matrix(values: &'a mut [f32], columns: usize, accumulate: Accumulate<'a>) -> Self {
        Self::planes(values, columns, columns, 0, accumulate)
    }

    /// Planes of `width` columns, `plane_stride` elements apart, with `columns` columns in total.
    pub(crate) fn planes(
        values: &'a mut [f32],
        columns: usize,
        width: usize,
        plane_stride: usize,
        accumulate: Accumulate<'a>,
    ) -> Self {
        Self { values, columns, width, plane_stride, accumulate, skipped: 0 }
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Whether all rows of the result lie in one plane.
    pub(super) fn is_one_plane(&self) -> bool {
        self.columns <= self.width
    }

    /// Whether a plane starts at a column.
    pub(super) fn starts_plane(&self, column: usize) -> bool {
        column.is_multiple_of(self.width)
    }

    /// From here on, adds to what was stored: the next part of the same sums follows.
    pub(super) fn accumulate(&mut self) {
        self.accumulate = Accumulate::Add;
    }

    /// Two disjoint parts, the second of which starts at a row and a panel.
    pub(super) fn split(self, row: usize, panel: usize) -> (Self, Self) {
        let at = self.index(row, panel * PANEL);
        let Self { values, columns, width, plane_stride, accumulate, skipped } = self;
        let (first, second) = values.split_at_mut(at - skipped);
        let part = |values, skipped| Self { values, columns, width, plane_stride, accumulate, skipped };
        (part(first, skipped), part(second, at))
    }

    #[inline(always)]
    fn index(&self, row: usize, column: usize) -> usize {
        column / self.width * self.plane_stride + row * self.width + column % self.width
    }

    /// Memory of 16 consecutive elements of a row, and what they are added to; `None` if the row or its plane ends before that.
    #[inline(always)]
    pub(super) fn line(&mut self, row: usize, column: usize) -> Option<(&mut [f32; PANEL], Accumulate<'a>)> {
        if column % self.width + PANEL <= self.width && column + PANEL <= self.columns {
            let at = self.index(row, column) - self.skipped;
            let line = self.values[at..].first_chunk_mut().expect("the result has room for every row");
            Some((line, self.accumulate))
        } else {
            None
        }
    }

    /// Stores up to 16 sums of a row, as many as there are columns, piece by piece where planes meet.
    pub(super) fn store_pieces(&mut self, row: usize, column: usize, sums: &[f32; PANEL]) {
        let end = self.columns.min(column + PANEL);
        let mut at = column;
        while at < end {
            let count = (self.width - at % self.width).min(end - at);
            let start = self.index(row, at) - self.skipped;
            let out = &mut self.values[start..][..count];
            let sums = &sums[at - column..][..count];
            match self.accumulate {
                Accumulate::Overwrite => out.copy_from_slice(sums),
                Accumulate::Row(row) => {
                    out.iter_mut().zip(sums).zip(&row[at..]).for_each(|((out, sum), value)| *out = sum + value);
                }
                Accumulate::Add => out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum),
            }
            at += count;
        }
    }
}
