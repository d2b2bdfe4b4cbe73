//! Single-precision matrix products `A · B` whose right operand is packed.
//!
//! The right operand is packed once (`packed`) and multiplied many times; the left operand is read in place (`left`). A product is
//! computed in tiles of up to 6 rows by 4 panels of 16 columns (`tile`), whose sums stay in registers (`vector`) for up to 512
//! terms. Results are stored in a matrix or in gate planes (`output`). Large products are shared among threads by cutting the
//! result, never the sums.
//!
//! Every element of the result is the same sum in the same order, whatever rows and columns are computed with it and however many
//! threads share the product. One row therefore gives the same bits alone and in a batch.

mod left;
mod output;
mod packed;
mod tile;
mod vector;

use std::ops::Range;

pub(crate) use left::{Rows, Transposed};
pub(crate) use output::{Accumulate, OutputMatrix};
pub(crate) use packed::PackedMatrix;

use crate::instructions::InstructionSet;
use left::{LeftOperand, RowBlocks};
use packed::PANEL;
use tile::Tile;

/// Terms of a sum per visit of a tile, so that the panels that it reads stay in the first-level cache.
const MAX_TERMS: usize = 512;

/// Number of multiplications from which a share of a product is worth a thread.
pub(crate) const MIN_SHARED_WORK: usize = 1 << 16;

/// What a product may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resources {
    pub(crate) instructions: InstructionSet,
    /// Number of threads that may share the product.
    pub(crate) threads: usize,
}

impl PackedMatrix {
    /// Computes `left · matrix` for `count` rows and the columns of `out`, and stores it as `out` says. The sum runs over the
    /// rows `terms` of the packed matrix; the left rows start at the first of them.
    pub(crate) fn multiply<L: LeftOperand>(
        &self,
        resources: Resources,
        terms: Range<usize>,
        left: &L,
        count: usize,
        out: OutputMatrix<'_>,
    ) {
        let (row_blocks, panels) = (RowBlocks::of(count), out.columns().div_ceil(PANEL));
        Region { left, right: self, terms, row_blocks, blocks: 0..row_blocks.count(), panels: 0..panels }
            .compute(resources, out);
    }
}

/// A rectangle of a product: some row blocks and some panels, summed over `terms`.
struct Region<'a, L> {
    left: &'a L,
    right: &'a PackedMatrix,
    terms: Range<usize>,
    row_blocks: RowBlocks,
    blocks: Range<usize>,
    panels: Range<usize>,
}

impl<L: LeftOperand> Region<'_, L> {
    /// Computes the rectangle, on half of the threads for each half of it if it is large enough.
    fn compute(self, resources: Resources, out: OutputMatrix<'_>) {
        let rows = self.row_blocks.first(self.blocks.end) - self.row_blocks.first(self.blocks.start);
        let work = self.terms.len() * rows * self.panels.len() * PANEL;
        if resources.threads > 1
            && work >= 2 * MIN_SHARED_WORK
            && let Some(cut) = self.middle(&out)
        {
            self.share(resources, cut, out);
        } else {
            self.compute_alone(resources.instructions, out);
        }
    }

    fn share(self, resources: Resources, (block, panel): (Option<usize>, Option<usize>), out: OutputMatrix<'_>) {
        let Region { left, right, ref terms, row_blocks, ref blocks, ref panels } = self;
        let (first_out, second_out) =
            out.split(row_blocks.first(block.unwrap_or(blocks.start)), panel.unwrap_or(panels.start));
        let region = |blocks, panels| Region { left, right, terms: terms.clone(), row_blocks, blocks, panels };
        let first = region(blocks.start..block.unwrap_or(blocks.end), panels.start..panel.unwrap_or(panels.end));
        let second = region(block.unwrap_or(blocks.start)..blocks.end, panel.unwrap_or(panels.start)..panels.end);
        let with = |threads| Resources { threads, ..resources };
        let half = resources.threads / 2;
        rayon::join(
            || first.compute(with(resources.threads - half), first_out),
            || second.compute(with(half), second_out),
        );
    }

    fn compute_alone(self, instructions: InstructionSet, mut out: OutputMatrix<'_>) {
        let max_panels = tile::max_panels(instructions, self.row_blocks.max_rows());
        let visits = self.terms.len().div_ceil(MAX_TERMS).max(1);
        let per_visit = self.terms.len().div_ceil(visits).max(1);
        for start in self.terms.clone().step_by(per_visit) {
            let terms = start..(start + per_visit).min(self.terms.end);
            let mut panel = self.panels.start;
            while panel < self.panels.end {
                let width = max_panels.min(self.panels.end - panel);
                for block in self.blocks.clone() {
                    let (left, right, left_start) = (self.left, self.right, self.terms.start);
                    let tile =
                        Tile { left, right, terms: &terms, left_start, row: self.row_blocks.first(block), panel };
                    tile.compute(instructions, self.row_blocks.rows(block), width, &mut out);
                }
                panel += width;
            }
            out.accumulate();
        }
    }

    /// Where two threads cut the rectangle: at a row block or, where each side of the result is then one run of memory, at a
    /// panel.
    fn middle(&self, out: &OutputMatrix<'_>) -> Option<(Option<usize>, Option<usize>)> {
        let (blocks, panels) = (&self.blocks, &self.panels);
        if blocks.len() > 1 && out.is_one_plane() {
            return Some((Some(blocks.start + blocks.len() / 2), None));
        }
        let middle = (panels.start + panels.end).div_ceil(2);
        let one_row = blocks.len() == 1 && self.row_blocks.rows(blocks.start) == 1;
        let can_cut = |panel: &usize| one_row || out.starts_plane(panel * PANEL);
        let panel = (panels.start + 1..panels.end).filter(can_cut).min_by_key(|panel| panel.abs_diff(middle));
        panel.map(|panel| (None, Some(panel)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        (0..count).map(|k| ((k * 37 + salt) % 19) as f32 - 9.0).collect()
    }

    /// `left · matrix` by definition; on integers, so that any order of summation gives the same.
    fn expected(left: &[f32], matrix: &[f32], [count, depth, columns]: [usize; 3]) -> Vec<f32> {
        let number = |k: usize| {
            let (row, column) = (k / columns, k % columns);
            (0..depth).map(|d| left[row * depth + d] * matrix[d * columns + column]).sum()
        };
        (0..count * columns).map(number).collect()
    }

    fn transpose(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
        (0..rows * columns).map(|k| matrix[k % rows * columns + k / rows]).collect()
    }

    /// Every instruction set, on one and on several threads.
    fn all_resources() -> impl Iterator<Item = Resources> {
        InstructionSet::available()
            .into_iter()
            .flat_map(|instructions| [1, 2, 5].map(move |threads| Resources { instructions, threads }))
    }

    const SIZES: [[usize; 3]; 14] = [
        [1, 1, 1],
        [6, 5, 16],
        [7, 3, 17],
        [13, 20, 33],
        [2, 4, 15],
        [4, 8, 64],
        [1, 9, 150],
        [2, 600, 70],
        [32, 700, 20],
        [23, 65, 128],
        [3, 130, 81],
        [1, 700, 500],
        [41, 90, 129],
        [40, 128, 256],
    ];

    #[test]
    fn products_of_any_size_equal_the_sums_by_definition() {
        for size @ [count, depth, columns] in SIZES {
            let (left, matrix) = (numbers(count * depth, 1), numbers(depth * columns, 5));
            let sums = expected(&left, &matrix, size);
            let offsets: Vec<usize> = (0..count).map(|row| row * depth).collect();
            let rows = Rows { values: &left, offsets: &offsets };
            let mut columns_first = Transposed::default();
            let as_columns = transpose(&left, count, depth);
            columns_first.fill(depth, count, |k| &as_columns[k * count..][..count]);
            let transposed = transpose(&matrix, depth, columns);
            let resources = Resources { instructions: InstructionSet::Portable, threads: 2 };
            let packed = [
                PackedMatrix::pack(resources, &matrix, columns, depth, columns),
                PackedMatrix::pack_transposed(resources, &transposed, depth, depth, columns),
            ];
            for (packed, resources) in
                packed.iter().flat_map(|packed| all_resources().map(move |resources| (packed, resources)))
            {
                let mut out = vec![f32::NAN; count * columns];
                packed.multiply(
                    resources,
                    0..depth,
                    &rows,
                    count,
                    OutputMatrix::matrix(&mut out, columns, Accumulate::Overwrite),
                );
                assert!(out == sums, "{size:?}, {resources:?}");
                packed.multiply(
                    resources,
                    0..depth,
                    &columns_first,
                    count,
                    OutputMatrix::matrix(&mut out, columns, Accumulate::Add),
                );
                let twice: Vec<f32> = sums.iter().map(|sum| 2.0 * sum).collect();
                assert!(out == twice, "{size:?}, {resources:?}, added");
                let row = numbers(columns, 8);
                let onto: Vec<f32> = sums.iter().enumerate().map(|(k, sum)| sum + row[k % columns]).collect();
                packed.multiply(
                    resources,
                    0..depth,
                    &rows,
                    count,
                    OutputMatrix::matrix(&mut out, columns, Accumulate::Row(&row)),
                );
                assert!(out == onto, "{size:?}, {resources:?}, added to a row");
            }
        }
    }

    #[test]
    fn gate_planes_and_partial_sums_give_the_same_product() {
        for size in [[9, 40, 23, 3], [70, 40, 32, 4], [70, 40, 24, 3], [1, 900, 72, 4]] {
            check_planes_and_partial_sums(size);
        }
    }

    fn check_planes_and_partial_sums([count, depth, width, planes]: [usize; 4]) {
        let (left, matrix) = (numbers(count * depth, 2), numbers(depth * width * planes, 3));
        let sums = expected(&left, &matrix, [count, depth, width * planes]);
        let alone = Resources { instructions: InstructionSet::Portable, threads: 1 };
        let packed = PackedMatrix::pack(alone, &matrix, width * planes, depth, width * planes);
        for resources in all_resources() {
            let mut out = vec![f32::NAN; planes * count * width];
            for (terms, onto) in [(0..13, Accumulate::Overwrite), (13..depth, Accumulate::Add)] {
                let offsets: Vec<usize> = (0..count).map(|row| row * depth + terms.start).collect();
                let left = Rows { values: &left, offsets: &offsets };
                let out = OutputMatrix::planes(&mut out, planes * width, width, count * width, onto);
                packed.multiply(resources, terms, &left, count, out);
            }
            for (k, sum) in sums.iter().enumerate() {
                let (row, column) = (k / (width * planes), k % (width * planes));
                assert_eq!(
                    out[column / width * count * width + row * width + column % width],
                    *sum,
                    "{resources:?}, {k}"
                );
            }
        }
    }

    /// Floats of many magnitudes, so that another order of summation gives other bits.
    fn floats(count: usize, salt: u64) -> Vec<f32> {
        let next = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (mantissa, exponent) = ((*state >> 40) as f32 / (1 << 23) as f32 - 1.0, (*state >> 33) as i32 % 8);
            Some(mantissa * (exponent as f32).exp2())
        };
        std::iter::successors(Some((salt, 0.0)), |&(mut state, _)| next(&mut state).map(|value| (state, value)))
            .skip(1)
            .map(|(_, value)| value)
            .take(count)
            .collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_row_gives_the_same_bits_alone_and_in_a_batch_on_any_number_of_threads(
            count in 1..70usize, depth in 1..520usize, columns in 1..150usize, salt in 0..9999u64,
        ) {
            let (left, matrix, bias) = (floats(count * depth, salt), floats(depth * columns, !salt), floats(columns, salt ^ 5));
            let offsets: Vec<usize> = (0..count).map(|row| row * depth).collect();
            for instructions in InstructionSet::available() {
                let multiply = |threads: usize, offsets: &[usize]| {
                    let resources = Resources { instructions, threads };
                    let packed = PackedMatrix::pack(resources, &matrix, columns, depth, columns);
                    let mut out = vec![f32::NAN; offsets.len() * columns];
                    let target = OutputMatrix::matrix(&mut out, columns, Accumulate::Row(&bias));
                    packed.multiply(resources, 0..depth, &Rows { values: &left, offsets }, offsets.len(), target);
                    bits(&out)
                };
                let alone: Vec<u32> = offsets.iter().flat_map(|&offset| multiply(1, &[offset])).collect();
                for threads in 1..=4 {
                    prop_assert!(multiply(threads, &offsets) == alone, "{} threads, {:?}", threads, instructions);
                    prop_assert!(multiply(threads, &offsets[..1]) == alone[..columns], "one row, {} threads", threads);
                }
            }
        }
    }
}
