//! The inner loops: sums of products of units, by CPU instructions or by plain arrays.
#![expect(
    unsafe_code,
    reason = "CPU intrinsics and raw pointers in the inner loops; features are detected before"
)]

use super::{Kind, PackedMatmul, PackedRows, pack::FINE_STEPS};
use rho_kernels::lanes::{Lanes, Portable};

/// A vector of accumulators, one per column.
///
/// # Safety
/// Every function may only be called on a CPU that has the implementer's features. Pointers are valid for a vector.
pub(crate) trait Units: Copy {
    /// An f32 vector with as many lanes.
    type Numbers: Lanes;
    /// A vector of weights, one unit per column.
    type Weights: Copy;

    unsafe fn accumulators(from: *const u32) -> Self;
    unsafe fn weights(from: *const u32) -> Self::Weights;
    /// Adds the products of a row's unit and each column's unit.
    unsafe fn add_products(self, row: u32, weights: Self::Weights) -> Self;
    unsafe fn numbers(self) -> Self::Numbers;
}

/// `[R, two vectors] = group [units][R] x panel [units][two vectors]`, from `starts`.
///
/// # Safety
/// The CPU has the features of `U`, and the slices are that long.
#[inline(always)]
pub(crate) unsafe fn tile<U: Units, const R: usize>(
    units: usize,
    group: &[u32],
    panel: &[u32],
    starts: &[u32],
) -> [[U; 2]; R] {
    let width = U::Numbers::WIDTH;
    debug_assert!(group.len() >= units * R && panel.len() >= units * 2 * width);
    debug_assert!(starts.len() >= 2 * width);
    let (mut a, mut b) = (group.as_ptr(), panel.as_ptr());
    // SAFETY: the pointers advance `units` times by R and two vectors, within their slices.
    unsafe {
        let start = [
            U::accumulators(starts.as_ptr()),
            U::accumulators(starts.as_ptr().add(width)),
        ];
        let mut sums = [start; R];
        for _ in 0..units {
            let (b0, b1) = (U::weights(b), U::weights(b.add(width)));
            for (r, sum) in sums.iter_mut().enumerate() {
                let row = *a.add(r);
                sum[0] = sum[0].add_products(row, b0);
                sum[1] = sum[1].add_products(row, b1);
            }
            a = a.add(R);
            b = b.add(2 * width);
        }
        sums
    }
}

/// Multiplies all rows by all panels.
pub(super) fn multiply(product: &PackedMatmul, rows: &PackedRows, out: &mut [f32]) {
    match product.multiplier().0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the invariant of `Multiplier`: the CPU has the features. The same holds below.
        Kind::Int8Avx512 => unsafe { int8_avx512(product, rows, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Bf16Avx512 => unsafe { bf16_avx512(product, rows, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Int8AvxVnni => unsafe { int8_avx_vnni(product, rows, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Int8Avx2 => unsafe { int8_avx2(product, rows, out) },
        // SAFETY: `PortableInt8` needs no features.
        _ => unsafe { run::<PortableInt8, 4>(product, rows, out) },
    }
}

/// # Safety
/// The CPU has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn int8_avx512(product: &PackedMatmul, rows: &PackedRows, out: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { run::<Int8Avx512, 14>(product, rows, out) }
}

/// # Safety
/// The CPU has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn bf16_avx512(product: &PackedMatmul, rows: &PackedRows, out: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { run::<Bf16Avx512, 14>(product, rows, out) }
}

/// # Safety
/// The CPU has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avxvnni")]
unsafe fn int8_avx_vnni(product: &PackedMatmul, rows: &PackedRows, out: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { run::<Int8AvxVnni, 6>(product, rows, out) }
}

/// # Safety
/// The CPU has the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn int8_avx2(product: &PackedMatmul, rows: &PackedRows, out: &mut [f32]) {
    // SAFETY: the caller's promise.
    unsafe { run::<Int8Avx2, 4>(product, rows, out) }
}

/// # Safety
/// The CPU has the features of `U`, and its tile has `R` rows.
#[inline(always)]
unsafe fn run<U: Units, const R: usize>(
    product: &PackedMatmul,
    rows: &PackedRows,
    out: &mut [f32],
) {
    let width = U::Numbers::WIDTH;
    let columns = 2 * width;
    debug_assert_eq!((R, columns), product.multiplier().tile());
    let outputs = product.outputs();
    let mut spill = [0.0f32; 32];
    for (p, panel) in product.panels.iter().enumerate() {
        let from = p * columns;
        let there = columns.min(outputs - from);
        let starts = &product.starts[from..from + columns];
        let scales = &product.scales[from..from + columns];
        let bias = product.bias().map(|b| &b[from..from + columns]);
        for group in 0..rows.groups() {
            // SAFETY: groups, panels and starts are packed for this tile.
            let sums =
                unsafe { tile::<U, R>(product.units, rows.group(group), panel.units(), starts) };
            let places = if product.fine() { 2 } else { 1 };
            let first = group * (R / places);
            for ((r, &scale), sum) in
                (rows.scales(group).iter().enumerate()).zip(sums.chunks(places))
            {
                let at = (first + r) * outputs + from;
                let row = &mut out[at..at + there];
                // A partial panel is written through `spill`.
                let to = if there == columns {
                    row.as_mut_ptr()
                } else {
                    spill.as_mut_ptr()
                };
                // SAFETY: `to`, `scales` and `bias` hold two vectors each.
                unsafe {
                    for v in 0..2 {
                        let mut numbers = sum[0][v].numbers();
                        if let Some(rest) = sum.get(1) {
                            let step = U::Numbers::splat(1.0 / FINE_STEPS);
                            numbers = numbers.add(rest[v].numbers().mul(step));
                        }
                        let numbers = numbers
                            .mul(U::Numbers::load(scales.as_ptr().add(v * width)))
                            .mul(U::Numbers::splat(scale));
                        let numbers = match bias {
                            Some(bias) => {
                                numbers.add(U::Numbers::load(bias.as_ptr().add(v * width)))
                            }
                            None => numbers,
                        };
                        numbers.store(to.add(v * width));
                    }
                }
                if there < columns {
                    row.copy_from_slice(&spill[..there]);
                }
            }
        }
    }
}

/// int8 in plain Rust.
#[derive(Clone, Copy)]
pub(crate) struct PortableInt8([i32; 8]);

impl Units for PortableInt8 {
    type Numbers = Portable;
    type Weights = [u32; 8];
    #[inline(always)]
    unsafe fn accumulators(from: *const u32) -> Self {
        // SAFETY: the caller's promise; an array has the alignment of its elements.
        unsafe { Self(from.cast::<[i32; 8]>().read()) }
    }
    #[inline(always)]
    unsafe fn weights(from: *const u32) -> [u32; 8] {
        // SAFETY: as above.
        unsafe { from.cast::<[u32; 8]>().read() }
    }
    #[inline(always)]
    unsafe fn add_products(self, row: u32, weights: [u32; 8]) -> Self {
        Self(std::array::from_fn(|i| {
            let product = |shift: u32| {
                i32::from((row >> shift) as u8) * i32::from((weights[i] >> shift) as u8 as i8)
            };
            self.0[i] + product(0) + product(8) + product(16) + product(24)
        }))
    }
    #[inline(always)]
    unsafe fn numbers(self) -> Portable {
        Portable::from_array(self.0.map(|sum| sum as f32))
    }
}

#[cfg(target_arch = "x86_64")]
use x86::{Bf16Avx512, Int8Avx2, Int8Avx512, Int8AvxVnni};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Units;
    use rho_kernels::lanes::{Avx2, Avx512};

    /// Needs avx512f and avx512vnni.
    #[derive(Clone, Copy)]
    pub(crate) struct Int8Avx512(__m512i);

    /// Needs avx512f and avx512bf16.
    #[derive(Clone, Copy)]
    pub(crate) struct Bf16Avx512(__m512);

    // SAFETY of every block below: the trait's contract, the CPU has the features and pointers are valid.

    impl Units for Int8Avx512 {
        type Numbers = Avx512;
        type Weights = __m512i;
        #[inline(always)]
        unsafe fn accumulators(from: *const u32) -> Self {
            unsafe { Self(_mm512_loadu_si512(from.cast())) }
        }
        #[inline(always)]
        unsafe fn weights(from: *const u32) -> __m512i {
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn add_products(self, row: u32, weights: __m512i) -> Self {
            unsafe {
                Self(_mm512_dpbusd_epi32(
                    self.0,
                    _mm512_set1_epi32(row as i32),
                    weights,
                ))
            }
        }
        #[inline(always)]
        unsafe fn numbers(self) -> Avx512 {
            unsafe { Avx512::from_vector(_mm512_cvtepi32_ps(self.0)) }
        }
    }

    impl Units for Bf16Avx512 {
        type Numbers = Avx512;
        type Weights = __m512i;
        #[inline(always)]
        unsafe fn accumulators(from: *const u32) -> Self {
            unsafe { Self(_mm512_loadu_ps(from.cast())) }
        }
        #[inline(always)]
        unsafe fn weights(from: *const u32) -> __m512i {
            unsafe { _mm512_loadu_si512(from.cast()) }
        }
        #[inline(always)]
        unsafe fn add_products(self, row: u32, weights: __m512i) -> Self {
            unsafe {
                // The same bits in the type that the intrinsic takes.
                let row: __m512bh = std::mem::transmute(_mm512_set1_epi32(row as i32));
                let weights: __m512bh = std::mem::transmute(weights);
                Self(_mm512_dpbf16_ps(self.0, row, weights))
            }
        }
        #[inline(always)]
        unsafe fn numbers(self) -> Avx512 {
            Avx512::from_vector(self.0)
        }
    }

    /// Needs avx2 and avxvnni.
    #[derive(Clone, Copy)]
    pub(super) struct Int8AvxVnni(__m256i);

    impl Units for Int8AvxVnni {
        type Numbers = Avx2;
        type Weights = __m256i;
        #[inline(always)]
        unsafe fn accumulators(from: *const u32) -> Self {
            unsafe { Self(_mm256_loadu_si256(from.cast())) }
        }
        #[inline(always)]
        unsafe fn weights(from: *const u32) -> __m256i {
            unsafe { _mm256_loadu_si256(from.cast()) }
        }
        #[inline(always)]
        unsafe fn add_products(self, row: u32, weights: __m256i) -> Self {
            unsafe {
                let row = _mm256_set1_epi32(row as i32);
                Self(_mm256_dpbusd_avx_epi32(self.0, row, weights))
            }
        }
        #[inline(always)]
        unsafe fn numbers(self) -> Avx2 {
            unsafe { Avx2::from_vector(_mm256_cvtepi32_ps(self.0)) }
        }
    }

    /// Needs avx2. Its byte instruction saturates sums at 16 bits, so bytes are widened first.
    #[derive(Clone, Copy)]
    pub(super) struct Int8Avx2(__m256i);

    impl Units for Int8Avx2 {
        type Numbers = Avx2;
        /// The even and the odd bytes of each unit as 16 bits.
        type Weights = [__m256i; 2];
        #[inline(always)]
        unsafe fn accumulators(from: *const u32) -> Self {
            unsafe { Self(_mm256_loadu_si256(from.cast())) }
        }
        #[inline(always)]
        unsafe fn weights(from: *const u32) -> [__m256i; 2] {
            unsafe {
                let bytes = _mm256_loadu_si256(from.cast());
                let even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes));
                [even, _mm256_srai_epi16::<8>(bytes)]
            }
        }
        #[inline(always)]
        unsafe fn add_products(self, row: u32, [even, odd]: [__m256i; 2]) -> Self {
            const EVEN: u32 = 0x00ff_00ff;
            unsafe {
                let row_even = _mm256_set1_epi32((row & EVEN) as i32);
                let row_odd = _mm256_set1_epi32((row >> 8 & EVEN) as i32);
                let sums = _mm256_add_epi32(
                    _mm256_madd_epi16(row_even, even),
                    _mm256_madd_epi16(row_odd, odd),
                );
                Self(_mm256_add_epi32(self.0, sums))
            }
        }
        #[inline(always)]
        unsafe fn numbers(self) -> Avx2 {
            unsafe { Avx2::from_vector(_mm256_cvtepi32_ps(self.0)) }
        }
    }
}
