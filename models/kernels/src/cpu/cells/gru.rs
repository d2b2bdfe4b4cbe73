//! The GRU whose reset gate acts before the product: `seqzoo_models::cells::Gru`.
//!
//! ```text
//! r, u = σ(sums)        factor = r ⊙ h        n = tanh(sum + factor W_hn)        h' = h + u ⊙ (n − h)
//! ```
//!
//! Planes: r, u and n.

use crate::cpu::elementwise::{Elementwise, MAX_PLANES, SavedStep, SeparateGate};
use crate::cpu::math::{fma, sigmoid, tanh};

#[derive(Debug)]
pub(crate) struct Gru;

impl Elementwise for Gru {
    const CELL: &'static str = "gru";
    const GATES: usize = 3;
    const SEPARATE: SeparateGate = SeparateGate::Factor;
    const EXTRA_PLANE: bool = false;
    const CELL_STATE: bool = false;

    #[inline(always)]
    fn factor<const FUSED: bool>([r, ..]: [&mut [f32]; MAX_PLANES], hidden: &[f32], factor: &mut [f32]) {
        for ((r, h), factor) in r.iter_mut().zip(hidden).zip(factor) {
            *r = sigmoid::<FUSED>(*r);
            *factor = *r * h;
        }
    }

    #[inline(always)]
    fn forward<const FUSED: bool>([_, u, n, ..]: [&mut [f32]; MAX_PLANES], _: &mut [f32], hidden: &mut [f32]) {
        for ((u, n), h) in u.iter_mut().zip(n).zip(hidden) {
            *u = sigmoid::<FUSED>(*u);
            *n = tanh::<FUSED>(*n);
            *h = fma::<FUSED>(*u, *n - *h, *h);
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        saved: SavedStep<'_>,
        hidden: &mut [f32],
        _: &mut [f32],
        gates: [&mut [f32]; MAX_PLANES],
    ) {
        let count = hidden.len();
        let [_, u, n, ..] = saved.planes;
        let (u, n, h) = (&u[..count], &n[..count], &saved.hidden[..count]);
        let [_, du, dn, ..] = gates;
        let (du, dn) = (&mut du[..count], &mut dn[..count]);
        for j in 0..count {
            dn[j] = hidden[j] * u[j] * (1.0 - n[j] * n[j]);
            du[j] = hidden[j] * (n[j] - h[j]) * u[j] * (1.0 - u[j]);
            hidden[j] *= 1.0 - u[j];
        }
    }

    #[inline(always)]
    fn factor_backward<const FUSED: bool>(
        saved: SavedStep<'_>,
        factor_gradient: &[f32],
        factor: &mut [f32],
        hidden: &mut [f32],
        gates: [&mut [f32]; MAX_PLANES],
    ) {
        let count = hidden.len();
        let (r, h, d_factor, factor) =
            (&saved.planes[0][..count], &saved.hidden[..count], &factor_gradient[..count], &mut factor[..count]);
        let [dr, ..] = gates;
        let dr = &mut dr[..count];
        for j in 0..count {
            factor[j] = r[j] * h[j];
            dr[j] = d_factor[j] * h[j] * r[j] * (1.0 - r[j]);
            hidden[j] = fma::<FUSED>(d_factor[j], r[j], hidden[j]);
        }
    }
}
