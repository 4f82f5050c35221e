//! Reads the documents of the shards: one thread, one shard after the other, in chunks. In a resumed shard it skips the
//! rows that are done.

use std::{
    sync::mpsc::SyncSender,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use rho_formats::{Content, Location, Record, Shard, ShardError};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{Break, Flow, Work, record::From, send};
use crate::{
    hinted_error::{self, HintedError},
    shards,
};

/// A chunk is sent when it holds this many records ...
const RECORDS: usize = 256;
/// ... or this many bytes of text.
const BYTES: usize = 1 << 20;

/// A chunk of a shard's records, and the bytes read up to its end.
#[derive(Default)]
pub(super) struct Records {
    pub(super) records: Vec<Numbered>,
    pub(super) bytes: u64,
    size: usize,
}

/// A record and the digest of the rows up to it (see [`From::digest`]).
pub(super) struct Numbered {
    pub(super) record: Record,
    pub(super) digest: u64,
}

/// Reads all shards. Returns the time spent reading, without waiting.
pub(super) fn run(
    work: &Work<'_>,
    todo: &[(usize, From)],
    sender: SyncSender<Flow<Records>>,
) -> anyhow::Result<Duration> {
    // A separate thread, so that prefetching continues while this one waits for the tokenizer.
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
            || !runtime.block_on(shard_records(work, shard, from, &sender, &mut busy))?
        {
            break;
        }
    }
    Ok(busy)
}

/// Reads one shard; false if the receiver is closed or the run was stopped.
async fn shard_records(
    work: &Work<'_>,
    shard: &Shard,
    from: From,
    sender: &SyncSender<Flow<Records>>,
    busy: &mut Duration,
) -> anyhow::Result<bool> {
    let mut start = Instant::now();
    let mut reader = match shards::open(shard, &work.plan.read_options()).await {
        Ok(reader) => reader,
        Err(error) => {
            let nothing = Flow::End(Records::default(), Some(broken(error)));
            return Ok(send(sender, nothing));
        }
    };
    // A file is identified by its size and time; standard input only by its content.
    let digests = shard.place == Location::StandardInput;
    let mut digest = 0;
    let mut passed = false;
    let mut some = Records::default();
    let end = loop {
        let next = reader.next().await;
        if !passed && !matches!(&next, Ok(Some(record)) if row(record) < from.row) {
            passed = true;
            must_be_the_same(work, shard, digest, from)?;
        }
        if let (true, Ok(Some(record))) = (digests, &next) {
            digest = chained(digest, record);
        }
        match next {
            // Finished by an earlier run.
            Ok(Some(_)) if !passed => {
                if work.stop.requested() {
                    return Ok(false);
                }
            }
            Ok(Some(record)) => {
                some.size += size(&record);
                some.records.push(Numbered { record, digest });
            }
            Ok(None) => break None,
            Err(error) => break Some(broken(error)),
        }
        if some.records.len() >= RECORDS || some.size >= BYTES {
            some.bytes = reader.bytes_read();
            *busy += start.elapsed();
            if work.stop.requested() || !send(sender, Flow::Part(std::mem::take(&mut some))) {
                return Ok(false);
            }
            start = Instant::now();
        }
    };
    some.bytes = reader.bytes_read();
    *busy += start.elapsed();
    Ok(send(sender, Flow::End(some, end)))
}

/// Refuses to resume if the finished rows differ from those of the earlier run.
fn must_be_the_same(work: &Work<'_>, shard: &Shard, digest: u64, from: From) -> anyhow::Result<()> {
    if digest == from.digest {
        return Ok(());
    }
    Err(HintedError::error(
        format!(
            "{}: expected the {} rows that the masks in {} were started with, got others",
            shard.name,
            from.row,
            work.plan.out.display()
        ),
        "give the same rows again, name another folder, or start over with --restart",
    ))
}

/// The digest after one more row.
fn chained(before: u64, record: &Record) -> u64 {
    let mut hash = Xxh3::with_seed(before);
    match record {
        Record::Document(document) => {
            hash.update(&xxh3_64(document.id.as_bytes()).to_le_bytes());
            if let Some(source) = &document.source {
                hash.update(&xxh3_64(source.as_bytes()).to_le_bytes());
            }
            match &document.content {
                Content::Text(text) => hash.update(text.as_bytes()),
                Content::Tokens(tokens) => {
                    tokens.iter().for_each(|t| hash.update(&t.to_le_bytes()))
                }
            }
        }
        Record::Rejected(rejection) => hash.update(rejection.reason.as_bytes()),
    }
    hash.digest()
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
        reason: hinted_error::chain(&error.into()),
    }
}
