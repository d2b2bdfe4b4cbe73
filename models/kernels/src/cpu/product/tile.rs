//! The micro-kernel of products: a few rows by a few panels, whose sums stay in registers.

use std::ops::Range;

use super::left::{LeftOperand, RowBlock};
use super::output::{Accumulate, OutputMatrix};
use super::packed::{PANEL, PackedMatrix};
#[cfg(target_arch = "x86_64")]
use super::vector::{Avx2Vector, Avx512Vector};
use super::vector::{PortableVector, Vector};
use crate::instructions::InstructionSet;

/// Most panels of a tile of some rows: as many as registers hold.
pub(super) fn max_panels(instructions: InstructionSet, rows: usize) -> usize {
    match (instructions, rows) {
        (InstructionSet::Avx512(_), _) | (_, 1) => 4,
        (_, 2 | 3) => 2,
        _ => 1,
    }
}

/// A tile of a product.
pub(super) struct Tile<'a, L> {
    pub(super) left: &'a L,
    pub(super) right: &'a PackedMatrix,
    /// Rows of the right operand that are summed over.
    pub(super) terms: &'a Range<usize>,
    /// Row of the right operand that the left rows start with.
    pub(super) left_start: usize,
    /// First row and first panel of the result.
    pub(super) row: usize,
    pub(super) panel: usize,
}

impl<L: LeftOperand> Tile<'_, L> {
    /// Computes `rows` rows by `panels` panels.
    #[allow(unsafe_code)]
    pub(super) fn compute(&self, instructions: InstructionSet, rows: usize, panels: usize, out: &mut OutputMatrix<'_>) {
        macro_rules! sizes {
            ($method:ident $(($rows:literal rows, $($panels:literal)* panels))*) => {
                match (rows, panels) {
                    // SAFETY: the token of the arm below proves that this machine has the instructions.
                    $($(($rows, $panels) => unsafe { self.$method::<$rows, $panels>(out) },)*)*
                    _ => assert!(rows == 0, "no tile of {rows} rows by {panels} panels"),
                }
            };
        }
        match instructions {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512(_) => sizes! { avx512
                (1 rows, 1 2 3 4 panels) (2 rows, 1 2 3 4 panels) (3 rows, 1 2 3 4 panels)
                (4 rows, 1 2 3 4 panels) (5 rows, 1 2 3 4 panels) (6 rows, 1 2 3 4 panels)
            },
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2(_) => sizes! { avx2
                (1 rows, 1 2 3 4 panels) (2 rows, 1 2 panels) (3 rows, 1 2 panels) (4 rows, 1 panels) (5 rows, 1 panels)
                (6 rows, 1 panels)
            },
            _ => sizes! { portable
                (1 rows, 1 2 3 4 panels) (2 rows, 1 2 panels) (3 rows, 1 2 panels) (4 rows, 1 panels) (5 rows, 1 panels)
                (6 rows, 1 panels)
            },
        }
    }

    /// # Safety
    /// None is needed: portable vectors work on every machine.
    #[allow(unsafe_code)]
    unsafe fn portable<const ROWS: usize, const PANELS: usize>(&self, out: &mut OutputMatrix<'_>) {
        // SAFETY: as above.
        unsafe { self.sum::<PortableVector, ROWS, PANELS>(out) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    #[allow(unsafe_code)]
    fn avx512<const ROWS: usize, const PANELS: usize>(&self, out: &mut OutputMatrix<'_>) {
        // SAFETY: this function is compiled with the instructions.
        unsafe { self.sum::<Avx512Vector, ROWS, PANELS>(out) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    #[allow(unsafe_code)]
    fn avx2<const ROWS: usize, const PANELS: usize>(&self, out: &mut OutputMatrix<'_>) {
        // SAFETY: this function is compiled with the instructions.
        unsafe { self.sum::<Avx2Vector, ROWS, PANELS>(out) }
    }

    /// # Safety
    /// The machine has the instructions of `V`.
    #[inline(always)]
    #[allow(unsafe_code, clippy::needless_range_loop)] // loops over arrays of constant size, to be unrolled
    unsafe fn sum<V: Vector, const ROWS: usize, const PANELS: usize>(&self, out: &mut OutputMatrix<'_>) {
        let terms = self.terms.start - self.left_start..self.terms.end - self.left_start;
        let left = self.left.rows::<ROWS>(self.row, terms);
        let panels: [&[[f32; PANEL]]; PANELS] = std::array::from_fn(|p| self.right.lines(self.panel + p, self.terms));
        // SAFETY: the caller guarantees the instructions, `lines` and `rows` the number of terms.
        unsafe {
            let mut sums = [[V::zero(); PANELS]; ROWS];
            for term in 0..self.terms.len() {
                let mut lines = [V::zero(); PANELS];
                for panel in 0..PANELS {
                    lines[panel] = V::load(panels[panel].get_unchecked(term));
                }
                for row in 0..ROWS {
                    let value = left.at(row, term);
                    for panel in 0..PANELS {
                        sums[row][panel] = V::multiply_add(sums[row][panel], value, lines[panel]);
                    }
                }
            }
            for row in 0..ROWS {
                for panel in 0..PANELS {
                    let column = (self.panel + panel) * PANEL;
                    let sum = sums[row][panel];
                    match out.line(self.row + row, column) {
                        Some((line, Accumulate::Overwrite)) => sum.store(line),
                        Some((line, Accumulate::Row(values))) => {
                            let values = values[column..].first_chunk().expect("one value for each column");
                            V::multiply_add(V::load(values), 1.0, sum).store(line);
                        }
                        Some((line, Accumulate::Add)) => V::multiply_add(V::load(line), 1.0, sum).store(line),
                        None => {
                            let mut line = [0.0; PANEL];
                            sum.store(&mut line);
                            out.store_pieces(self.row + row, column, &line);
                        }
                    }
                }
            }
        }
    }
}
