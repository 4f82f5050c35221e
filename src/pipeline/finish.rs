//! Finishes a masks folder from the records of its shards: the list of rejected rows, the dataset's state, the summary.

use std::{
    collections::BTreeMap,
    io::{self, Read},
};

use rho_formats::MasksFolder;
use serde::{Deserialize, Serialize};

use super::{
    output::Totals,
    record::{From, Identity, ShardRecord, State},
    shard_files::{record_note, rejections_note},
    summary::{Seconds, Subject, Summary},
};
use crate::{
    groups::Group,
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
    groups: Vec<Group>,
    /// The record of each group.
    records: Vec<Option<ShardRecord>>,
    /// Whether each group's finished files exist: its rank may have been killed before it renamed them.
    there: Vec<bool>,
}

impl FolderState {
    /// Reads all records; none if the folder has no run.
    pub(crate) fn look(folder: &MasksFolder) -> anyhow::Result<Option<Self>> {
        let Some(plan) = RecordedPlan::read(folder)? else {
            return Ok(None);
        };
        let groups = plan.groups()?;
        let records = groups.iter().map(|group| record(folder, group));
        let records = records.collect::<anyhow::Result<Vec<_>>>()?;
        let there = |record: &Option<ShardRecord>| {
            let mut files = record.iter().flat_map(|record| &record.files);
            files.all(|file| folder.is_whole(file))
        };
        Ok(Some(Self {
            there: records.iter().map(there).collect(),
            plan,
            groups,
            records,
        }))
    }

    /// The groups that were started, by name, with their records.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&str, &ShardRecord)> {
        let names = self.groups.iter().map(|group| group.name.as_str());
        let records = names.zip(&self.records);
        records.filter_map(|(name, record)| Some((name, record.as_ref()?)))
    }

    /// The shards that are not done, each with the reason.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (i, group) in self.groups.iter().enumerate() {
            for (member, shard) in self.plan.shards[group.members.clone()].iter().enumerate() {
                let name = &shard.name;
                match self.records[i].as_ref().map(|record| &record.state) {
                    None => missing.push(format!("{name} (not started)")),
                    Some(State::Open(durable)) => missing.push(match durable.from {
                        From { member: next, .. } if member < next => {
                            format!("{name} (its masks are not complete)")
                        }
                        From {
                            member: next, row, ..
                        } if member == next => {
                            format!("{name} (up to row {row})")
                        }
                        _ => format!("{name} (not started)"),
                    }),
                    Some(_) if !self.there[i] => {
                        missing.push(format!("{name} (its masks are missing)"));
                    }
                    Some(_) => {}
                }
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
        folder.summary(&serde_json::to_value(&summary)?)?;
        Ok(Some(summary))
    }

    /// The identity of each shard's input when it was scored.
    pub(crate) fn inputs(&self) -> BTreeMap<String, Identity> {
        let mut inputs = BTreeMap::new();
        for (group, record) in self.groups.iter().zip(&self.records) {
            let shards = &self.plan.shards[group.members.clone()];
            let identities = record.iter().flat_map(ShardRecord::inputs);
            for (shard, identity) in shards.iter().zip(identities) {
                inputs.insert(shard.name.to_string(), identity.clone());
            }
        }
        inputs
    }

    fn rejections(&self, folder: &MasksFolder, to: &mut dyn io::Write) -> io::Result<()> {
        for (group, record) in self.groups.iter().zip(&self.records) {
            let bytes = record.as_ref().map_or(0, |r| r.rejections);
            if bytes > 0 {
                let name = MasksFolder::record_name(&rejections_note(&group.name));
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

/// The record of a group; none if it was not started.
pub(super) fn record(folder: &MasksFolder, group: &Group) -> anyhow::Result<Option<ShardRecord>> {
    let record: Option<ShardRecord> = records::read(folder, &record_note(&group.name))?;
    match record {
        Some(record) if record.shards() != group.members.len() => Err(HintedError::error(
            format!(
                "{}: expected the record of {} shards, got one of {}",
                group.name,
                group.members.len(),
                record.shards()
            ),
            "start over with --restart",
        )),
        record => Ok(record),
    }
}

/// Removes everything that was written for the groups with these names.
pub(super) fn clear(folder: &MasksFolder, groups: &[&str]) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for name in groups {
        // An unreadable record names no files; those of its group stay and are replaced.
        let record = records::read::<ShardRecord>(folder, &record_note(name));
        if let Ok(Some(record)) = record {
            files.extend(record.files);
            files.extend(record.replaces);
        }
    }
    Ok(folder.clear(groups.iter().copied(), &files)?)
}
