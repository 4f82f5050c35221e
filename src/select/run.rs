//! All shards, on several threads, into a folder that can be gone on with.
//!
//! First the record of a shard, then the final names of its files: should it end in between, the names are given at the
//! next start. `state.json` and `summary.json` come last, so that nobody takes a part for the whole.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use rho_files::Lock;
use rho_formats::{MaskFile, MasksFolder, NewColumns};
use rho_selection::Direction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    corpus::{Cuts, cuts, on_threads},
    counted::Counts,
    plan::SelectPlan,
    record::Record,
    rule::{Pick, Scope},
    shard::{self, Target},
    summary::Summary,
};
use crate::{
    cli::ProgressKind,
    hint::Advised,
    look::tokenizer,
    pipeline::{
        noted::{Noted, NotedShard},
        progress::Progress,
        store::locked,
    },
    stop::Stop,
    terminal,
};

const METADATA: &str = "metadata.json";
const TIMES: &str = "times.json";

/// How a run ended.
pub(crate) enum Ended {
    /// All shards are done; also whether this run had anything to do.
    Done(Summary, bool),
    /// It was asked to stop.
    Stopped { done: usize, of: usize },
}

/// What the runs that made a folder have measured.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Times {
    /// Tokens of the shards that were done.
    pub(super) tokens: u64,
    pub(super) seconds: f64,
}

/// Selects from everything that is not done yet.
pub(crate) fn run(plan: &SelectPlan, stop: &Stop, kind: ProgressKind) -> anyhow::Result<Ended> {
    let start = Instant::now();
    let (folder, _lock) = open(plan)?;
    tokenizer::copy(&plan.input.folder, &folder)?;
    let records = (0..plan.input.shards.len()).map(|shard| take_up(plan, &folder, shard));
    let records = records.collect::<anyhow::Result<Vec<_>>>()?;
    let mut todo: Vec<usize> = (0..records.len())
        .filter(|&i| records[i].is_none())
        .collect();
    let before: u64 = records.iter().flatten().map(|r| r.counts.tokens).sum();
    if !todo.is_empty() {
        let bytes = |i: usize| -> u64 {
            let files = plan.input.shards[i].clone();
            files
                .map(|file| plan.input.files[file].identity.bytes)
                .sum()
        };
        let progress = Progress::of((0..records.len()).map(bytes).collect(), records.len(), kind);
        let done = (0..records.len()).filter(|i| records[*i].is_some());
        done.for_each(|i| progress.done_before(i));
        progress.counting(plan.scope == Scope::Corpus);
        let cuts = match plan.scope {
            Scope::Corpus => match cuts(plan, stop)? {
                Some(cuts) => Some(cuts),
                None => return Ok(stopped(&records)),
            },
            _ => None,
        };
        progress.counting(false);
        let metadata = plan.metadata(|i, said| known(plan, cuts.as_ref(), i, said));
        folder.note(METADATA, metadata.to_string().as_bytes())?;
        let columns = NewColumns {
            masks: plan.rule.masks(),
            weights: plan.rule.weights(),
            metadata,
        };
        // The largest first, so that no thread is left alone with one at the end.
        todo.sort_by_key(|&i| std::cmp::Reverse(bytes(i)));
        let target = Target {
            folder: &folder,
            columns: &columns,
            progress: &progress,
        };
        let records = Mutex::new(records);
        let worked = on_threads(plan.threads, todo.len(), stop, |next| {
            while let Some(i) = next() {
                let shard = todo[i];
                let Some(record) = shard::select(plan, &target, shard, cuts.as_ref(), stop)? else {
                    break;
                };
                record.write(&folder, plan.input.shard_name(shard))?;
                for file in &record.files {
                    folder.publish_copy(file)?;
                }
                let mut all = records.lock().unwrap_or_else(PoisonError::into_inner);
                all[shard] = Some(record);
                progress.shard_done(plan.input.shard_name(shard), None);
            }
            Ok(())
        });
        progress.finish();
        worked?;
        let records = records.into_inner().unwrap_or_else(PoisonError::into_inner);
        let times = add_times(&folder, &records, before, start)?;
        return conclude(plan, &folder, &records, times, true);
    }
    let times = times(&folder)?;
    conclude(plan, &folder, &records, times, false)
}

/// Makes or opens the folder. Refuses one that others write or wrote, and one that was begun with something else.
fn open(plan: &SelectPlan) -> anyhow::Result<(MasksFolder, Lock)> {
    let folder = MasksFolder::begin(&plan.out)?;
    let lock = locked(&folder, 0, 1)?;
    Noted::must_not_be_converted(&folder)?;
    let files = plan.input.files.iter();
    let wanted = Noted {
        plan: plan.what_changes_masks(),
        shards: files
            .map(|file| NotedShard {
                name: file.name.clone(),
                bytes: file.identity.bytes,
            })
            .collect(),
    };
    let noted = match Noted::read(&folder) {
        Err(_) if plan.restart => None,
        noted => noted?,
    };
    if noted.as_ref().is_some_and(|noted| !noted.is_of_select()) {
        return Err(Advised::error(
            format!(
                "{}: expected a new folder, or one of `select`, got one that `score` writes",
                plan.out.display()
            ),
            "name another folder: scores are dear",
        ));
    }
    let folder = MasksFolder::create(&plan.out)?;
    if plan.restart {
        let shards = noted.iter().flat_map(|noted| &noted.shards);
        clear(&folder, shards.chain(&wanted.shards))?;
        wanted.write(&folder)?;
    } else if let Some(noted) = noted {
        noted.must_be(&wanted, &plan.out)?;
    } else {
        wanted.write(&folder)?;
    }
    Ok((folder, lock))
}

/// Removes what was selected into a folder, from these files.
pub(crate) fn clear<'a>(
    folder: &MasksFolder,
    shards: impl Iterator<Item = &'a NotedShard>,
) -> anyhow::Result<()> {
    let names: Vec<&str> = shards.map(|shard| shard.name.as_str()).collect();
    let files = names.iter().map(|&name| MaskFile {
        name: name.to_owned(),
        bytes: 0,
    });
    let files: Vec<MaskFile> = files.collect();
    let shards = names.iter().filter_map(|name| name.strip_suffix(".arrow"));
    Ok(folder.clear(shards, &files)?)
}

/// What an earlier run left of a shard, if it completed it.
fn take_up(
    plan: &SelectPlan,
    folder: &MasksFolder,
    shard: usize,
) -> anyhow::Result<Option<Record>> {
    let name = plan.input.shard_name(shard);
    let Some(record) = Record::read(folder, name)? else {
        return Ok(None);
    };
    for file in &record.files {
        if !folder.publish_copy(file)? {
            terminal::line(&format!(
                "note: {name}: its masks are not there any more; it is selected from anew"
            ));
            return Ok(None);
        }
    }
    Ok(Some(record))
}

/// What the counting of a corpus tells before the first row.
fn known(plan: &SelectPlan, cuts: Option<&Cuts>, i: usize, said: &mut Value) {
    // Of what two selections have in common nothing is known yet.
    let Some((cuts, &(scored, kept))) = cuts.and_then(|cuts| Some((cuts, cuts.counts.get(i)?)))
    else {
        return;
    };
    said["scored"] = json!(scored);
    said["kept"] = json!(kept);
    if let Pick::Ranked(direction, _) = plan.rule.selections[i].pick
        && plan.rule.by_scores(i)
    {
        let score = |key: Option<u32>| key.map(|key| direction.score(key));
        let (first, last) = cuts.cuts[i].bounds();
        match direction {
            Direction::Low => {
                said["highest_kept"] = json!(score(last));
                if let Some(first) = score(first) {
                    said["lowest_kept"] = json!(first);
                }
            }
            Direction::High => said["lowest_kept"] = json!(score(last)),
        }
    }
}

/// Completes the folder where all is done.
fn conclude(
    plan: &SelectPlan,
    folder: &MasksFolder,
    records: &[Option<Record>],
    times: Times,
    worked: bool,
) -> anyhow::Result<Ended> {
    let done: Vec<&Record> = records.iter().flatten().collect();
    if done.len() < records.len() {
        return Ok(stopped(records));
    }
    let mut counts = Counts::default();
    done.iter().for_each(|record| counts.add(&record.counts));
    let metadata = folder.noted(METADATA)?.unwrap_or_default();
    let metadata: Value = serde_json::from_slice(&metadata)
        .map_err(|source| crate::pipeline::noted::damaged(folder, METADATA, source))?;
    folder.list(&metadata, done.iter().flat_map(|record| &record.files))?;
    let summary = Summary::of(plan, &counts, times);
    folder.summary(&serde_json::to_value(&summary)?)?;
    Ok(Ended::Done(summary, worked))
}

fn stopped(records: &[Option<Record>]) -> Ended {
    Ended::Stopped {
        done: records.iter().flatten().count(),
        of: records.len(),
    }
}

fn times(folder: &MasksFolder) -> anyhow::Result<Times> {
    let noted = folder.noted(TIMES)?;
    Ok(noted
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default())
}

/// Adds what this run measured.
fn add_times(
    folder: &MasksFolder,
    records: &[Option<Record>],
    before: u64,
    start: Instant,
) -> anyhow::Result<Times> {
    let mut times = times(folder)?;
    let tokens: u64 = records.iter().flatten().map(|r| r.counts.tokens).sum();
    times.tokens += tokens - before;
    times.seconds += start.elapsed().as_secs_f64();
    folder.note(TIMES, &serde_json::to_vec(&times)?)?;
    Ok(times)
}
