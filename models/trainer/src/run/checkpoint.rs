//! Checkpoint folders, written atomically: under a temporary name, synced to disk, then renamed.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{Probe, RunError, RunState, Trainee, TraineeError};

const STATE: &str = "run.json";
const PROBE: &str = "probe.bits";
const PARTIAL: &str = ".partial";

/// The checkpoints of a run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    /// How many are kept; the oldest are removed first. 0: all.
    keep_last: usize,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedStep {
    /// Its folder.
    pub path: PathBuf,
    /// The run's state.
    pub state: RunState,
    /// The selection of the first batch, as bits; `None` if it was not ranked yet.
    pub probe: Option<Vec<u8>>,
}

impl Checkpoints {
    /// The checkpoints in a folder, which need not exist yet.
    pub fn new(folder: PathBuf, keep_last: usize) -> Self {
        Self { folder, keep_last }
    }

    /// The steps of the existing checkpoints, in ascending order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>, RunError> {
        let mut steps = Vec::new();
        for name in self.names()? {
            if let Some(step) = name.strip_prefix("step-").and_then(|n| n.parse().ok()) {
                steps.push(step);
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// The path of a step's checkpoint.
    pub fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:06}"))
    }

    /// The last checkpoint, if there is one.
    ///
    /// # Errors
    /// If the folder or the checkpoint cannot be read.
    pub fn last(&self) -> Result<Option<SavedStep>, RunError> {
        let Some(&step) = self.steps()?.last() else {
            return Ok(None);
        };
        let path = self.path(step);
        let read = |name: &str| {
            let path = path.join(name);
            fs::read(&path).map_err(|source| RunError::Read { path, source })
        };
        let state = serde_json::from_slice(&read(STATE)?).map_err(|source| RunError::Load {
            path: path.clone(),
            source: source.into(),
        })?;
        let probe = match path.join(PROBE).exists() {
            true => Some(read(PROBE)?),
            false => None,
        };
        Ok(Some(SavedStep { path, state, probe }))
    }

    /// Writes a checkpoint, then removes the oldest ones beyond `keep_last`. Earlier checkpoints stay unchanged if
    /// writing fails.
    ///
    /// # Errors
    /// If it cannot be written, or an old one cannot be removed.
    pub fn write(
        &self,
        trainee: &dyn Trainee,
        state: &RunState,
        probe: &Probe,
    ) -> Result<PathBuf, RunError> {
        let path = self.path(state.step);
        let partial = self.folder.join(format!("{PARTIAL}-{:06}", state.step));
        let written = self.write_partial(&partial, trainee, state, probe);
        let renamed = written.and_then(|()| {
            if path.exists() {
                fs::remove_dir_all(&path)?;
            }
            Ok(rho_files::rename(&partial, &path)?)
        });
        if let Err(source) = renamed {
            // This frees space on a full disk. If it fails, the next start removes the folder.
            let _ = fs::remove_dir_all(&partial);
            return Err(RunError::Save { path, source });
        }
        let steps = self.steps()?;
        let too_many = match self.keep_last {
            0 => 0,
            keep => steps.len().saturating_sub(keep),
        };
        for &old in &steps[..too_many] {
            let path = self.path(old);
            // Rename it first, so that a partly removed folder does not count as a checkpoint.
            let gone = self.folder.join(format!("{PARTIAL}-{old:06}"));
            fs::rename(&path, &gone)
                .and_then(|()| fs::remove_dir_all(&gone))
                .map_err(|source| RunError::Write { path, source })?;
        }
        Ok(path)
    }

    fn write_partial(
        &self,
        partial: &Path,
        trainee: &dyn Trainee,
        state: &RunState,
        probe: &Probe,
    ) -> Result<(), TraineeError> {
        if partial.exists() {
            fs::remove_dir_all(partial)?;
        }
        fs::create_dir_all(partial)?;
        trainee.save_model(partial)?;
        trainee.save_optimiser(partial)?;
        if let Some(bits) = probe.bytes() {
            fs::write(partial.join(PROBE), bits)?;
        }
        let mut text = serde_json::to_vec_pretty(state)?;
        text.push(b'\n');
        fs::write(partial.join(STATE), text)?;
        for entry in fs::read_dir(partial)? {
            File::open(entry?.path())?.sync_all()?;
        }
        rho_files::sync_folder(partial)?;
        Ok(())
    }

    /// Removes partly written checkpoints of an interrupted run.
    ///
    /// # Errors
    /// If the folder cannot be read, or a partial checkpoint cannot be removed.
    pub fn clean(&self) -> Result<(), RunError> {
        for name in self.names()? {
            let path = self.folder.join(&name);
            if name.starts_with(PARTIAL) {
                fs::remove_dir_all(&path).map_err(|source| RunError::Write { path, source })?;
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, RunError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
        };
        let entries = entries.map_err(|source| RunError::Read {
            path: self.folder.clone(),
            source,
        })?;
        let names = entries.into_iter().map(|entry| entry.file_name());
        Ok(names.filter_map(|name| name.into_string().ok()).collect())
    }
}
