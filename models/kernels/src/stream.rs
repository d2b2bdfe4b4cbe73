//! Step-by-step inference on one sequence.

use std::fmt::Debug;

/// A cell with its state, which processes one step at a time. Weights are packed once, and a step allocates nothing.
///
/// Results are bit-identical to those of the whole sequence at once.
#[derive(Debug)]
pub struct Stream(Box<dyn Steps>);

/// What a kernel family implements for [`Stream`].
pub(crate) trait Steps: Debug + Send {
    /// Computes the step with `input`, `[input_size]`, and returns the hidden state after it.
    ///
    /// # Panics
    /// If `input` has another length.
    fn step(&mut self, input: &[f32]) -> &[f32];

    /// The hidden state after the last step.
    fn hidden(&self) -> &[f32];

    /// The cell state after the last step; empty if there is none.
    fn cell(&self) -> &[f32];

    /// Continues from another state.
    ///
    /// # Panics
    /// If the sizes differ.
    fn set_state(&mut self, hidden: &[f32], cell: &[f32]);
}

impl Stream {
    pub(crate) fn new(steps: Box<dyn Steps>) -> Self {
        Self(steps)
    }

    /// Processes `input`, `[input_size]`, and returns the hidden state after it, `[hidden_size]`.
    ///
    /// # Panics
    /// If `input` has another length.
    pub fn step(&mut self, input: &[f32]) -> &[f32] {
        self.0.step(input)
    }

    /// The hidden state after the last step.
    pub fn hidden(&self) -> &[f32] {
        self.0.hidden()
    }

    /// The cell state after the last step; empty if there is none.
    pub fn cell(&self) -> &[f32] {
        self.0.cell()
    }

    /// Continues from another state, such as one that was saved; `cell` is empty if there is none.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn set_state(&mut self, hidden: &[f32], cell: &[f32]) {
        self.0.set_state(hidden, cell);
    }
}

/// The output layer of a stream, y = x W + b. Weights are packed once, and a step allocates nothing.
#[derive(Debug)]
pub struct OutputLayer(Box<dyn Scores>);

/// What a kernel family implements for [`OutputLayer`].
pub(crate) trait Scores: Debug + Send {
    /// The scores of `features`.
    fn scores(&mut self, features: &[f32]) -> &[f32];
}

impl OutputLayer {
    pub(crate) fn new(scores: Box<dyn Scores>) -> Self {
        Self(scores)
    }

    /// The scores of `features`.
    pub fn scores(&mut self, features: &[f32]) -> &[f32] {
        self.0.scores(features)
    }
}
