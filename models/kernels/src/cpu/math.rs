//! Elementwise functions without branches or calls, which compilers turn into vector code.
//!
//! `FUSED` selects fused multiply-add. The scalar code and the vector code round alike, so a result does not depend on the position
//! of an element in a slice.

/// a · b + c, rounded once if `FUSED`.
#[inline(always)]
pub(crate) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// eˣ, accurate to 2 units in the last place between −87 and 88; arguments beyond are clamped.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, and a polynomial of degree 6 for eʳ (coefficients of Cephes' `expf`, Moshier 1989).
#[inline(always)]
pub(crate) fn exp<const FUSED: bool>(x: f32) -> f32 {
    /// Adding it rounds to an integer, which is then in the lowest bits.
    const ROUNDER: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let shifted = fma::<FUSED>(x, std::f32::consts::LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = fma::<FUSED>(n, -0.693_359_4, x);
    let r = fma::<FUSED>(n, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = fma::<FUSED>(p, r, coefficient);
    }
    let p = fma::<FUSED>(p, r * r, r) + 1.0;
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// 1 / (1 + e⁻ˣ).
#[inline(always)]
pub(crate) fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FUSED>(-x))
}

/// (e²ˣ − 1) / (e²ˣ + 1); near 0, where that cancels, a polynomial (from Cephes' `tanhf`).
#[inline(always)]
pub(crate) fn tanh<const FUSED: bool>(x: f32) -> f32 {
    let square = x * x;
    let mut p = -5.704_988_7e-3;
    for coefficient in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = fma::<FUSED>(p, square, coefficient);
    }
    let near = fma::<FUSED>(p * square, x, x);
    let far = 1.0 - 2.0 / (exp::<FUSED>(2.0 * x) + 1.0);
    if square < 0.390_625 { near } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Largest relative error over a range, against f64.
    fn error(f: impl Fn(f32) -> f32, g: impl Fn(f64) -> f64, from: f32, to: f32) -> f64 {
        let points = (0..200_000).map(|k| from + (to - from) * k as f32 / 199_999.0);
        points.map(|x| (f64::from(f(x)) / g(f64::from(x)) - 1.0).abs()).filter(|e| !e.is_nan()).fold(0.0, f64::max)
    }

    #[test]
    fn functions_are_accurate_to_a_few_units_in_the_last_place() {
        let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (name, found) in [
            ("exp", error(exp::<true>, f64::exp, -86.0, 87.0)),
            ("exp without FMA", error(exp::<false>, f64::exp, -86.0, 87.0)),
            ("sigmoid", error(sigmoid::<true>, logistic, -80.0, 40.0)),
            ("tanh", error(tanh::<true>, f64::tanh, -12.0, 12.0)),
            ("tanh without FMA", error(tanh::<false>, f64::tanh, -12.0, 12.0)),
        ] {
            assert!(found < 4e-7, "{name}: {found}");
        }
    }

    #[test]
    fn nan_propagates_and_limits_are_reached() {
        assert!(
            exp::<true>(f32::NAN).is_nan() && tanh::<true>(f32::NAN).is_nan() && sigmoid::<false>(f32::NAN).is_nan()
        );
        assert_eq!([tanh::<true>(f32::INFINITY), tanh::<true>(-99.0), tanh::<true>(0.0)], [1.0, -1.0, 0.0]);
        assert_eq!([sigmoid::<true>(f32::INFINITY), sigmoid::<true>(0.0)], [1.0, 0.5]);
        assert!(sigmoid::<true>(f32::NEG_INFINITY) < 1e-37);
    }
}
