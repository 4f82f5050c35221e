//! JSON Lines files that grow with the steps and are truncated to their length at the checkpoint when a run resumes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use rho_files::Folder;

use serde::{Deserialize, Serialize};

use super::RunError;

/// The file with the metrics of each step.
pub const METRICS: &str = "metrics.jsonl";
/// The file with the time of each step.
pub const TIMINGS: &str = "timings.jsonl";

/// A JSON Lines file.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Lines {
    /// Opens or creates the file of a folder and truncates it to `bytes` bytes.
    pub(super) fn open(folder: &Path, name: &str, bytes: u64) -> Result<Self, RunError> {
        let path = folder.join(name);
        match Folder::at(folder).resume(name, bytes) {
            Ok(file) => Ok(Self { path, file, bytes }),
            Err(source) => Err(RunError::Write { path, source }),
        }
    }

    /// Appends a line; the whole line is in the file when this returns.
    pub(super) fn add(&mut self, line: &impl Serialize) -> Result<(), RunError> {
        let written = serde_json::to_vec(line)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)?;
                Ok(line.len() as u64)
            });
        self.bytes += written.map_err(|source| self.failed(source))?;
        Ok(())
    }

    /// Syncs the file to disk and returns its size.
    pub(super) fn sync(&mut self) -> Result<u64, RunError> {
        let synced = self.file.sync_data();
        synced.map_err(|source| self.failed(source))?;
        Ok(self.bytes)
    }

    fn failed(&self, source: io::Error) -> RunError {
        RunError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

/// The losses of all steps in a metrics file; lines of evaluations are skipped.
pub(super) fn last_losses(path: &Path) -> Result<Vec<f64>, RunError> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(default)]
        loss: Option<f64>,
        #[serde(default)]
        evaluation: Option<serde::de::IgnoredAny>,
    }
    let cannot_read = |source| RunError::Read {
        path: path.to_owned(),
        source,
    };
    let file = rho_files::open(path).map_err(cannot_read)?;
    let mut losses = Vec::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(cannot_read)?;
        let line: Line = serde_json::from_str(&line).map_err(|error| cannot_read(error.into()))?;
        if let (Some(loss), None) = (line.loss, line.evaluation) {
            losses.push(loss);
        }
    }
    Ok(losses)
}
