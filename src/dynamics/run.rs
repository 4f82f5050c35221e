//! The folder of a run: what it was begun with, the shards that are done, and what all of them come to.
//!
//! First the record of a shard, then the final name of its file: should it end in between, the name is given at the next
//! start. `state.json` and `summary.json` come last, so that nobody takes a part for the whole; then the scores go.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_files::Lock;
use rho_formats::{MaskFile, MasksFolder};
use rho_selection::Seen;
use serde_json::Value;

use super::{
    counted::Counts,
    cuts::cuts,
    line::Places,
    opened,
    plan::{DynamicsPlan, SCORES, Scored},
    scored::Folders,
    shard::{Describing, Record, columns},
    summary::{Corpus, Summary},
};
use crate::{
    files::remove_folder,
    hint::Advised,
    look::tokenizer,
    pipeline::{
        noted::{Noted, NotedShard, damaged},
        store::locked,
    },
    stop::Stop,
    terminal,
};

/// A folder that nobody else writes to.
pub(crate) struct Begun {
    folder: MasksFolder,
    _lock: Lock,
}

/// Makes or opens the folder. Refuses one that others write or wrote, and one that was begun with something else.
pub(crate) fn open(plan: &DynamicsPlan) -> anyhow::Result<Begun> {
    let folder = MasksFolder::create(&plan.out)?;
    let lock = locked(&folder, 0, 1)?;
    let wanted = Noted {
        plan: plan.what_changes_files(),
        shards: plan.shards().iter().map(NotedShard::of).collect(),
    };
    let noted = match Noted::read(&folder) {
        Err(_) if plan.restart => None,
        noted => noted?,
    };
    if noted.as_ref().is_some_and(|noted| !noted.is_of_dynamics()) {
        return Err(Advised::error(
            format!(
                "{}: expected a new folder, or one of `dynamics`, got one with masks",
                plan.out.display()
            ),
            "name another folder: scores are dear",
        ));
    }
    if plan.restart {
        let before = noted.iter().flat_map(|noted| &noted.shards);
        let names: Vec<&str> = before
            .chain(&wanted.shards)
            .map(|shard| shard.name.as_str())
            .collect();
        let files: Vec<MaskFile> = names
            .iter()
            .map(|name| MaskFile {
                name: format!("{name}.arrow"),
                bytes: 0,
            })
            .collect();
        folder.clear(names, &files)?;
        wanted.write(&folder)?;
    } else if let Some(noted) = noted {
        noted.must_be(&wanted, &plan.out)?;
    } else {
        wanted.write(&folder)?;
    }
    Ok(Begun {
        folder,
        _lock: lock,
    })
}

impl Begun {
    /// What came of it, where all is done already.
    pub(crate) fn finished(&self) -> anyhow::Result<Option<Summary>> {
        if !self.folder.path().join(opened::SUMMARY).exists() {
            return Ok(None);
        }
        // The run that was done with them may have been killed over it.
        self.remove_scores()?;
        opened::summary(self.folder.path()).map(Some)
    }

    /// Whether a model's scores are all there.
    pub(crate) fn is_scored(&self, model: &Scored) -> bool {
        model.request.out.join(opened::SUMMARY).exists()
    }

    /// Describes all shards that are not done yet, and completes the folder; none where it is to stop.
    pub(crate) fn describe(
        &self,
        plan: &DynamicsPlan,
        stop: &Stop,
    ) -> anyhow::Result<Option<Summary>> {
        let mut folders: Vec<PathBuf> = plan.models().map(|m| m.request.out.clone()).collect();
        let reference = plan.reference.as_ref().and_then(|_| folders.pop());
        let folders = Folders {
            checkpoints: folders,
            reference,
        };
        let Some(cuts) = cuts(plan, &folders, stop)? else {
            return Ok(None);
        };
        tokenizer::put(&self.folder, plan.common())?;
        let describing = Describing {
            plan,
            folders: &folders,
            cuts: &cuts,
            places: Places::new(&plan.x),
            folder: &self.folder,
            columns: columns(plan),
        };
        let mut counts = Counts::new(plan.checkpoints.len(), plan.reference.is_some(), plan.top);
        let mut seen = vec![Seen::default(); cuts.selected.len()];
        let mut files = Vec::new();
        for shard in plan.shards() {
            let record = match self.take_up(&shard.name)? {
                Some(record) => record,
                None => {
                    let Some(record) = describing.shard(&shard.name, &seen, stop)? else {
                        return Ok(None);
                    };
                    self.folder
                        .note(&note(&shard.name), &serde_json::to_vec(&record)?)?;
                    self.folder.publish_copy(&record.file)?;
                    record
                }
            };
            record.add_seen(&mut seen);
            counts.add(&record.counts);
            files.push(record.file);
        }
        let scores = &folders.checkpoints[0];
        let pieces = plan.checkpoints[0].prepared.tokenization.as_ref();
        let pieces = pieces.map(|tokenization| tokenization.pieces());
        let corpus = corpus(scores)?;
        let summary = Summary::of(plan, corpus, &cuts, &counts, pieces.as_ref());
        self.folder.list(&describing.columns.metadata, &files)?;
        let rejected = scores.join(REJECTED);
        let copy =
            |to: &mut dyn io::Write| io::copy(&mut fs::File::open(&rejected)?, to).map(|_| ());
        self.folder
            .file(REJECTED, rejected.exists().then_some(&copy as _))?;
        self.folder.summary(&serde_json::to_value(&summary)?)?;
        self.remove_scores()?;
        Ok(Some(summary))
    }

    /// What an earlier run left of a shard, if it completed it.
    fn take_up(&self, shard: &str) -> anyhow::Result<Option<Record>> {
        let note = note(shard);
        let Some(bytes) = self.folder.noted(&note)? else {
            return Ok(None);
        };
        let record: Record = serde_json::from_slice(&bytes)
            .map_err(|source| damaged(&self.folder, &note, source))?;
        if self.folder.publish_copy(&record.file)? {
            return Ok(Some(record));
        }
        terminal::line(&format!(
            "note: {shard}: its file is not there any more; it is written anew"
        ));
        Ok(None)
    }

    fn remove_scores(&self) -> anyhow::Result<()> {
        remove_folder(&self.folder.path().join(SCORES))
    }
}

const REJECTED: &str = "rejected.jsonl";

/// What the scores of the first checkpoint say of the corpus.
fn corpus(scores: &Path) -> anyhow::Result<Corpus> {
    let path = scores.join(opened::SUMMARY);
    let read = || -> anyhow::Result<Corpus> {
        let summary: Value = serde_json::from_slice(&fs::read(&path)?)?;
        Ok(serde_json::from_value(summary)?)
    };
    read().with_context(|| format!("{}: cannot be read", path.display()))
}

fn note(shard: &str) -> String {
    format!("dynamics/{shard}.json")
}
