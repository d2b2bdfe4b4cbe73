//! Step-by-step inference on one sequence.

use crate::cpu::{Accumulate, OutputMatrix, PackedMatrix, Resources, Rows, Steps};
use crate::execution::Execution;

/// A cell with its state, which processes one step at a time. Weights are packed once, and a step allocates nothing.
///
/// Steps give the same bits as the whole sequence at once.
#[derive(Debug)]
pub struct Stream {
    steps: Box<dyn Steps>,
}

impl Stream {
    pub(crate) fn new(steps: Box<dyn Steps>) -> Self {
        Self { steps }
    }

    /// Processes `input`, `[input_size]`, and returns the hidden state after it, `[hidden_size]`.
    ///
    /// # Panics
    /// If `input` has another length.
    pub fn step(&mut self, input: &[f32]) -> &[f32] {
        self.steps.step(input)
    }

    /// The hidden state after the last step.
    pub fn hidden(&self) -> &[f32] {
        self.steps.hidden()
    }

    /// The cell state after the last step; empty if there is none.
    pub fn cell(&self) -> &[f32] {
        self.steps.cell()
    }
}

/// The output layer of a stream, y = x W + b. Weights are packed once, and a step allocates nothing.
#[derive(Debug)]
pub struct OutputLayer {
    weight: PackedMatrix,
    bias: Vec<f32>,
    scores: Vec<f32>,
    execution: Execution,
}

impl OutputLayer {
    pub(crate) fn new(weight: PackedMatrix, bias: Vec<f32>, execution: Execution) -> Self {
        let scores = vec![0.0; bias.len()];
        Self { weight, bias, scores, execution }
    }

    /// The scores of `features`.
    pub fn scores(&mut self, features: &[f32]) -> &[f32] {
        let in_pool = rayon::current_thread_index().is_some();
        let threads = if in_pool { self.execution.thread_count() } else { 1 };
        let resources = Resources { instructions: self.execution.instructions, threads };
        let left = Rows { values: features, offsets: &[0] };
        let out = OutputMatrix::matrix(&mut self.scores, self.bias.len(), Accumulate::Row(&self.bias));
        self.weight.multiply(resources, 0..features.len(), &left, 1, out);
        &self.scores
    }
}
