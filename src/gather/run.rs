//! Gathers all files, on several threads, into a folder that can be resumed. `state.json` and `summary.json` are written
//! last, so that an unfinished folder is not mistaken for a finished one.

use std::io::{self, Write};

use rho_formats::{AnswerErrors, MasksFolder};

use super::{
    file::{self, Record},
    plan::GatherPlan,
    summary::Summary,
};
use crate::{
    cli::ProgressKind,
    progress::Progress,
    run_folder::{Command, Ended, Opening, RunFolder, Shards},
    select::folder::clear,
    stop::Stop,
};

const REJECTED: &str = "rejected.jsonl";

/// Gathers all unfinished files.
pub(crate) fn run(
    plan: &GatherPlan,
    stop: &Stop,
    kind: ProgressKind,
) -> anyhow::Result<Ended<Summary>> {
    let folder = RunFolder::open(
        &Opening {
            path: &plan.out,
            command: Command::Gather,
            plan: plan.recorded(),
            restart: plan.restart,
            rank: None,
        },
        clear,
    )?;
    let folder = &folder.files;
    plan.scoring.put_tokenizer(folder)?;
    let names = plan.files.iter().map(|file| file.name.as_str());
    let mut files = Shards::<Record>::resume(folder, names)?;
    let worked = files.todo().next().is_some();
    if worked {
        let bytes = plan.bytes();
        let progress = Progress::of(bytes.clone(), bytes.len(), kind);
        files.done().for_each(|i| progress.done_before(i));
        let copied = files.work(
            plan.scoring.threads,
            &bytes,
            stop,
            |i| file::copy(plan, folder, &plan.files[i], &progress, stop),
            |i| progress.shard_done(&plan.files[i].name, None),
        );
        progress.finish();
        copied?;
    }
    if let Some(stopped) = files.stopped() {
        return Ok(stopped);
    }
    let rejected: Vec<bool> = files.records().map(|record| record.rejected > 0).collect();
    rejections(plan, &rejected, folder)?;
    let listed = files.records().flat_map(|record| &record.files);
    folder.list(&plan.schema.metadata, listed)?;
    let summary = Summary::of(plan, files.records());
    folder.summary(&serde_json::to_value(&summary)?)?;
    Ok(Ended::Done(summary, worked))
}

/// Writes the rows without scores of all files as one list.
fn rejections(plan: &GatherPlan, has: &[bool], folder: &MasksFolder) -> anyhow::Result<()> {
    let write = |to: &mut dyn Write| {
        for (file, _) in plan.files.iter().zip(has).filter(|(_, has)| **has) {
            let errors = AnswerErrors::open(&file.path, &file.shard);
            let mut errors = errors.map_err(io::Error::other)?;
            while let Some(rows) = errors.next_batch().map_err(io::Error::other)? {
                for row in rows {
                    writeln!(to, "{}", serde_json::to_string(&row)?)?;
                }
            }
        }
        Ok(())
    };
    folder.file(REJECTED, has.contains(&true).then_some(&write as _))?;
    Ok(())
}
