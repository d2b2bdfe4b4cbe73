//! The list of cells that have a CPU kernel, and the kernel of a cell as an object.

use std::fmt::Debug;

use super::backward::backward;
use super::dimensions::Dimensions;
use super::elementwise::{Elementwise, SeparateGate};
use super::forward::forward;
use super::packed_weights::WeightSources;
use super::schedule::Shape;
use super::sequence::{InputGradients, Inputs, OutputGradients, Outputs};
use super::stepper::Stepper;
use super::worker::BackwardPass;
use crate::execution::{Activations, Execution};
use crate::stream::Steps;

/// Declares the modules of the listed cells and the table of their kernels.
macro_rules! kernels {
    ($($file:ident::$cell:ident,)*) => {
        $(pub(super) mod $file;)*

        static KERNELS: &[&dyn SequenceKernel] = &[$(&$file::$cell),*];
    };
}

// One line and one file for each cell: a type that implements `Elementwise`.
kernels! {
    rnn::Rnn,
    relu_rnn::ReluRnn,
    lstm::Lstm,
    gru::Gru,
    gru_reset_after::GruResetAfter,
}

/// Names of the cells that have a kernel.
pub(super) fn names() -> Vec<&'static str> {
    KERNELS.iter().map(|kernel| kernel.cell()).collect()
}

/// The kernel of a cell.
pub(super) fn find(cell: &str) -> Option<&'static dyn SequenceKernel> {
    KERNELS.iter().copied().find(|kernel| kernel.cell() == cell)
}

/// The functions that sequences and streams need of a cell, whatever the cell.
pub(crate) trait SequenceKernel: Debug + Sync + Send {
    /// Name of the cell.
    fn cell(&self) -> &'static str;

    /// How the last gate differs, which also says what the cell's extra input is.
    fn separate_gate(&self) -> SeparateGate;

    /// Whether there is a cell state.
    fn has_cell_state(&self) -> bool;

    /// See [`forward`].
    fn forward(
        &self,
        shape: &Shape,
        inputs: &Inputs,
        sources: WeightSources,
        execution: Execution,
        saves: bool,
    ) -> Outputs;

    /// See [`backward`].
    #[allow(clippy::too_many_arguments)]
    fn backward(
        &self,
        shape: &Shape,
        inputs: &Inputs,
        sources: WeightSources,
        results: (&[f32], &[f32]),
        gradients: OutputGradients,
        execution: Execution,
        wants_input: bool,
    ) -> InputGradients;

    /// See [`Stepper::new`].
    fn stepper(&self, shape: &Shape, inputs: &Inputs, sources: WeightSources, execution: Execution) -> Box<dyn Steps>;
}

impl<E: Elementwise> SequenceKernel for E {
    fn cell(&self) -> &'static str {
        E::CELL
    }

    fn separate_gate(&self) -> SeparateGate {
        E::SEPARATE
    }

    fn has_cell_state(&self) -> bool {
        E::CELL_STATE
    }

    fn forward(
        &self,
        shape: &Shape,
        inputs: &Inputs,
        sources: WeightSources,
        execution: Execution,
        saves: bool,
    ) -> Outputs {
        let weights = sources.forward::<E>(&Dimensions::of::<E>(shape, execution), inputs);
        forward::<E>(shape, inputs, &weights, execution, saves)
    }

    fn backward(
        &self,
        shape: &Shape,
        inputs: &Inputs,
        sources: WeightSources,
        results: (&[f32], &[f32]),
        gradients: OutputGradients,
        execution: Execution,
        wants_input: bool,
    ) -> InputGradients {
        let dimensions = Dimensions::of::<E>(shape, execution);
        let recomputes = execution.activations == Activations::Recomputed;
        let recurrent = sources.backward::<E>(&dimensions, inputs);
        let input = wants_input.then(|| sources.backward_input(&dimensions, inputs));
        let forward = recomputes.then(|| sources.forward::<E>(&dimensions, inputs));
        let weights = BackwardPass { recurrent: &recurrent, input: input.as_deref(), forward: forward.as_deref() };
        backward::<E>(shape, inputs, weights, results, gradients, execution)
    }

    fn stepper(&self, shape: &Shape, inputs: &Inputs, sources: WeightSources, execution: Execution) -> Box<dyn Steps> {
        let weights = sources.forward::<E>(&Dimensions::of::<E>(shape, execution), inputs);
        Box::new(Stepper::<E>::new(shape, inputs, weights, execution))
    }
}
