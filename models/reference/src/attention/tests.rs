//! Attention against the plain one in f64: causal and other masks, widths that do not fit vectors.

use super::*;

/// Scores of magnitude 16 are wrong by some 1e-6 each as sums of f32, and so are their exps, relatively.
const TOLERANCE: f64 = 1e-5;

fn noise(count: usize, seed: u32, size: f32) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * size
    };
    (0..count).map(next).collect()
}

/// All rows in blocks of `block`.
fn attend_all(
    instructions: Instructions,
    shape: Shape,
    operands: Operands<'_>,
    block: usize,
) -> Vec<f32> {
    let rows = operands.queries.len() / shape.key_width;
    let mut out = vec![7.0; rows * shape.value_width];
    for (i, part) in out.chunks_mut(block * shape.value_width).enumerate() {
        attend(instructions, shape, operands, i * block, part);
    }
    out
}

fn causal(rows: usize, columns: usize, forbidden: f32) -> Vec<f32> {
    let allowed = |t: usize, s: usize| s <= t + columns - rows;
    let cell = |i: usize| {
        if allowed(i / columns, i % columns) {
            0.0
        } else {
            forbidden
        }
    };
    (0..rows * columns).map(cell).collect()
}

#[test]
fn equals_plain_attention() {
    for (rows, columns, key_width, value_width) in [
        (1, 1, 1, 1),
        (5, 5, 16, 16),
        (33, 40, 7, 20),
        (70, 70, 64, 64),
        (130, 130, 32, 48),
    ] {
        let shape = Shape {
            columns,
            key_width,
            value_width,
        };
        let queries = noise(rows * key_width, 1, 4.0);
        let keys = noise(key_width * columns, 2, 4.0);
        let values = noise(columns * value_width, 3, 2.0);
        let mut holes = noise(rows * columns, 4, 3.0);
        holes
            .iter_mut()
            .step_by(3)
            .for_each(|m| *m = f32::NEG_INFINITY);
        let masks = [
            causal(rows, columns, f32::MIN),
            causal(rows, columns, f32::NEG_INFINITY),
            holes,
            noise(columns, 5, 3.0),
        ];
        for (i, mask) in masks.iter().enumerate() {
            // Nothing but minus infinity has no softmax.
            if i == 2 && columns == 1 {
                continue;
            }
            let visible: Vec<_> = mask.chunks(columns).map(visible).collect();
            let operands = Operands {
                queries: &queries,
                keys: &keys,
                mask,
                values: &values,
                visible: &visible,
            };
            let expected = super::plain::attend(shape, operands);
            for instructions in Instructions::available() {
                let got = attend_all(instructions, shape, operands, block_rows(instructions));
                for (j, (got, expected)) in got.iter().zip(&expected).enumerate() {
                    assert!(
                        (f64::from(*got) - expected).abs() <= TOLERANCE,
                        "{instructions:?} {shape:?} mask {i}, number {j}: expected {expected}, got {got}"
                    );
                }
            }
        }
    }
}

/// Padding on the right changes nothing, to the bit.
#[test]
fn padded_is_alone() {
    let (width, short, long) = (24, 37, 90);
    let numbers = |seed| noise(long * width, seed, 3.0);
    let (queries, values) = (numbers(1), numbers(3));
    let keys = noise(width * long, 2, 3.0);
    let cut: Vec<f32> = keys
        .chunks(long)
        .flat_map(|row| &row[..short])
        .copied()
        .collect();
    for instructions in Instructions::available() {
        let attend = |length: usize, keys: &[f32]| {
            let mask = causal(length, length, f32::MIN);
            let visible: Vec<_> = mask.chunks(length).map(visible).collect();
            let operands = Operands {
                queries: &queries[..length * width],
                keys,
                mask: &mask,
                values: &values,
                visible: &visible,
            };
            let shape = Shape {
                columns: length,
                key_width: width,
                value_width: width,
            };
            attend_all(instructions, shape, operands, 28)
        };
        let (alone, padded) = (attend(short, &cut), attend(long, &keys));
        assert_eq!(alone, padded[..short * width], "{instructions:?}");
    }
}

#[test]
fn not_a_number_stays_visible() {
    let shape = Shape {
        columns: 20,
        key_width: 8,
        value_width: 8,
    };
    let (mut queries, keys) = (noise(160, 1, 1.0), noise(160, 2, 1.0));
    let values = noise(160, 3, 1.0);
    queries[8 * 5] = f32::NAN;
    let mask = causal(20, 20, f32::MIN);
    let visible: Vec<_> = mask.chunks(20).map(visible).collect();
    for instructions in Instructions::available() {
        let operands = Operands {
            queries: &queries,
            keys: &keys,
            mask: &mask,
            values: &values,
            visible: &visible,
        };
        let got = attend_all(instructions, shape, operands, 20);
        for (i, y) in got.iter().enumerate() {
            assert_eq!(y.is_nan(), i / 8 == 5, "{instructions:?}, number {i}");
        }
    }
}

#[test]
fn a_mask_says_how_far_a_row_sees() {
    assert_eq!(visible(&[0.0, f32::MIN, 0.0, f32::MIN]), 3);
    assert_eq!(visible(&[f32::MIN, f32::NEG_INFINITY]), 2);
    assert_eq!(visible(&[0.0, -1e4]), 2);
    assert_eq!(visible(&[0.0, f32::NAN]), 2);
}
