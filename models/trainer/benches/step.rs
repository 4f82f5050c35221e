//! Training steps of a Llama with random weights on random tokens: forward, selection, backward, clipping and AdamW.
//!
//!     cargo bench -p rho-trainer --bench step -- VOCABULARY HIDDEN LAYERS BATCH LENGTH [STEPS] [OBJECTIVE ...]
//!
//! Prints the median tokens/s of each objective (their steps alternate), the ratio of the medians of slm and clm, and
//! the process's peak memory. `benches/training` compares it with PyTorch. Objectives: `clm` (the default), `slm`,
//! `random`; `slm-parts`: `slm` with the rows in two micro-batches; `slm-again`: the same without keeping activations
//! between ranking and backward; `clm-checkpointed`: `clm` with gradient checkpointing. With `candle`, the network
//! uses candle's operations.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::time::Instant;

use candle_core::{DType, Device};
use rho_selection::KeepRatio;
use rho_trainer::{
    Batch, Config, Model, Network, Objective, Optimiser, StepOptions, compute_gradient,
    optimiser::AdamW,
};

/// One way to compute a step, and the times of its steps.
struct Arm<'a> {
    name: &'a str,
    batches: &'a [Batch],
    options: StepOptions,
    checkpointing: bool,
    times: Vec<f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let sizes: Vec<usize> = words.iter().map_while(|word| word.parse().ok()).collect();
    let (sizes, steps) = match sizes.as_slice() {
        [] => ([4096, 256, 4, 8, 256], 11),
        [v, h, l, b, t] => ([*v, *h, *l, *b, *t], 11),
        [v, h, l, b, t, steps] => ([*v, *h, *l, *b, *t], *steps),
        _ => return Err("expected five sizes and the number of steps".into()),
    };
    let names: Vec<&String> = words
        .iter()
        .filter(|word| word.parse::<usize>().is_err())
        .collect();
    let candle = names.iter().any(|name| *name == "candle");
    let [vocabulary, hidden, layers, rows, length] = sizes;
    let config = serde_json::json!({
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": hidden * 8 / 3 / 64 * 64,
        "num_hidden_layers": layers,
        "num_attention_heads": hidden / 64,
        "max_position_embeddings": 2048,
    });
    let config = Config::from_json(config.as_object().cloned().unwrap_or_default())?;
    let checkpoint = Model::fresh(config, 1);
    println!(
        "{:.1}M parameters, {rows} x {length} tokens, {} threads",
        checkpoint.architecture.numbers() as f64 / 1e6,
        rayon::current_num_threads()
    );
    let mut network = if candle {
        Network::plain(checkpoint, &Device::Cpu, DType::F32)?
    } else {
        Network::new(checkpoint, &Device::Cpu)?
    };
    let mut optimiser = Optimiser::new(&mut network, AdamW::default())?;
    let document = |row: usize| {
        (0..length)
            .map(|i| ((row * length + i) * 7919 % vocabulary) as u32)
            .collect()
    };
    let batch = |rows: std::ops::Range<usize>| {
        let documents: Vec<Vec<Vec<u32>>> = rows.map(|row| vec![document(row)]).collect();
        let mut batch = Batch::from_documents(length, &documents);
        batch.reference_loss = (0..batch.tokens())
            .map(|i| (i * 31 % 101) as f32 * 0.1)
            .collect();
        batch
    };
    let whole = vec![batch(0..rows)];
    let parts = vec![batch(0..rows / 2), batch(rows / 2..rows)];

    let keep = KeepRatio::new(0.6)?;
    let slm = StepOptions::new(Objective::Slm { keep });
    let again = StepOptions {
        activation_bytes: 0,
        ..slm
    };
    let random = StepOptions::new(Objective::Random { keep, seed: 1 });
    let clm = StepOptions::new(Objective::Clm);
    let arm = |name, batches, options, checkpointing| Arm {
        name,
        batches,
        options,
        checkpointing,
        times: Vec::new(),
    };
    let mut arms = Vec::new();
    for name in names.iter().map(|name| name.as_str()) {
        arms.push(match name {
            "clm" => arm(name, &whole, clm, false),
            "slm" => arm(name, &whole, slm, false),
            "random" => arm(name, &whole, random, false),
            "slm-parts" => arm(name, &parts, slm, false),
            "slm-again" => arm(name, &parts, again, false),
            "clm-checkpointed" => arm(name, &whole, clm, true),
            "candle" => continue,
            other => return Err(format!("unknown objective {other:?}").into()),
        });
    }
    if arms.is_empty() {
        arms.push(arm("clm", &whole, clm, false));
    }
    // The first two steps allocate memory and are not counted.
    for step in 0..steps + 2 {
        for arm in &mut arms {
            network.set_checkpointing(arm.checkpointing);
            let start = Instant::now();
            compute_gradient(&mut network, arm.batches, &arm.options, step as u64)?;
            let gradient = start.elapsed();
            optimiser.step(&mut network, 1e-3)?;
            if step >= 2 {
                arm.times.push(start.elapsed().as_secs_f64());
            }
            if step == steps + 1 {
                println!(
                    "last step: gradient {:.1} ms, optimiser {:.1} ms",
                    gradient.as_secs_f64() * 1e3,
                    (start.elapsed() - gradient).as_secs_f64() * 1e3
                );
            }
        }
    }
    let mut medians = Vec::new();
    for Arm { name, times, .. } in &mut arms {
        times.sort_by(f64::total_cmp);
        let median = times[times.len() / 2];
        medians.push((*name, median));
        println!(
            "{name}: {:.0} tokens/s (median of {} steps, {:.1} ms)",
            (rows * length) as f64 / median,
            times.len(),
            median * 1e3
        );
    }
    let of = |wanted| {
        medians
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, median)| median)
    };
    if let (Some(slm), Some(clm)) = (of("slm"), of("clm")) {
        println!("slm / clm: {:.3}", slm / clm);
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find(|line| line.starts_with("VmHWM"));
        println!("{}", peak.unwrap_or("VmHWM: unknown"));
    }
    Ok(())
}
