//! The order in which a batch is processed: its rows divided among threads, and the positions that each thread visits.

use std::ops::Range;

use crate::lengths::Lengths;

/// Sizes and direction of a call.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Number of sequences.
    pub batch: usize,
    /// Time steps of the longest sequence.
    pub time: usize,
    /// Features of the input per step.
    pub input: usize,
    /// Features of the hidden state.
    pub hidden: usize,
    /// Valid steps of each sequence.
    pub lengths: Lengths,
    /// Whether each sequence is processed from its last valid step to its first.
    pub reversed: bool,
}

/// The share of one thread: a range of rows, all their time steps.
///
/// A *position* is one valid time step of one sequence. Rows are sorted by falling length, so that those which are still active at a
/// step come first and padding costs nothing. Positions are numbered step by step, and within a step in the order of the sorted
/// rows; all buffers of a thread are indexed by position.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    /// Rows of the batch.
    pub(crate) rows: Range<usize>,
    /// Rows sorted by falling length, counted from the first of `rows`.
    pub(crate) order: Vec<usize>,
    /// First position of each step; the last entry is the number of positions.
    pub(crate) step_starts: Vec<usize>,
    /// For each position, `row · time + step`, with rows counted from the first of `rows`.
    pub(crate) indices: Vec<usize>,
    /// Runs of steps whose products with weights are computed together.
    pub(crate) chunks: Vec<Range<usize>>,
}

impl Schedule {
    /// Divides a batch into at most `threads` ranges of rows with about equally many positions. A chunk has about `chunk`
    /// positions.
    pub(crate) fn for_threads(shape: &Shape, threads: usize, chunk: usize) -> Vec<Schedule> {
        let total: usize = shape.lengths.iter().sum();
        let mut cuts = vec![0];
        let mut before = 0;
        for (row, length) in shape.lengths.iter().enumerate() {
            // A row belongs to the thread whose share contains its middle.
            let thread = (2 * before + length) * threads / (2 * total).max(1);
            if thread >= cuts.len() && row > *cuts.last().expect("there is a first cut") {
                cuts.push(row);
            }
            before += length;
        }
        cuts.push(shape.batch);
        cuts.windows(2).map(|cut| Self::of(shape, cut[0]..cut[1], chunk)).collect()
    }

    fn of(shape: &Shape, rows: Range<usize>, chunk: usize) -> Self {
        let lengths = &shape.lengths[rows.clone()];
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
        let steps = lengths.iter().copied().max().unwrap_or(0);
        let (mut step_starts, mut indices) = (vec![0], Vec::with_capacity(lengths.iter().sum()));
        for step in 0..steps {
            let active = order.iter().take_while(|&&row| lengths[row] > step);
            indices.extend(
                active.map(|&row| row * shape.time + if shape.reversed { lengths[row] - 1 - step } else { step }),
            );
            step_starts.push(indices.len());
        }
        let (mut chunks, mut first) = (Vec::new(), 0);
        for step in 0..steps {
            let last = step + 1 == steps;
            if last || step_starts[step + 2] - step_starts[first] > chunk {
                chunks.push(first..step + 1);
                first = step + 1;
            }
        }
        Self { rows, order, step_starts, indices, chunks }
    }

    /// Positions of a step.
    pub(crate) fn step(&self, step: usize) -> Range<usize> {
        self.step_starts[step]..self.step_starts[step + 1]
    }

    /// Positions of a run of steps.
    pub(crate) fn steps(&self, steps: &Range<usize>) -> Range<usize> {
        self.step_starts[steps.start]..self.step_starts[steps.end]
    }

    /// Number of positions.
    pub(crate) fn positions(&self) -> usize {
        self.indices.len()
    }

    /// Positions of the largest chunk.
    pub(crate) fn largest_chunk(&self) -> usize {
        self.chunks.iter().map(|chunk| self.steps(chunk).len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(lengths: &[usize], reversed: bool) -> Shape {
        let (batch, time) = (lengths.len(), lengths.iter().copied().max().unwrap());
        Shape { batch, time, input: 1, hidden: 1, lengths: lengths.into(), reversed }
    }

    #[test]
    fn every_valid_step_is_visited_once_and_in_order() {
        for lengths in [&[3, 1, 0, 5, 5][..], &[1], &[0], &[2; 9], &[7, 1, 1, 1]] {
            for (threads, chunk, reversed) in [(1, 4, false), (2, 1, true), (3, 100, false), (16, 2, true)] {
                let shape = shape(lengths, reversed);
                let schedules = Schedule::for_threads(&shape, threads, chunk);
                assert!(schedules.len() <= threads);
                let rows: Vec<usize> = schedules.iter().flat_map(|schedule| schedule.rows.clone()).collect();
                assert_eq!(rows, (0..shape.batch).collect::<Vec<_>>());
                for schedule in &schedules {
                    let chunked: Vec<usize> = schedule.chunks.iter().cloned().flatten().collect();
                    assert_eq!(chunked, (0..schedule.step_starts.len() - 1).collect::<Vec<_>>());
                    for (p, &row) in schedule.order.iter().enumerate() {
                        let visited: Vec<usize> = (0..schedule.step_starts.len() - 1)
                            .filter(|&step| p < schedule.step(step).len())
                            .map(|step| schedule.indices[schedule.step_starts[step] + p] - row * shape.time)
                            .collect();
                        let mut expected: Vec<usize> = (0..lengths[schedule.rows.start + row]).collect();
                        if reversed {
                            expected.reverse();
                        }
                        assert_eq!(visited, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn threads_get_about_equally_many_positions() {
        let lengths: Vec<usize> = (0..64).map(|row| 1 + (row * 37) % 50).collect();
        let schedules = Schedule::for_threads(&shape(&lengths, false), 4, 100);
        let totals: Vec<usize> = schedules.iter().map(Schedule::positions).collect();
        assert_eq!(schedules.len(), 4);
        assert!(totals.iter().max().unwrap() - totals.iter().min().unwrap() <= 50, "{totals:?}");
    }
}
