//! Products of a few rows with a matrix in the order in which the product reads it.
//!
//! A tile of the result, up to 6 rows by up to 4 panels of 16 columns, stays in registers for a part of the sum. The matrix on
//! the right is packed once for many products; rows on the left are read where they lie. Each number of the result is the same
//! sum in the same order, whatever rows and columns are computed beside it.

use std::ops::Range;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::engine::InstructionSet;
use crate::math::fma;

/// Columns of a panel: one vector of AVX-512, two of AVX2.
const PANEL: usize = 16;
/// Rows of a tile at most.
const BLOCK: usize = 6;
/// Terms of a sum that are taken at once, so that what a tile reads stays in the first-level cache.
const PART: usize = 512;
/// Numbers of a matrix from which packing it is worth another thread.
const LARGE: usize = 1 << 17;

/// A matrix `[depth, columns]`: panels of 16 columns, each row by row; the last one filled with zeros.
#[derive(Debug, Default)]
pub(crate) struct Packed {
    panels: Buffer,
    depth: usize,
    columns: usize,
}

impl Packed {
    /// The first `columns` of each row of a matrix whose rows begin `stride` numbers apart.
    pub(crate) fn new(how: How, matrix: &[f32], stride: usize, depth: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed.fill(how, depth, columns, |k, column| &matrix[k * stride + column..]);
        packed
    }

    /// The transpose of the first `depth` columns of `columns` rows that begin `stride` numbers apart.
    pub(crate) fn transposed(how: How, matrix: &[f32], stride: usize, depth: usize, columns: usize) -> Self {
        let mut packed = Self::default();
        packed.shape(how, depth, columns, |first, panel| {
            // Piece by piece, so that what is written stays in the first-level cache while 16 rows are read.
            for (piece, lines) in panel.chunks_mut(64 * PANEL).enumerate() {
                for column in first..columns.min(first + PANEL) {
                    let row = &matrix[column * stride + piece * 64..][..lines.len() / PANEL];
                    let slots = lines[column - first..].iter_mut().step_by(PANEL);
                    slots.zip(row).for_each(|(slot, value)| *slot = *value);
                }
            }
        });
        packed
    }

    /// Packs another matrix in the same memory; `from` gives numbers of row `k` from a column on, as many as follow on each other.
    pub(crate) fn fill<'a>(
        &mut self,
        how: How,
        depth: usize,
        columns: usize,
        from: impl Fn(usize, usize) -> &'a [f32] + Sync,
    ) {
        self.shape(how, depth, columns, |first, panel| {
            let width = PANEL.min(columns - first);
            for (k, line) in panel.as_chunks_mut::<PANEL>().0.iter_mut().enumerate() {
                let mut piece = from(k, first);
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
                        piece = from(k, first + done);
                    }
                }
            }
        });
    }

    /// Gives each panel to `write`, with its first column.
    fn shape(&mut self, how: How, depth: usize, columns: usize, write: impl Fn(usize, &mut [f32]) + Sync) {
        let size = columns.div_ceil(PANEL) * depth * PANEL;
        let each = (depth * PANEL).max(1);
        if (self.depth, self.columns) != (depth, columns) {
            self.panels = Buffer::take(size);
            (self.depth, self.columns) = (depth, columns);
            // What lies beyond the last column must be zero.
            self.panels[size - each.min(size)..].fill(0.0);
        }
        let act = |(number, panel): (usize, &mut [f32])| write(number * PANEL, panel);
        if size >= LARGE && how.threads > 1 {
            let share = (size / each).div_ceil(how.threads);
            self.panels.par_chunks_exact_mut(each).with_min_len(share).enumerate().for_each(act);
        } else {
            self.panels.chunks_exact_mut(each).enumerate().for_each(act);
        }
    }

    /// A panel's lines of some terms.
    #[inline(always)]
    fn lines(&self, panel: usize, terms: &Range<usize>) -> &[[f32; PANEL]] {
        &self.panels.as_chunks().0[panel * self.depth..][terms.clone()]
    }

    /// `out = left · matrix`, or is added to, for `count` rows and as many columns as `out` has; of the matrix, the rows in
    /// `depth` are meant.
    pub(crate) fn multiply<L: Left>(&self, how: How, depth: Range<usize>, left: &L, count: usize, out: Out<'_>) {
        let (cut, panels) = (Blocks::of(count), out.columns.div_ceil(PANEL));
        Part { left, right: self, depth, cut, blocks: 0..cut.count, panels: 0..panels }.run(how, out);
    }
}

/// How products are computed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) set: InstructionSet,
    /// Threads that may share one.
    pub(crate) threads: usize,
}

/// Multiplications from which a part of a product is worth a thread.
pub(crate) const SHARED: usize = 1 << 16;

/// Some rows and panels of a product.
struct Part<'a, L> {
    left: &'a L,
    right: &'a Packed,
    /// Rows of the matrix.
    depth: Range<usize>,
    /// How all rows are cut into blocks, and which of these are meant.
    cut: Blocks,
    blocks: Range<usize>,
    panels: Range<usize>,
}

impl<L: Left> Part<'_, L> {
    fn run(self, how: How, mut out: Out<'_>) {
        let rows = self.cut.first(self.blocks.end) - self.cut.first(self.blocks.start);
        let work = self.depth.len() * rows * self.panels.len() * PANEL;
        if how.threads > 1
            && work >= 2 * SHARED
            && let Some((block, panel)) = self.middle(&out)
        {
            let Part { left, right, ref depth, cut, ref blocks, ref panels } = self;
            let (one, other) = out.cut(cut.first(block.unwrap_or(blocks.start)), panel.unwrap_or(panels.start));
            let part = |blocks, panels| Part { left, right, depth: depth.clone(), cut, blocks, panels };
            let (block, from) = (block.unwrap_or(blocks.end), block.unwrap_or(blocks.start));
            let (panel, next) = (panel.unwrap_or(panels.end), panel.unwrap_or(panels.start));
            let first = part(blocks.start..block, panels.start..panel);
            let second = part(from..blocks.end, next..panels.end);
            let half = |threads| How { threads, ..how };
            let threads = how.threads / 2;
            rayon::join(|| first.run(half(how.threads - threads), one), || second.run(half(threads), other));
            return;
        }
        let most = most_panels(how.set, self.cut.most());
        let parts = self.depth.len().div_ceil(PART).max(1);
        let part = self.depth.len().div_ceil(parts).max(1);
        for from in self.depth.clone().step_by(part) {
            let terms = from..(from + part).min(self.depth.end);
            let mut panel = self.panels.start;
            while panel < self.panels.end {
                let width = most.min(self.panels.end - panel);
                for block in self.blocks.clone() {
                    let (left, right, skipped) = (self.left, self.right, self.depth.start);
                    let tile = Tile { left, right, terms: &terms, skipped, row: self.cut.first(block), panel };
                    tile.run(how.set, self.cut.rows(block), width, &mut out);
                }
                panel += width;
            }
            out.onto = Onto::Held;
        }
    }

    /// Where two threads would part: at a block, or, where the result lies in one piece on each side, at a panel.
    fn middle(&self, out: &Out<'_>) -> Option<(Option<usize>, Option<usize>)> {
        let (blocks, panels) = (&self.blocks, &self.panels);
        if blocks.len() > 1 && out.columns <= out.width {
            return Some((Some(blocks.start + blocks.len() / 2), None));
        }
        let middle = (panels.start + panels.end).div_ceil(2);
        let one_row = blocks.len() == 1 && self.cut.rows(blocks.start) == 1;
        let in_one_piece = |panel: &usize| one_row || (panel * PANEL).is_multiple_of(out.width);
        let panel = (panels.start + 1..panels.end).filter(in_one_piece).min_by_key(|panel| panel.abs_diff(middle));
        panel.map(|panel| (None, Some(panel)))
    }
}

/// Panels of a tile at most: as many as registers hold.
fn most_panels(set: InstructionSet, rows: usize) -> usize {
    match (set, rows) {
        (InstructionSet::Avx512, _) | (_, 1) => 4,
        (_, 2 | 3) => 2,
        _ => 1,
    }
}

/// Where the rows on the left lie.
pub(crate) trait Left: Sync {
    /// `ROWS` rows from `row` on.
    fn rows<const ROWS: usize>(&self, row: usize, terms: Range<usize>) -> impl Numbers<ROWS>;
}

/// Numbers of some rows.
pub(crate) trait Numbers<const ROWS: usize>: Copy {
    /// # Safety
    /// `k` is below the number of terms asked for.
    #[allow(unsafe_code)]
    unsafe fn at(&self, row: usize, k: usize) -> f32;
}

/// Rows that begin anywhere in a buffer.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) starts: &'a [usize],
}

impl Left for Rows<'_> {
    #[inline(always)]
    fn rows<const ROWS: usize>(&self, row: usize, terms: Range<usize>) -> impl Numbers<ROWS> {
        std::array::from_fn::<&[f32], ROWS, _>(|r| &self.values[self.starts[row + r]..][terms.clone()])
    }
}

impl<const ROWS: usize> Numbers<ROWS> for [&[f32]; ROWS] {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn at(&self, row: usize, k: usize) -> f32 {
        // SAFETY: each slice has as many numbers as there are terms.
        unsafe { *self[row].get_unchecked(k) }
    }
}

/// The transpose of a matrix, for sums over its rows: the rows of a tile side by side.
#[derive(Debug, Default)]
pub(crate) struct Transposed {
    values: Buffer,
    depth: usize,
}

impl Transposed {
    /// The transpose of `depth` rows of `count` numbers, in the memory of the one before.
    pub(crate) fn fill<'a>(&mut self, depth: usize, count: usize, row: impl Fn(usize) -> &'a [f32]) {
        if self.values.len() != depth * count {
            self.values = Buffer::take(depth * count);
        }
        self.depth = depth;
        let blocks = Blocks::of(count);
        for k in 0..depth {
            let row = &row(k)[..count];
            for block in 0..blocks.count {
                let (first, rows) = (blocks.first(block), blocks.rows(block));
                let to = &mut self.values[first * depth + k * rows..][..rows];
                // Most blocks are of these sizes, which need no call to be copied.
                match (row[first..].first_chunk::<BLOCK>(), rows) {
                    (Some(from), BLOCK) => to.copy_from_slice(from),
                    (Some(from), 5) => to.copy_from_slice(&from[..5]),
                    _ => to.copy_from_slice(&row[first..first + rows]),
                }
            }
        }
    }
}

impl Left for Transposed {
    #[inline(always)]
    fn rows<const ROWS: usize>(&self, row: usize, terms: Range<usize>) -> impl Numbers<ROWS> {
        &self.values[row * self.depth..][..self.depth * ROWS].as_chunks::<ROWS>().0[terms]
    }
}

impl<const ROWS: usize> Numbers<ROWS> for &[[f32; ROWS]] {
    #[inline(always)]
    #[allow(unsafe_code)]
    unsafe fn at(&self, row: usize, k: usize) -> f32 {
        // SAFETY: there are as many groups as there are terms.
        unsafe { self.get_unchecked(k)[row] }
    }
}

/// What a product is added to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Onto<'a> {
    Nothing,
    /// The same numbers in each row.
    Row(&'a [f32]),
    /// What is there.
    Held,
}

/// Where the result goes: number `column` of row `n` to `[column / width][n][column % width]`, planes `plane` numbers apart.
pub(crate) struct Out<'a> {
    values: &'a mut [f32],
    columns: usize,
    width: usize,
    plane: usize,
    /// What sums are added to.
    onto: Onto<'a>,
    /// Numbers before the first of `values`.
    skipped: usize,
}

impl<'a> Out<'a> {
    /// Planes `plane` numbers apart, of rows of `width` numbers; `columns` in all.
    pub(crate) fn planes(values: &'a mut [f32], columns: usize, width: usize, plane: usize, onto: Onto<'a>) -> Self {
        Self { values, columns, width, plane, onto, skipped: 0 }
    }

    /// Two parts, the second of which begins at a row and a panel.
    fn cut(self, row: usize, panel: usize) -> (Self, Self) {
        let Self { values, columns, width, plane, onto, skipped } = self;
        let column = panel * PANEL;
        let at = column / width * plane + row * width + column % width;
        let (one, other) = values.split_at_mut(at - skipped);
        let part = |values, skipped| Self { values, columns, width, plane, onto, skipped };
        (part(one, skipped), part(other, at))
    }

    /// A matrix of so many columns.
    pub(crate) fn matrix(values: &'a mut [f32], columns: usize, onto: Onto<'a>) -> Self {
        Self::planes(values, columns, columns, 0, onto)
    }

    /// Sixteen sums of a row from a column on, as many as there are columns, piece by piece where planes meet.
    fn pieces(&mut self, row: usize, column: usize, sums: &[f32; PANEL]) {
        let end = self.columns.min(column + PANEL);
        let mut at = column;
        while at < end {
            let (plane, place) = (at / self.width, at % self.width);
            let count = (self.width - place).min(end - at);
            let out = &mut self.values[plane * self.plane + row * self.width + place - self.skipped..][..count];
            let sums = &sums[at - column..][..count];
            match self.onto {
                Onto::Nothing => out.copy_from_slice(sums),
                Onto::Row(row) => {
                    out.iter_mut().zip(sums).zip(&row[at..]).for_each(|((out, sum), number)| *out = sum + number);
                }
                Onto::Held => out.iter_mut().zip(sums).for_each(|(out, sum)| *out += sum),
            }
            at += count;
        }
    }
}

/// Rows cut into blocks of at most six, as even as can be.
#[derive(Debug, Clone, Copy)]
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

    /// Rows of the largest block.
    fn most(&self) -> usize {
        self.small + usize::from(self.larger > 0)
    }

    /// The first row of a block, or the number of all rows.
    fn first(&self, block: usize) -> usize {
        block * self.small + block.min(self.larger)
    }

    /// Rows of a block.
    fn rows(&self, block: usize) -> usize {
        self.small + usize::from(block < self.larger)
    }
}

/// A piece of a product.
struct Tile<'a, L> {
    left: &'a L,
    right: &'a Packed,
    /// Rows of the matrix.
    terms: &'a Range<usize>,
    /// The row of the matrix that the left factor begins with.
    skipped: usize,
    row: usize,
    panel: usize,
}

impl<L: Left> Tile<'_, L> {
    #[allow(unsafe_code)]
    fn run(&self, set: InstructionSet, rows: usize, panels: usize, out: &mut Out<'_>) {
        macro_rules! sizes {
            ($method:ident $(($rows:literal rows, $($panels:literal)* panels))*) => {
                match (rows, panels) {
                    // SAFETY: a set is current only if it was detected on this machine.
                    $($(($rows, $panels) => unsafe { self.$method::<$rows, $panels>(out) },)*)*
                    _ => assert!(rows == 0, "no tile of {rows} rows by {panels} panels"),
                }
            };
        }
        match set {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => sizes! { avx512
                (1 rows, 1 2 3 4 panels) (2 rows, 1 2 3 4 panels) (3 rows, 1 2 3 4 panels)
                (4 rows, 1 2 3 4 panels) (5 rows, 1 2 3 4 panels) (6 rows, 1 2 3 4 panels)
            },
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => sizes! { avx2
                (1 rows, 1 2 3 4 panels) (2 rows, 1 2 panels) (3 rows, 1 2 panels) (4 rows, 1 panels) (5 rows, 1 panels)
                (6 rows, 1 panels)
            },
            _ => sizes! { plain
                (1 rows, 1 2 3 4 panels) (2 rows, 1 2 panels) (3 rows, 1 2 panels) (4 rows, 1 panels) (5 rows, 1 panels)
                (6 rows, 1 panels)
            },
        }
    }

    /// # Safety
    /// None is needed: plain numbers need nothing of the machine.
    #[allow(unsafe_code)]
    unsafe fn plain<const ROWS: usize, const PANELS: usize>(&self, out: &mut Out<'_>) {
        // SAFETY: as above.
        unsafe { self.sum::<Plain, ROWS, PANELS>(out) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    #[allow(unsafe_code)]
    fn avx512<const ROWS: usize, const PANELS: usize>(&self, out: &mut Out<'_>) {
        // SAFETY: this function has the instructions.
        unsafe { self.sum::<x86::Whole, ROWS, PANELS>(out) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    #[allow(unsafe_code)]
    fn avx2<const ROWS: usize, const PANELS: usize>(&self, out: &mut Out<'_>) {
        // SAFETY: this function has the instructions.
        unsafe { self.sum::<x86::Halves, ROWS, PANELS>(out) }
    }

    /// # Safety
    /// The machine has the instructions of `V`.
    #[inline(always)]
    #[allow(unsafe_code, clippy::needless_range_loop)] // loops over arrays of constant size, to be unrolled
    unsafe fn sum<V: Lanes, const ROWS: usize, const PANELS: usize>(&self, out: &mut Out<'_>) {
        let terms = self.terms.start - self.skipped..self.terms.end - self.skipped;
        let left = self.left.rows::<ROWS>(self.row, terms);
        let panels: [&[[f32; PANEL]]; PANELS] = std::array::from_fn(|p| self.right.lines(self.panel + p, self.terms));
        // SAFETY: the caller answers for the instructions, `lines` and `rows` for as many terms.
        unsafe {
            let mut sums = [[V::zero(); PANELS]; ROWS];
            for k in 0..self.terms.len() {
                let mut lines = [V::zero(); PANELS];
                for panel in 0..PANELS {
                    lines[panel] = V::load(panels[panel].get_unchecked(k));
                }
                for row in 0..ROWS {
                    let value = left.at(row, k);
                    for panel in 0..PANELS {
                        sums[row][panel] = V::add(sums[row][panel], value, lines[panel]);
                    }
                }
            }
            for row in 0..ROWS {
                for panel in 0..PANELS {
                    let column = (self.panel + panel) * PANEL;
                    let (plane, place) = (column / out.width, column % out.width);
                    if place + PANEL <= out.width && column + PANEL <= out.columns {
                        let at = plane * out.plane + (self.row + row) * out.width + place - out.skipped;
                        let slot = out.values[at..].first_chunk_mut().expect("the result has room for every row");
                        let sums = sums[row][panel];
                        match out.onto {
                            Onto::Nothing => sums.store(slot),
                            Onto::Row(row) => {
                                let row = row[column..].first_chunk().expect("a number for each column");
                                V::add(V::load(row), 1.0, sums).store(slot);
                            }
                            Onto::Held => V::add(V::load(slot), 1.0, sums).store(slot),
                        }
                    } else {
                        let mut told = [0.0; PANEL];
                        sums[row][panel].store(&mut told);
                        out.pieces(self.row + row, column, &told);
                    }
                }
            }
        }
    }
}

/// Sixteen numbers in registers; named as such, since compilers keep sums of plain arrays in memory.
#[allow(unsafe_code)]
trait Lanes: Copy {
    /// # Safety
    /// The machine has the instructions, as for all of them.
    unsafe fn zero() -> Self;
    unsafe fn load(from: &[f32; PANEL]) -> Self;
    unsafe fn store(self, to: &mut [f32; PANEL]);
    /// `sum + value · line`
    unsafe fn add(sum: Self, value: f32, line: Self) -> Self;
}

#[derive(Clone, Copy)]
struct Plain([f32; PANEL]);

#[allow(unsafe_code)]
impl Lanes for Plain {
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; PANEL])
    }

    #[inline(always)]
    unsafe fn load(from: &[f32; PANEL]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32; PANEL]) {
        *to = self.0;
    }

    #[inline(always)]
    unsafe fn add(mut sum: Self, value: f32, line: Self) -> Self {
        for (sum, line) in sum.0.iter_mut().zip(line.0) {
            // Every 64-bit ARM has fused multiply-add; on others it may be a call.
            *sum = fma::<{ cfg!(target_arch = "aarch64") }>(value, line, *sum);
        }
        sum
    }
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Lanes, PANEL};

    #[derive(Clone, Copy)]
    pub(super) struct Whole(__m512);

    impl Lanes for Whole {
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller answers for AVX-512, here and below.
            Self(unsafe { _mm512_setzero_ps() })
        }

        #[inline(always)]
        unsafe fn load(from: &[f32; PANEL]) -> Self {
            // SAFETY: there are 16 numbers.
            Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32; PANEL]) {
            // SAFETY: there are 16 numbers.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        unsafe fn add(sum: Self, value: f32, line: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_fmadd_ps(_mm512_set1_ps(value), line.0, sum.0) })
        }
    }

    #[derive(Clone, Copy)]
    pub(super) struct Halves([__m256; 2]);

    impl Lanes for Halves {
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller answers for AVX2 and FMA, here and below.
            Self(unsafe { [_mm256_setzero_ps(); 2] })
        }

        #[inline(always)]
        unsafe fn load(from: &[f32; PANEL]) -> Self {
            // SAFETY: there are 16 numbers.
            Self(unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] })
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32; PANEL]) {
            // SAFETY: there are 16 numbers.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), self.0[0]);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), self.0[1]);
            }
        }

        #[inline(always)]
        unsafe fn add(sum: Self, value: f32, line: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let value = _mm256_set1_ps(value);
                Self([_mm256_fmadd_ps(value, line.0[0], sum.0[0]), _mm256_fmadd_ps(value, line.0[1], sum.0[1])])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        (0..count).map(|k| ((k * 37 + salt) % 19) as f32 - 9.0).collect()
    }

    /// `left · matrix`, one number at a time; whole numbers, so any order gives the same.
    fn expected(left: &[f32], matrix: &[f32], [count, depth, columns]: [usize; 3]) -> Vec<f32> {
        let number = |k: usize| {
            let (row, column) = (k / columns, k % columns);
            (0..depth).map(|d| left[row * depth + d] * matrix[d * columns + column]).sum()
        };
        (0..count * columns).map(number).collect()
    }

    fn turned(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
        (0..rows * columns).map(|k| matrix[k % rows * columns + k / rows]).collect()
    }

    /// Every instruction set, alone and shared.
    fn hows() -> impl Iterator<Item = How> {
        InstructionSet::available().into_iter().flat_map(|set| [1, 2, 5].map(|threads| How { set, threads }))
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
    fn the_product_of_any_size_is_the_sum_of_products() {
        for size @ [count, depth, columns] in SIZES {
            let (left, matrix) = (numbers(count * depth, 1), numbers(depth * columns, 5));
            let sums = expected(&left, &matrix, size);
            let starts: Vec<usize> = (0..count).map(|row| row * depth).collect();
            let rows = Rows { values: &left, starts: &starts };
            let mut columns_first = Transposed::default();
            let as_columns = turned(&left, count, depth);
            columns_first.fill(depth, count, |k| &as_columns[k * count..][..count]);
            let turned = turned(&matrix, depth, columns);
            let how = How { set: InstructionSet::Portable, threads: 2 };
            let packed = [
                Packed::new(how, &matrix, columns, depth, columns),
                Packed::transposed(how, &turned, depth, depth, columns),
            ];
            for (packed, how) in packed.iter().flat_map(|packed| hows().map(move |how| (packed, how))) {
                let mut out = vec![f32::NAN; count * columns];
                packed.multiply(how, 0..depth, &rows, count, Out::matrix(&mut out, columns, Onto::Nothing));
                assert!(out == sums, "{size:?}, {how:?}");
                packed.multiply(how, 0..depth, &columns_first, count, Out::matrix(&mut out, columns, Onto::Held));
                let twice: Vec<f32> = sums.iter().map(|sum| 2.0 * sum).collect();
                assert!(out == twice, "{size:?}, {how:?}, added");
                let row = numbers(columns, 8);
                let onto: Vec<f32> = sums.iter().enumerate().map(|(k, sum)| sum + row[k % columns]).collect();
                packed.multiply(how, 0..depth, &rows, count, Out::matrix(&mut out, columns, Onto::Row(&row)));
                assert!(out == onto, "{size:?}, {how:?}, onto a row");
            }
        }
    }

    #[test]
    fn planes_and_parts_of_the_depth_are_the_same_product() {
        for size in [[9, 40, 23, 3], [70, 40, 32, 4], [70, 40, 24, 3], [1, 900, 72, 4]] {
            planes_and_parts(size);
        }
    }

    fn planes_and_parts([count, depth, width, planes]: [usize; 4]) {
        let (left, matrix) = (numbers(count * depth, 2), numbers(depth * width * planes, 3));
        let sums = expected(&left, &matrix, [count, depth, width * planes]);
        let alone = How { set: InstructionSet::Portable, threads: 1 };
        let packed = Packed::new(alone, &matrix, width * planes, depth, width * planes);
        for how in hows() {
            let mut out = vec![f32::NAN; planes * count * width];
            for (terms, onto) in [(0..13, Onto::Nothing), (13..depth, Onto::Held)] {
                let starts: Vec<usize> = (0..count).map(|row| row * depth + terms.start).collect();
                let left = Rows { values: &left, starts: &starts };
                let out = Out::planes(&mut out, planes * width, width, count * width, onto);
                packed.multiply(how, terms, &left, count, out);
            }
            for (k, sum) in sums.iter().enumerate() {
                let (row, column) = (k / (width * planes), k % (width * planes));
                assert_eq!(out[column / width * count * width + row * width + column % width], *sum, "{how:?}, {k}");
            }
        }
    }
}
