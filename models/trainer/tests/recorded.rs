//! PyTorch's float64 results for tiny checkpoints: losses of whole documents, and one selective step with every
//! gradient. `expected.jsonl` and `slm_step.safetensors` are next to the checkout, with the scripts that wrote them.

use std::{collections::HashMap, path::Path};

use rho_selection::KeepRatio;
use rho_trainer::{
    Batch, Network, Objective, StepOptions, checkpoint, compute_gradient, network::WeightedRow,
};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::support::{assert_gradients, fused, plain, shared_model};

/// f32 sums through two blocks, compared with float64.
const LOSS_TOLERANCE: f32 = 2e-4;

/// Relative to the norm of each parameter's gradient.
const GRADIENT_TOLERANCE: f64 = 2e-5;

/// Candle in f64 differs from PyTorch in the cosines and sines, which Transformers rounds to f32.
const PLAIN_TOLERANCE: f64 = 5e-6;

#[derive(Deserialize)]
struct Expected {
    input_ids: Vec<u32>,
    loss: Vec<Option<f32>>,
}

fn documents(folder: &Path) -> Vec<Expected> {
    let text = std::fs::read_to_string(folder.join("expected.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn networks(folder: &Path) -> [(&'static str, Network); 2] {
    let checkpoint = checkpoint::open(&folder.join("hf"), &[]).unwrap();
    [("fused", fused(&checkpoint)), ("plain", plain(&checkpoint))]
}

fn losses(network: &mut Network, batch: &Batch) -> Vec<(usize, f32)> {
    let targets = batch.targets();
    let rows: Vec<_> = targets
        .iter()
        .map(|&target| WeightedRow {
            target,
            weight: 1.0,
        })
        .collect();
    let forward = network.forward(batch, false).unwrap();
    let losses = network.losses(&forward, &rows).unwrap();
    targets
        .iter()
        .map(|t| t.place)
        .zip(losses.iter().map(|l| l.loss))
        .collect()
}

/// Each document by itself, and all of them packed into two rows.
#[test]
fn losses_are_those_of_transformers() {
    for name in ["llama", "qwen2", "gpt2"] {
        let Some(folder) = shared_model(name) else {
            continue;
        };
        let documents = documents(&folder);
        for (kind, mut network) in networks(&folder) {
            let close = |what: &str, got: f32, expected: f32| {
                assert!(
                    (got - expected).abs() <= LOSS_TOLERANCE,
                    "{name}, {kind}, {what}: expected {expected}, got {got}"
                );
            };
            for document in &documents {
                let length = document.input_ids.len();
                let batch = Batch::from_documents(length, &[vec![document.input_ids.clone()]]);
                let got = losses(&mut network, &batch);
                assert_eq!(got.len(), length - 1);
                for (place, loss) in got {
                    close("alone", loss, document.loss[place].unwrap());
                }
            }
            let ids = |i: usize| documents[i].input_ids.clone();
            let packed = Batch::from_documents(
                330,
                &[vec![ids(5), ids(3), ids(1)], vec![ids(0), ids(2), ids(4)]],
            );
            let expected: Vec<f32> = [5, 3, 1, 0, 2, 4]
                .iter()
                .flat_map(|&i| documents[i].loss.iter().flatten().copied())
                .collect();
            let got = losses(&mut network, &packed);
            assert_eq!(got.len(), expected.len());
            for ((_, got), expected) in got.into_iter().zip(expected) {
                close("packed", got, expected);
            }
        }
    }
}

fn f64s(tensors: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let bytes = tensors.tensor(name).unwrap().data().to_vec();
    bytes
        .chunks_exact(8)
        .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn i64s(tensors: &SafeTensors<'_>, name: &str) -> Vec<i64> {
    let bytes = tensors.tensor(name).unwrap().data().to_vec();
    bytes
        .chunks_exact(8)
        .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

/// The recorded batch split into micro-batches with these numbers of rows.
fn recorded_batches(tensors: &SafeTensors<'_>, cuts: &[usize]) -> Vec<Batch> {
    let ids = i64s(tensors, "input_ids");
    let lengths = i64s(tensors, "length");
    let reference = f64s(tensors, "ref_loss");
    let width = ids.len() / lengths.len();
    let mut from = 0;
    let cut = |rows: &usize| {
        let range = from..from + rows;
        from = range.end;
        let document = |row: usize| {
            let ids = &ids[row * width..][..lengths[row] as usize];
            vec![ids.iter().map(|&id| id as u32).collect::<Vec<u32>>()]
        };
        let documents: Vec<_> = range.clone().map(document).collect();
        let mut batch = Batch::from_documents(width, &documents);
        let reference = &reference[range.start * width..range.end * width];
        batch.reference_loss = reference.iter().map(|&l| l as f32).collect();
        batch
    };
    cuts.iter().map(cut).collect()
}

/// One micro-batch, and three whose activations are kept or not: the same kept tokens, loss and gradients.
#[test]
fn a_selective_step_is_that_of_pytorch() {
    for name in ["llama", "qwen2", "gpt2"] {
        let Some(folder) = shared_model(name) else {
            continue;
        };
        let bytes = std::fs::read(folder.join("slm_step.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let kept: Vec<bool> = tensors
            .tensor("kept")
            .unwrap()
            .data()
            .iter()
            .map(|&b| b != 0)
            .collect();
        let loss = f64s(&tensors, "loss")[0];
        let gradients: HashMap<&str, Vec<f64>> = tensors
            .names()
            .into_iter()
            .filter_map(|n| n.strip_prefix("grad."))
            .map(|n| (n, f64s(&tensors, &format!("grad.{n}"))))
            .collect();
        for (cuts, bytes) in [(vec![5], 0), (vec![1, 3, 1], 1 << 30), (vec![1, 3, 1], 0)] {
            for (kind, mut network) in networks(&folder) {
                let what = format!("{name}, {kind}, {cuts:?}, {bytes}");
                let batches = recorded_batches(&tensors, &cuts);
                let mut options = StepOptions::new(Objective::Slm {
                    keep: KeepRatio::new(0.6).unwrap(),
                });
                options.activation_bytes = bytes;
                let report = compute_gradient(&mut network, &batches, &options, 0).unwrap();
                let mut got = vec![false; kept.len()];
                let mut first = 0;
                for (batch, targets) in batches.iter().zip(&report.targets) {
                    for (target, kept, _) in targets {
                        got[first + target.place] = *kept;
                    }
                    first += batch.tokens();
                }
                assert_eq!(got, kept, "{what}");
                assert!(
                    (report.loss - loss).abs() < 1e-5,
                    "{what}: {} {loss}",
                    report.loss
                );
                assert!((report.kept.own - loss).abs() < 1e-5, "{what}");
                let parameters = &network.architecture().parameters;
                assert_eq!(parameters.len(), gradients.len(), "{what}");
                let expected: Vec<Vec<f64>> = parameters
                    .iter()
                    .map(|p| gradients[p.name.as_str()].clone())
                    .collect();
                let tolerance = if kind == "plain" {
                    PLAIN_TOLERANCE
                } else {
                    GRADIENT_TOLERANCE
                };
                assert_gradients(
                    &what,
                    &network,
                    &network.gradients().unwrap(),
                    &expected,
                    tolerance,
                );
            }
        }
    }
}
