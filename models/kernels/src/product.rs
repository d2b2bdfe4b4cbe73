//! The recurrent product: a few rows, step after step, times the same matrix.

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
    #[inline(always)]
    pub(crate) fn multiply<'a, const FUSED: bool>(
        &self,
        count: usize,
        left: impl Fn(usize) -> &'a [f32],
        scratch: &mut [f32],
        out: &mut [f32],
    ) {
        // Six rows side by side, so that the product walks one stream; rows beyond the last are whatever was there.
        let block_size = BLOCK * self.rows;
        for (number, block) in scratch.chunks_exact_mut(block_size).take(count.div_ceil(BLOCK)).enumerate() {
            for row in 0..BLOCK.min(count - number * BLOCK) {
                let values = left(number * BLOCK + row);
                for (slot, value) in block.as_chunks_mut::<BLOCK>().0.iter_mut().zip(values) {
                    slot[row] = *value;
                }
            }
        }
        for (number, panel) in self.panels.chunks_exact(self.rows * PANEL).enumerate() {
            let first = number * PANEL;
            let width = PANEL.min(self.columns - first);
            for (number, block) in scratch.chunks_exact(block_size).take(count.div_ceil(BLOCK)).enumerate() {
                let rows = BLOCK.min(count - number * BLOCK);
                let product = match rows {
                    1 => block_product::<FUSED, 1>(block, panel),
                    2 => block_product::<FUSED, 2>(block, panel),
                    3 => block_product::<FUSED, 3>(block, panel),
                    4 => block_product::<FUSED, 4>(block, panel),
                    _ => block_product::<FUSED, BLOCK>(block, panel),
                };
                for (row, values) in product[..rows].iter().enumerate() {
                    let place = (number * BLOCK + row) * self.columns + first;
                    out[place..place + width].copy_from_slice(&values[..width]);
                }
            }
        }
    }
}

/// The first `ROWS` rows of a block times a panel.
#[inline(always)]
fn block_product<const FUSED: bool, const ROWS: usize>(block: &[f32], panel: &[f32]) -> [[f32; PANEL]; BLOCK] {
    let mut sums = [[0.0; PANEL]; ROWS];
    for (values, line) in block.as_chunks::<BLOCK>().0.iter().zip(panel.as_chunks::<PANEL>().0) {
        for row in 0..ROWS {
            for column in 0..PANEL {
                sums[row][column] = fma::<FUSED>(values[row], line[column], sums[row][column]);
            }
        }
    }
    let mut all = [[0.0; PANEL]; BLOCK];
    all[..ROWS].copy_from_slice(&sums);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_of_any_size_is_the_sum_of_products() {
        for (count, rows, columns) in [(1, 1, 1), (6, 5, 16), (7, 3, 17), (13, 20, 33), (2, 4, 15), (4, 8, 64)] {
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
                let mut out = vec![f32::NAN; count * columns];
                packed.multiply::<false>(count, |p| &left[p * rows..][..rows], &mut scratch, &mut out);
                assert_eq!(out, expected, "{count} × {rows} × {columns}");
            }
        }
    }
}
