//! The vanilla RNN, of tanh or rectified units: `seqzoo_models::cells::{Rnn, ReluRnn}`.
//!
//! ```text
//! h' = tanh(projected + h W_hh)        or        max(0, projected + h W_hh)
//! ```

use crate::math::tanh;
use crate::sequence::{Pointwise, Seen, Step};

pub(crate) struct Rnn;

pub(crate) struct ReluRnn;

impl Pointwise for Rnn {
    const GATES: usize = 1;
    const KEEPS: bool = false;
    const CARRIES: bool = false;
    const SPLITS: bool = false;

    #[inline(always)]
    fn forward<const FUSED: bool>(step: Step<'_>, _: &mut [f32], _: &mut [f32], hidden: &mut [f32]) {
        for ((h, p), r) in hidden.iter_mut().zip(step.projected).zip(step.recurrent) {
            *h = tanh::<FUSED>(p + r);
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        seen: Seen<'_>,
        slope: &mut [f32],
        _: &mut [f32],
        projected: &mut [f32],
        _: &mut [f32],
    ) {
        for ((d, slope), h) in projected.iter_mut().zip(slope).zip(seen.after) {
            *d = *slope * (1.0 - h * h);
            *slope = 0.0;
        }
    }
}

impl Pointwise for ReluRnn {
    const GATES: usize = 1;
    const KEEPS: bool = false;
    const CARRIES: bool = false;
    const SPLITS: bool = false;

    #[inline(always)]
    fn forward<const FUSED: bool>(step: Step<'_>, _: &mut [f32], _: &mut [f32], hidden: &mut [f32]) {
        for ((h, p), r) in hidden.iter_mut().zip(step.projected).zip(step.recurrent) {
            let sum = p + r;
            // Unlike a maximum, this passes on what is not a number.
            *h = if sum < 0.0 { 0.0 } else { sum };
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        seen: Seen<'_>,
        slope: &mut [f32],
        _: &mut [f32],
        projected: &mut [f32],
        _: &mut [f32],
    ) {
        for ((d, slope), h) in projected.iter_mut().zip(slope).zip(seen.after) {
            *d = if *h > 0.0 { *slope } else { 0.0 };
            *slope = 0.0;
        }
    }
}
