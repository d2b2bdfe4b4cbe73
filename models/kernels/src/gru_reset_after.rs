//! The GRU whose reset gate acts after the product: `seqzoo_models::cells::GruResetAfter`.
//!
//! ```text
//! r, z = σ(projected + h W_hh)        q = h W_hn + b_hn        n = tanh(projected + r ⊙ q)        h' = n + z ⊙ (h − n)
//! ```

use crate::math::{fma, sigmoid, tanh};
use crate::sequence::{Pointwise, Seen, Step};

pub(crate) struct GruResetAfter;

impl Pointwise for GruResetAfter {
    const GATES: usize = 3;
    /// q, which the reset gate multiplies.
    const KEEPS: bool = true;
    const CARRIES: bool = false;
    const SPLITS: bool = true;

    #[inline(always)]
    fn forward<const FUSED: bool>(step: Step<'_>, gates: &mut [f32], kept: &mut [f32], hidden: &mut [f32]) {
        let h = hidden.len();
        let [pr, pz, pn] = thirds(step.projected, h);
        let [rr, rz, rn] = thirds(step.recurrent, h);
        let (gr, rest) = gates.split_at_mut(h);
        let (gz, gn) = rest.split_at_mut(h);
        let (gn, kept, extra) = (&mut gn[..h], &mut kept[..h], &step.extra[..h]);
        for j in 0..h {
            let r = sigmoid::<FUSED>(pr[j] + rr[j]);
            let z = sigmoid::<FUSED>(pz[j] + rz[j]);
            let q = rn[j] + extra[j];
            let n = tanh::<FUSED>(fma::<FUSED>(r, q, pn[j]));
            (gr[j], gz[j], gn[j], kept[j]) = (r, z, n, q);
            hidden[j] = fma::<FUSED>(z, hidden[j] - n, n);
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        seen: Seen<'_>,
        slope: &mut [f32],
        _: &mut [f32],
        projected: &mut [f32],
        recurrent: &mut [f32],
    ) {
        let h = slope.len();
        let [gr, gz, gn] = thirds(seen.gates, h);
        let (kept, before) = (&seen.kept[..h], &seen.before[..h]);
        let (dr, rest) = projected.split_at_mut(h);
        let (dz, dn) = rest.split_at_mut(h);
        let (qr, rest) = recurrent.split_at_mut(h);
        let (qz, qn) = rest.split_at_mut(h);
        let (dn, qn) = (&mut dn[..h], &mut qn[..h]);
        for j in 0..h {
            let (r, z, n, q) = (gr[j], gz[j], gn[j], kept[j]);
            let of_n = slope[j] * (1.0 - z) * (1.0 - n * n);
            let of_r = of_n * q * r * (1.0 - r);
            let of_z = slope[j] * (before[j] - n) * z * (1.0 - z);
            (dr[j], dz[j], dn[j]) = (of_r, of_z, of_n);
            (qr[j], qz[j], qn[j]) = (of_r, of_z, of_n * r);
            slope[j] *= z;
        }
    }
}

/// The three gates of a row.
#[inline(always)]
fn thirds(row: &[f32], h: usize) -> [&[f32]; 3] {
    [&row[..h], &row[h..2 * h], &row[2 * h..3 * h]]
}
