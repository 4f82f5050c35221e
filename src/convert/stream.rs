//! Converts all shards, one after another, to standard output. Waits for a slow reader. A reader that closes the pipe
//! ends the run, which is not an error: it has all it wanted.

use std::{io, time::Instant};

use rho_formats::{OutputError, trainers::Sink};

use super::{plan::ConvertPlan, record::Counts, shard, summary::Summary};
use crate::{cli::ProgressKind, hinted_error::HintedError, progress::Progress, stop::Stop};

/// How a run ended.
pub(crate) enum Ended {
    /// All shards were written.
    Done(Summary),
    /// The reader closed the pipe.
    ReaderGone,
    /// It was asked to stop.
    Stopped,
}

/// Converts all shards.
pub(crate) fn run(plan: &ConvertPlan, stop: &Stop, kind: ProgressKind) -> anyhow::Result<Ended> {
    match convert(plan, stop, kind) {
        Err(error) if reader_gone(&error) => Ok(Ended::ReaderGone),
        ended => ended,
    }
}

fn convert(plan: &ConvertPlan, stop: &Stop, kind: ProgressKind) -> anyhow::Result<Ended> {
    let start = Instant::now();
    let sink = Sink::stream(Box::new(io::stdout()));
    let Some(writer) = plan.target.stream(sink) else {
        // Unreachable: the plan has checked the target's abilities.
        return Err(HintedError::error(
            format!(
                "--out -: expected a format that is one stream, got {}",
                plan.to.name()
            ),
            "name a folder",
        ));
    };
    let mut writer = writer?;
    let shards = plan.input.shards.len();
    let progress = Progress::of(plan.input.shard_bytes(), shards, kind);
    let mut counts = Counts::default();
    let mut all = || {
        for shard in 0..shards {
            let Some(converted) = shard::convert(plan, shard, &mut *writer, &progress, stop)?
            else {
                return Ok(false);
            };
            counts.add(&converted);
            progress.shard_done(plan.input.shard_name(shard), None);
        }
        anyhow::Ok(true)
    };
    let whole = all();
    progress.finish();
    if !whole? {
        return Ok(Ended::Stopped);
    }
    let written = writer.finish()?;
    let summary = Summary::of(plan, &counts, &[&written]);
    Ok(Ended::Done(
        summary.with_speed(counts.tokens, start.elapsed()),
    ))
}

fn reader_gone(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|c| c.downcast_ref());
    causes.any(|cause| matches!(cause, OutputError::ReaderGone { .. }))
}
