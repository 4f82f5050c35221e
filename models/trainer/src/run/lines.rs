//! Files of JSON lines that grow with the steps, and are cut back to where a checkpoint was written.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::RunError;

/// What each step came to.
pub const METRICS: &str = "metrics.jsonl";
/// How long each step took.
pub const TIMINGS: &str = "timings.jsonl";

/// A file of lines.
#[derive(Debug)]
pub(super) struct Lines {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Lines {
    /// Opens it and cuts it to its first bytes.
    pub(super) fn open(path: &Path, bytes: u64) -> Result<Self, RunError> {
        let open = || -> io::Result<File> {
            let mut options = OpenOptions::new();
            let mut file = options
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            if file.metadata()?.len() < bytes {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("expected at least {bytes} bytes, as the checkpoint says"),
                ));
            }
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().map_err(|source| RunError::Write {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            bytes,
        })
    }

    /// Adds a line; it is whole in the file when this returns.
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

    /// Puts it onto the disk. The answer is its size.
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

/// The losses of all steps in a file of metrics; lines of evaluations are passed over.
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
    let file = File::open(path).map_err(cannot_read)?;
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
