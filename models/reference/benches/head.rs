//! The head's kernel: GFLOP/s at several shapes, for every instruction set of this CPU. Compares them with two bounds:
//! the CPU's peak rate of multiply-adds, and reading the weights from memory once.
//!
//!     cargo bench -p rho-reference --bench head
//!
//! FLOPs are those of the matmul alone (2 x rows x hidden x vocabulary); the softmax is not counted. A second table says
//! what the most likely tokens add; with `-- top` it is the only one.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "loops compiled for detected features")
)]

mod bounds;

use std::time::Instant;

use rho_graph::{DataType, Head, Layout, Tensor};
use rho_reference::head::kernel::{Instructions, Kernel};

fn main() {
    if std::env::args().any(|argument| argument == "top") {
        return most_likely_tokens();
    }
    let (peak, bandwidth) = (bounds::multiply_adds(), bounds::reading());
    println!("multiply-adds: {peak:.0} GFLOP/s; reading: {bandwidth:.1} GB/s\n");
    println!(
        "| hidden | vocabulary | rows | instructions | GFLOP/s (median of 5) | of the multiply-adds | bound by memory |\n\
         |---|---|---|---|---|---|---|"
    );
    for (hidden, vocabulary, rows) in [
        (512, 16_384, 2048),
        (768, 16_384, 2048),
        (2048, 32_000, 1024),
        (512, 151_936, 1024),
    ] {
        for instructions in Instructions::available() {
            let kernel = Kernel::new(&head(hidden, vocabulary), instructions).expect("f32 weights");
            let states: Vec<f32> = noise(rows * hidden);
            let targets: Vec<u32> = (0..rows).map(|r| (r * 7919 % vocabulary) as u32).collect();
            let row =
                |r: usize, out: &mut [f32]| out.copy_from_slice(&states[r * hidden..][..hidden]);
            let mut rates: Vec<f64> = (0..5)
                .map(|_| {
                    let start = Instant::now();
                    let scores = kernel.score(row, &targets);
                    assert!(scores.loss.iter().all(|l| l.is_finite()));
                    2.0 * (rows * hidden * vocabulary) as f64 / start.elapsed().as_secs_f64() / 1e9
                })
                .collect();
            rates.sort_by(f64::total_cmp);
            // Each weight and hidden state is read once.
            let bytes = 4 * (hidden * vocabulary + rows * hidden);
            let by_memory = 2.0 * (rows * hidden * vocabulary) as f64 / (bytes as f64 / bandwidth);
            println!(
                "| {hidden} | {vocabulary} | {rows} | {instructions:?} | {:.0} | {:.0} % | {by_memory:.0} |",
                rates[2],
                100.0 * rates[2] / peak
            );
        }
    }
    most_likely_tokens();
}

/// What the most likely tokens add, at a large vocabulary: seconds with and without them in turn.
fn most_likely_tokens() {
    const ROUNDS: usize = 11;
    let (hidden, vocabulary, rows) = (512, 151_936, 512);
    println!(
        "\n| hidden | vocabulary | rows | instructions | most likely tokens | seconds (fastest of {ROUNDS}) | times none |\n\
         |---|---|---|---|---|---|---|"
    );
    let states: Vec<f32> = noise(rows * hidden);
    let targets: Vec<u32> = (0..rows).map(|r| (r * 7919 % vocabulary) as u32).collect();
    let row = |r: usize, out: &mut [f32]| out.copy_from_slice(&states[r * hidden..][..hidden]);
    for instructions in Instructions::available() {
        let mut kernel = Kernel::new(&head(hidden, vocabulary), instructions).expect("f32 weights");
        let counts = [0, 1, 8, 128];
        let mut seconds = vec![Vec::new(); counts.len()];
        for _ in 0..ROUNDS {
            for (seconds, &top) in seconds.iter_mut().zip(&counts) {
                kernel = kernel.with_top(top);
                let start = Instant::now();
                let scores = kernel.score(row, &targets);
                seconds.push(start.elapsed().as_secs_f64());
                assert_eq!(scores.top.ids.len(), rows * top);
            }
        }
        // The fastest, so that other load on the machine matters least.
        let fastest = |seconds: &[f64]| seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let none = fastest(&seconds[0]);
        for (own, top) in seconds.iter().zip(counts) {
            let own = fastest(own);
            println!(
                "| {hidden} | {vocabulary} | {rows} | {instructions:?} | {top} | {own:.3} | {:.3} |",
                own / none
            );
        }
    }
}

fn noise(n: usize) -> Vec<f32> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..n).map(next).collect()
}

fn head(hidden: usize, vocabulary: usize) -> Head {
    let bytes: Vec<u8> = noise(hidden * vocabulary)
        .iter()
        .flat_map(|w| (w * 0.1).to_le_bytes())
        .collect();
    let weights = Tensor {
        name: "w".into(),
        dims: vec![hidden, vocabulary],
        dtype: DataType::F32,
        bytes: bytes.into(),
    };
    Head {
        weights,
        layout: Layout::HiddenFirst,
        hidden,
        vocabulary,
        steps: vec![],
    }
}
