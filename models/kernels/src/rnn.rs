//! The vanilla RNN, of tanh or rectified units: `seqzoo_models::cells::{Rnn, ReluRnn}`.
//!
//! ```text
//! h' = tanh(sum)        or        max(0, sum)
//! ```
//!
//! Planes: h'.

use crate::math::tanh;
use crate::sequence::{Apart, PLANES, Pointwise, Seen};

pub(crate) struct Rnn;

pub(crate) struct ReluRnn;

impl Pointwise for Rnn {
    const GATES: usize = 1;
    const APART: Apart = Apart::No;
    const KEEPS: bool = false;
    const CARRIES: bool = false;

    #[inline(always)]
    fn forward<const FUSED: bool>([sums, ..]: [&mut [f32]; PLANES], _: &mut [f32], hidden: &mut [f32]) {
        for (h, sum) in hidden.iter_mut().zip(sums) {
            *sum = tanh::<FUSED>(*sum);
            *h = *sum;
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        seen: Seen<'_>,
        slope: &mut [f32],
        _: &mut [f32],
        [of_sums, ..]: [&mut [f32]; PLANES],
    ) {
        for ((of_sum, slope), h) in of_sums.iter_mut().zip(slope).zip(seen.planes[0]) {
            *of_sum = *slope * (1.0 - h * h);
            *slope = 0.0;
        }
    }
}

impl Pointwise for ReluRnn {
    const GATES: usize = 1;
    const APART: Apart = Apart::No;
    const KEEPS: bool = false;
    const CARRIES: bool = false;

    #[inline(always)]
    fn forward<const FUSED: bool>([sums, ..]: [&mut [f32]; PLANES], _: &mut [f32], hidden: &mut [f32]) {
        for (h, sum) in hidden.iter_mut().zip(sums) {
            // Unlike a maximum, this passes on what is not a number.
            *sum = if *sum < 0.0 { 0.0 } else { *sum };
            *h = *sum;
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        seen: Seen<'_>,
        slope: &mut [f32],
        _: &mut [f32],
        [of_sums, ..]: [&mut [f32]; PLANES],
    ) {
        for ((of_sum, slope), h) in of_sums.iter_mut().zip(slope).zip(seen.planes[0]) {
            *of_sum = if *h > 0.0 { *slope } else { 0.0 };
            *slope = 0.0;
        }
    }
}
