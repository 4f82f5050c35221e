//! Folders that are there whole or not at all: written under another name, put onto the disk, renamed.

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
    /// How many are kept; the oldest go first. 0: all.
    keep_last: usize,
}

/// One of them.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedStep {
    /// Its folder.
    pub path: PathBuf,
    /// What it says of the run.
    pub state: RunState,
    /// What was kept of the first batch, as bits; none where it was not ranked yet.
    pub probe: Option<Vec<u8>>,
}

impl Checkpoints {
    /// Those in a folder, which need not be there yet.
    pub fn new(folder: PathBuf, keep_last: usize) -> Self {
        Self { folder, keep_last }
    }

    /// The steps of those that are there, in ascending order.
    ///
    /// # Errors
    /// Where the folder cannot be read.
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

    /// Where the checkpoint of a step lies.
    pub fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:06}"))
    }

    /// The last one.
    ///
    /// # Errors
    /// Where it cannot be read.
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

    /// Writes one, then removes those that are too many. Where it cannot be written, the former ones stay as they are.
    ///
    /// # Errors
    /// Where it cannot be written.
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
            // A full disk has room again; what cannot be removed is removed at the next start.
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
            // Under another name first, so that a half-removed one is none.
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

    /// Removes what an interruption left half-written.
    ///
    /// # Errors
    /// Where it cannot be removed.
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
