//! The elementwise part of a cell's time step: what distinguishes one cell from another.
//!
//! A step is a product of the hidden state with the recurrent weights, added to the projected input, followed by elementwise
//! functions of the sums. The products are the same for all cells and belong to `forward` and `backward`; a cell implements
//! [`Elementwise`] with the rest.

use std::fmt::Debug;

use crate::instructions::{InstructionSet, for_each_instruction_set};

/// Most gate planes of a cell: gates and the extra plane.
pub(crate) const MAX_PLANES: usize = 5;

/// How the recurrent product of the last gate differs from that of the other gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeparateGate {
    /// It does not.
    None,
    /// Its product, with a bias of its own, is stored in the extra plane instead of being added to the projected input.
    Product,
    /// Its left operand is not the hidden state but a factor computed from it, and its weights are a matrix of their own.
    Factor,
}

/// The elementwise functions of a cell, forward and backward.
///
/// Every slice of a call has as many elements as active rows times hidden units. Arrays of planes are those of [`MAX_PLANES`];
/// planes that a cell does not have are empty. Implementations are loops over slices without calls, so that compilers vectorize
/// them; `FUSED` selects fused multiply-add.
pub(crate) trait Elementwise: Debug + Sync + Send + 'static {
    /// Name of the cell, as in the list of architectures.
    const CELL: &'static str;
    /// Number of gates: columns of the projected input per hidden unit.
    const GATES: usize;
    /// How the last gate differs.
    const SEPARATE: SeparateGate;
    /// Whether there is an extra plane after the gates: the cell state of an LSTM, or a separate product.
    const EXTRA_PLANE: bool;
    /// Whether there is a cell state. It is then stored in the extra plane.
    const CELL_STATE: bool;

    /// Computes the factor of the separate gate from the sums of the gates before it. Those become activated gates.
    fn factor<const FUSED: bool>(_planes: [&mut [f32]; MAX_PLANES], _hidden: &[f32], _factor: &mut [f32]) {}

    /// Turns sums into activated gates, as the backward pass needs them, and `cell` and `hidden` into the state after the step.
    fn forward<const FUSED: bool>(planes: [&mut [f32]; MAX_PLANES], cell: &mut [f32], hidden: &mut [f32]);

    /// Computes the gradients of the sums, `gates`, from the gradients of the state after the step.
    ///
    /// `hidden` becomes the part of the previous state's gradient that passes through no product, `cell` the gradient of the
    /// previous cell state. The gradient of a separate product goes to the extra plane.
    fn backward<const FUSED: bool>(
        saved: SavedStep<'_>,
        hidden: &mut [f32],
        cell: &mut [f32],
        gates: [&mut [f32]; MAX_PLANES],
    );

    /// Completes the backward pass once the factor's gradient is known, and recomputes the factor, which the gradient of its
    /// weights needs.
    fn factor_backward<const FUSED: bool>(
        _saved: SavedStep<'_>,
        _factor_gradient: &[f32],
        _factor: &mut [f32],
        _hidden: &mut [f32],
        _gates: [&mut [f32]; MAX_PLANES],
    ) {
    }
}

/// What the backward pass reads of a step.
#[derive(Clone, Copy)]
pub(crate) struct SavedStep<'a> {
    pub(crate) planes: [&'a [f32]; MAX_PLANES],
    /// The hidden state before the step.
    pub(crate) hidden: &'a [f32],
    /// The cell state before the step; empty if there is none.
    pub(crate) cell: &'a [f32],
}

for_each_instruction_set!(pub(crate) forward<E: Elementwise>(planes: [&mut [f32]; MAX_PLANES], cell: &mut [f32], hidden: &mut [f32]));
for_each_instruction_set!(pub(crate) factor<E: Elementwise>(planes: [&mut [f32]; MAX_PLANES], hidden: &[f32], factor: &mut [f32]));
for_each_instruction_set!(pub(crate) backward<E: Elementwise>(
    saved: SavedStep<'_>, hidden: &mut [f32], cell: &mut [f32], gates: [&mut [f32]; MAX_PLANES],
));
for_each_instruction_set!(pub(crate) factor_backward<E: Elementwise>(
    saved: SavedStep<'_>, factor_gradient: &[f32], factor: &mut [f32], hidden: &mut [f32],
    gates: [&mut [f32]; MAX_PLANES],
));
