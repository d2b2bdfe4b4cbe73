//! The GRU whose reset gate acts before the product: `seqzoo_models::cells::Gru`.
//!
//! ```text
//! r, u = σ(sums)        factor = r ⊙ h        n = tanh(sum + factor W_hn)        h' = h + u ⊙ (n − h)
//! ```
//!
//! Planes: r, u and n.

use crate::math::{fma, sigmoid, tanh};
use crate::sequence::{Apart, PLANES, Pointwise, Seen};

pub(crate) struct Gru;

impl Pointwise for Gru {
    const GATES: usize = 3;
    const APART: Apart = Apart::Factor;
    const KEEPS: bool = false;
    const CARRIES: bool = false;

    #[inline(always)]
    fn factor<const FUSED: bool>([r, ..]: [&mut [f32]; PLANES], hidden: &[f32], factor: &mut [f32]) {
        for ((r, h), factor) in r.iter_mut().zip(hidden).zip(factor) {
            *r = sigmoid::<FUSED>(*r);
            *factor = *r * h;
        }
    }

    #[inline(always)]
    fn forward<const FUSED: bool>([_, u, n, ..]: [&mut [f32]; PLANES], _: &mut [f32], hidden: &mut [f32]) {
        for ((u, n), h) in u.iter_mut().zip(n).zip(hidden) {
            *u = sigmoid::<FUSED>(*u);
            *n = tanh::<FUSED>(*n);
            *h = fma::<FUSED>(*u, *n - *h, *h);
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(seen: Seen<'_>, slope: &mut [f32], _: &mut [f32], slopes: [&mut [f32]; PLANES]) {
        let count = slope.len();
        let [_, u, n, ..] = seen.planes;
        let (u, n, before) = (&u[..count], &n[..count], &seen.before[..count]);
        let [_, of_u, of_n, ..] = slopes;
        let (of_u, of_n) = (&mut of_u[..count], &mut of_n[..count]);
        for j in 0..count {
            of_n[j] = slope[j] * u[j] * (1.0 - n[j] * n[j]);
            of_u[j] = slope[j] * (n[j] - before[j]) * u[j] * (1.0 - u[j]);
            slope[j] *= 1.0 - u[j];
        }
    }

    #[inline(always)]
    fn backward_factor<const FUSED: bool>(
        seen: Seen<'_>,
        of_factor: &[f32],
        factor: &mut [f32],
        slope: &mut [f32],
        slopes: [&mut [f32]; PLANES],
    ) {
        let count = slope.len();
        let (r, before, of_factor, factor) =
            (&seen.planes[0][..count], &seen.before[..count], &of_factor[..count], &mut factor[..count]);
        let [of_r, ..] = slopes;
        let of_r = &mut of_r[..count];
        for j in 0..count {
            factor[j] = r[j] * before[j];
            of_r[j] = of_factor[j] * before[j] * r[j] * (1.0 - r[j]);
            slope[j] = fma::<FUSED>(of_factor[j], r[j], slope[j]);
        }
    }
}
