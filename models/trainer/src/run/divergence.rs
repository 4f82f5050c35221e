//! The documents of a batch at which a run stopped, the worst first.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::RunError;
use crate::data::{Documents, GlobalBatch};

/// The name of the file that lists them.
const STOPPED: &str = "stopped.json";

/// A document of the batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Suspect {
    /// Its name.
    pub(super) name: String,
    /// Number of its targets in the batch.
    tokens: u64,
    /// Their mean loss; `None` if it is not finite or unknown.
    loss: Option<f64>,
}

/// The documents of a batch: first those whose mean loss is not finite, then by descending mean loss.
pub(super) fn list(batch: &GlobalBatch, losses: &[f32], documents: &dyn Documents) -> Vec<Suspect> {
    let mut sums: HashMap<usize, (u64, f64)> = HashMap::new();
    for (row, segments) in batch.rows.iter().enumerate() {
        for segment in segments {
            let sum = sums.entry(segment.part.document).or_default();
            for i in 1..segment.part.length {
                let at = row * batch.length + segment.start + i;
                sum.0 += 1;
                sum.1 += losses.get(at).map_or(0.0, |&loss| f64::from(loss));
            }
        }
    }
    let mut list: Vec<(usize, f64)> = batch
        .documents()
        .into_iter()
        .map(|document| {
            let (tokens, sum) = sums.get(&document).copied().unwrap_or_default();
            let mean = sum / tokens.max(1) as f64;
            (
                document,
                if mean.is_finite() {
                    mean
                } else {
                    f64::INFINITY
                },
            )
        })
        .collect();
    // A stable sort: without losses they stay in the order of the batch.
    list.sort_by(|a, b| b.1.total_cmp(&a.1));
    let suspect = |(document, mean): (usize, f64)| Suspect {
        name: documents.name(document),
        tokens: sums.get(&document).map_or(0, |sum| sum.0),
        loss: (mean.is_finite() && !losses.is_empty()).then_some(mean),
    };
    list.into_iter().map(suspect).collect()
}

/// Writes the list into the run's folder.
pub(super) fn write(
    folder: &Path,
    step: u64,
    got: &str,
    documents: &[Suspect],
) -> Result<PathBuf, RunError> {
    let path = folder.join(STOPPED);
    let text = json!({"step": step, "got": got, "documents": documents});
    let written = rho_files::write_atomic(&path, format!("{text:#}\n").as_bytes());
    written.map_err(|source| RunError::Write {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}
