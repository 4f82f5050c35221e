//! Converts all shards, on several threads, into a folder that can be resumed. Files about all shards are written after
//! them, and `summary.json` last, so that a partial folder is never taken for a finished one.

use std::time::Instant;

use rho_formats::{MasksFolder, trainers::NewFiles};
use serde_json::json;

use super::{
    folder::{self, INDEX, MADE},
    plan::ConvertPlan,
    record::{Counts, Record},
    shard,
    summary::Summary,
    targets::{ShardFiles, Written},
};
use crate::{
    cli::ProgressKind,
    progress::Progress,
    run_folder::{Ended, Shards},
    stop::Stop,
    terminal,
    tokenization::masks_copy,
};

/// Converts all shards that are not done yet.
pub(crate) fn run(
    plan: &ConvertPlan,
    stop: &Stop,
    kind: ProgressKind,
) -> anyhow::Result<Ended<Summary>> {
    let start = Instant::now();
    let folder = folder::open(plan)?;
    let files = &folder.files;
    let new = NewFiles::of(files);
    let stems = plan.stems.iter().map(String::as_str);
    let mut shards = Shards::<Record>::resume(files, stems)?;
    let worked = shards.todo().next().is_some();
    let before: u64 = shards.records().map(|r| r.counts.tokens).sum();
    let tokenizer = plan.input.tokenizer();
    let note = masks_copy::copy(&plan.input.folder, files, tokenizer.as_deref())?;
    note.iter().for_each(|note| terminal::line(note));
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

/// Completes the folder if all shards are done.
fn finish(
    plan: &ConvertPlan,
    folder: &MasksFolder,
    shards: &Shards<'_, Record>,
    start: Instant,
    before: u64,
    worked: bool,
) -> anyhow::Result<Ended<Summary>> {
    if let Some(stopped) = shards.stopped() {
        return Ok(stopped);
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
