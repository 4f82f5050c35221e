//! Transformers loads our checkpoints and computes the same; and we read the checkpoints that it writes.
//!
//! Needs a Python with torch and transformers: RHO_MASK_TORCH_PYTHON, else created from tests/requirements-torch.txt.

use std::{path::Path, process::Command};

use rho_trainer::{Batch, Model, Network, Target, checkpoint, network::WeightedRow};

use tempfile::TempDir;

use crate::support::{checkpoint as random_checkpoint, families, fused, torch::python_with_torch};

/// Both compute in f32.
const TOLERANCE: f64 = 1e-4;

/// For each folder, Transformers' log-probabilities of each next token.
fn theirs(python: &Path, command: &str, ids: &[u32], folders: &[TempDir]) -> Vec<Vec<Vec<f64>>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/their_logits.py");
    let output = Command::new(python)
        .arg(script)
        .args([command, &serde_json::to_string(ids).unwrap()])
        .args(folders.iter().map(TempDir::path))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Our log-probabilities of every token of the vocabulary after each state.
fn ours(network: &mut Network, ids: &[u32]) -> Vec<Vec<f64>> {
    let batch = Batch::from_documents(ids.len(), &[vec![ids.to_vec()]]);
    let forward = network.forward(&batch, false).unwrap();
    let vocabulary = network.architecture().config.vocabulary as u32;
    let row = |state| {
        let rows: Vec<_> = (0..vocabulary)
            .map(|token| {
                let target = Target {
                    place: state + 1,
                    state,
                    token,
                };
                WeightedRow {
                    target,
                    weight: 1.0,
                }
            })
            .collect();
        let losses = network.losses(&forward, &rows).unwrap();
        losses.iter().map(|l| -f64::from(l.loss)).collect()
    };
    (0..ids.len()).map(row).collect()
}

fn assert_same(name: &str, ours: &[Vec<f64>], theirs: &[Vec<f64>]) {
    assert_eq!(
        (ours.len(), ours[0].len()),
        (theirs.len(), theirs[0].len()),
        "{name}"
    );
    for (position, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        for (token, (a, b)) in ours.iter().zip(theirs).enumerate() {
            assert!(
                (a - b).abs() < TOLERANCE,
                "{name}, after {position}, token {token}: {a} here, {b} there"
            );
        }
    }
}

#[test]
#[ignore = "installs PyTorch, 2.5 GB; run it with --ignored"]
fn transformers_opens_what_is_written() {
    let python = python_with_torch();
    let ids: Vec<u32> = (0..40).map(|i| i * 7 % 83).collect();
    let folders: Vec<TempDir> = families()
        .iter()
        .map(|_| tempfile::tempdir().unwrap())
        .collect();
    let written: Vec<Model> = families()
        .iter()
        .map(|(_, json)| random_checkpoint(json, 31))
        .collect();
    for (checkpoint, folder) in written.iter().zip(&folders) {
        checkpoint::save(checkpoint, folder.path(), None).unwrap();
    }
    let theirs = theirs(&python, "read", &ids, &folders);
    assert_eq!(theirs.len(), written.len());
    for ((name, _), (written, theirs)) in families().iter().zip(written.iter().zip(theirs)) {
        assert_same(name, &ours(&mut fused(written), &ids), &theirs);
    }
}

#[test]
#[ignore = "installs PyTorch, 2.5 GB; run it with --ignored"]
fn what_transformers_writes_is_read() {
    let python = python_with_torch();
    let ids: Vec<u32> = (0..40).map(|i| i * 11 % 83).collect();
    let folders: Vec<TempDir> = families()
        .iter()
        .map(|_| tempfile::tempdir().unwrap())
        .collect();
    for ((_, json), folder) in families().iter().zip(&folders) {
        std::fs::write(folder.path().join("config.json"), json).unwrap();
    }
    let theirs = theirs(&python, "write", &ids, &folders);
    assert_eq!(theirs.len(), folders.len());
    for ((name, _), (folder, theirs)) in families().iter().zip(folders.iter().zip(theirs)) {
        let read = checkpoint::open(folder.path(), &[]).unwrap();
        assert_same(name, &ours(&mut fused(&read), &ids), &theirs);
    }
}
