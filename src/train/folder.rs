//! The folder of a run: may it be written to, and what was it started with?

use std::path::{Path, PathBuf};

use rho_trainer::run::{METRICS, TIMINGS};
use serde_json::{Value, json};

use super::{summary::SUMMARY, tensorboard::TENSORBOARD};
use crate::{
    files::{remove_file, remove_folder},
    left_out::REJECTED,
    run_folder::{
        own_folder::{OwnFolder, Owner},
        plan::must_equal,
        records,
    },
};

const OWNER: Owner = Owner {
    note: PLAN,
    others: &[],
    lock: "train.lock",
    run: "another run",
    expected: "an empty folder",
    hint: "name a new folder for the run, or empty this one",
};
const PLAN: &str = "train.json";
/// The folder of the token shards, inside the run's hidden folder.
const TOKENS: &str = "tokens";
const UNPACKED: &str = "masks";

/// A run's folder, locked against other runs.
pub(super) struct RunFolder(OwnFolder);

/// Refuses a folder that `train` may not write to. It must be missing, empty, or written by `train` before.
pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    OWNER.check(path)
}

impl RunFolder {
    /// Creates or opens it. Fails if another run is writing to it, or if the run in it was started with another plan.
    pub(super) fn open(path: &Path, plan: &Value, restart: bool) -> anyhow::Result<Self> {
        // Refused also with --restart: only what `train` wrote is removed, never a model that somebody keeps there.
        let folder = Self(OWNER.open(path)?);
        if restart {
            folder.clear()?;
        }
        let files = &folder.0.files;
        match records::read(files, PLAN)? {
            Some(started) => must_equal(&started, plan, path)?,
            None => records::write_readable(files, PLAN, plan)?,
        }
        Ok(folder)
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        self.0.files.path()
    }

    /// The folder for the tokens of a corpus.
    pub(super) fn tokens(&self) -> PathBuf {
        self.0.files.record_path(TOKENS)
    }

    /// The folder for unpacked copies of compressed masks.
    pub(super) fn unpacked(&self) -> PathBuf {
        self.0.files.record_path(UNPACKED)
    }

    /// Removes everything `train` wrote here.
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
        for name in ["checkpoints", TENSORBOARD] {
            remove_folder(&self.path().join(name))?;
        }
        for created in [self.tokens(), self.unpacked()] {
            remove_folder(&created)?;
        }
        for name in files {
            remove_file(&self.path().join(name))?;
        }
        // Last: this file marks the folder as ours.
        remove_file(&self.0.files.record_path(PLAN))
    }
}

/// Names and sizes of the files a plan reads.
pub(super) fn identities<'a>(files: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Value> {
    let files = files.into_iter();
    files
        .map(|(name, bytes)| json!({"name": name, "bytes": bytes}))
        .collect()
}
