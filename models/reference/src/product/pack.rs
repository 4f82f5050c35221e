//! Rounding to int8 and bf16, and packing into units.
#![expect(
    unsafe_code,
    reason = "a function compiled for wider vectors, called where they were detected"
)]

use half::bf16;

use super::{Kind, Multiplier};
use rho_kernels::Aligned;

use crate::Precision;

/// Adding it rounds a float of at most 2^22 to an integer, ties to even, and leaves that integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Fine steps in a coarse one: half of a coarse step on either side is 127 of them.
pub(super) const FINE_STEPS: f32 = 254.0;

/// A panel of columns.
pub(super) struct Panel {
    /// `[units][columns]`.
    pub(super) units: Aligned,
    /// Per column: bits of the accumulator that a sum starts from.
    pub(super) starts: Vec<u32>,
    /// Per column.
    pub(super) scales: Vec<f32>,
}

/// The scale of numbers whose largest magnitude is 127 int8 steps, and by what to multiply them for that. NaN where one
/// of them is not finite; 0 where all are 0, or so small that f32 cannot hold the factor.
pub(super) fn int8_scale(numbers: impl Iterator<Item = f32>) -> (f32, f32) {
    // Magnitudes order as their bits do, infinity and NaN on top.
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

/// `round(x * inverse)` as an int8, for a finite product of at most 127 and a bit.
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

/// `round((x * inverse - coarse) * FINE_STEPS)`: what rounding to `coarse` left over, in steps of their own.
#[inline(always)]
pub(super) fn int8_rest(x: f32, inverse: f32, coarse: i8) -> i8 {
    ((x * inverse - f32::from(coarse)) * FINE_STEPS + ROUND).to_bits() as i8
}

/// Rows rounded and packed in groups.
pub(crate) struct PackedRows {
    /// `[groups][units][rows]`. A row in two int8 steps takes two rows of the tile, coarse and fine.
    units: Aligned,
    /// Per row.
    scales: Vec<f32>,
    count: usize,
    /// Rows of a group, a fine one counted once.
    group_rows: usize,
    /// Units of a group.
    group_units: usize,
}

impl PackedRows {
    /// Takes rows `0..count` of `inputs` numbers, which `row(i, out)` writes.
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
        // Whole units: what is beyond the inputs stays zero.
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

    /// The scales of a group's rows; as many as there are rows in it.
    pub(crate) fn scales(&self, group: usize) -> &[f32] {
        let from = group * self.group_rows;
        &self.scales[from..(from + self.group_rows).min(self.count)]
    }
}

/// Rounds a row into units, and what was left over into `rest` where that is not empty; the answer is its scale.
fn pack_row(multiplier: Multiplier, numbers: &[f32], units: &mut [u32], rest: &mut [u32]) -> f32 {
    match multiplier.0 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: such a multiplier exists only where these features were detected, and so below.
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

/// As [`pack_int8`], for the compiler to use wide vectors in.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw")]
fn pack_int8_avx512(numbers: &[f32], units: &mut [u32], rest: &mut [u32]) -> f32 {
    pack_int8(numbers, units, rest)
}

/// As [`pack_int8`], for the compiler to use vectors in.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn pack_int8_avx2(numbers: &[f32], units: &mut [u32], rest: &mut [u32]) -> f32 {
    pack_int8(numbers, units, rest)
}

#[inline(always)]
fn pack_int8(numbers: &[f32], units: &mut [u32], rest: &mut [u32]) -> f32 {
    let (scale, inverse) = int8_scale(numbers.iter().copied());
    if inverse == 0.0 {
        // All zero, or not finite: such numbers must not reach the rounding.
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

/// The nearest bf16, by integers that the compiler makes vectors of.
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
