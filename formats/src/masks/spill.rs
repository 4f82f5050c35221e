//! Keeps the scored documents of an unfinished scope on the disk, and reads them back after an interruption. The caller
//! decides when a scope ends.
//!
//! The file is an Arrow stream like the masks, without masks and without an end-of-stream marker. A [`SpillMark`] says
//! how many of its bytes are valid, and has their hash: a spill file that does not match is refused, not read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rho_files::Folder;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::batch::Pending;
use super::encode::{BatchCompression, END, Encoder};
use super::names::mask_file_name;
use super::writer::writing;
use super::{MaskError, MaskRow, MaskSchema, OutputError, read_masks};

/// The synced part of a spill file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpillMark {
    /// Which of the shard's two spill files: they alternate, so that the old one stays until the new one is valid.
    pub turn: u8,
    /// Size of the valid part, in bytes.
    pub bytes: u64,
    /// XXH3 of these bytes.
    pub hash: u64,
}

/// Rows with the names of their shards.
pub type SpilledRows = Vec<(String, MaskRow)>;

/// A spill file that is being written.
pub struct Spill {
    path: PathBuf,
    file: File,
    hash: Xxh3,
    mark: SpillMark,
    encoder: Encoder,
    pending: Pending,
}

impl Spill {
    /// Starts an empty one beside the mask file of the same shard.
    pub(super) fn create(
        folder: &Folder,
        turn: u8,
        shard: &str,
        columns: &MaskSchema,
    ) -> Result<Self, OutputError> {
        let name = spill_file(shard, turn);
        let path = folder.path().join(&name);
        let schema = std::sync::Arc::new(columns.to_arrow());
        let encoder = Encoder::new(&schema, BatchCompression::None)
            .map_err(|source| writing(&path, source))?;
        let file = folder.create(&name).map_err(|source| OutputError::Create {
            path: path.clone(),
            source,
        })?;
        let mark = SpillMark {
            turn,
            bytes: 0,
            hash: 0,
        };
        let mut spill = Self {
            path,
            file,
            hash: Xxh3::new(),
            mark,
            encoder,
            pending: Pending::new(shard, columns, schema),
        };
        let schema = spill.encoder.schema().to_vec();
        spill.put(&schema)?;
        Ok(spill)
    }

    /// Resumes one that is valid up to `mark`, and yields its rows with their shards. `None` if the file differs from what
    /// was written.
    pub(super) fn resume(
        folder: &Folder,
        mark: SpillMark,
        shard: &str,
        columns: &MaskSchema,
    ) -> Result<Option<(Self, SpilledRows)>, OutputError> {
        let name = spill_file(shard, mark.turn);
        let path = folder.path().join(&name);
        let wrong = |source| OutputError::Write {
            path: path.clone(),
            source,
        };
        let mut file = match folder.update(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(wrong(source)),
        };
        let mut bytes = Vec::new();
        (&mut file)
            .take(mark.bytes)
            .read_to_end(&mut bytes)
            .map_err(wrong)?;
        let mut hash = Xxh3::new();
        hash.update(&bytes);
        if bytes.len() as u64 != mark.bytes || hash.digest() != mark.hash {
            return Ok(None);
        }
        // With an end-of-stream marker it is a whole stream, which the reader of masks can read.
        file.set_len(mark.bytes)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .and_then(|_| file.write_all(&END))
            .map_err(wrong)?;
        let rows = rows_with_shards(&path);
        file.set_len(mark.bytes)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(wrong)?;
        let Ok(rows) = rows else { return Ok(None) };
        let schema = std::sync::Arc::new(columns.to_arrow());
        let encoder = Encoder::new(&schema, BatchCompression::None)
            .map_err(|source| writing(&path, source))?;
        let pending = Pending::new(shard, columns, schema);
        let spill = Self {
            path,
            file,
            hash,
            mark,
            encoder,
            pending,
        };
        Ok(Some((spill, rows)))
    }

    /// Sets the shard of the rows to come.
    pub fn of_shard(&mut self, shard: &str) {
        self.pending.of_shard(shard);
    }

    /// Adds a row; it is valid after [`sync`](Self::sync).
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&mut self, row: &MaskRow) -> Result<(), OutputError> {
        self.pending.push(row);
        if self.pending.is_full() {
            self.write_batch()?;
        }
        Ok(())
    }

    /// Syncs all rows.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn sync(&mut self) -> Result<SpillMark, OutputError> {
        if !self.pending.is_empty() {
            self.write_batch()?;
        }
        let path = &self.path;
        self.file.sync_data().map_err(|source| OutputError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(self.mark)
    }

    fn write_batch(&mut self) -> Result<(), OutputError> {
        let batch = self.pending.take();
        let bytes = batch.and_then(|batch| self.encoder.batch(&batch));
        let bytes = bytes.map_err(|source| writing(&self.path, source))?;
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.file
            .write_all(bytes)
            .map_err(|source| OutputError::Write {
                path: self.path.clone(),
                source,
            })?;
        self.hash.update(bytes);
        self.mark.bytes += bytes.len() as u64;
        self.mark.hash = self.hash.digest();
        Ok(())
    }
}

/// The name of the spill file of a turn, beside the mask file of its shard.
pub(super) fn spill_file(shard: &str, turn: u8) -> String {
    Folder::partial(&format!("{}.scores-{turn}", mask_file_name(shard)))
}

fn rows_with_shards(path: &Path) -> Result<SpilledRows, MaskError> {
    let mut reader = read_masks(path)?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next() {
        rows.push((reader.shard().to_owned(), row?));
    }
    Ok(rows)
}
