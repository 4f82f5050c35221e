//! Merges all files, on several threads, into a folder that can be resumed. `state.json` and `summary.json` are written
//! last, so that an unfinished folder is not mistaken for a finished one.

use std::{
    cell::Cell,
    collections::HashSet,
    io::{self, BufRead, BufReader, Write},
};

use rho_formats::MasksFolder;
use serde_json::{Value, json};

use super::{
    duplicates::{self, Part},
    file::{self, Record, Target},
    plan::MergePlan,
    settings,
    summary::Summary,
};
use crate::{
    cli::ProgressKind,
    metadata::Metadata,
    progress::Progress,
    run_folder::{Command, Ended, Opening, RecordedPlan, RunFolder, Shards},
    select::folder::clear,
    selections::{counts::Counts, rule::Rule},
    stop::{Stop, Stopped},
    terminal,
    tokenization::masks_copy,
};

const REJECTED: &str = "rejected.jsonl";

/// Merges all unfinished files.
pub(crate) fn run(
    plan: &MergePlan,
    stop: &Stop,
    kind: ProgressKind,
) -> anyhow::Result<Ended<Summary>> {
    // Before the folder is created: duplicates may be refused.
    let Some(duplicates) = duplicates::find(&plan.inputs, plan.on_duplicate, stop)? else {
        return Err(Stopped("stopped: nothing was written".to_owned()).into());
    };
    let folder = RunFolder::open(
        &Opening {
            path: &plan.out,
            command: Command::Merge,
            plan: plan.recorded(),
            restart: plan.restart,
            rank: None,
        },
        clear,
    )?;
    let folder = &folder.files;
    for input in &plan.inputs {
        let tokenizer = input.tokenizer();
        let note = masks_copy::copy(&input.folder, folder, tokenizer.as_deref())?;
        note.iter().for_each(|note| terminal::line(note));
    }
    let parts = &duplicates.parts;
    let metadata = metadata(plan, parts)?;
    let rule = Metadata::of(&metadata).selections;
    let rule = rule.and_then(|rules| Rule::of_metadata(&rules));
    let names = plan.files.iter().map(|merged| merged.name.as_str());
    let mut files = Shards::<Record>::resume(folder, names)?;
    let worked = files.todo().next().is_some();
    if worked {
        let bytes: Vec<u64> = plan.files.iter().map(|merged| plan.bytes(merged)).collect();
        let progress = Progress::of(bytes.clone(), bytes.len(), kind);
        files.done().for_each(|i| progress.done_before(i));
        let target = Target {
            folder,
            metadata: &metadata,
            rule: rule.as_ref(),
            progress: &progress,
        };
        let copied = files.work(
            plan.threads,
            &bytes,
            stop,
            |i| {
                let merged = &plan.files[i];
                file::copy(plan, &target, merged, &duplicates, stop)
            },
            |i| progress.shard_done(&plan.files[i].name, None),
        );
        progress.finish();
        copied?;
    }
    if let Some(stopped) = files.stopped() {
        return Ok(stopped);
    }
    let mut counts = Counts::default();
    files
        .records()
        .for_each(|record| counts.add(&record.counts));
    let rejected = rejections(plan, parts, folder)?;
    folder.list(&metadata, files.records().flat_map(|record| &record.files))?;
    let summary = Summary::of(plan, parts, rule.as_ref(), counts, rejected)?;
    folder.summary(&serde_json::to_value(&summary)?)?;
    Ok(Ended::Done(summary, worked))
}

/// The metadata of the merged files.
fn metadata(plan: &MergePlan, parts: &[Part]) -> anyhow::Result<Value> {
    let mut recorded = Vec::new();
    for (input, part) in plan.inputs.iter().zip(parts) {
        let folder = MasksFolder::existing(&input.folder);
        let mut said = json!({
            "shards": part.shards,
            "documents": part.documents,
            "tokens": part.tokens,
            "dropped": part.dropped,
            "dropped_shards": part.dropped_shards,
        });
        // How the corpus was read, and by how many ranks, if the folder is one of `score` and still has its records.
        if let Some(run) = RecordedPlan::read(&folder)?
            && run.command() == Command::Score
        {
            let mut settings = run.settings;
            if let Some(settings) = settings.as_object_mut() {
                settings.remove("metadata");
                // How the input was stored is not how this is.
                settings.remove("format");
            }
            said["run"] = settings;
            said["ranks"] = json!(folder.record_names("times")?.len());
        }
        recorded.push(said);
    }
    Ok(settings::merged(&plan.all_metadata(), recorded))
}

/// Writes the lists of rejected rows of all folders as one, without those of dropped shards.
/// Returns their number.
fn rejections(plan: &MergePlan, parts: &[Part], folder: &MasksFolder) -> anyhow::Result<u64> {
    let count = Cell::new(0);
    let lists = plan.inputs.iter().map(|input| input.folder.join(REJECTED));
    let lists: Vec<_> = lists.zip(parts).filter(|(list, _)| list.exists()).collect();
    let write = |to: &mut dyn Write| {
        for (list, part) in &lists {
            let dropped: HashSet<&str> = part.dropped_shards.iter().map(String::as_str).collect();
            for line in BufReader::new(rho_files::open(list)?).lines() {
                let line = line?;
                let row: Value = serde_json::from_str(&line).map_err(io::Error::other)?;
                if !row["shard"].as_str().is_some_and(|s| dropped.contains(s)) {
                    writeln!(to, "{line}")?;
                    count.set(count.get() + 1);
                }
            }
        }
        Ok(())
    };
    let any = !lists.is_empty();
    folder.file(REJECTED, any.then_some(&write as _))?;
    Ok(count.get())
}
