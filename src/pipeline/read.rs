//! Shards to documents: one thread, one shard after the other, some documents at a time. Of a shard that was begun
//! before, the rows that are done are passed over.

use std::{
    sync::mpsc::SyncSender,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rho_formats::{Content, Record, Shard, ShardError, ShardReader};

use super::{Break, Flow, Work, record::From, send};
use crate::hint;

/// A handful is handed on when it holds this many records ...
const RECORDS: usize = 256;
/// ... or this much text.
const BYTES: usize = 1 << 20;

/// Records of a shard and how far into it they go.
#[derive(Default)]
pub(super) struct Records {
    pub(super) records: Vec<Record>,
    pub(super) bytes: u64,
    size: usize,
}

/// Reads all shards; the answer is the time spent reading, not waiting.
pub(super) fn run(
    work: &Work<'_>,
    todo: &[(usize, From)],
    sender: SyncSender<Flow<Records>>,
) -> anyhow::Result<Duration> {
    // A thread of its own: what is fetched ahead goes on while this one waits for the tokenizer.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = runtime.context("cannot start the reader's runtime")?;
    let mut busy = Duration::ZERO;
    for &(i, from) in todo {
        let shard = &work.shards[i];
        if work.stop.requested()
            || !send(&sender, Flow::Begin(i, from))
            || !runtime.block_on(shard_records(work, shard, from, &sender, &mut busy))
        {
            break;
        }
    }
    Ok(busy)
}

/// Reads one shard; false when nobody listens any more, or the run is to stop.
async fn shard_records(
    work: &Work<'_>,
    shard: &Shard,
    from: From,
    sender: &SyncSender<Flow<Records>>,
    busy: &mut Duration,
) -> bool {
    let mut start = Instant::now();
    let mut reader = match ShardReader::open(shard, &work.plan.read_options()).await {
        Ok(reader) => reader,
        Err(error) => return send(sender, Flow::End(Records::default(), Some(broken(error)))),
    };
    let mut some = Records::default();
    let end = loop {
        match reader.next().await {
            // Done before an interruption.
            Ok(Some(record)) if row(&record) < from.row => {
                if work.stop.requested() {
                    return false;
                }
            }
            Ok(Some(record)) => {
                some.size += size(&record);
                some.records.push(record);
            }
            Ok(None) => break None,
            Err(error) => break Some(broken(error)),
        }
        if some.records.len() >= RECORDS || some.size >= BYTES {
            some.bytes = reader.bytes_read();
            *busy += start.elapsed();
            if work.stop.requested() || !send(sender, Flow::Part(std::mem::take(&mut some))) {
                return false;
            }
            start = Instant::now();
        }
    };
    some.bytes = reader.bytes_read();
    *busy += start.elapsed();
    send(sender, Flow::End(some, end))
}

/// The row of a record in its shard.
pub(super) fn row(record: &Record) -> i64 {
    match record {
        Record::Document(document) => document.row,
        Record::Rejected(rejection) => rejection.row,
    }
}

fn size(record: &Record) -> usize {
    match record {
        Record::Document(document) => match &document.content {
            Content::Text(text) => text.len(),
            Content::Tokens(tokens) => tokens.len() * 4,
        },
        Record::Rejected(_) => 0,
    }
}

fn broken(error: ShardError) -> Break {
    Break {
        row: error.row(),
        reason: hint::chain(&error.into()),
    }
}
