//! The output layer of a stream.

use super::product::{Accumulate, OutputMatrix, PackedMatrix, Resources, Rows};
use super::slices::CpuSlice;
use crate::execution::Execution;
use crate::stream::Scores;

/// An output layer with packed weights.
#[derive(Debug)]
pub(super) struct PackedOutputLayer {
    weight: PackedMatrix,
    bias: Vec<f32>,
    scores: Vec<f32>,
    execution: Execution,
}

impl PackedOutputLayer {
    /// `weight` is `[features, classes]`, `bias` is `[classes]`.
    pub(super) fn new(weight: &CpuSlice, bias: &CpuSlice, features: usize, execution: Execution) -> Self {
        let bias = bias.slice().to_vec();
        let (classes, resources) = (bias.len(), Resources { instructions: execution.instructions, threads: 1 });
        let weight = PackedMatrix::pack(resources, weight.slice(), classes, features, classes);
        Self { weight, scores: vec![0.0; classes], bias, execution }
    }
}

impl Scores for PackedOutputLayer {
    fn scores(&mut self, features: &[f32]) -> &[f32] {
        // On a thread outside of the pool, other threads would have to wake up for each step.
        let in_pool = rayon::current_thread_index().is_some();
        let threads = if in_pool { self.execution.thread_count() } else { 1 };
        let resources = Resources { instructions: self.execution.instructions, threads };
        let left = Rows { values: features, offsets: &[0] };
        let out = OutputMatrix::matrix(&mut self.scores, self.bias.len(), Accumulate::Row(&self.bias));
        self.weight.multiply(resources, 0..features.len(), &left, 1, out);
        &self.scores
    }
}
