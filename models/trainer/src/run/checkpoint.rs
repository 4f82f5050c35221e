//! Checkpoint folders, written atomically: under a temporary name, synced to disk, then renamed. Links in them are not
//! followed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rho_files::Folder;

use super::{Probe, RunError, RunState, Trainee, TraineeError};

/// The folder of the checkpoints, in that of the run.
const CHECKPOINTS: &str = "checkpoints";
const STATE: &str = "run.json";
const PROBE: &str = "probe.bits";
const PARTIAL: &str = ".partial";

/// The checkpoints of a run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    run: Folder,
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
    /// The checkpoints of a run, which need not exist yet, by its folder.
    pub fn new(run: &Path, keep_last: usize) -> Self {
        Self {
            run: Folder::at(run),
            keep_last,
        }
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
        self.folder().join(name(step))
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
        let inside = format!("{CHECKPOINTS}/{}", name(step));
        let cannot_read = |name: &str| {
            let path = path.join(name);
            move |source| RunError::Read { path, source }
        };
        // What the model and the optimiser are loaded from by path is checked here.
        let entries = self.run.entries(&inside).map_err(cannot_read(""))?;
        for entry in entries.iter().filter(|entry| !entry.is_folder) {
            let opened = self.run.open(&format!("{inside}/{}", entry.name));
            opened.map_err(cannot_read(&entry.name))?;
        }
        let read = |name: &str| {
            let read = self.run.read(&format!("{inside}/{name}"));
            read.map_err(cannot_read(name))
        };
        let missing = || cannot_read(STATE)(std::io::ErrorKind::NotFound.into());
        let state = read(STATE)?.ok_or_else(missing)?;
        let state = serde_json::from_slice(&state).map_err(|source| RunError::Load {
            path: path.clone(),
            source: source.into(),
        })?;
        let probe = read(PROBE)?;
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
        let made = self.run.make(CHECKPOINTS);
        made.map_err(|source| RunError::Write {
            path: self.folder(),
            source,
        })?;
        let partial = self.folder().join(format!("{PARTIAL}-{:06}", state.step));
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
            let gone = self.folder().join(format!("{PARTIAL}-{old:06}"));
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
            if name.starts_with(PARTIAL) {
                let removed = self.run.remove_folder(&format!("{CHECKPOINTS}/{name}"));
                removed.map_err(|source| RunError::Write {
                    path: self.folder().join(name),
                    source,
                })?;
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, RunError> {
        let entries = self.run.entries(CHECKPOINTS);
        let entries = entries.map_err(|source| RunError::Read {
            path: self.folder(),
            source,
        })?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    fn folder(&self) -> PathBuf {
        self.run.path().join(CHECKPOINTS)
    }
}

/// The name of a step's folder.
fn name(step: u64) -> String {
    format!("step-{step:06}")
}
