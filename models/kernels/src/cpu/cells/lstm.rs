//! Long short-term memory: `seqzoo_models::cells::Lstm`.
//!
//! ```text
//! c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)        h' = σ(o) ⊙ tanh(c')        sums i, f, g, o
//! ```
//!
//! Planes: the activated gates i, f, g, o, and c'.

use crate::cpu::elementwise::{Elementwise, MAX_PLANES, SavedStep, SeparateGate};
use crate::cpu::math::{fma, sigmoid, tanh};

#[derive(Debug)]
pub(crate) struct Lstm;

impl Elementwise for Lstm {
    const CELL: &'static str = "lstm";
    const GATES: usize = 4;
    const SEPARATE: SeparateGate = SeparateGate::None;
    const EXTRA_PLANE: bool = true;
    const CELL_STATE: bool = true;

    #[inline(always)]
    fn forward<const FUSED: bool>(planes: [&mut [f32]; MAX_PLANES], cell: &mut [f32], hidden: &mut [f32]) {
        let count = hidden.len();
        let [i, f, g, o, new_cell] = planes.map(|plane| &mut plane[..count]);
        let cell = &mut cell[..count];
        for j in 0..count {
            (i[j], f[j], g[j]) = (sigmoid::<FUSED>(i[j]), sigmoid::<FUSED>(f[j]), tanh::<FUSED>(g[j]));
            o[j] = sigmoid::<FUSED>(o[j]);
            let c = fma::<FUSED>(f[j], cell[j], i[j] * g[j]);
            (new_cell[j], cell[j]) = (c, c);
            hidden[j] = o[j] * tanh::<FUSED>(c);
        }
    }

    #[inline(always)]
    fn backward<const FUSED: bool>(
        saved: SavedStep<'_>,
        hidden: &mut [f32],
        cell: &mut [f32],
        gates: [&mut [f32]; MAX_PLANES],
    ) {
        let count = hidden.len();
        let [i, f, g, o, new_cell] = saved.planes.map(|plane| &plane[..count]);
        let [di, df, dg, d_o, _] = gates;
        let (di, df, dg, d_o) = (&mut di[..count], &mut df[..count], &mut dg[..count], &mut d_o[..count]);
        let (old_cell, cell) = (&saved.cell[..count], &mut cell[..count]);
        for j in 0..count {
            let (i, f, g, o) = (i[j], f[j], g[j], o[j]);
            let tanh_c = tanh::<FUSED>(new_cell[j]);
            let dc = fma::<FUSED>(hidden[j] * o, 1.0 - tanh_c * tanh_c, cell[j]);
            di[j] = dc * g * i * (1.0 - i);
            df[j] = dc * old_cell[j] * f * (1.0 - f);
            dg[j] = dc * i * (1.0 - g * g);
            d_o[j] = hidden[j] * tanh_c * o * (1.0 - o);
            cell[j] = dc * f;
            hidden[j] = 0.0;
        }
    }
}
