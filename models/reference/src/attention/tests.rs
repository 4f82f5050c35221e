//! Attention compared with the naive one in f64: causal and other masks, head_dims that are not multiples of the vector
//! width.

use super::*;

/// Scores of magnitude 16 have errors of about 1e-6 as f32 sums, and so do their exps, relatively.
const TOLERANCE: f64 = 1e-5;

fn noise(count: usize, seed: u32, size: f32) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * size
    };
    (0..count).map(next).collect()
}

/// Computes all rows in blocks of `block`.
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
            // A row of only minus infinity has no softmax.
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

/// Computes one document by packing and blocks, as the operator does.
fn grouped_all(
    instructions: Instructions,
    rule: &grouped::Rule,
    [heads, groups]: [usize; 2],
    [queries, keys, values]: [&[f32]; 3],
    tables: Option<grouped::Tables<'_>>,
    block: usize,
) -> Vec<f32> {
    let width = rule.width;
    let mut out = vec![7.0; queries.len()];
    let head_rows = |numbers, stride, head: usize| grouped::HeadRows {
        numbers: &<&[f32]>::clone(numbers)[head * width..],
        stride,
    };
    let sizes = grouped::packed_size(instructions, rule);
    for head in 0..heads {
        let group = head / (heads / groups);
        // The old contents must not matter.
        let (mut k, mut v) = (vec![f32::NAN; sizes[0]], vec![f32::NAN; sizes[1]]);
        let stride = groups * width;
        grouped::pack_keys(
            instructions,
            rule,
            head_rows(&keys, stride, group),
            tables,
            &mut k,
        );
        grouped::pack_values(
            instructions,
            rule,
            head_rows(&values, stride, group),
            &mut v,
        );
        let operands = grouped::Operands {
            queries: head_rows(&queries, heads * width, head),
            keys: &k,
            values: &v,
            tables,
        };
        let mut rows: Vec<&mut [f32]> = out
            .chunks_exact_mut(heads * width)
            .map(|row| &mut row[head * width..][..width])
            .collect();
        for (i, rows) in rows.chunks_mut(block).enumerate() {
            grouped::attend(instructions, rule, operands, i * block, rows);
        }
    }
    out
}

#[test]
fn grouped_heads_equal_plain_ones() {
    for (length, heads, width, pairs, cap, window) in [
        (1, [1, 1], 1, 0, None, None),
        (5, [2, 1], 16, 8, None, None),
        (33, [4, 2], 20, 5, None, None),
        (70, [4, 4], 64, 32, Some(3.0), None),
        (130, [4, 2], 48, 24, None, Some(1)),
        (150, [2, 1], 32, 8, Some(5.0), Some(37)),
        (97, [3, 1], 16, 8, None, Some(96)),
    ] {
        let rule = grouped::Rule {
            length,
            width,
            scale: 0.3,
            cap,
            window,
        };
        let queries = noise(length * heads[0] * width, 1, 4.0);
        let keys = noise(length * heads[1] * width, 2, 4.0);
        let values = noise(length * heads[1] * width, 3, 2.0);
        let angles = noise(length * pairs, 4, 6.0);
        let cosine: Vec<f32> = angles.iter().map(|a| a.cos()).collect();
        let sine: Vec<f32> = angles.iter().map(|a| a.sin()).collect();
        let tables = (pairs > 0).then_some(grouped::Tables {
            cosine: &cosine,
            sine: &sine,
            pairs,
        });
        let rows = [&queries[..], &keys, &values];
        let expected = plain::grouped(&rule, heads, rows, tables);
        for instructions in Instructions::available() {
            for block in [block_rows(instructions), 5] {
                let got = grouped_all(instructions, &rule, heads, rows, tables, block);
                for (i, (got, expected)) in got.iter().zip(&expected).enumerate() {
                    assert!(
                        (f64::from(*got) - expected).abs() < TOLERANCE,
                        "{instructions:?} {rule:?} {heads:?}: number {i}: expected {expected}, got {got}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_broken_token_spoils_itself_and_those_after_it_only() {
    let (length, width) = (40, 16);
    let rule = grouped::Rule {
        length,
        width,
        scale: 0.3,
        cap: None,
        window: None,
    };
    let queries = noise(length * width, 1, 4.0);
    let mut keys = noise(length * width, 2, 4.0);
    let values = noise(length * width, 3, 2.0);
    let whole = grouped_all(
        Instructions::detect(),
        &rule,
        [1, 1],
        [&queries, &keys, &values],
        None,
        64,
    );
    keys[30 * width] = f32::NAN;
    let rows = [&queries[..], &keys, &values];
    let got = grouped_all(Instructions::detect(), &rule, [1, 1], rows, None, 64);
    assert_eq!(got[..30 * width], whole[..30 * width]);
    assert!(got[30 * width..].iter().all(|x| x.is_nan()));
}
