//! The real Transformers opens what is written here, and computes the same; and what it writes is read here.
//!
//! Needs a Python with torch and transformers: named by RHO_MASK_TORCH_PYTHON, else the one that `benches/compare` makes.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use rho_trainer::{Batch, Checkpoint, Network, Target, checkpoint, network::WeightedRow};

use crate::support::{checkpoint as random_checkpoint, families, fused};

/// Both compute in f32.
const TOLERANCE: f64 = 1e-4;

#[expect(clippy::print_stderr, reason = "a test that skips says so")]
fn python() -> Option<PathBuf> {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-python/bin/python");
    let python = std::env::var_os("RHO_MASK_TORCH_PYTHON").map_or(made, PathBuf::from);
    if python.is_file() {
        return Some(python);
    }
    eprintln!(
        "skipped: no Python with transformers at {}; RHO_MASK_TORCH_PYTHON names one",
        python.display()
    );
    None
}

/// The log-probabilities of each next token, as Transformers computes them.
fn theirs(python: &Path, command: &str, folder: &Path, ids: &[u32]) -> Vec<Vec<f64>> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/their_logits.py");
    let ids = serde_json::to_string(ids).unwrap();
    let output = Command::new(python)
        .arg(script)
        .arg(command)
        .arg(folder)
        .arg(ids)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same here: the loss of every token of the vocabulary after each state.
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
fn transformers_opens_what_is_written() {
    let Some(python) = python() else { return };
    let ids: Vec<u32> = (0..40).map(|i| i * 7 % 83).collect();
    for (name, json) in families() {
        let folder = tempfile::tempdir().unwrap();
        let written: Checkpoint = random_checkpoint(&json, 31);
        checkpoint::save(&written, folder.path(), None).unwrap();
        let theirs = theirs(&python, "read", folder.path(), &ids);
        assert_same(name, &ours(&mut fused(&written), &ids), &theirs);
    }
}

#[test]
fn what_transformers_writes_is_read() {
    let Some(python) = python() else { return };
    let ids: Vec<u32> = (0..40).map(|i| i * 11 % 83).collect();
    for (name, json) in families() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), &json).unwrap();
        let theirs = theirs(&python, "write", folder.path(), &ids);
        let read = checkpoint::open(folder.path()).unwrap();
        assert_same(name, &ours(&mut fused(&read), &ids), &theirs);
    }
}
