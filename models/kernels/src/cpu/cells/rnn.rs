//! The vanilla RNN with tanh: `seqzoo_models::cells::Rnn`.
//!
//! ```text
//! h' = tanh(sum)
//! ```
//!
//! Planes: h'.

use crate::cpu::elementwise::{Elementwise, MAX_PLANES, SavedStep, SeparateGate};
use crate::cpu::math::tanh;

#[derive(Debug)]
pub(crate) struct Rnn;

impl Elementwise for Rnn {
    const CELL: &'static str = "rnn";
    const GATES: usize = 1;
    const SEPARATE: SeparateGate = SeparateGate::None;
    const EXTRA_PLANE: bool = false;
    const CELL_STATE: bool = false;

    #[inline(always)]
    fn forward<const FUSED: bool>([sums, ..]: [&mut [f32]; MAX_PLANES], _: &mut [f32], hidden: &mut [f32]) {
        for (h, sum) in hidden.iter_mut().zip(sums) {
            *sum = tanh::<FUSED>(*sum);
            *h = *sum;
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        saved: SavedStep<'_>,
        hidden: &mut [f32],
        _: &mut [f32],
        [sums, ..]: [&mut [f32]; MAX_PLANES],
    ) {
        for ((sum, dh), h) in sums.iter_mut().zip(hidden).zip(saved.planes[0]) {
            *sum = *dh * (1.0 - h * h);
            *dh = 0.0;
        }
    }
}
