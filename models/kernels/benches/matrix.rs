//! Matmuls of the sizes of a training step, compared with the crate `gemm` (which candle uses).
//!
//!     cargo bench -p rho-kernels --bench matrix
//!
//! Forward is `x Wᵀ`, dgrad `g W`, wgrad `gᵀ x`. GFLOP/s on all threads, median of seven alternating runs.
#![expect(unsafe_code, reason = "the other crate takes pointers")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::Instant;

use rho_kernels::{
    Instructions,
    matrix::{Matrix, MatrixMut, Store, multiply},
};

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn timed(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Row and column strides of a row-major operand with `columns` columns, or of its transpose.
fn strides(rows: usize, columns: usize, turned: bool) -> (isize, isize) {
    if turned {
        (1, rows as isize)
    } else {
        (columns as isize, 1)
    }
}

fn main() {
    let instructions = Instructions::detect();
    println!("{instructions:?}, {} threads", rayon::current_num_threads());
    println!("| matmul | rows | steps | columns | rho-kernels | gemm |\n|---|---|---|---|---|---|");
    let tokens = 2048;
    for (inputs, outputs) in [
        (256, 256),
        (256, 640),
        (640, 256),
        (512, 512),
        (512, 1344),
        (1344, 512),
    ] {
        for (name, m, k, n, turned_a, turned_b) in [
            ("forward", tokens, inputs, outputs, false, true),
            ("dgrad", tokens, outputs, inputs, false, false),
            ("wgrad", outputs, tokens, inputs, true, false),
        ] {
            let a: Vec<f32> = (0..m * k).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect();
            let b: Vec<f32> = (0..k * n).map(|i| (i % 13) as f32 * 0.1 - 0.6).collect();
            let mut c = vec![0.0; m * n];
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..7 {
                ours.push(timed(|| {
                    let view = |numbers, rows, columns, turned| match turned {
                        false => Matrix::new(numbers, rows, columns),
                        true => Matrix::new(numbers, columns, rows).transposed(),
                    };
                    let (a, b) = (view(&a, m, k, turned_a), view(&b, k, n, turned_b));
                    let to = MatrixMut::new(&mut c, m, n);
                    multiply(instructions, a, b, to, Store::Replace);
                }));
                theirs.push(timed(|| {
                    let (ar, ac) = strides(m, k, turned_a);
                    let (br, bc) = strides(k, n, turned_b);
                    let threads = rayon::current_num_threads();
                    // SAFETY: the three matrices are as long as their sizes and strides require.
                    unsafe {
                        gemm::gemm(
                            m,
                            n,
                            k,
                            c.as_mut_ptr(),
                            1,
                            n as isize,
                            false,
                            a.as_ptr(),
                            ac,
                            ar,
                            b.as_ptr(),
                            bc,
                            br,
                            0.0f32,
                            1.0f32,
                            false,
                            false,
                            false,
                            gemm::Parallelism::Rayon(threads),
                        );
                    }
                }));
            }
            let rate = |seconds| (2 * m * k * n) as f64 / median(seconds) / 1e9;
            println!(
                "| {name} | {m} | {k} | {n} | {:.0} | {:.0} |",
                rate(ours),
                rate(theirs)
            );
        }
    }
}
