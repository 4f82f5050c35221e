//! Passes the documents of one shard to a writer, while a thread reads ahead.

use std::sync::mpsc::{SyncSender, sync_channel};

use rho_formats::{MaskBatch, MaskColumns};

use super::{
    documents::{Column, Documents},
    plan::ConvertPlan,
    record::Counts,
    targets::Writer,
};
use crate::{progress::Progress, stop::Stop};

/// Record batches to read ahead.
const AHEAD: usize = 2;

/// Passes the documents of a shard to a writer; None if the run was asked to stop before the end of the shard.
pub(super) fn convert(
    plan: &ConvertPlan,
    shard: usize,
    writer: &mut dyn Writer,
    progress: &Progress,
    stop: &Stop,
) -> anyhow::Result<Option<Counts>> {
    let mut counts = Counts::default();
    let whole = std::thread::scope(|scope| {
        let (sender, batches) = sync_channel(AHEAD);
        let reader = scope.spawn(move || read(plan, shard, stop, &sender));
        // Ends with the reader; if this side fails, the reader finds the channel closed.
        let write = || {
            for (batch, bytes) in batches {
                let batch: MaskBatch = batch;
                let settings = &plan.settings;
                counts.documents += batch.rows() as u64;
                counts.empty += batch.documents().filter(|d| d.is_empty()).count() as u64;
                counts.tokens += batch.tokens() as u64;
                let tokens = batch.tokens();
                let documents = Documents::of(batch, settings.column.as_ref(), settings.ending)?;
                if !plan.abilities.signed_weights {
                    documents.must_not_be_negative(&plan.to.name())?;
                }
                counts.targets += documents.targets() as u64;
                counts.ended += documents.ended as u64;
                writer.write(&documents)?;
                progress.advance(bytes, tokens);
            }
            anyhow::Ok(())
        };
        let written = write();
        let read = reader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        written.and(read)
    })?;
    if !whole {
        return Ok(None);
    }
    writer.end_shard()?;
    Ok(Some(counts))
}

/// Reads the files of a shard; false if the run was asked to stop before the end, or the channel is closed.
fn read(
    plan: &ConvertPlan,
    shard: usize,
    stop: &Stop,
    sender: &SyncSender<(MaskBatch, u64)>,
) -> anyhow::Result<bool> {
    let chosen = plan.settings.column.as_ref().map(Column::name);
    let wanted: Vec<&str> = ["id", "shard"].into_iter().chain(chosen).collect();
    for file in plan.input.shards[shard].clone() {
        let mut columns = MaskColumns::open(&plan.input.path(file))?;
        let (mut before, size) = (0, plan.input.files[file].identity.bytes);
        loop {
            if stop.requested() {
                return Ok(false);
            }
            let batch = match plan.abilities.own_columns {
                true => columns.next_batch()?,
                false => columns.next_checked_of(&wanted)?,
            };
            let Some(batch) = batch else { break };
            let now = size.saturating_sub(columns.left());
            if sender.send((batch, now.saturating_sub(before))).is_err() {
                return Ok(false);
            }
            before = now;
        }
        plan.input.must_be_unchanged(file)?;
    }
    Ok(true)
}
