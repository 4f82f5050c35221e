//! All shards, on several threads, into a folder that can be gone on with.
//!
//! First the record of a shard, then the final names of its files: should it end in between, the names are given at the
//! next start. What speaks of all shards comes after them, and `summary.json` last, so that nobody takes a part for the
//! whole.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use rho_files::Lock;
use rho_formats::{MasksFolder, trainers::NewFiles};
use serde_json::json;

use super::{
    plan::ConvertPlan,
    record::{Counts, Record},
    shard,
    summary::Summary,
    targets::{ShardFiles, Written},
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
    select::corpus::on_threads,
    stop::Stop,
    terminal,
};

/// How the files were made.
const MADE: &str = "rho_mask.json";
/// The note of the files that speak of all shards.
const INDEX: &str = "index.json";

/// How a run ended.
pub(crate) enum Ended {
    /// All shards are done; also whether this run had anything to do.
    Done(Summary, bool),
    /// It was asked to stop.
    Stopped { done: usize, of: usize },
}

/// Converts everything that is not done yet.
pub(crate) fn run(plan: &ConvertPlan, stop: &Stop, kind: ProgressKind) -> anyhow::Result<Ended> {
    let start = Instant::now();
    let (folder, _lock) = open(plan)?;
    let new = NewFiles::of(&folder);
    let records = plan.stems.iter().map(|stem| take_up(&folder, &new, stem));
    let records = records.collect::<anyhow::Result<Vec<_>>>()?;
    let mut todo: Vec<usize> = (0..records.len())
        .filter(|&i| records[i].is_none())
        .collect();
    let worked = !todo.is_empty();
    let before: u64 = records.iter().flatten().map(|r| r.counts.tokens).sum();
    tokenizer::copy(&plan.input.folder, &folder)?;
    let made = format!("{:#}\n", plan.settings.metadata);
    folder.file(MADE, Some(&|file| file.write_all(made.as_bytes())))?;

    let bytes = plan.shard_bytes();
    let progress = Progress::of(bytes.clone(), records.len(), kind);
    let done = (0..records.len()).filter(|i| records[*i].is_some());
    done.for_each(|i| progress.done_before(i));
    // The largest first, so that no thread is left alone with one at the end.
    todo.sort_by_key(|&i| std::cmp::Reverse(bytes[i]));
    let records = Mutex::new(records);
    let converted = on_threads(plan.threads, todo.len(), stop, |next| {
        while let Some(i) = next() {
            let shard = todo[i];
            let stem = &plan.stems[shard];
            let mut writer = plan.target.begin(&ShardFiles { new: &new, stem })?;
            let Some(counts) = shard::convert(plan, shard, &mut *writer, &progress, stop)? else {
                break;
            };
            let written = writer.finish()?;
            let record = Record { written, counts };
            record.write(&folder, stem)?;
            for file in &record.written.files {
                new.publish(file)?;
            }
            let mut all = records.lock().unwrap_or_else(PoisonError::into_inner);
            all[shard] = Some(record);
            progress.shard_done(plan.input.shard_name(shard), None);
        }
        Ok(())
    });
    progress.finish();
    converted?;
    let records = records.into_inner().unwrap_or_else(PoisonError::into_inner);
    conclude(plan, &folder, &records, start, before, worked)
}

/// Makes or opens the folder. Refuses one that others write or wrote, and one that was begun with something else.
fn open(plan: &ConvertPlan) -> anyhow::Result<(MasksFolder, Lock)> {
    let folder = MasksFolder::begin(&plan.out)?;
    let lock = locked(&folder, 0, 1)?;
    let files = plan.input.files.iter();
    let wanted = Noted {
        plan: plan.what_changes_bytes(),
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
    if noted.as_ref().is_some_and(|noted| !noted.is_of_convert()) {
        return Err(Advised::error(
            format!(
                "{}: expected a new folder, or one of `convert`, got one of masks",
                plan.out.display()
            ),
            "name another folder",
        ));
    }
    match noted {
        Some(_) | None if plan.restart => {
            clear(&folder)?;
            wanted.write(&folder)?;
        }
        Some(noted) => noted.must_be(&wanted, &plan.out)?,
        None => wanted.write(&folder)?,
    }
    Ok((folder, lock))
}

/// Removes what was converted into a folder, by the records of its shards; the notes last, so that it can be done again
/// where it is interrupted.
fn clear(folder: &MasksFolder) -> anyhow::Result<()> {
    let new = NewFiles::of(folder);
    new.clear_partial()?;
    new.remove([super::summary::NAME, MADE, "tokenizer.json"])?;
    let index: Vec<String> = match folder.noted(INDEX)? {
        Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        None => Vec::new(),
    };
    new.remove(index.iter().map(String::as_str))?;
    for stem in Record::all(folder)? {
        // What a damaged record told of is left over, and is in the way of nothing.
        if let Ok(Some(record)) = Record::read(folder, &stem) {
            let files = record.written.files.iter();
            new.remove(files.map(|file| file.name.as_str()))?;
        }
    }
    Ok(folder.clear_notes()?)
}

/// What an earlier run left of a shard, if it completed it.
fn take_up(folder: &MasksFolder, new: &NewFiles, stem: &str) -> anyhow::Result<Option<Record>> {
    let Some(record) = Record::read(folder, stem)? else {
        return Ok(None);
    };
    for file in &record.written.files {
        if !new.publish(file)? {
            terminal::line(&format!(
                "note: {}: is not there any more; {stem} is converted anew",
                file.name
            ));
            return Ok(None);
        }
    }
    Ok(Some(record))
}

/// Completes the folder where all is done.
fn conclude(
    plan: &ConvertPlan,
    folder: &MasksFolder,
    records: &[Option<Record>],
    start: Instant,
    before: u64,
    worked: bool,
) -> anyhow::Result<Ended> {
    let done: Vec<&Record> = records.iter().flatten().collect();
    if done.len() < records.len() {
        return Ok(Ended::Stopped {
            done: done.len(),
            of: records.len(),
        });
    }
    let written: Vec<&Written> = done.iter().map(|record| &record.written).collect();
    // First their names, by which another start removes them, should it end in between.
    folder.note(INDEX, json!(plan.target.index()).to_string().as_bytes())?;
    plan.target.conclude(folder, &written)?;
    NewFiles::of(folder).clear_partial()?;
    let mut counts = Counts::default();
    done.iter().for_each(|record| counts.add(&record.counts));
    let summary = Summary::of(plan, &counts, &written);
    folder.summary(&serde_json::to_value(&summary)?)?;
    let tokens = counts.tokens - before;
    let summary = match worked {
        true => summary.with_speed(tokens, start.elapsed()),
        false => summary,
    };
    Ok(Ended::Done(summary, worked))
}
