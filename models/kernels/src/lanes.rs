//! Vectors of f32 behind one small trait, so that a kernel is written once: AVX-512, AVX2 with FMA, and plain arrays
//! for every other CPU.
#![expect(
    unsafe_code,
    reason = "CPU intrinsics; each call is made only after its features were detected"
)]

/// The smallest argument of [`Lanes::exp`]: below it the result would be subnormal. A term of exp(-87) = 1.6e-38 is
/// negligible next to the 1 of the largest logit.
pub const EXP_MIN: f32 = -87.0;

/// A vector of `WIDTH` numbers.
///
/// # Safety
/// Every function may only be called on a CPU that has the implementer's features. Pointers are valid for `WIDTH`
/// floats.
#[expect(
    clippy::missing_safety_doc,
    reason = "one contract for all functions, above"
)]
pub trait Lanes: Copy {
    /// Lanes per vector.
    const WIDTH: usize;

    /// The same number in all lanes.
    unsafe fn splat(value: f32) -> Self;
    /// Reads `WIDTH` numbers.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes `WIDTH` numbers.
    unsafe fn store(self, to: *mut f32);
    /// Sum.
    unsafe fn add(self, other: Self) -> Self;
    /// Difference.
    unsafe fn sub(self, other: Self) -> Self;
    /// Product.
    unsafe fn mul(self, other: Self) -> Self;
    /// Quotient.
    unsafe fn div(self, other: Self) -> Self;
    /// `self * b + c`, rounded once where the CPU has FMA.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    /// The larger of the two; `other` where either is NaN.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller of the two; `other` where either is NaN.
    unsafe fn min(self, other: Self) -> Self;
    /// Whether any lane of `self` is greater than the same lane of `other`.
    unsafe fn any_greater(self, other: Self) -> bool;
    /// Nearest integer.
    unsafe fn round(self) -> Self;
    /// `self * 2^n` for an integral `n` in -126..=127.
    unsafe fn scale(self, n: Self) -> Self;

    /// exp for arguments in `EXP_MIN..=88`, to about 2 ulp; NaN stays NaN. Uses Cody and Waite's reduction by ln 2 in
    /// two parts, then the polynomial of Cephes' expf.
    #[inline(always)]
    unsafe fn exp(self) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let s = |v| Self::splat(v);
            let n = self.mul(s(std::f32::consts::LOG2_E)).round();
            let r = n.mul_add(s(-0.693_359_4), self);
            let r = n.mul_add(s(2.121_944_4e-4), r);
            let p = s(1.987_569_1e-4).mul_add(r, s(1.398_2e-3));
            let p = p.mul_add(r, s(8.333_452e-3));
            let p = p.mul_add(r, s(4.166_579_6e-2));
            let p = p.mul_add(r, s(1.666_666_5e-1));
            let p = p.mul_add(r, s(0.5));
            p.mul_add(r.mul(r), r).add(s(1.0)).scale(n)
        }
    }

    /// tanh, computed as 1 - 2 / (exp(2 x) + 1).
    #[inline(always)]
    unsafe fn tanh(self) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            // Beyond 10, tanh is 1 in f32. The constant is the receiver of min and max, so a NaN in x is kept.
            let x = Self::splat(10.0).min(Self::splat(-10.0).max(self));
            let e = x.add(x).exp();
            Self::splat(1.0).sub(Self::splat(2.0).div(e.add(Self::splat(1.0))))
        }
    }
}

/// Plain Rust that the compiler vectorises where it can.
#[derive(Clone, Copy)]
pub struct Portable([f32; 8]);

impl Portable {
    /// A vector of these numbers.
    #[inline(always)]
    pub fn from_array(numbers: [f32; 8]) -> Self {
        Self(numbers)
    }

    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Lanes for Portable {
    const WIDTH: usize = 8;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise; an array of f32 has the alignment of f32.
        unsafe { Self(from.cast::<[f32; 8]>().read()) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; 8]>().write(self.0) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn div(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        // Not f32::mul_add: without the FMA instruction it is a slow function call.
        Self(std::array::from_fn(|i| self.0[i] * b.0[i] + c.0[i]))
    }
    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn any_greater(self, other: Self) -> bool {
        (0..8).any(|i| self.0[i] > other.0[i])
    }
    #[inline(always)]
    unsafe fn round(self) -> Self {
        Self(self.0.map(f32::round_ties_even))
    }
    #[inline(always)]
    unsafe fn scale(self, n: Self) -> Self {
        self.zip(n, |a, n| {
            a * f32::from_bits(((n as i32 + 127) << 23) as u32)
        })
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Lanes;

    /// 16 lanes; needs avx512f.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    impl Avx512 {
        /// Wraps an existing vector.
        #[inline(always)]
        pub fn from_vector(vector: __m512) -> Self {
            Self(vector)
        }
    }

    /// 8 lanes; needs avx2 and fma.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256);

    impl Avx2 {
        /// Wraps an existing vector.
        #[inline(always)]
        pub fn from_vector(vector: __m256) -> Self {
            Self(vector)
        }
    }

    // SAFETY of every block below: the trait's contract, the CPU has the features and pointers are valid.

    impl Lanes for Avx512 {
        const WIDTH: usize = 16;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self(_mm512_set1_ps(value)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm512_loadu_ps(from)) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Self(_mm512_add_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm512_sub_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm512_mul_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn div(self, other: Self) -> Self {
            unsafe { Self(_mm512_div_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Self, c: Self) -> Self {
            unsafe { Self(_mm512_fmadd_ps(self.0, b.0, c.0)) }
        }
        #[inline(always)]
        unsafe fn max(self, other: Self) -> Self {
            unsafe { Self(_mm512_max_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            unsafe { Self(_mm512_min_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn any_greater(self, other: Self) -> bool {
            unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0) != 0 }
        }
        #[inline(always)]
        unsafe fn round(self) -> Self {
            unsafe { Self(_mm512_roundscale_ps::<0>(self.0)) }
        }
        #[inline(always)]
        unsafe fn scale(self, n: Self) -> Self {
            unsafe { Self(_mm512_scalef_ps(self.0, n.0)) }
        }
    }

    impl Lanes for Avx2 {
        const WIDTH: usize = 8;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self(_mm256_set1_ps(value)) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(_mm256_loadu_ps(from)) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Self(_mm256_add_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            unsafe { Self(_mm256_sub_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            unsafe { Self(_mm256_mul_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn div(self, other: Self) -> Self {
            unsafe { Self(_mm256_div_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, b: Self, c: Self) -> Self {
            unsafe { Self(_mm256_fmadd_ps(self.0, b.0, c.0)) }
        }
        #[inline(always)]
        unsafe fn max(self, other: Self) -> Self {
            unsafe { Self(_mm256_max_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn min(self, other: Self) -> Self {
            unsafe { Self(_mm256_min_ps(self.0, other.0)) }
        }
        #[inline(always)]
        unsafe fn any_greater(self, other: Self) -> bool {
            unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0)) != 0 }
        }
        #[inline(always)]
        unsafe fn round(self) -> Self {
            unsafe {
                Self(_mm256_round_ps::<
                    { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
                >(self.0))
            }
        }
        #[inline(always)]
        unsafe fn scale(self, n: Self) -> Self {
            unsafe {
                let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n.0), _mm256_set1_epi32(127));
                let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent));
                Self(_mm256_mul_ps(self.0, power))
            }
        }
    }
}
