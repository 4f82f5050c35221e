//! The folder of a run: may it be written to, and what was it started with?

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rho_formats::MasksFolder;
use rho_trainer::run::{METRICS, TIMINGS};
use serde_json::{Value, json};

use super::{dumped_batches::BATCHES, summary::SUMMARY, tensorboard::TENSORBOARD};
use crate::{
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

    /// The folder for the tokens of a corpus; created if needed.
    pub(super) fn tokens(&self) -> anyhow::Result<PathBuf> {
        Ok(self.0.files.make(&MasksFolder::record_name(TOKENS))?)
    }

    /// The folder for unpacked copies of compressed masks; created if needed.
    pub(super) fn unpacked(&self) -> anyhow::Result<PathBuf> {
        Ok(self.0.files.make(&MasksFolder::record_name(UNPACKED))?)
    }

    /// Removes the unpacked copies.
    pub(super) fn remove_unpacked(&self) -> anyhow::Result<()> {
        Ok(self.0.files.remove_records(UNPACKED)?)
    }

    /// Removes everything `train` wrote here.
    fn clear(&self) -> anyhow::Result<()> {
        let model = ["config.json", "generation_config.json", "model.safetensors"];
        let tokenizer = [
            "tokenizer.json",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "chat_template.jinja",
            "tokenizer.model",
            "vocab.json",
            "merges.txt",
        ];
        let files = [METRICS, TIMINGS, SUMMARY, REJECTED, BATCHES, "stopped.json"];
        let files = files.into_iter().chain(model).chain(tokenizer);
        let folder = self.0.files.folder();
        let cannot_remove =
            |name: &str| format!("{}: cannot be removed", self.path().join(name).display());
        for name in ["checkpoints", TENSORBOARD] {
            let removed = folder.remove_folder(name);
            removed.with_context(|| cannot_remove(name))?;
        }
        for records in [TOKENS, UNPACKED] {
            self.0.files.remove_records(records)?;
        }
        // Last: this file marks the folder as ours.
        let plan = MasksFolder::record_name(PLAN);
        for name in files.chain([plan.as_str()]) {
            let removed = folder.remove_file(name);
            removed.with_context(|| cannot_remove(name))?;
        }
        Ok(())
    }
}

/// Names and sizes of the files a plan reads.
pub(super) fn identities<'a>(files: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<Value> {
    let files = files.into_iter();
    files
        .map(|(name, bytes)| json!({"name": name, "bytes": bytes}))
        .collect()
}
