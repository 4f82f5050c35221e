//! The shards of a run, each done by one thread and recorded when its files are complete.
//!
//! First the record of a shard, then the final names of its files: should the run end in between, the names are given at
//! the next start.

use std::{
    fs, io,
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use rho_formats::{MaskFile, MasksFolder, OutputError};
use serde::{Serialize, de::DeserializeOwned};

use super::{notes, threads::on_threads};
use crate::{stop::Stop, terminal};

/// What is recorded of a shard that is done.
pub(crate) trait ShardRecord: Serialize + DeserializeOwned + Send {
    /// The folder of the records, among the notes.
    const NOTES: &'static str;

    /// The files of the shard, complete.
    fn files(&self) -> &[MaskFile];

    /// Gives a file its final name, unless it has it already. True where it is there then, in its full size.
    fn publish(folder: &MasksFolder, file: &MaskFile) -> Result<bool, OutputError>;

    /// What a person reads where a file of a shard is not there any more.
    fn missing(shard: &str, file: &MaskFile) -> String;
}

/// The record of a shard; none where it is not done.
pub(crate) fn read<R: ShardRecord>(folder: &MasksFolder, shard: &str) -> anyhow::Result<Option<R>> {
    notes::read(folder, &note::<R>(shard))
}

/// The names of all shards that have a record.
pub(crate) fn recorded<R: ShardRecord>(folder: &MasksFolder) -> anyhow::Result<Vec<String>> {
    let top = folder.note_path(R::NOTES);
    let (mut shards, mut folders) = (Vec::new(), vec![top.clone()]);
    while let Some(path) = folders.pop() {
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.with_context(|| format!("{}: cannot be read", path.display()))?,
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&top)?.to_string_lossy().into_owned();
            shards.extend(name.strip_suffix(".json").map(str::to_owned));
        }
    }
    Ok(shards)
}

fn note<R: ShardRecord>(shard: &str) -> String {
    format!("{}/{shard}.json", R::NOTES)
}

/// The shards of a run, and the records of those that are done.
pub(crate) struct Shards<'a, R> {
    folder: &'a MasksFolder,
    names: Vec<&'a str>,
    records: Vec<Option<R>>,
}

impl<'a, R: ShardRecord> Shards<'a, R> {
    /// Looks at what earlier runs left of these shards.
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

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The numbers of those that are done.
    pub(crate) fn done(&self) -> impl Iterator<Item = usize> {
        self.numbers(true)
    }

    /// The numbers of those that are not.
    pub(crate) fn todo(&self) -> impl Iterator<Item = usize> {
        self.numbers(false)
    }

    fn numbers(&self, done: bool) -> impl Iterator<Item = usize> {
        let records = self.records.iter().enumerate();
        records.filter_map(move |(i, record)| (record.is_some() == done).then_some(i))
    }

    /// The records of those that are done, in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = &R> {
        self.records.iter().flatten()
    }

    /// Does those that are not done, on several threads. `work` makes the files of a shard and says what to record, or
    /// none where the run is to stop; `after` is called of each that is done, of one at a time.
    ///
    /// # Errors
    /// The first that a thread met; the others end with the shard that they are at.
    pub(crate) fn work(
        &mut self,
        threads: usize,
        bytes: &[u64],
        stop: &Stop,
        work: impl Fn(usize) -> anyhow::Result<Option<R>> + Sync,
        after: impl Fn(usize) + Sync,
    ) -> anyhow::Result<()> {
        let mut todo: Vec<usize> = self.todo().collect();
        // The largest first, so that no thread is left alone with one at the end.
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

/// What an earlier run recorded of a shard, if its files are all there.
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

/// Records a shard whose files are complete, and gives them their names.
pub(crate) fn complete<R: ShardRecord>(
    folder: &MasksFolder,
    shard: &str,
    record: &R,
) -> anyhow::Result<()> {
    notes::write(folder, &note::<R>(shard), record)?;
    for file in record.files() {
        R::publish(folder, file)?;
    }
    Ok(())
}
