//! Finishes a masks folder from the records of its shards: the list of rejected rows, the dataset's state, the summary.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, BufReader, Read},
};

use anyhow::Context as _;
use rho_formats::MasksFolder;
use serde::{Deserialize, Serialize};

use super::{
    output::Totals,
    reasons::Reasons,
    record::{Identity, ShardRecord, State},
    shard_files::{record_note, rejections_note},
    summary::{Seconds, Subject, Summary},
};
use crate::{
    hinted_error::HintedError,
    run_folder::{RecordedPlan, records},
};

/// The times of a rank, summed over all its runs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct RankTimes {
    /// Tokens scored in these times.
    pub(crate) tokens: u64,
    /// The times.
    pub(crate) seconds: Seconds,
}

/// The state of all shards of a folder.
pub(crate) struct FolderState {
    plan: RecordedPlan,
    records: Vec<Option<ShardRecord>>,
    /// Whether each shard's finished files exist: its rank may have been killed before it renamed them.
    there: Vec<bool>,
}

impl FolderState {
    /// Reads all records; none if the folder has no run.
    pub(crate) fn look(folder: &MasksFolder) -> anyhow::Result<Option<Self>> {
        let Some(plan) = RecordedPlan::read(folder)? else {
            return Ok(None);
        };
        let records = plan.shards.iter().map(|s| record(folder, &s.name));
        let records = records.collect::<anyhow::Result<Vec<_>>>()?;
        let there = |record: &Option<ShardRecord>| {
            let mut files = record.iter().flat_map(|record| &record.files);
            files.all(|file| folder.is_whole(file))
        };
        Ok(Some(Self {
            there: records.iter().map(there).collect(),
            plan,
            records,
        }))
    }

    /// The shards that were started, with their records.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&str, &ShardRecord)> {
        let names = self.plan.shards.iter().map(|shard| shard.name.as_str());
        let records = names.zip(&self.records);
        records.filter_map(|(name, record)| Some((name, record.as_ref()?)))
    }

    /// The shards that are not done, each with the reason.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (i, shard) in self.plan.shards.iter().enumerate() {
            match self.records[i].as_ref().map(|record| &record.state) {
                None => missing.push(format!("{} (not started)", shard.name)),
                Some(State::Open(durable)) => {
                    let row = durable.from.row;
                    missing.push(format!("{} (up to row {row})", shard.name));
                }
                Some(_) if !self.there[i] => {
                    missing.push(format!("{} (its masks are missing)", shard.name));
                }
                Some(_) => {}
            }
        }
        missing
    }

    /// Writes the folder's metadata files; the summary only if all shards are done.
    pub(crate) fn finish(&self, folder: &MasksFolder) -> anyhow::Result<Option<Summary>> {
        let _finishing = folder.lock("finish")?;
        let rejected = self.records.iter().flatten().any(|r| r.rejections > 0);
        let write = |file: &mut dyn io::Write| self.rejections(folder, file);
        folder.file("rejected.jsonl", rejected.then_some(&write as _))?;
        let files = || {
            let records = self.records.iter().flatten();
            records.flat_map(|r| {
                if r.files.is_empty() {
                    &r.replaces
                } else {
                    &r.files
                }
            })
        };
        if files().next().is_some() {
            folder.list(&self.plan.settings["metadata"], files())?;
        }
        if !self.missing().is_empty() {
            return Ok(None);
        }
        let mut totals = Totals::default();
        self.records.iter().flatten().for_each(|r| totals.add(r));
        let mut times = Vec::new();
        for name in folder.record_names("times")? {
            let rank: RankTimes = records::required(folder, &format!("times/{name}"))?;
            times.push(rank);
        }
        let subject = Subject::noted(&self.plan.settings).ok_or_else(|| {
            HintedError::error(
                format!(
                    "{}: expected the plan of a run of `score`, got something else",
                    folder.path().display()
                ),
                "start over with --restart",
            )
        })?;
        let summary = Summary::of(&totals, &subject, &times);
        let summary = summary.with_reasons(&self.reasons(folder, |_| true)?);
        folder.summary(&serde_json::to_value(&summary)?)?;
        Ok(Some(summary))
    }

    /// Why rows of these shards were rejected.
    fn reasons(&self, folder: &MasksFolder, of: impl Fn(usize) -> bool) -> anyhow::Result<Reasons> {
        let mut reasons = Reasons::default();
        let shards = self.plan.shards.iter().zip(&self.records).enumerate();
        for (_, (shard, record)) in shards.filter(|(i, _)| of(*i)) {
            let bytes = record.as_ref().map_or(0, |record| record.rejections);
            if bytes > 0 {
                let name = MasksFolder::record_name(&rejections_note(&shard.name));
                let list = folder.folder().open(&name);
                let list = list.map(|file| BufReader::new(file.take(bytes)));
                list.and_then(|list| reasons.add_list(list))
                    .with_context(|| format!("{}: its rejections cannot be read", shard.name))?;
            }
        }
        Ok(reasons)
    }

    /// Adds to the summary of a rank why rows of its shards were rejected.
    pub(crate) fn with_reasons(
        &self,
        folder: &MasksFolder,
        mine: &[usize],
        summary: Summary,
    ) -> anyhow::Result<Summary> {
        let mine: BTreeSet<usize> = mine.iter().copied().collect();
        Ok(summary.with_reasons(&self.reasons(folder, |i| mine.contains(&i))?))
    }

    /// The identity of each shard's input when it was scored.
    pub(crate) fn inputs(&self) -> BTreeMap<String, Identity> {
        let names = self.plan.shards.iter().map(|shard| shard.name.to_string());
        let inputs = names.zip(&self.records);
        inputs
            .filter_map(|(name, record)| Some((name, record.as_ref()?.input.clone())))
            .collect()
    }

    fn rejections(&self, folder: &MasksFolder, to: &mut dyn io::Write) -> io::Result<()> {
        for (shard, record) in self.plan.shards.iter().zip(&self.records) {
            let bytes = record.as_ref().map_or(0, |r| r.rejections);
            if bytes > 0 {
                let name = MasksFolder::record_name(&rejections_note(&shard.name));
                let file = folder.folder().open(&name)?;
                io::copy(&mut file.take(bytes), to)?;
            }
        }
        Ok(())
    }
}

/// Adds the times of a run to those of its rank's earlier runs.
pub(crate) fn add_times(
    folder: &MasksFolder,
    rank: (usize, usize),
    run: RankTimes,
) -> anyhow::Result<RankTimes> {
    let note = format!("times/{}-of-{}.json", rank.0, rank.1);
    let before = folder.read_record(&note)?;
    let mut times: RankTimes = before
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    times.tokens += run.tokens;
    times.seconds.add(&run.seconds);
    records::write(folder, &note, &times)?;
    Ok(times)
}

/// The record of a shard; none if it was not started.
pub(super) fn record(folder: &MasksFolder, shard: &str) -> anyhow::Result<Option<ShardRecord>> {
    records::read(folder, &record_note(shard))
}

/// Removes everything that was written for these shards.
pub(super) fn clear(folder: &MasksFolder, shards: &[&str]) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for shard in shards {
        // An unreadable record names no files; those of its shard stay and are replaced.
        if let Ok(Some(record)) = record(folder, shard) {
            files.extend(record.files);
            files.extend(record.replaces);
        }
    }
    Ok(folder.clear(shards.iter().copied(), &files)?)
}
