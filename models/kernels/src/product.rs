//! The recurrent product: a few rows, step after step, times the same matrix.

use crate::engine::InstructionSet;
use crate::math::fma;

/// Columns of a panel: two vectors of 8 numbers, or one of 16.
const PANEL: usize = 16;
/// Rows that one block of the product keeps in registers.
const BLOCK: usize = 6;

/// A matrix in the order in which the product reads it: panels of 16 columns, each row by row; the last one filled with zeros.
#[derive(Debug)]
pub(crate) struct Packed {
    panels: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Packed {
    /// `[rows, columns]`, row by row.
    pub(crate) fn new(matrix: &[f32], rows: usize, columns: usize) -> Self {
        Self::by(rows, columns, |row, column| matrix[row * columns + column])
    }

    /// The transpose of `[columns, rows]`, row by row.
    pub(crate) fn transposed(matrix: &[f32], rows: usize, columns: usize) -> Self {
        Self::by(rows, columns, |row, column| matrix[column * rows + row])
    }

    fn by(rows: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let mut panels = vec![0.0; columns.div_ceil(PANEL) * rows * PANEL];
        for (number, panel) in panels.chunks_exact_mut((rows * PANEL).max(1)).enumerate() {
            let width = PANEL.min(columns - number * PANEL);
            for (row, line) in panel.chunks_exact_mut(PANEL).enumerate() {
                line[..width]
                    .iter_mut()
                    .enumerate()
                    .for_each(|(column, value)| *value = at(row, number * PANEL + column));
            }
        }
        Self { panels, rows, columns }
    }

    /// Room for `rows` rows of a left factor.
    pub(crate) fn scratch(&self, rows: usize) -> Vec<f32> {
        vec![0.0; rows.div_ceil(BLOCK) * BLOCK * self.rows]
    }

    /// `out[p] = left(p) · matrix` for `count` rows; `out` is `[count, columns]`, `scratch` what [`Packed::scratch`] made.
    ///
    /// Panel by panel, so that a part of one stays in the first-level cache while all rows pass; long sums are cut into parts
    /// for the same reason.
    #[inline(always)]
    pub(crate) fn multiply<'a, const FUSED: bool>(
        &self,
        set: InstructionSet,
        count: usize,
        left: impl Fn(usize) -> &'a [f32],
        scratch: &mut [f32],
        out: &mut [f32],
    ) {
        let blocks = Blocks::of(count);
        // A block's rows side by side, so that the product walks one stream; places beyond its rows are whatever was there.
        let block_size = BLOCK * self.rows;
        for (number, block) in scratch.chunks_exact_mut(block_size.max(1)).take(blocks.count).enumerate() {
            let (first, rows) = blocks.rows(number);
            for row in 0..rows {
                for (slot, value) in block.as_chunks_mut::<BLOCK>().0.iter_mut().zip(left(first + row)) {
                    slot[row] = *value;
                }
            }
        }
        let parts = self.rows.div_ceil(PART).max(1);
        let part = self.rows.div_ceil(parts).max(1);
        for from in (0..self.rows).step_by(part) {
            let to = (from + part).min(self.rows);
            let mut column = 0;
            while column < self.columns {
                let at = |number: usize| {
                    &self.panels[(column * self.rows + (number * self.rows + from) * PANEL)..][..(to - from) * PANEL]
                };
                // Few rows leave registers free for more panels at once.
                let wide = column + 4 * PANEL <= self.columns.next_multiple_of(PANEL);
                let panels = if count <= 2 && wide { 4 } else { 1 };
                for number in 0..blocks.count {
                    let (first, rows) = blocks.rows(number);
                    let block = &scratch[number * block_size + from * BLOCK..][..(to - from) * BLOCK];
                    let mut place = Place { out: &mut *out, first, column, columns: self.columns, add: from > 0 };
                    match (rows, panels) {
                        (1, 4) => place.product::<FUSED, 1, 4>(set, block, [at(0), at(1), at(2), at(3)]),
                        (2, 4) => place.product::<FUSED, 2, 4>(set, block, [at(0), at(1), at(2), at(3)]),
                        (1, _) => place.product::<FUSED, 1, 1>(set, block, [at(0)]),
                        (2, _) => place.product::<FUSED, 2, 1>(set, block, [at(0)]),
                        (3, _) => place.product::<FUSED, 3, 1>(set, block, [at(0)]),
                        (4, _) => place.product::<FUSED, 4, 1>(set, block, [at(0)]),
                        (5, _) => place.product::<FUSED, 5, 1>(set, block, [at(0)]),
                        _ => place.product::<FUSED, BLOCK, 1>(set, block, [at(0)]),
                    }
                }
                column += panels * PANEL;
            }
        }
    }
}

/// Terms of a sum that are taken at once: 16 columns of so many rows take 16 KB.
const PART: usize = 256;

/// Rows cut into blocks of at most six, as even as can be.
struct Blocks {
    count: usize,
    small: usize,
    /// Blocks that have one row more.
    larger: usize,
}

impl Blocks {
    fn of(rows: usize) -> Self {
        let count = rows.div_ceil(BLOCK).max(1);
        Self { count, small: rows / count, larger: rows % count }
    }

    /// The first row of a block, and how many it has.
    #[inline(always)]
    fn rows(&self, block: usize) -> (usize, usize) {
        (block * self.small + block.min(self.larger), self.small + usize::from(block < self.larger))
    }
}

/// Where a block's product goes.
struct Place<'a> {
    out: &'a mut [f32],
    first: usize,
    column: usize,
    columns: usize,
    /// Whether it is added to what is there.
    add: bool,
}

impl Place<'_> {
    /// The first `ROWS` rows of a block times some panels.
    #[inline(always)]
    fn product<const FUSED: bool, const ROWS: usize, const PANELS: usize>(
        &mut self,
        set: InstructionSet,
        block: &[f32],
        panels: [&[f32]; PANELS],
    ) {
        let block = block.as_chunks::<BLOCK>().0;
        let panels = panels.map(|panel| &panel.as_chunks::<PANEL>().0[..block.len()]);
        for (row, sums) in sums::<FUSED, ROWS, PANELS>(set, block, panels).iter().enumerate() {
            for (panel, sums) in sums.iter().enumerate() {
                let column = self.column + panel * PANEL;
                let width = PANEL.min(self.columns - column);
                let out = &mut self.out[(self.first + row) * self.columns + column..][..width];
                if self.add {
                    out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum);
                } else {
                    out.copy_from_slice(&sums[..width]);
                }
            }
        }
    }
}

/// By row, panel and column.
type Sums<const ROWS: usize, const PANELS: usize> = [[[f32; PANEL]; PANELS]; ROWS];

#[inline(always)]
#[allow(unsafe_code)]
fn sums<const FUSED: bool, const ROWS: usize, const PANELS: usize>(
    set: InstructionSet,
    block: &[[f32; BLOCK]],
    panels: [&[[f32; PANEL]]; PANELS],
) -> Sums<ROWS, PANELS> {
    match set {
        // SAFETY: a set is current only if it was detected on this machine, and the first has what the second has.
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 | InstructionSet::Avx2 => unsafe { sums_avx2(block, panels) },
        _ => sums_anywhere::<FUSED, ROWS, PANELS>(block, panels),
    }
}

/// With vectors named as such: compilers keep sums of plain arrays in memory.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[allow(unsafe_code, clippy::needless_range_loop)]
fn sums_avx2<const ROWS: usize, const PANELS: usize>(
    block: &[[f32; BLOCK]],
    panels: [&[[f32; PANEL]]; PANELS],
) -> Sums<ROWS, PANELS> {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps};
    let mut sums = [[[_mm256_setzero_ps(); 2]; PANELS]; ROWS];
    for (k, values) in block.iter().enumerate() {
        for panel in 0..PANELS {
            let line = &panels[panel][k];
            // SAFETY: a line has 16 numbers.
            let halves = unsafe { [_mm256_loadu_ps(line.as_ptr()), _mm256_loadu_ps(line.as_ptr().add(8))] };
            for row in 0..ROWS {
                let value = _mm256_set1_ps(values[row]);
                sums[row][panel][0] = _mm256_fmadd_ps(value, halves[0], sums[row][panel][0]);
                sums[row][panel][1] = _mm256_fmadd_ps(value, halves[1], sums[row][panel][1]);
            }
        }
    }
    let mut told = [[[0.0; PANEL]; PANELS]; ROWS];
    for row in 0..ROWS {
        for panel in 0..PANELS {
            let out = told[row][panel].as_mut_ptr();
            // SAFETY: there are 16 numbers behind it.
            unsafe {
                _mm256_storeu_ps(out, sums[row][panel][0]);
                _mm256_storeu_ps(out.add(8), sums[row][panel][1]);
            }
        }
    }
    told
}

#[inline(always)]
#[allow(clippy::needless_range_loop)] // loops over arrays of constant size, to be unrolled
fn sums_anywhere<const FUSED: bool, const ROWS: usize, const PANELS: usize>(
    block: &[[f32; BLOCK]],
    panels: [&[[f32; PANEL]]; PANELS],
) -> Sums<ROWS, PANELS> {
    let mut sums = [[[0.0; PANEL]; PANELS]; ROWS];
    for (k, values) in block.iter().enumerate() {
        for panel in 0..PANELS {
            let line = &panels[panel][k];
            for row in 0..ROWS {
                for column in 0..PANEL {
                    sums[row][panel][column] = fma::<FUSED>(values[row], line[column], sums[row][panel][column]);
                }
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_of_any_size_is_the_sum_of_products() {
        let sizes = [
            (1, 1, 1),
            (6, 5, 16),
            (7, 3, 17),
            (13, 20, 33),
            (2, 4, 15),
            (4, 8, 64),
            (1, 9, 150),
            (2, 600, 70),
            (32, 700, 20),
        ];
        for (count, rows, columns) in sizes {
            let numbers =
                |count: usize, salt: usize| (0..count).map(|k| ((k * 37 + salt) % 19) as f32 - 9.0).collect::<Vec<_>>();
            let (left, matrix) = (numbers(count * rows, 1), numbers(rows * columns, 5));
            let expected: Vec<f32> = (0..count * columns)
                .map(|k| (0..rows).map(|r| left[k / columns * rows + r] * matrix[r * columns + k % columns]).sum())
                .collect();
            let turned: Vec<f32> = (0..rows * columns).map(|k| matrix[k % rows * columns + k / rows]).collect();
            for packed in [Packed::new(&matrix, rows, columns), Packed::transposed(&turned, rows, columns)] {
                let mut scratch = packed.scratch(count);
                scratch.fill(f32::NAN);
                for set in InstructionSet::available() {
                    let mut out = vec![f32::NAN; count * columns];
                    packed.multiply::<false>(set, count, |p| &left[p * rows..][..rows], &mut scratch, &mut out);
                    assert_eq!(out, expected, "{count} × {rows} × {columns}, {set:?}");
                }
            }
        }
    }
}
