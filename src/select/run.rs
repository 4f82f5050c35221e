//! Selects all shards, on several threads, into a folder that can be resumed. `state.json` and `summary.json` are
//! written last, so that an unfinished folder is not mistaken for a finished one.

use std::time::Instant;

use rho_formats::{MaskFile, MasksFolder, NewColumns};
use rho_selection::Direction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    corpus_cuts::cuts,
    plan::SelectPlan,
    record::Record,
    shard::{self, Target},
    summary::Summary,
};
use crate::{
    cli::ProgressKind,
    metadata::{Scored, Selection},
    progress::Progress,
    run_folder::{Command, Opening, RunFolder, Shards, records},
    selections::{
        counts::Counts,
        cuts::Cuts,
        rule::{Pick, Scope},
    },
    stop::Stop,
    tokenization::masks_copy,
};

const METADATA: &str = "metadata.json";
const TIMES: &str = "times.json";

/// How a run ended.
pub(crate) enum Ended {
    /// All shards are done. The flag says whether this run had anything to do.
    Done(Summary, bool),
    /// It was stopped.
    Stopped { done: usize, of: usize },
}

/// The times of all runs that wrote a folder.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Times {
    /// Tokens of the shards that these runs finished.
    pub(super) tokens: u64,
    pub(super) seconds: f64,
}

/// Selects all unfinished shards.
pub(crate) fn run(plan: &SelectPlan, stop: &Stop, kind: ProgressKind) -> anyhow::Result<Ended> {
    let start = Instant::now();
    let folder = open(plan)?;
    let files = &folder.files;
    masks_copy::copy(&plan.input.folder, files)?;
    let count = plan.input.shards.len();
    let names = (0..count).map(|shard| plan.input.shard_name(shard));
    let mut shards = Shards::<Record>::resume(files, names)?;
    if shards.todo().next().is_none() {
        let times = times(files)?;
        return finish(plan, files, &shards, times, false);
    }
    let before = tokens(&shards);
    let bytes = plan.input.shard_bytes();
    let progress = Progress::of(bytes.clone(), count, kind);
    shards.done().for_each(|i| progress.done_before(i));
    progress.counting(plan.scope == Scope::Corpus);
    let cuts = match plan.scope {
        Scope::Corpus => match cuts(plan, stop)? {
            Some(cuts) => Some(cuts),
            None => return Ok(stopped(&shards)),
        },
        _ => None,
    };
    progress.counting(false);
    let metadata = plan.metadata(|i, said| known(plan, cuts.as_ref(), i, said));
    files.write_record(METADATA, metadata.to_string().as_bytes())?;
    let columns = NewColumns {
        masks: plan.rule.masks(),
        weights: plan.rule.weights(),
        metadata,
    };
    let target = Target {
        folder: files,
        columns: &columns,
        progress: &progress,
    };
    let worked = shards.work(
        plan.threads,
        &bytes,
        stop,
        |shard| shard::select(plan, &target, shard, cuts.as_ref(), stop),
        |shard| progress.shard_done(plan.input.shard_name(shard), None),
    );
    progress.finish();
    worked?;
    let times = add_times(files, tokens(&shards) - before, start)?;
    finish(plan, files, &shards, times, true)
}

/// Tokens of the finished shards.
fn tokens(shards: &Shards<'_, Record>) -> u64 {
    shards.records().map(|record| record.counts.tokens).sum()
}

/// Opens the folder of a run.
fn open(plan: &SelectPlan) -> anyhow::Result<RunFolder> {
    RunFolder::open(
        &Opening {
            path: &plan.out,
            command: Command::Select,
            plan: plan.recorded(),
            restart: plan.restart,
            rank: None,
        },
        clear,
    )
}

/// Removes these files and their records from a folder.
pub(crate) fn clear(folder: &MasksFolder, names: &[&str]) -> anyhow::Result<()> {
    let files = names.iter().map(|&name| MaskFile {
        name: name.to_owned(),
        bytes: 0,
    });
    let files: Vec<MaskFile> = files.collect();
    let shards = names.iter().filter_map(|name| name.strip_suffix(".arrow"));
    Ok(folder.clear(shards, &files)?)
}

/// Adds to a selection's metadata what the counts of a corpus give before the first row.
fn known(plan: &SelectPlan, cuts: Option<&Cuts>, i: usize, said: &mut Selection) {
    // The counts of a combination of two selections are not known yet.
    let Some((cuts, &(scored, kept))) = cuts.and_then(|cuts| Some((cuts, cuts.counts.get(i)?)))
    else {
        return;
    };
    said.scored = Some(Scored::Tokens(scored));
    said.kept = Some(kept);
    if let Pick::Ranked(direction, _) = plan.rule.selections[i].pick
        && plan.rule.by_scores(i)
    {
        let score = |key: Option<u32>| key.map(|key| direction.score(key));
        let (first, last) = cuts.cuts[i].bounds();
        match direction {
            Direction::Low => {
                said.highest_kept = Some(score(last));
                said.lowest_kept = score(first).map(Some);
            }
            Direction::High => said.lowest_kept = Some(score(last)),
        }
    }
}

/// Finishes the folder if all shards are done.
fn finish(
    plan: &SelectPlan,
    folder: &MasksFolder,
    shards: &Shards<'_, Record>,
    times: Times,
    worked: bool,
) -> anyhow::Result<Ended> {
    if shards.todo().next().is_some() {
        return Ok(stopped(shards));
    }
    let mut counts = Counts::default();
    shards.records().for_each(|r| counts.add(&r.counts));
    let metadata: Value = records::required(folder, METADATA)?;
    folder.list(&metadata, shards.records().flat_map(|r| &r.files))?;
    let summary = Summary::of(plan, &counts, times);
    folder.summary(&serde_json::to_value(&summary)?)?;
    Ok(Ended::Done(summary, worked))
}

fn stopped(shards: &Shards<'_, Record>) -> Ended {
    Ended::Stopped {
        done: shards.done().count(),
        of: shards.len(),
    }
}

/// The times of earlier runs; zero if they cannot be read.
fn times(folder: &MasksFolder) -> anyhow::Result<Times> {
    let noted = folder.read_record(TIMES)?;
    Ok(noted
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default())
}

/// Adds the times of this run.
fn add_times(folder: &MasksFolder, tokens: u64, start: Instant) -> anyhow::Result<Times> {
    let mut times = times(folder)?;
    times.tokens += tokens;
    times.seconds += start.elapsed().as_secs_f64();
    records::write(folder, TIMES, &times)?;
    Ok(times)
}
