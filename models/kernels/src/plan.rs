//! Who reads what, when: rows cut among threads, and the order in which a thread reads the steps of its rows.

use std::ops::Range;

/// The sizes of a call, and its direction.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Rows.
    pub batch: usize,
    /// Steps of the longest row.
    pub time: usize,
    /// Features read at a step.
    pub input: usize,
    /// Units.
    pub hidden: usize,
    /// True steps of each row.
    pub lengths: Vec<usize>,
    /// Whether each row is read from its last true step to its first.
    pub backward: bool,
}

/// The part of one thread: some rows, all their steps.
///
/// Rows stand by falling length, so that at each step those that still go on stand in front and padding costs nothing. What is
/// read is numbered step by step, within a step row by row; buffers of a thread are in that order.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// The rows of the batch.
    pub(crate) rows: Range<usize>,
    /// By falling length; numbers within `rows`.
    pub(crate) order: Vec<usize>,
    /// The number of the first thing read at each step, and of what there is in all.
    pub(crate) starts: Vec<usize>,
    /// For each thing that is read, where its step lies: `row · time + position`, counted within `rows`.
    pub(crate) places: Vec<usize>,
    /// Runs of steps whose products with weights are taken at once.
    pub(crate) chunks: Vec<Range<usize>>,
}

impl Plan {
    /// Cuts a batch among threads so that each has about as many steps; each part is some rows that follow on each other.
    pub(crate) fn all(shape: &Shape, threads: usize, chunk: usize) -> Vec<Plan> {
        let total: usize = shape.lengths.iter().sum();
        let mut cuts = vec![0];
        let mut before = 0;
        for (row, length) in shape.lengths.iter().enumerate() {
            // A row belongs to the thread in whose share its middle lies.
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
        let (mut starts, mut places) = (vec![0], Vec::with_capacity(lengths.iter().sum()));
        for step in 0..steps {
            let active = order.iter().take_while(|&&row| lengths[row] > step);
            places.extend(
                active.map(|&row| row * shape.time + if shape.backward { lengths[row] - 1 - step } else { step }),
            );
            starts.push(places.len());
        }
        let (mut chunks, mut first) = (Vec::new(), 0);
        for step in 0..steps {
            let last = step + 1 == steps;
            if last || starts[step + 2] - starts[first] > chunk {
                chunks.push(first..step + 1);
                first = step + 1;
            }
        }
        Self { rows, order, starts, places, chunks }
    }

    /// The numbers of what is read at a step.
    pub(crate) fn step(&self, step: usize) -> Range<usize> {
        self.starts[step]..self.starts[step + 1]
    }

    /// The numbers of what is read in some steps.
    pub(crate) fn steps(&self, steps: &Range<usize>) -> Range<usize> {
        self.starts[steps.start]..self.starts[steps.end]
    }

    /// How many things are read.
    pub(crate) fn total(&self) -> usize {
        self.places.len()
    }

    /// The most things of a chunk.
    pub(crate) fn largest_chunk(&self) -> usize {
        self.chunks.iter().map(|chunk| self.steps(chunk).len()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(lengths: &[usize], backward: bool) -> Shape {
        let (batch, time) = (lengths.len(), lengths.iter().copied().max().unwrap());
        Shape { batch, time, input: 1, hidden: 1, lengths: lengths.to_vec(), backward }
    }

    #[test]
    fn every_step_of_every_row_is_read_once_and_in_order() {
        for lengths in [&[3, 1, 0, 5, 5][..], &[1], &[0], &[2; 9], &[7, 1, 1, 1]] {
            for (threads, chunk, backward) in [(1, 4, false), (2, 1, true), (3, 100, false), (16, 2, true)] {
                let shape = shape(lengths, backward);
                let plans = Plan::all(&shape, threads, chunk);
                assert!(plans.len() <= threads);
                let rows: Vec<usize> = plans.iter().flat_map(|plan| plan.rows.clone()).collect();
                assert_eq!(rows, (0..shape.batch).collect::<Vec<_>>());
                for plan in &plans {
                    let chunked: Vec<usize> = plan.chunks.iter().cloned().flatten().collect();
                    assert_eq!(chunked, (0..plan.starts.len() - 1).collect::<Vec<_>>());
                    for (p, &row) in plan.order.iter().enumerate() {
                        let read: Vec<usize> = (0..plan.starts.len() - 1)
                            .filter(|&step| p < plan.step(step).len())
                            .map(|step| plan.places[plan.starts[step] + p] - row * shape.time)
                            .collect();
                        let mut expected: Vec<usize> = (0..lengths[plan.rows.start + row]).collect();
                        if backward {
                            expected.reverse();
                        }
                        assert_eq!(read, expected);
                    }
                }
            }
        }
    }

    #[test]
    fn threads_have_about_as_many_steps() {
        let lengths: Vec<usize> = (0..64).map(|row| 1 + (row * 37) % 50).collect();
        let plans = Plan::all(&shape(&lengths, false), 4, 100);
        let totals: Vec<usize> = plans.iter().map(Plan::total).collect();
        assert_eq!(plans.len(), 4);
        assert!(totals.iter().max().unwrap() - totals.iter().min().unwrap() <= 50, "{totals:?}");
    }
}
