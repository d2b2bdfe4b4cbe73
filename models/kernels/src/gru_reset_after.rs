//! The GRU whose reset gate acts after the product: `seqzoo_models::cells::GruResetAfter`.
//!
//! ```text
//! r, z = σ(sums)        q = h W_hn + b_hn        n = tanh(sum + r ⊙ q)        h' = n + z ⊙ (h − n)
//! ```
//!
//! Planes: r, z, n, and q.

use crate::math::{fma, sigmoid, tanh};
use crate::sequence::{Apart, PLANES, Pointwise, Seen};

pub(crate) struct GruResetAfter;

impl Pointwise for GruResetAfter {
    const GATES: usize = 3;
    const APART: Apart = Apart::Product;
    const KEEPS: bool = true;
    const CARRIES: bool = false;

    #[inline(always)]
    fn forward<const FUSED: bool>(planes: [&mut [f32]; PLANES], _: &mut [f32], hidden: &mut [f32]) {
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
    fn backward<const FUSED: bool>(seen: Seen<'_>, slope: &mut [f32], _: &mut [f32], slopes: [&mut [f32]; PLANES]) {
        let count = slope.len();
        let [r, z, n, q, _] = seen.planes;
        let (r, z, n, q, before) = (&r[..count], &z[..count], &n[..count], &q[..count], &seen.before[..count]);
        let [of_r, of_z, of_n, of_q, _] = slopes;
        let (of_r, of_z, of_n, of_q) = (&mut of_r[..count], &mut of_z[..count], &mut of_n[..count], &mut of_q[..count]);
        for j in 0..count {
            let (r, z, n, q) = (r[j], z[j], n[j], q[j]);
            of_n[j] = slope[j] * (1.0 - z) * (1.0 - n * n);
            of_q[j] = of_n[j] * r;
            of_r[j] = of_n[j] * q * r * (1.0 - r);
            of_z[j] = slope[j] * (before[j] - n) * z * (1.0 - z);
            slope[j] *= z;
        }
    }
}
