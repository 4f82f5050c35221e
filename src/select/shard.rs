//! Reads the files of one shard, selects from them, and writes the new files under temporary names. A separate thread
//! reads ahead.

use std::{
    collections::VecDeque,
    sync::mpsc::{SyncSender, sync_channel},
};

use rho_formats::{
    BatchCompression, MaskBatch, MaskCopy, MaskFile, MasksFolder, NewColumns, Storage,
};

use super::{
    plan::SelectPlan,
    prepare::{Batches, Prepared},
    record::{DroppedBy, Record},
};
use crate::{
    progress::Progress,
    selections::{
        counts::Counts,
        cuts::Cuts,
        mark::{MarkedTokens, Marks},
    },
    stop::Stop,
};

/// Record batches that are read ahead.
const AHEAD: usize = 2;

/// Input that waits until its tokens are decided.
enum Waiting {
    /// The start of the next file.
    File(usize, BatchCompression),
    Batch(MaskBatch),
}

/// Where the new files are written.
pub(super) struct Target<'a> {
    pub(super) prepared: &'a Prepared,
    pub(super) folder: &'a MasksFolder,
    pub(super) columns: &'a NewColumns,
    pub(super) progress: &'a Progress,
}

/// Selects from one shard; none if the run is stopped before its end.
pub(super) fn select(
    plan: &SelectPlan,
    target: &Target<'_>,
    shard: usize,
    cuts: Option<&Cuts>,
    stop: &Stop,
) -> anyhow::Result<Option<Record>> {
    let mut marks = Marks::new(&plan.rule, plan.scope, shard, cuts);
    let mut stored = Counts::default();
    let mut written = Written {
        plan,
        target,
        waiting: VecDeque::new(),
        open: None,
        files: Vec::new(),
    };
    let dropped = std::thread::scope(|scope| {
        let (sender, batches) = sync_channel(AHEAD);
        let reader = scope.spawn(move || read(plan, target.prepared, shard, stop, &sender));
        // Ends when the reader does. If this side fails, the reader finds a closed channel.
        let select = || {
            for waiting in batches {
                if let Waiting::Batch(batch) = &waiting {
                    match plan.selects_tokens {
                        true => marks.add(batch)?,
                        false => stored.add_stored(plan.stored.as_ref(), batch)?,
                    }
                }
                written.waiting.push_back(waiting);
                written.write(&mut marks)?;
            }
            anyhow::Ok(())
        };
        let selected = select();
        let read = reader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        selected.and(read)
    })?;
    let Some(dropped) = dropped else {
        return Ok(None);
    };
    marks.end()?;
    written.write(&mut marks)?;
    written.end_file()?;
    Ok(Some(Record {
        files: written.files,
        counts: match plan.selects_tokens {
            true => marks.counted(),
            false => stored,
        },
        dropped,
    }))
}

/// Reads the files of a shard, and returns what is dropped; none if the run is stopped before its end or the
/// receiver is closed.
fn read(
    plan: &SelectPlan,
    prepared: &Prepared,
    shard: usize,
    stop: &Stop,
    sender: &SyncSender<Waiting>,
) -> anyhow::Result<Option<DroppedBy>> {
    let mut dropped = DroppedBy::default();
    for file in plan.input.shards[shard].clone() {
        let mut batches = Batches::open(plan, prepared, file)?;
        let mut begun = false;
        loop {
            if stop.requested() {
                return Ok(None);
            }
            let batch = batches.next_batch()?;
            if !begun {
                // The compression is known once the first record batch is read.
                let compression = batches.compression();
                if sender.send(Waiting::File(file, compression)).is_err() {
                    return Ok(None);
                }
                begun = true;
            }
            let Some(batch) = batch else { break };
            let Some(batch) = batches.choose(batch, &mut dropped)? else {
                continue;
            };
            if sender.send(Waiting::Batch(batch)).is_err() {
                return Ok(None);
            }
        }
        plan.input.must_be_unchanged(file)?;
    }
    Ok(Some(dropped))
}

/// The output of a shard.
struct Written<'a> {
    plan: &'a SelectPlan,
    target: &'a Target<'a>,
    waiting: VecDeque<Waiting>,
    open: Option<MaskCopy>,
    files: Vec<MaskFile>,
}

impl Written<'_> {
    /// Writes the batches whose tokens are all decided.
    fn write(&mut self, marks: &mut Marks<'_>) -> anyhow::Result<()> {
        while let Some(waiting) = self.waiting.pop_front() {
            match waiting {
                Waiting::File(file, compression) => {
                    self.end_file()?;
                    let input = &self.plan.input;
                    self.open = Some(MaskCopy::create(
                        self.target.folder,
                        &self.plan.names[file],
                        &input.first,
                        Storage {
                            format: self.plan.format,
                            compression,
                        },
                        self.target.columns,
                    )?);
                }
                Waiting::Batch(batch)
                    if self.plan.selects_tokens && batch.tokens() > marks.decided() =>
                {
                    self.waiting.push_front(Waiting::Batch(batch));
                    break;
                }
                Waiting::Batch(batch) => {
                    let taken = match self.plan.selects_tokens {
                        true => marks.take(batch.tokens()),
                        false => MarkedTokens::default(),
                    };
                    let masks: Vec<&[bool]> = taken.masks.iter().map(Vec::as_slice).collect();
                    let weights: Vec<&[f32]> = taken.weights.iter().map(Vec::as_slice).collect();
                    if let Some(open) = &mut self.open {
                        let before = open.bytes();
                        open.write(&batch, &masks, &weights)?;
                        let bytes = open.bytes() - before;
                        self.target.progress.advance(bytes, batch.tokens());
                    }
                }
            }
        }
        Ok(())
    }

    fn end_file(&mut self) -> anyhow::Result<()> {
        if let Some(open) = self.open.take() {
            self.files.push(open.finish()?);
        }
        Ok(())
    }
}
