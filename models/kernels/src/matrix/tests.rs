//! Matmuls with all strides and odd sizes, compared with the plain one.

use super::*;

/// f32 sums of up to 1,100 products below 1/4: rounding errors of about 1e-7 of the sum of magnitudes.
const TOLERANCE: f64 = 5e-5;

fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..count).map(next).collect()
}

/// `[rows, columns]` as a row-major or a transposed view of the same noise.
fn view(numbers: &[f32], rows: usize, columns: usize, transposed: bool) -> Matrix<'_> {
    if transposed {
        Matrix::new(numbers, columns, rows).transposed()
    } else {
        Matrix::new(numbers, rows, columns)
    }
}

const SIZES: [(usize, usize, usize); 8] = [
    (1, 1, 1),
    (14, 16, 32),
    (15, 33, 31),
    (70, 64, 70),
    (3, 600, 5),
    (130, 1100, 45),
    (29, 5, 2100),
    (300, 40, 64),
];

#[test]
fn equals_the_plain_product() {
    for (rows, steps, columns) in SIZES {
        let (a, b) = (noise(rows * steps, 1), noise(steps * columns, 2));
        for turned in 0..4 {
            let a = view(&a, rows, steps, turned & 1 == 1);
            let b = view(&b, steps, columns, turned & 2 == 2);
            let expected = plain(a, b);
            for instructions in Instructions::available() {
                // A stride that leaves a gap, which must stay unchanged.
                let stride = columns + 3;
                for store in [Store::Replace, Store::Add] {
                    let before = noise(rows * stride, 3);
                    let mut c = before.clone();
                    let to = MatrixMut::with_stride(&mut c, rows, columns, stride);
                    multiply(instructions, a, b, to, store);
                    for (i, (&got, &was)) in c.iter().zip(&before).enumerate() {
                        let (r, column) = (i / stride, i % stride);
                        if column >= columns {
                            assert_eq!(got, was, "the gap in row {r}");
                            continue;
                        }
                        let added = if store == Store::Add {
                            f64::from(was)
                        } else {
                            0.0
                        };
                        let expected = expected[r * columns + column] + added;
                        assert!(
                            (f64::from(got) - expected).abs() < TOLERANCE,
                            "{instructions:?} {rows} x {steps} x {columns}, turned {turned}, {store:?}, {r}, {column}: expected {expected}, got {got}"
                        );
                    }
                }
            }
        }
    }
}

/// The number of threads changes how the work is split, and must not change a bit of the result.
#[test]
fn threads_change_no_bit() {
    for (rows, steps, columns) in SIZES {
        let (a, b) = (noise(rows * steps, 1), noise(steps * columns, 2));
        let all = [1, 2, 3, 7].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let mut c = vec![0.0; rows * columns];
            pool.build().unwrap().install(|| {
                let (a, b) = (
                    Matrix::new(&a, rows, steps),
                    Matrix::new(&b, steps, columns),
                );
                let to = MatrixMut::new(&mut c, rows, columns);
                multiply(Instructions::detect(), a, b, to, Store::Replace);
            });
            c.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
        });
        assert!(all.iter().all(|other| *other == all[0]));
    }
}

#[test]
fn no_steps_are_zeros() {
    let mut c = vec![1.0; 6];
    let nothing = Matrix::new(&[], 2, 0);
    let to = MatrixMut::new(&mut c, 2, 3);
    multiply(
        Instructions::detect(),
        nothing,
        Matrix::new(&[], 0, 3),
        to,
        Store::Replace,
    );
    assert_eq!(c, [0.0; 6]);
}
