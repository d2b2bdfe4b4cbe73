//! Packed weights of a cell, as the forward and the backward pass multiply with them.

use super::dimensions::Dimensions;
use super::elementwise::{Elementwise, SeparateGate};
use super::product::PackedMatrix;
use super::sequence::Inputs;

/// Weights of the forward pass.
#[derive(Debug)]
pub(super) struct ForwardWeights {
    /// `[input_size, gates]`.
    pub(super) input: PackedMatrix,
    /// `[h, joint gates]`.
    pub(super) joint: PackedMatrix,
    /// `[h, h]` of a separate gate, or empty.
    pub(super) separate: PackedMatrix,
}

impl ForwardWeights {
    pub(super) fn pack<E: Elementwise>(dimensions: &Dimensions, inputs: &Inputs) -> Self {
        let Dimensions { input, hidden: h, gates, joint, recurrent_columns, .. } = *dimensions;
        let resources = dimensions.all_threads();
        Self {
            input: PackedMatrix::pack(resources, inputs.weight_ih, gates, input, gates),
            joint: PackedMatrix::pack(resources, inputs.weight_hh, recurrent_columns, h, joint),
            separate: match E::SEPARATE {
                SeparateGate::None => PackedMatrix::default(),
                SeparateGate::Product => {
                    PackedMatrix::pack(resources, &inputs.weight_hh[joint..], recurrent_columns, h, h)
                }
                SeparateGate::Factor => PackedMatrix::pack(resources, inputs.extra, h, h, h),
            },
        }
    }
}

/// Transposed recurrent weights, for the backward pass.
#[derive(Debug)]
pub(super) struct BackwardWeights {
    /// `[joint gates, h]`.
    pub(super) joint: PackedMatrix,
    /// `[h, h]` of a separate gate, or empty.
    pub(super) separate: PackedMatrix,
}

impl BackwardWeights {
    pub(super) fn pack<E: Elementwise>(dimensions: &Dimensions, inputs: &Inputs) -> Self {
        let Dimensions { hidden: h, joint, recurrent_columns, .. } = *dimensions;
        let resources = dimensions.all_threads();
        Self {
            joint: PackedMatrix::pack_transposed(resources, inputs.weight_hh, recurrent_columns, joint, h),
            separate: match E::SEPARATE {
                SeparateGate::None => PackedMatrix::default(),
                SeparateGate::Product => {
                    PackedMatrix::pack_transposed(resources, &inputs.weight_hh[joint..], recurrent_columns, h, h)
                }
                SeparateGate::Factor => PackedMatrix::pack_transposed(resources, inputs.extra, h, h, h),
            },
        }
    }
}

/// Transposed input weights `[gates, input_size]`, for the gradient of the input.
pub(super) fn pack_input_backward(dimensions: &Dimensions, inputs: &Inputs) -> PackedMatrix {
    let Dimensions { input, gates, .. } = *dimensions;
    PackedMatrix::pack_transposed(dimensions.all_threads(), inputs.weight_ih, gates, gates, input)
}
