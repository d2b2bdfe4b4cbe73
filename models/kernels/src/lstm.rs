//! Long short-term memory: `seqzoo_models::cells::Lstm`.
//!
//! ```text
//! c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)        h' = σ(o) ⊙ tanh(c')        sums i, f, g, o
//! ```
//!
//! Planes: the activated gates, and c'.

use crate::math::{fma, sigmoid, tanh};
use crate::sequence::{Apart, PLANES, Pointwise, Seen};

pub(crate) struct Lstm;

impl Pointwise for Lstm {
    const GATES: usize = 4;
    const APART: Apart = Apart::No;
    const KEEPS: bool = true;
    const CARRIES: bool = true;

    #[inline(always)]
    fn forward<const FUSED: bool>(planes: [&mut [f32]; PLANES], cell: &mut [f32], hidden: &mut [f32]) {
        let count = hidden.len();
        let [i, f, g, o, kept] = planes.map(|plane| &mut plane[..count]);
        let cell = &mut cell[..count];
        for j in 0..count {
            (i[j], f[j], g[j]) = (sigmoid::<FUSED>(i[j]), sigmoid::<FUSED>(f[j]), tanh::<FUSED>(g[j]));
            o[j] = sigmoid::<FUSED>(o[j]);
            let c = fma::<FUSED>(f[j], cell[j], i[j] * g[j]);
            (kept[j], cell[j]) = (c, c);
            hidden[j] = o[j] * tanh::<FUSED>(c);
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        seen: Seen<'_>,
        slope: &mut [f32],
        carried: &mut [f32],
        slopes: [&mut [f32]; PLANES],
    ) {
        let count = slope.len();
        let [i, f, g, o, kept] = seen.planes.map(|plane| &plane[..count]);
        let [of_i, of_f, of_g, of_o, _] = slopes;
        let (of_i, of_f, of_g, of_o) = (&mut of_i[..count], &mut of_f[..count], &mut of_g[..count], &mut of_o[..count]);
        let (before, carried) = (&seen.carried[..count], &mut carried[..count]);
        for j in 0..count {
            let (i, f, g, o) = (i[j], f[j], g[j], o[j]);
            let shown = tanh::<FUSED>(kept[j]);
            let dc = fma::<FUSED>(slope[j] * o, 1.0 - shown * shown, carried[j]);
            of_i[j] = dc * g * i * (1.0 - i);
            of_f[j] = dc * before[j] * f * (1.0 - f);
            of_g[j] = dc * i * (1.0 - g * g);
            of_o[j] = slope[j] * shown * o * (1.0 - o);
            carried[j] = dc * f;
            slope[j] = 0.0;
        }
    }
}
