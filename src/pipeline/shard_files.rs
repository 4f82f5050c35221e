//! The files of a group of shards that is being masked: its masks, the documents of its open scope, its rejections, and the
//! record of which bytes are valid.
//!
//! Data is safe on disk before the record covers it, and the record is replaced atomically. So each group's record is
//! true whenever a run is interrupted, and bytes beyond it are truncated when the run is resumed.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    sync::Arc,
};

use rho_files::Folder;
use rho_formats::{
    MaskRow, MaskSchema, MaskWriter, MasksFolder, OutputError, Rejection, Spill, WriteOptions,
    file_stem,
};

use super::record::{Broken, Counts, Durable, From, Identity, ShardRecord, State};
use crate::{left_out::ENDS_EARLY, run_folder::records};

/// The schemas and options, the same for all groups of a folder.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    pub(super) schema: MaskSchema,
    /// The schema of the documents in an open scope, which have no masks yet.
    pub(super) scored: MaskSchema,
    pub(super) options: WriteOptions,
}

/// A document and the name of its shard.
#[derive(Debug, Clone)]
pub(crate) struct MemberRow {
    pub(crate) shard: Arc<str>,
    pub(crate) document: MaskRow,
}

/// The open files of one group.
pub(super) struct ShardFiles {
    folder: MasksFolder,
    columns: Columns,
    /// The name of the group.
    shard: String,
    writer: MaskWriter,
    spill: Option<Spill>,
    /// The number of the next spill file, 0 or 1.
    turn: u8,
    rejections: Rejections,
    pub(super) record: ShardRecord,
}

impl ShardFiles {
    /// Starts a group, whose shards have these inputs. The record of an earlier try, if there was one, names the files to
    /// replace at the end.
    pub(super) fn begin(
        folder: &MasksFolder,
        columns: &Columns,
        shard: &str,
        inputs: Vec<Identity>,
        earlier: Option<ShardRecord>,
    ) -> anyhow::Result<Self> {
        folder.remove_spills(shard, None);
        let mut replaces = Vec::new();
        if let Some(earlier) = earlier {
            replaces = earlier.files;
            replaces.extend(earlier.replaces);
        }
        let writer = folder.writer(shard, &columns.schema, columns.options)?;
        let mut inputs = inputs.into_iter();
        let record = ShardRecord {
            input: inputs.next().unwrap_or_default(),
            other_inputs: inputs.collect(),
            broken: Vec::new(),
            state: State::Complete,
            files: Vec::new(),
            replaces,
            rejections: 0,
            counts: Counts::default(),
        };
        let mut files = Self {
            folder: folder.clone(),
            columns: columns.clone(),
            shard: shard.to_owned(),
            writer,
            spill: None,
            turn: 0,
            rejections: Rejections::open(folder, shard, 0)?,
            record,
        };
        // Write the first record before anything is scored, so that a later change of the input is detected.
        files.commit(From::default())?;
        Ok(files)
    }

    /// Resumes a group. Also returns the documents of its open scope. None if its files do not match the record.
    pub(super) fn resume(
        folder: &MasksFolder,
        columns: &Columns,
        shard: &str,
        record: ShardRecord,
        durable: &Durable,
    ) -> anyhow::Result<Option<(Self, Vec<MemberRow>)>> {
        let resumed = folder.resume(shard, &columns.schema, columns.options, &durable.files)?;
        let Some(writer) = resumed else {
            return Ok(None);
        };
        let (mut spill, mut rows, mut turn) = (None, Vec::new(), 0);
        if let Some(mark) = durable.spill {
            let Some((file, kept)) = folder.resume_spill(shard, &columns.scored, mark)? else {
                return Ok(None);
            };
            let rows_of = |(shard, document): (String, MaskRow)| MemberRow {
                shard: shard.into(),
                document,
            };
            let kept = kept.into_iter().map(rows_of).collect();
            (spill, rows, turn) = (Some(file), kept, mark.turn);
        }
        folder.remove_spills(shard, durable.spill.map(|mark| mark.turn));
        let rejected = MasksFolder::record_name(&rejections_note(shard));
        if folder.folder().bytes(&rejected).unwrap_or(0) < record.rejections {
            return Ok(None);
        }
        let files = Self {
            folder: folder.clone(),
            columns: columns.clone(),
            shard: shard.to_owned(),
            writer,
            spill,
            turn,
            rejections: Rejections::open(folder, shard, record.rejections)?,
            record,
        };
        Ok(Some((files, rows)))
    }

    /// Writes a document of a shard with its masks.
    pub(super) fn write(&mut self, shard: &str, row: &MaskRow) -> Result<(), OutputError> {
        self.writer.of_shard(shard);
        self.writer.write(row)
    }

    /// Stores a document of the open scope, until the scope ends.
    pub(super) fn keep(&mut self, row: &MemberRow) -> Result<(), OutputError> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => {
                let spill = self
                    .folder
                    .spill(&self.shard, &self.columns.scored, self.turn)?;
                none.insert(spill)
            }
        };
        spill.of_shard(&row.shard);
        spill.write(&row.document)
    }

    /// Ends the scope, after all its documents were written with their masks.
    pub(super) fn end_scope(&mut self) {
        if self.spill.take().is_some() {
            self.turn ^= 1;
        }
    }

    /// Records a row without a document.
    pub(super) fn reject(&mut self, rejection: &Rejection) -> Result<(), OutputError> {
        self.rejections.add(rejection)
    }

    /// Records a shard that ended early.
    pub(super) fn broken(&mut self, broken: &Broken) -> Result<(), OutputError> {
        self.reject(&Rejection {
            shard: broken.shard.clone(),
            row: broken.row,
            reason: format!("{ENDS_EARLY}{}", broken.reason),
        })?;
        self.record.broken.push(broken.clone());
        Ok(())
    }

    /// Syncs everything written so far and records it.
    pub(super) fn commit(&mut self, from: From) -> anyhow::Result<()> {
        let durable = Durable {
            from,
            files: self.writer.sync()?,
            spill: self.spill.as_mut().map(Spill::sync).transpose()?,
        };
        self.record.rejections = self.rejections.sync()?;
        let spill = durable.spill;
        self.record.state = State::Open(durable);
        put(&self.folder, &self.shard, &self.record)?;
        self.folder
            .remove_spills(&self.shard, spill.map(|mark| mark.turn));
        Ok(())
    }

    /// Finishes the group.
    pub(super) fn complete(mut self, state: State) -> anyhow::Result<ShardRecord> {
        self.record.rejections = self.rejections.sync()?;
        self.record.files = self.writer.finish()?;
        self.record.state = state;
        // Write the record, then rename the files. After a crash in between, the next start renames them.
        put(&self.folder, &self.shard, &self.record)?;
        let replaced = std::mem::take(&mut self.record.replaces);
        self.folder
            .publish(&self.shard, &self.record.files, &replaced)?;
        if !replaced.is_empty() {
            put(&self.folder, &self.shard, &self.record)?;
        }
        Ok(self.record)
    }
}

/// The path of a group's record.
pub(super) fn record_note(shard: &str) -> String {
    format!("shards/{}.json", file_stem(shard))
}

/// The path of a group's list of rejections.
pub(super) fn rejections_note(shard: &str) -> String {
    format!("shards/{}.rejected", file_stem(shard))
}

/// Writes a record.
pub(super) fn put(folder: &MasksFolder, shard: &str, record: &ShardRecord) -> anyhow::Result<()> {
    records::write(folder, &record_note(shard), record)
}

/// A growing list of rejections.
struct Rejections {
    folder: Folder,
    /// Its name in the folder.
    name: String,
    file: Option<BufWriter<File>>,
    bytes: u64,
}

impl Rejections {
    fn open(folder: &MasksFolder, shard: &str, bytes: u64) -> Result<Self, OutputError> {
        let mut rejections = Self {
            folder: folder.folder().clone(),
            name: MasksFolder::record_name(&rejections_note(shard)),
            file: None,
            bytes,
        };
        if bytes > 0 {
            rejections.file()?;
        } else {
            // What an earlier try left, or what somebody put there.
            let removed = rejections.folder.remove_file(&rejections.name);
            removed.map_err(|source| rejections.cannot_write(source))?;
        }
        Ok(rejections)
    }

    /// The file, truncated to its valid bytes; created at the first rejection.
    fn file(&mut self) -> Result<&mut BufWriter<File>, OutputError> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let file = self.folder.resume(&self.name, self.bytes);
                let file = file.map_err(|source| OutputError::Create {
                    path: self.folder.path().join(&self.name),
                    source,
                })?;
                Ok(none.insert(BufWriter::new(file)))
            }
        }
    }

    fn add(&mut self, rejection: &Rejection) -> Result<(), OutputError> {
        let written = serde_json::to_vec(rejection).map_err(io::Error::from);
        let mut line = written.map_err(|source| self.cannot_write(source))?;
        line.push(b'\n');
        let added = self.file()?.write_all(&line);
        added.map_err(|source| self.cannot_write(source))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<u64, OutputError> {
        if let Some(file) = &mut self.file {
            let synced = file.flush().and_then(|()| file.get_ref().sync_data());
            synced.map_err(|source| self.cannot_write(source))?;
        }
        Ok(self.bytes)
    }

    fn cannot_write(&self, source: io::Error) -> OutputError {
        OutputError::Write {
            path: self.folder.path().join(&self.name),
            source,
        }
    }
}
