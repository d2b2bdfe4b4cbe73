//! The vanilla RNN with rectified linear units: `seqzoo_models::cells::ReluRnn`.
//!
//! ```text
//! h' = max(0, sum)
//! ```
//!
//! Planes: h'.

use crate::cpu::elementwise::{Elementwise, MAX_PLANES, SavedStep, SeparateGate};

#[derive(Debug)]
pub(crate) struct ReluRnn;

impl Elementwise for ReluRnn {
    const CELL: &'static str = "relu-rnn";
    const GATES: usize = 1;
    const SEPARATE: SeparateGate = SeparateGate::None;
    const EXTRA_PLANE: bool = false;
    const CELL_STATE: bool = false;

    #[inline(always)]
    fn forward<const FUSED: bool>([sums, ..]: [&mut [f32]; MAX_PLANES], _: &mut [f32], hidden: &mut [f32]) {
        for (h, sum) in hidden.iter_mut().zip(sums) {
            // Unlike `max`, this propagates NaN.
            *sum = if *sum < 0.0 { 0.0 } else { *sum };
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
            *sum = if *h > 0.0 { *dh } else { 0.0 };
            *dh = 0.0;
        }
    }
}
