//! Reads the documents of the shards: one thread, one group after the other and its shards in order, in chunks. In a
//! resumed group it skips the shards and rows that are done.

use std::{
    sync::mpsc::SyncSender,
    time::{Duration, Instant},
};

use rho_formats::{Location, Record, Shard, ShardError};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::{Break, Flow, Work, record::From, send};
use crate::{
    groups::Group,
    hinted_error::{self, HintedError},
    shards,
};

/// A chunk is sent when it holds this many records ...
const RECORDS: usize = 256;
/// ... or this many bytes of text.
const BYTES: usize = 1 << 20;

/// A chunk of a group's records.
#[derive(Default)]
pub(super) struct Records {
    pub(super) read: Vec<Read>,
    /// Bytes of their text.
    size: usize,
}

/// What is read of a group.
pub(super) enum Read {
    Row(Numbered),
    /// A shard ended early; the next record is of the next shard.
    Broken(Break),
}

/// A record and the digest of the rows up to it (see [`From::digest`]).
pub(super) struct Numbered {
    /// The number of its shard in the group.
    pub(super) member: usize,
    pub(super) record: Record,
    pub(super) digest: u64,
}

/// Reads all groups. Returns the time spent reading, without waiting.
pub(super) fn run(
    work: &Work<'_>,
    groups: &[Group],
    todo: &[(usize, From)],
    sender: SyncSender<Flow<Records>>,
) -> anyhow::Result<Duration> {
    let runtime = shards::runtime()?;
    let mut reading = Reading {
        work,
        sender: &sender,
        busy: Duration::ZERO,
        some: Records::default(),
        first: 0,
        before: 0,
    };
    for &(i, from) in todo {
        if work.stop.requested()
            || !send(&sender, Flow::Begin(i, from))
            || !runtime.block_on(reading.group(&groups[i], from))?
        {
            break;
        }
    }
    Ok(reading.busy)
}

/// Reads groups into chunks.
struct Reading<'a> {
    work: &'a Work<'a>,
    sender: &'a SyncSender<Flow<Records>>,
    busy: Duration,
    /// The chunk that is not sent yet.
    some: Records,
    /// The index of the group's first shard.
    first: usize,
    /// Bytes of the group's shards before the current one.
    before: u64,
}

impl Reading<'_> {
    /// Reads one group; false if the receiver is closed or the run was stopped.
    async fn group(&mut self, group: &Group, from: From) -> anyhow::Result<bool> {
        self.some = Records::default();
        self.first = group.members.start;
        self.before = 0;
        let shards = &self.work.shards[group.members.clone()];
        for (member, shard) in shards.iter().enumerate() {
            let from = match member.cmp(&from.member) {
                std::cmp::Ordering::Less => None,
                std::cmp::Ordering::Equal => Some(from),
                std::cmp::Ordering::Greater => Some(From::default()),
            };
            match from {
                // An earlier run scored it. Its text is not known: small shards are taken to be text alone.
                None => self.skipped(self.before + shard.bytes, shard.bytes as usize),
                Some(from)
                    if self.work.stop.requested() || !self.shard(member, shard, from).await? =>
                {
                    return Ok(false);
                }
                Some(_) => {}
            }
            self.before += shard.bytes;
        }
        // The reader has seen all shards, even if it did not need all of their bytes.
        self.work
            .progress
            .read(self.first, self.before, self.some.size);
        Ok(send(self.sender, Flow::End(std::mem::take(&mut self.some))))
    }

    /// Reports text that an earlier run scored, and the bytes of the group read so far.
    fn skipped(&self, bytes: u64, text: usize) {
        if text > 0 {
            self.work.progress.read(self.first, bytes, text);
            self.work.progress.skipped(self.first, text);
        }
    }

    /// Reads one shard; false if the receiver is closed or the run was stopped.
    async fn shard(&mut self, member: usize, shard: &Shard, from: From) -> anyhow::Result<bool> {
        let work = self.work;
        let mut start = Instant::now();
        let mut reader = match shards::open(shard, &work.plan.read_options()).await {
            Ok(reader) => reader,
            Err(error) => {
                self.some.read.push(Read::Broken(broken(member, error)));
                return Ok(true);
            }
        };
        // A file is identified by its size and time; standard input only by its content.
        let digests = shard.place == Location::StandardInput;
        let mut digest = 0;
        let mut passed = false;
        let mut skipped = 0;
        let end = loop {
            let next = reader.next().await;
            if !passed && !matches!(&next, Ok(Some(record)) if row(record) < from.row) {
                passed = true;
                self.skipped(self.before + reader.bytes_read(), skipped);
                must_be_the_same(work, shard, digest, from)?;
            }
            if let (true, Ok(Some(record))) = (digests, &next) {
                digest = chained(digest, record);
            }
            match next {
                // Finished by an earlier run.
                Ok(Some(record)) if !passed => {
                    skipped += size(&record);
                    if work.stop.requested() {
                        return Ok(false);
                    }
                }
                Ok(Some(record)) => {
                    self.some.size += size(&record);
                    self.some.read.push(Read::Row(Numbered {
                        member,
                        record,
                        digest,
                    }));
                }
                Ok(None) => break None,
                Err(error) => break Some(broken(member, error)),
            }
            if self.some.read.len() >= RECORDS || self.some.size >= BYTES {
                let bytes = self.before + reader.bytes_read();
                work.progress.read(self.first, bytes, self.some.size);
                self.busy += start.elapsed();
                let some = std::mem::take(&mut self.some);
                if work.stop.requested() || !send(self.sender, Flow::Part(some)) {
                    return Ok(false);
                }
                start = Instant::now();
            }
        };
        self.some.read.extend(end.map(Read::Broken));
        self.busy += start.elapsed();
        Ok(true)
    }
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
            if let Some(context) = &document.context {
                hash.update(&xxh3_64(context.as_bytes()).to_le_bytes());
            }
            let parts = document.content.parts();
            if parts.len() > 1 {
                let lengths = parts.iter().map(|part| part.len() as u64);
                lengths.for_each(|length| hash.update(&length.to_le_bytes()));
            }
            parts.iter().for_each(|part| hash.update(part));
        }
        Record::Rejected(rejection, _) => hash.update(rejection.reason.as_bytes()),
    }
    hash.digest()
}

/// The row of a record in its shard.
pub(super) fn row(record: &Record) -> i64 {
    match record {
        Record::Document(document) => document.row,
        Record::Rejected(rejection, _) => rejection.row,
    }
}

/// Bytes of a record's content.
pub(super) fn size(record: &Record) -> usize {
    match record {
        Record::Document(document) => {
            document.content.bytes() + document.context.as_ref().map_or(0, String::len)
        }
        Record::Rejected(_, _) => 0,
    }
}

fn broken(member: usize, error: ShardError) -> Break {
    Break {
        member,
        row: error.row(),
        reason: hinted_error::chain(&error.into()),
    }
}
