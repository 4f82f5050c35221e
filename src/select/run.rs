//! Selects all shards, on several threads, into a folder that can be resumed. `state.json` and `summary.json` are
//! written last, so that an unfinished folder is not mistaken for a finished one.

use std::time::Instant;

use rho_formats::{MasksFolder, NewColumns};
use serde_json::Value;

use super::{
    corpus_cuts::cuts,
    folder::{self, Times},
    plan::SelectPlan,
    prepare::Prepared,
    record::{DroppedBy, Record},
    shard::{self, Target},
    summary::Summary,
};
use crate::{
    cli::ProgressKind,
    hinted_error::HintedError,
    numbers::grouped,
    on_disk::Place,
    progress::Progress,
    run_folder::{Ended, Shards, records},
    selections::{counts::Counts, rule::Scope},
    stop::Stop,
    terminal,
    tokenization::masks_copy,
};

const METADATA: &str = "metadata.json";
const JOINED: &str = "joined.json";

/// Selects all unfinished shards.
pub(crate) fn run(
    plan: &SelectPlan,
    stop: &Stop,
    kind: ProgressKind,
) -> anyhow::Result<Ended<Summary>> {
    let start = Instant::now();
    let folder = folder::open(plan)?;
    let files = &folder.files;
    let tokenizer = plan.input.tokenizer();
    let note = masks_copy::copy(&plan.input.folder, files, tokenizer.as_deref())?;
    note.iter().for_each(|note| terminal::line(note));
    let count = plan.input.shards.len();
    let names = (0..count).map(|shard| plan.shard_name(shard));
    let mut shards = Shards::<Record>::resume(files, names)?;
    if shards.todo().next().is_none() {
        let times = Times::read(files)?;
        return finish(plan, files, &shards, times, false);
    }
    let before = tokens(&shards);
    let bytes = plan.input.shard_bytes();
    let progress = Progress::of(bytes.clone(), count, kind);
    shards.done().for_each(|i| progress.done_before(i));
    progress.counting(plan.counts_first());
    let place = Place::of(files.path());
    let prepared = Prepared::of(plan, &place, stop)?;
    let cuts = match (&prepared, plan.scope) {
        (Some(prepared), Scope::Corpus) => cuts(plan, prepared, stop)?,
        _ => None,
    };
    let missing = prepared.is_none() || plan.scope == Scope::Corpus && cuts.is_none();
    if let (true, Some(stopped)) = (missing, shards.stopped()) {
        return Ok(stopped);
    }
    let prepared = prepared.unwrap_or_default();
    progress.counting(false);
    let metadata = plan.metadata(cuts.as_ref(), prepared.ranking.as_ref());
    files.write_record(METADATA, metadata.to_string().as_bytes())?;
    if let Some(joined) = &prepared.joined {
        records::write(files, JOINED, &joined.counts)?;
    }
    let columns = NewColumns {
        masks: plan.rule.masks(),
        weights: plan.rule.weights(),
        keep: !plan.selects_tokens,
        scores: plan.joined.iter().map(|join| join.column.clone()).collect(),
        metadata,
    };
    let target = Target {
        prepared: &prepared,
        folder: files,
        columns: &columns,
        progress: &progress,
    };
    let worked = shards.work(
        plan.threads,
        &bytes,
        stop,
        |shard| shard::select(plan, &target, shard, cuts.as_ref(), stop),
        |shard| progress.shard_done(plan.shard_name(shard), None),
    );
    progress.finish();
    worked?;
    let times = Times::add(files, tokens(&shards) - before, start)?;
    finish(plan, files, &shards, times, true)
}

/// Tokens of the finished shards.
fn tokens(shards: &Shards<'_, Record>) -> u64 {
    shards.records().map(|record| record.counts.tokens).sum()
}

/// Finishes the folder if all shards are done.
fn finish(
    plan: &SelectPlan,
    folder: &MasksFolder,
    shards: &Shards<'_, Record>,
    times: Times,
    worked: bool,
) -> anyhow::Result<Ended<Summary>> {
    if let Some(stopped) = shards.stopped() {
        return Ok(stopped);
    }
    let (mut counts, mut dropped) = (Counts::default(), DroppedBy::default());
    for record in shards.records() {
        counts.add(&record.counts);
        dropped.add(&record.dropped);
    }
    if let (Some(filter), 0, 1..) = (&plan.filter, counts.documents, dropped.filter.documents) {
        return Err(HintedError::error(
            format!(
                "--where {:?}: expected documents for which it is true, got none of {}",
                filter.text(),
                grouped(dropped.all().documents)
            ),
            "look at the scores of some documents with `rho-mask stats` or `show`, and change the expression; start over with --restart",
        ));
    }
    if let (Some(_), 0, 1..) = (
        &plan.documents,
        counts.documents,
        dropped.unselected.documents,
    ) {
        return Err(HintedError::error(
            format!(
                "--documents: expected documents that are kept, got none of {}",
                grouped(dropped.all().documents)
            ),
            "raise --keep, or select by a score that the documents have; start over with --restart",
        ));
    }
    let metadata: Value = records::required(folder, METADATA)?;
    folder.list(&metadata, shards.records().flat_map(|r| &r.files))?;
    let joined = match &plan.joined {
        Some(_) => Some(records::required(folder, JOINED)?),
        None => None,
    };
    let summary = Summary::of(plan, &metadata, joined, &counts, &dropped, times);
    folder.summary(&serde_json::to_value(&summary)?)?;
    Ok(Ended::Done(summary, worked))
}
