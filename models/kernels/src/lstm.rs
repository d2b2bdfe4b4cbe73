//! Long short-term memory: `seqzoo_models::cells::Lstm`.
//!
//! ```text
//! c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)        h' = σ(o) ⊙ tanh(c')        gates i, f, g, o = projected + h W_hh
//! ```

use crate::math::{fma, sigmoid, tanh};
use crate::sequence::{Pointwise, Seen, Step};

pub(crate) struct Lstm;

impl Pointwise for Lstm {
    const GATES: usize = 4;
    const KEEPS: bool = true;
    const CARRIES: bool = true;
    const SPLITS: bool = false;

    #[inline(always)]
    fn forward<const FUSED: bool>(step: Step<'_>, gates: &mut [f32], kept: &mut [f32], hidden: &mut [f32]) {
        let h = hidden.len();
        let Step { projected, recurrent, carried, .. } = step;
        let [pi, pf, pg, po] = quarters(projected, h);
        let [ri, rf, rg, ro] = quarters(recurrent, h);
        let (gi, rest) = gates.split_at_mut(h);
        let (gf, rest) = rest.split_at_mut(h);
        let (gg, go) = rest.split_at_mut(h);
        let (go, kept, carried) = (&mut go[..h], &mut kept[..h], &carried[..h]);
        for j in 0..h {
            let i = sigmoid::<FUSED>(pi[j] + ri[j]);
            let f = sigmoid::<FUSED>(pf[j] + rf[j]);
            let g = tanh::<FUSED>(pg[j] + rg[j]);
            let o = sigmoid::<FUSED>(po[j] + ro[j]);
            let c = fma::<FUSED>(f, carried[j], i * g);
            (gi[j], gf[j], gg[j], go[j], kept[j]) = (i, f, g, o, c);
            hidden[j] = o * tanh::<FUSED>(c);
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        seen: Seen<'_>,
        slope: &mut [f32],
        carried: &mut [f32],
        projected: &mut [f32],
        _: &mut [f32],
    ) {
        let h = slope.len();
        let [gi, gf, gg, go] = quarters(seen.gates, h);
        let (kept, before, carried) = (&seen.kept[..h], &seen.carried[..h], &mut carried[..h]);
        let (di, rest) = projected.split_at_mut(h);
        let (df, rest) = rest.split_at_mut(h);
        let (dg, d_o) = rest.split_at_mut(h);
        let d_o = &mut d_o[..h];
        for j in 0..h {
            let (i, f, g, o) = (gi[j], gf[j], gg[j], go[j]);
            let shown = tanh::<FUSED>(kept[j]);
            let dc = fma::<FUSED>(slope[j] * o, 1.0 - shown * shown, carried[j]);
            di[j] = dc * g * i * (1.0 - i);
            df[j] = dc * before[j] * f * (1.0 - f);
            dg[j] = dc * i * (1.0 - g * g);
            d_o[j] = slope[j] * shown * o * (1.0 - o);
            carried[j] = dc * f;
            slope[j] = 0.0;
        }
    }
}

/// The four gates of a row.
#[inline(always)]
fn quarters(row: &[f32], h: usize) -> [&[f32]; 4] {
    [&row[..h], &row[h..2 * h], &row[2 * h..3 * h], &row[3 * h..4 * h]]
}
