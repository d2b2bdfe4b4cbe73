//! The list of cells that have a CPU kernel, and the kernel of a cell as an object.

use std::fmt::Debug;

use super::backward::backward;
use super::elementwise::{Elementwise, SeparateGate};
use super::forward::forward;
use super::schedule::Shape;
use super::sequence::{InputGradients, Inputs, OutputGradients, Outputs};
use super::stepper::{Stepper, Steps};
use crate::execution::Execution;

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
    fn forward(&self, shape: &Shape, inputs: &Inputs, execution: Execution, saves: bool) -> Outputs;

    /// See [`backward`].
    fn backward(
        &self,
        shape: &Shape,
        inputs: &Inputs,
        results: (&[f32], &[f32]),
        gradients: OutputGradients,
        execution: Execution,
        wants_input: bool,
    ) -> InputGradients;

    /// See [`Stepper::new`].
    fn stepper(&self, shape: &Shape, inputs: &Inputs, execution: Execution) -> Box<dyn Steps>;
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

    fn forward(&self, shape: &Shape, inputs: &Inputs, execution: Execution, saves: bool) -> Outputs {
        forward::<E>(shape, inputs, execution, saves)
    }

    fn backward(
        &self,
        shape: &Shape,
        inputs: &Inputs,
        results: (&[f32], &[f32]),
        gradients: OutputGradients,
        execution: Execution,
        wants_input: bool,
    ) -> InputGradients {
        backward::<E>(shape, inputs, results, gradients, execution, wants_input)
    }

    fn stepper(&self, shape: &Shape, inputs: &Inputs, execution: Execution) -> Box<dyn Steps> {
        Box::new(Stepper::<E>::new(shape, inputs, execution))
    }
}
