//! Reduced-precision matmuls: GFLOP/s at several shapes on one core, for every multiplier of this CPU.
//!
//!     cargo bench -p rho-reference --bench product
//!
//! The time includes rounding and packing the rows, but not the weights.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::Instant;

use rho_graph::{DataType, Layout, Tensor};
use rho_reference::matmul::{Multiplier, PackedMatmul, Weights};

fn main() {
    println!(
        "| inputs | outputs | rows | multiplier | GFLOP/s, one core (median of 9) |\n|---|---|---|---|---|"
    );
    for (inputs, outputs, rows) in [
        (512, 512, 512),
        (512, 1344, 512),
        (1344, 512, 512),
        (768, 2048, 512),
    ] {
        for multiplier in Multiplier::available() {
            let bytes = noise(inputs * outputs)
                .iter()
                .flat_map(|w| w.to_le_bytes())
                .collect::<Vec<_>>();
            let tensor = Tensor {
                name: "w".into(),
                dims: vec![inputs, outputs],
                dtype: DataType::F32,
                bytes: bytes.into(),
            };
            let weights = Weights {
                tensor: &tensor,
                layout: Layout::HiddenFirst,
                inputs,
                outputs,
                scale: 1.0,
                bias: None,
            };
            let product = PackedMatmul::new(&weights, multiplier).expect("f32 weights");
            let x = noise(rows * inputs);
            let mut out = vec![0.0; rows * outputs];
            let mut rates: Vec<f64> = (0..9)
                .map(|_| {
                    let start = Instant::now();
                    product.multiply(&x, &mut out);
                    2.0 * (rows * inputs * outputs) as f64 / start.elapsed().as_secs_f64() / 1e9
                })
                .collect();
            rates.sort_by(f64::total_cmp);
            println!(
                "| {inputs} | {outputs} | {rows} | {multiplier:?} | {:.0} |",
                rates[4]
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
