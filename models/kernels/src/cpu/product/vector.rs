//! Sixteen floats in registers, one type for each instruction set.
//!
//! Registers are named explicitly, since compilers keep sums in plain arrays in memory.

use super::packed::PANEL;
use crate::cpu::math::fma;

/// Sixteen floats.
///
/// # Safety
/// All methods need a machine that has the instructions of the type.
#[allow(unsafe_code)]
pub(super) trait Vector: Copy {
    unsafe fn zero() -> Self;
    unsafe fn load(from: &[f32; PANEL]) -> Self;
    unsafe fn store(self, to: &mut [f32; PANEL]);
    /// `sum + value · line`
    unsafe fn multiply_add(sum: Self, value: f32, line: Self) -> Self;
}

/// A plain array.
#[derive(Clone, Copy)]
pub(super) struct PortableVector([f32; PANEL]);

#[allow(unsafe_code)]
impl Vector for PortableVector {
    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; PANEL])
    }

    #[inline(always)]
    unsafe fn load(from: &[f32; PANEL]) -> Self {
        Self(*from)
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32; PANEL]) {
        *to = self.0;
    }

    #[inline(always)]
    unsafe fn multiply_add(mut sum: Self, value: f32, line: Self) -> Self {
        for (sum, line) in sum.0.iter_mut().zip(line.0) {
            // Every 64-bit ARM has fused multiply-add; elsewhere it may be a library call.
            *sum = fma::<{ cfg!(target_arch = "aarch64") }>(value, line, *sum);
        }
        sum
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2Vector, Avx512Vector};

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod x86 {
    use std::arch::x86_64::*;

    use super::{PANEL, Vector};

    /// One 512-bit register.
    #[derive(Clone, Copy)]
    pub(in crate::cpu::product) struct Avx512Vector(__m512);

    impl Vector for Avx512Vector {
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller guarantees AVX-512, here and below.
            Self(unsafe { _mm512_setzero_ps() })
        }

        #[inline(always)]
        unsafe fn load(from: &[f32; PANEL]) -> Self {
            // SAFETY: there are 16 floats.
            Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32; PANEL]) {
            // SAFETY: there is room for 16 floats.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        unsafe fn multiply_add(sum: Self, value: f32, line: Self) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm512_fmadd_ps(_mm512_set1_ps(value), line.0, sum.0) })
        }
    }

    /// Two 256-bit registers.
    #[derive(Clone, Copy)]
    pub(in crate::cpu::product) struct Avx2Vector([__m256; 2]);

    impl Vector for Avx2Vector {
        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: the caller guarantees AVX2 and FMA, here and below.
            Self(unsafe { [_mm256_setzero_ps(); 2] })
        }

        #[inline(always)]
        unsafe fn load(from: &[f32; PANEL]) -> Self {
            // SAFETY: there are 16 floats.
            Self(unsafe { [_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))] })
        }

        #[inline(always)]
        unsafe fn store(self, to: &mut [f32; PANEL]) {
            // SAFETY: there is room for 16 floats.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), self.0[0]);
                _mm256_storeu_ps(to.as_mut_ptr().add(8), self.0[1]);
            }
        }

        #[inline(always)]
        unsafe fn multiply_add(sum: Self, value: f32, line: Self) -> Self {
            // SAFETY: as above.
            unsafe {
                let value = _mm256_set1_ps(value);
                Self([_mm256_fmadd_ps(value, line.0[0], sum.0[0]), _mm256_fmadd_ps(value, line.0[1], sum.0[1])])
            }
        }
    }
}
