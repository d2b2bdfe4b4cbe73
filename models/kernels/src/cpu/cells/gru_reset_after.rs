//! The GRU whose reset gate acts after the product: `seqzoo_models::cells::GruResetAfter`.
//!
//! ```text
//! r, z = σ(sums)        q = h W_hn + b_hn        n = tanh(sum + r ⊙ q)        h' = n + z ⊙ (h − n)
//! ```
//!
//! Planes: r, z, n, and q.

use crate::cpu::elementwise::{Elementwise, MAX_PLANES, SavedStep, SeparateGate};
use crate::cpu::math::{fma, sigmoid, tanh};

#[derive(Debug)]
pub(crate) struct GruResetAfter;

impl Elementwise for GruResetAfter {
    const CELL: &'static str = "gru-reset-after";
    const GATES: usize = 3;
    const SEPARATE: SeparateGate = SeparateGate::Product;
    const EXTRA_PLANE: bool = true;
    const CELL_STATE: bool = false;

    #[inline(always)]
    fn forward<const FUSED: bool>(planes: [&mut [f32]; MAX_PLANES], _: &mut [f32], hidden: &mut [f32]) {
        let count = hidden.len();
        let [r, z, n, q, _] = planes;
        let (r, z, n, q) = (&mut r[..count], &mut z[..count], &mut n[..count], &q[..count]);
        for j in 0..count {
            (r[j], z[j]) = (sigmoid::<FUSED>(r[j]), sigmoid::<FUSED>(z[j]));
            n[j] = tanh::<FUSED>(fma::<FUSED>(r[j], q[j], n[j]));
            hidden[j] = fma::<FUSED>(z[j], hidden[j] - n[j], n[j]);
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
        let [r, z, n, q, _] = saved.planes;
        let (r, z, n, q, h) = (&r[..count], &z[..count], &n[..count], &q[..count], &saved.hidden[..count]);
        let [dr, dz, dn, dq, _] = gates;
        let (dr, dz, dn, dq) = (&mut dr[..count], &mut dz[..count], &mut dn[..count], &mut dq[..count]);
        for j in 0..count {
            let (r, z, n, q) = (r[j], z[j], n[j], q[j]);
            dn[j] = hidden[j] * (1.0 - z) * (1.0 - n * n);
            dq[j] = dn[j] * r;
            dr[j] = dn[j] * q * r * (1.0 - r);
            dz[j] = hidden[j] * (h[j] - n) * z * (1.0 - z);
            hidden[j] *= z;
        }
    }
}
