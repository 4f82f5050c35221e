//! The finished shards of a run and their records. One thread writes a shard and records it when its files are
//! complete.
//!
//! The record is written first, then the files are renamed. After a crash in between, the next start renames them.

use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use rho_formats::{MaskFile, MasksFolder, OutputError, file_stem};
use serde::{Serialize, de::DeserializeOwned};

use super::{Ended, records, threads::on_threads};
use crate::{stop::Stop, terminal};

/// The record of a finished shard.
pub(crate) trait ShardRecord: Serialize + DeserializeOwned + Send {
    /// The folder of these records, in the folder of all records.
    const NOTES: &'static str;

    /// The finished files of the shard.
    fn files(&self) -> &[MaskFile];

    /// Renames a file to its final name if necessary. Returns true if the file then exists in its full size.
    fn publish(folder: &MasksFolder, file: &MaskFile) -> Result<bool, OutputError>;

    /// The message about a missing file of a shard.
    fn missing(shard: &str, file: &MaskFile) -> String;
}

/// The record of a shard; none if it is not done.
pub(crate) fn read<R: ShardRecord>(folder: &MasksFolder, shard: &str) -> anyhow::Result<Option<R>> {
    records::read(folder, &note::<R>(shard))
}

/// The names of all shards that have a record, as their files have them.
pub(crate) fn recorded<R: ShardRecord>(folder: &MasksFolder) -> anyhow::Result<Vec<String>> {
    let (mut shards, mut folders) = (Vec::new(), vec![String::new()]);
    while let Some(below) = folders.pop() {
        let name = MasksFolder::record_name(&format!("{}{below}", R::NOTES));
        let entries = folder.folder().entries(&name);
        let context = || format!("{}: cannot be read", folder.path().join(&name).display());
        for entry in entries.with_context(context)? {
            let path = format!("{below}/{}", entry.name);
            match entry.is_folder {
                true => folders.push(path),
                false => shards.extend(path[1..].strip_suffix(".json").map(str::to_owned)),
            }
        }
    }
    Ok(shards)
}

fn note<R: ShardRecord>(shard: &str) -> String {
    format!("{}/{}.json", R::NOTES, file_stem(shard))
}

/// The shards of a run, and the records of those that are done.
pub(crate) struct Shards<'a, R> {
    folder: &'a MasksFolder,
    names: Vec<&'a str>,
    records: Vec<Option<R>>,
}

impl<'a, R: ShardRecord> Shards<'a, R> {
    /// Finds which of these shards earlier runs finished.
    pub(crate) fn resume(
        folder: &'a MasksFolder,
        names: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Self> {
        let names: Vec<&str> = names.into_iter().collect();
        let records = names.iter().map(|shard| finished(folder, shard));
        Ok(Self {
            records: records.collect::<anyhow::Result<_>>()?,
            folder,
            names,
        })
    }

    /// The number of shards.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The indices of the finished shards.
    pub(crate) fn done(&self) -> impl Iterator<Item = usize> {
        self.numbers(true)
    }

    /// The indices of the unfinished shards.
    pub(crate) fn todo(&self) -> impl Iterator<Item = usize> {
        self.numbers(false)
    }

    /// How the run ended, unless all of them are finished.
    pub(crate) fn stopped<S>(&self) -> Option<Ended<S>> {
        let (done, of) = (self.done().count(), self.len());
        (done < of).then_some(Ended::Stopped { done, of })
    }

    fn numbers(&self, done: bool) -> impl Iterator<Item = usize> {
        let records = self.records.iter().enumerate();
        records.filter_map(move |(i, record)| (record.is_some() == done).then_some(i))
    }

    /// The records of the finished shards, in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = &R> {
        self.records.iter().flatten()
    }

    /// Works on the unfinished shards, on several threads. `work` writes the files of a shard and returns its record,
    /// or none if the run is stopped. `after` is called for each finished shard, one at a time.
    ///
    /// # Errors
    /// The first error of any thread; the other threads end after their current shard.
    pub(crate) fn work(
        &mut self,
        threads: usize,
        bytes: &[u64],
        stop: &Stop,
        work: impl Fn(usize) -> anyhow::Result<Option<R>> + Sync,
        after: impl Fn(usize) + Sync,
    ) -> anyhow::Result<()> {
        let mut todo: Vec<usize> = self.todo().collect();
        // Largest first, so that no thread is left with a large shard at the end.
        todo.sort_by_key(|&i| std::cmp::Reverse(bytes[i]));
        let (folder, names) = (self.folder, &self.names);
        let records = Mutex::new(&mut self.records);
        on_threads(threads, todo.len(), stop, |next| {
            while let Some(i) = next() {
                let shard = todo[i];
                let Some(record) = work(shard)? else {
                    break;
                };
                complete(folder, names[shard], &record)?;
                let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
                records[shard] = Some(record);
                after(shard);
            }
            Ok(())
        })
    }
}

/// The record that an earlier run wrote of a shard, if all its files exist.
pub(crate) fn finished<R: ShardRecord>(
    folder: &MasksFolder,
    shard: &str,
) -> anyhow::Result<Option<R>> {
    let Some(record) = read::<R>(folder, shard)? else {
        return Ok(None);
    };
    for file in record.files() {
        if !R::publish(folder, file)? {
            terminal::line(&format!("note: {}", R::missing(shard, file)));
            return Ok(None);
        }
    }
    Ok(Some(record))
}

/// Records a shard whose files are complete, then renames them.
pub(crate) fn complete<R: ShardRecord>(
    folder: &MasksFolder,
    shard: &str,
    record: &R,
) -> anyhow::Result<()> {
    records::write(folder, &note::<R>(shard), record)?;
    for file in record.files() {
        R::publish(folder, file)?;
    }
    Ok(())
}
