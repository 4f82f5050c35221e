//! Converts all shards, on several threads, into a folder that can be resumed. Files about all shards are written after
//! them, and `summary.json` last, so that a partial folder is never taken for a finished one.

use std::time::Instant;

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
    progress::Progress,
    run_folder::{Command, Opening, RunFolder, Shards, shards},
    stop::Stop,
    tokenization::masks_copy,
};

/// The file that records how the others were created.
const MADE: &str = "rho_mask.json";
/// The list, in the hidden folder, of the files about all shards.
const INDEX: &str = "index.json";

/// How a run ended.
pub(crate) enum Ended {
    /// All shards are done. The flag says whether this start had anything to do.
    Done(Summary, bool),
    /// It was asked to stop.
    Stopped { done: usize, of: usize },
}

/// Converts all shards that are not done yet.
pub(crate) fn run(plan: &ConvertPlan, stop: &Stop, kind: ProgressKind) -> anyhow::Result<Ended> {
    let start = Instant::now();
    let folder = open(plan)?;
    let files = &folder.files;
    let new = NewFiles::of(files);
    let stems = plan.stems.iter().map(String::as_str);
    let mut shards = Shards::<Record>::resume(files, stems)?;
    let worked = shards.todo().next().is_some();
    let before: u64 = shards.records().map(|r| r.counts.tokens).sum();
    masks_copy::copy(&plan.input.folder, files)?;
    let made = format!("{:#}\n", plan.settings.metadata);
    files.file(MADE, Some(&|file| file.write_all(made.as_bytes())))?;

    let bytes = plan.input.shard_bytes();
    let progress = Progress::of(bytes.clone(), shards.len(), kind);
    shards.done().for_each(|i| progress.done_before(i));
    let converted = shards.work(
        plan.threads,
        &bytes,
        stop,
        |shard| {
            let stem = &plan.stems[shard];
            let mut writer = plan.target.begin(&ShardFiles { new: &new, stem })?;
            let counts = shard::convert(plan, shard, &mut *writer, &progress, stop)?;
            let Some(counts) = counts else {
                return Ok(None);
            };
            let written = writer.finish()?;
            Ok(Some(Record { written, counts }))
        },
        |shard| progress.shard_done(plan.input.shard_name(shard), None),
    );
    progress.finish();
    converted?;
    finish(plan, files, &shards, start, before, worked)
}

/// Opens the folder of a run.
fn open(plan: &ConvertPlan) -> anyhow::Result<RunFolder> {
    RunFolder::open(
        &Opening {
            path: &plan.out,
            command: Command::Convert,
            plan: plan.recorded(),
            restart: plan.restart,
            rank: None,
        },
        |folder, _| clear(folder),
    )
}

/// Removes the converted files of a folder, found through the records of its shards. The records go last, so that an
/// interrupted removal can be repeated.
fn clear(folder: &MasksFolder) -> anyhow::Result<()> {
    let new = NewFiles::of(folder);
    new.clear_partial()?;
    new.remove([super::summary::NAME, MADE, "tokenizer.json"])?;
    let index: Vec<String> = match folder.read_record(INDEX)? {
        Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        None => Vec::new(),
    };
    new.remove(index.iter().map(String::as_str))?;
    for stem in shards::recorded::<Record>(folder)? {
        // The files of a damaged record stay behind; they do no harm.
        if let Ok(Some(record)) = shards::read::<Record>(folder, &stem) {
            let files = record.written.files.iter();
            new.remove(files.map(|file| file.name.as_str()))?;
        }
    }
    Ok(folder.clear_records()?)
}

/// Completes the folder if all shards are done.
fn finish(
    plan: &ConvertPlan,
    folder: &MasksFolder,
    shards: &Shards<'_, Record>,
    start: Instant,
    before: u64,
    worked: bool,
) -> anyhow::Result<Ended> {
    if shards.todo().next().is_some() {
        return Ok(Ended::Stopped {
            done: shards.done().count(),
            of: shards.len(),
        });
    }
    let written: Vec<&Written> = shards.records().map(|record| &record.written).collect();
    // Their names first: if this start ends in between, --restart can still remove them.
    folder.write_record(INDEX, json!(plan.target.index()).to_string().as_bytes())?;
    plan.target.finish(folder, &written)?;
    NewFiles::of(folder).clear_partial()?;
    let mut counts = Counts::default();
    shards.records().for_each(|r| counts.add(&r.counts));
    let summary = Summary::of(plan, &counts, &written);
    folder.summary(&serde_json::to_value(&summary)?)?;
    let tokens = counts.tokens - before;
    let summary = match worked {
        true => summary.with_speed(tokens, start.elapsed()),
        false => summary,
    };
    Ok(Ended::Done(summary, worked))
}
