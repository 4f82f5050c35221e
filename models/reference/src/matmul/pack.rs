//! Rounding to int8 and bf16, and packing into units.
#![expect(
    unsafe_code,
    reason = "a function compiled for wider vectors, called where they were detected"
)]

use half::bf16;

use super::{Kind, Multiplier};
use rho_kernels::Aligned;

use crate::Precision;

/// Adding this rounds a float of magnitude up to 2^22 to an integer, ties to even, and leaves the integer in the low
/// bits.
const ROUND: f32 = 12_582_912.0;

/// Fine steps per coarse step: half a coarse step on either side is 127 of them.
pub(super) const FINE_STEPS: f32 = 254.0;

/// A panel of columns.
pub(super) struct Panel {
    /// `[units][columns]`.
    pub(super) units: Aligned,
    /// Per column: the bits of the accumulator's initial value.
    pub(super) starts: Vec<u32>,
    /// Per column.
    pub(super) scales: Vec<f32>,
}

/// The int8 scale of numbers, their largest magnitude divided by 127, and its inverse. The scale is NaN if a number
/// is not finite, and 0 if all are 0 or too small for the inverse to be finite in f32.
pub(super) fn int8_scale(numbers: impl Iterator<Item = f32>) -> (f32, f32) {
    // Magnitudes sort like their bits, with infinity and NaN highest.
    let largest = numbers.fold(0u32, |most, x| most.max(x.to_bits() & 0x7fff_ffff));
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        return (f32::NAN, 0.0);
    }
    let inverse = 127.0 / largest;
    if inverse.is_finite() {
        (largest / 127.0, inverse)
    } else {
        (0.0, 0.0)
    }
}

/// `round(x * inverse)` as an int8. The product must be finite and round to a magnitude of at most 127.
#[inline(always)]
pub(super) fn int8(x: f32, inverse: f32) -> i8 {
    (x * inverse + ROUND).to_bits() as i8
}

/// Rounds and packs `[inputs][columns]` floats.
pub(super) fn panel(
    floats: &[f32],
    inputs: usize,
    columns: usize,
    multiplier: Multiplier,
    scale: f32,
) -> Panel {
    let per_unit = multiplier.numbers_per_unit();
    let mut units = Aligned::zeroed(inputs.div_ceil(per_unit) * columns);
    let packed = units.units_mut();
    let mut starts = vec![0; columns];
    let mut scales = vec![scale; columns];
    for c in 0..columns {
        let column = || (0..inputs).map(|k| floats[k * columns + c]);
        if multiplier.precision() == Precision::Int8 {
            let (step, inverse) = int8_scale(column());
            let mut sum = 0i32;
            for (k, x) in column().enumerate() {
                let q = if inverse == 0.0 { 0 } else { int8(x, inverse) };
                sum += i32::from(q);
                packed[k / 4 * columns + c] |= u32::from(q as u8) << (k % 4 * 8);
            }
            starts[c] = (-128 * sum) as u32;
            scales[c] = step * scale;
        } else {
            for (k, x) in column().enumerate() {
                let bits = u32::from(bf16::from_f32(x).to_bits());
                packed[k / 2 * columns + c] |= bits << (k % 2 * 16);
            }
        }
    }
    Panel {
        units,
        starts,
        scales,
    }
}

/// `round((x * inverse - coarse) * FINE_STEPS)`: the remainder of rounding to `coarse`, in fine steps.
#[inline(always)]
pub(super) fn int8_rest(x: f32, inverse: f32, coarse: i8) -> i8 {
    ((x * inverse - f32::from(coarse)) * FINE_STEPS + ROUND).to_bits() as i8
}

/// Rows rounded and packed in groups.
pub(crate) struct PackedRows {
    /// `[groups][units][rows]`. A row in two levels takes two rows of the tile, coarse and fine.
    units: Aligned,
    /// Per row.
    scales: Vec<f32>,
    count: usize,
    /// Rows per group; a row in two levels counts once.
    group_rows: usize,
    /// Units per group.
    group_units: usize,
}

impl PackedRows {
    /// Packs rows `0..count` of `inputs` numbers; `row(i, out)` writes row `i`.
    pub(crate) fn new(
        multiplier: Multiplier,
        fine: bool,
        inputs: usize,
        count: usize,
        row: impl Fn(usize, &mut [f32]),
    ) -> Self {
        let tile_rows = multiplier.tile().0;
        let places = if fine { 2 } else { 1 };
        let group_rows = tile_rows / places;
        let group_units = inputs.div_ceil(multiplier.numbers_per_unit()) * tile_rows;
        let groups = count.div_ceil(group_rows);
        let mut rows = Self {
            units: Aligned::zeroed(groups * group_units),
            scales: vec![1.0; groups * group_rows],
            count,
            group_rows,
            group_units,
        };
        // Whole units: elements beyond the inputs stay zero.
        let mut numbers = vec![0.0; inputs.next_multiple_of(4)];
        let mut packed = vec![0; group_units / tile_rows * places];
        for r in 0..count {
            row(r, &mut numbers[..inputs]);
            let (coarse, rest) = packed.split_at_mut(group_units / tile_rows);
            rows.scales[r] = pack_row(multiplier, &numbers, coarse, rest);
            let group = &mut rows.units.units_mut()[r / group_rows * group_units..][..group_units];
            for (p, units) in packed.chunks_exact(group_units / tile_rows).enumerate() {
                let place = r % group_rows * places + p;
                for (to, &unit) in group[place..].iter_mut().step_by(tile_rows).zip(units) {
                    *to = unit;
                }
            }
        }
        rows
    }

    pub(crate) fn groups(&self) -> usize {
        self.count.div_ceil(self.group_rows)
    }

    /// The units of a group.
    pub(crate) fn group(&self, group: usize) -> &[u32] {
        &self.units.units()[group * self.group_units..][..self.group_units]
    }

    /// The scales of a group's rows, one per row.
    pub(crate) fn scales(&self, group: usize) -> &[f32] {
        let from = group * self.group_rows;
        &self.scales[from..(from + self.group_rows).min(self.count)]
    }
}

/// Rounds a row into units, and the remainders into `rest` unless that is empty. Returns the row's scale.
fn pack_row(multiplier: Multiplier, numbers: &[f32], units: &mut [u32], rest: &mut [u32]) -> f32 {
    match multiplier.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: such a multiplier exists only if its features were detected. The same holds below.
        Kind::Int8Avx512 => unsafe { pack_int8_avx512(numbers, units, rest) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Bf16Avx512 => unsafe { pack_bf16_avx512(numbers, units) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Kind::Int8Avx2 | Kind::Int8AvxVnni => unsafe { pack_int8_avx2(numbers, units, rest) },
        _ => pack_int8(numbers, units, rest),
    }
}

/// [`pack_int8`], compiled with AVX-512.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn pack_int8_avx512(numbers: &[f32], units: &mut [u32], rest: &mut [u32]) -> f32 {
    pack_int8(numbers, units, rest)
}

/// [`pack_int8`], compiled with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn pack_int8_avx2(numbers: &[f32], units: &mut [u32], rest: &mut [u32]) -> f32 {
    pack_int8(numbers, units, rest)
}

#[inline(always)]
fn pack_int8(numbers: &[f32], units: &mut [u32], rest: &mut [u32]) -> f32 {
    let (scale, inverse) = int8_scale(numbers.iter().copied());
    if inverse == 0.0 {
        // All zero, or not finite: numbers that are not finite must not be rounded.
        units.fill(0x8080_8080);
        rest.fill(0x8080_8080);
        return scale;
    }
    let unsigned = |q: i8| q as u8 ^ 0x80;
    for (unit, four) in units.iter_mut().zip(numbers.chunks_exact(4)) {
        let byte = |i: usize| unsigned(int8(four[i], inverse));
        *unit = u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]);
    }
    for (unit, four) in rest.iter_mut().zip(numbers.chunks_exact(4)) {
        let byte = |i: usize| {
            let coarse = int8(four[i], inverse);
            unsigned(int8_rest(four[i], inverse, coarse))
        };
        *unit = u32::from_le_bytes([byte(0), byte(1), byte(2), byte(3)]);
    }
    scale
}

/// Rounds to the nearest bf16 by integer operations, which the compiler vectorises.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn pack_bf16_avx512(numbers: &[f32], units: &mut [u32]) -> f32 {
    // Ties to even; a NaN keeps its upper half and stays one.
    let near = |x: f32| {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        if x.is_nan() {
            bits >> 16 | 0x40
        } else {
            rounded
        }
    };
    for (unit, pair) in units.iter_mut().zip(numbers.chunks_exact(2)) {
        *unit = near(pair[0]) | near(pair[1]) << 16;
    }
    1.0
}
