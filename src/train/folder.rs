//! The folder of a run: whether it may be written to, and what it was begun with.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_files::Lock;
use rho_trainer::run::{METRICS, TIMINGS};
use serde_json::{Value, json};

use super::{summary::SUMMARY, tensorboard::TENSORBOARD, tokens::REJECTED};
use crate::{
    files::{remove_file, remove_folder, write_whole},
    hint::Advised,
    run_folder::plan::differences,
};

/// Where notes are that are no results.
const NOTES: &str = ".rho-mask";
const PLAN: &str = "train.json";
const LOCK: &str = "train.lock";
/// Token shards, among the notes.
const TOKENS: &str = "tokens";
const UNPACKED: &str = "masks";

/// A run's folder, held against other runs.
pub(super) struct RunFolder {
    path: PathBuf,
    _lock: Lock,
}

/// Whether `train` may write to a folder: it is not there, empty, or one that it wrote to before (then the answer is what
/// that run was begun with).
pub(super) fn check(path: &Path) -> anyhow::Result<Option<Value>> {
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("{shown}: cannot be looked at"));
        }
        Ok(metadata) if !metadata.is_dir() => {
            return Err(Advised::error(
                format!("{shown}: expected a folder, got something else"),
                "name another folder for the run",
            ));
        }
        Ok(_) => {}
    }
    let note = path.join(NOTES).join(PLAN);
    if note.exists() {
        let text =
            fs::read(&note).with_context(|| format!("{}: cannot be read", note.display()))?;
        let plan = serde_json::from_slice(&text).map_err(|source| {
            anyhow::Error::from(source).context(Advised::error(
                format!(
                    "{}: expected the plan of a run, got something else",
                    note.display()
                ),
                "start over with --restart",
            ))
        })?;
        return Ok(Some(plan));
    }
    let mut entries = fs::read_dir(path).with_context(|| format!("{shown}: cannot be read"))?;
    // Of a run that was interrupted before it had noted its plan, the notes alone are there.
    match entries.find(|entry| entry.as_ref().is_ok_and(|e| e.file_name() != NOTES)) {
        Some(Ok(entry)) => Err(Advised::error(
            format!(
                "{shown}: expected an empty folder, found {} in it",
                entry.file_name().display()
            ),
            "name a new folder for the run, or empty this one",
        )),
        _ => Ok(None),
    }
}

impl RunFolder {
    /// Makes or opens it. Refuses where another run writes to it, and where what was begun there had another plan.
    pub(super) fn open(path: &Path, plan: &Value, restart: bool) -> anyhow::Result<Self> {
        let shown = path.display();
        // Also with --restart: only what `train` wrote is removed, never a model that somebody keeps there.
        let begun = check(path)?.filter(|_| !restart);
        let notes = path.join(NOTES);
        fs::create_dir_all(&notes).with_context(|| format!("{shown}: cannot be made"))?;
        let lock = notes.join(LOCK);
        let held = Lock::try_take(&lock);
        let held = held.with_context(|| format!("{}: cannot be locked", lock.display()))?;
        let Some(held) = held else {
            return Err(Advised::error(
                format!("{shown}: another run is writing to it"),
                "wait for it to end, or name another folder",
            ));
        };
        let folder = Self {
            path: path.to_owned(),
            _lock: held,
        };
        if restart {
            folder.clear()?;
        }
        match begun {
            Some(begun) => folder.must_equal(&begun, plan)?,
            None => write_whole(&notes.join(PLAN), &format!("{plan:#}\n"))?,
        }
        Ok(folder)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the tokens of a corpus are kept.
    pub(super) fn tokens(&self) -> PathBuf {
        self.path.join(NOTES).join(TOKENS)
    }

    /// Where masks are unpacked that cannot be read as they are.
    pub(super) fn unpacked(&self) -> PathBuf {
        self.path.join(NOTES).join(UNPACKED)
    }

    fn must_equal(&self, begun: &Value, plan: &Value) -> anyhow::Result<()> {
        let differences = differences(begun, plan);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Advised::error(
            format!(
                "{}: expected what the run in it was begun with, got another plan: {}",
                self.path.display(),
                differences.join("; ")
            ),
            "start the same command to go on, name another folder, or start over with --restart",
        ))
    }

    /// Removes what `train` wrote here.
    fn clear(&self) -> anyhow::Result<()> {
        let model = ["config.json", "generation_config.json", "model.safetensors"];
        let tokenizer = [
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "tokenizer.model",
            "vocab.json",
            "merges.txt",
        ];
        let files = [METRICS, TIMINGS, SUMMARY, REJECTED, "stopped.json"];
        let files = files.into_iter().chain(model).chain(tokenizer);
        let note = Path::new(NOTES).join(PLAN);
        let files = files.map(PathBuf::from).chain([note]);
        let made = [TOKENS, UNPACKED].map(|name| Path::new(NOTES).join(name));
        let folders = ["checkpoints", TENSORBOARD].map(PathBuf::from);
        for name in folders.into_iter().chain(made) {
            remove_folder(&self.path.join(name))?;
        }
        for name in files {
            remove_file(&self.path.join(name))?;
        }
        Ok(())
    }
}

/// What a plan says of files that it reads: their names and sizes.
pub(super) fn identities<'a>(files: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Value> {
    let files = files.into_iter();
    files
        .map(|(name, bytes)| json!({"name": name, "bytes": bytes}))
        .collect()
}
