//! Takes the rows of one shard, or of several that share a file (`of_shard`), yields their mask file: an Arrow IPC stream that gets its final name once it is complete,
//! or is then rewritten in another format (`rewrite`). A large one is split into several files, between two record batches.
//! `folder` keeps the list of all files.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::ArrowError;
use rho_files::{Folder, InsidePath};
use serde::{Deserialize, Serialize};

use super::batch::Pending;
use super::encode::{END, Encoder};
use super::frames::Frames;
use super::names::{file_names, partial, rewritten};
use super::rewrite::{longer, rewrite};
use super::{FileFormat, MaskRow, MaskSchema, OutputError, Storage};

/// How a mask file is stored; no option changes a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// The format and the compression.
    pub storage: Storage,
    /// A file that would exceed this is continued in another. Of Parquet it is the size before its compression.
    pub file_bytes: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            storage: Storage::default(),
            file_bytes: 1 << 30,
        }
    }
}

/// A complete file of a masks folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskFile {
    /// The path in the folder.
    pub name: InsidePath,
    /// The size of the file.
    pub bytes: u64,
    /// Whether it was rewritten from a stream, and so has another temporary name than a stream.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rewritten: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// Writes the mask file of one shard. Blocks on file I/O.
///
/// Holds one batch of rows. Until [`publish`](super::MasksFolder::publish) the files have temporary names,
/// `.<name>.partial`, which they keep if the writer is dropped before.
pub struct MaskWriter {
    folder: Folder,
    shard: InsidePath,
    columns: MaskSchema,
    options: WriteOptions,
    encoder: Encoder,
    pending: Pending,
    /// Bytes of each file so far; only the last one grows.
    files: Vec<u64>,
    /// Record batches in the last of them, where the format's footer lists them.
    batches: u64,
    file: File,
}

impl MaskWriter {
    /// Starts a shard's first file, in place of a leftover with its temporary name.
    pub(super) fn create(
        folder: &Folder,
        shard: &InsidePath,
        columns: &MaskSchema,
        options: WriteOptions,
    ) -> Result<Self, OutputError> {
        let file = make(folder, &partial(shard, 0))?;
        let mut writer = Self::with(folder, shard, columns, options, file, vec![0])?;
        let schema = writer.encoder.schema().to_vec();
        writer.put(&schema)?;
        Ok(writer)
    }

    /// Resumes after the first bytes of each file; `None` if they are missing.
    pub(super) fn resume(
        folder: &Folder,
        shard: &InsidePath,
        columns: &MaskSchema,
        options: WriteOptions,
        files: &[u64],
    ) -> Result<Option<Self>, OutputError> {
        let mut last = None;
        for (i, &bytes) in files.iter().enumerate() {
            let name = partial(shard, i);
            let wrong = |source| OutputError::Write {
                path: folder.path().join(&name),
                source,
            };
            let mut file = match folder.update(&name) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(wrong(source)),
            };
            if file.metadata().map_err(wrong)?.len() < bytes {
                return Ok(None);
            }
            file.set_len(bytes)
                .and_then(|()| file.seek(SeekFrom::End(0)))
                .map_err(wrong)?;
            last = Some(file);
        }
        let Some(file) = last else { return Ok(None) };
        let mut writer = Self::with(folder, shard, columns, options, file, files.to_vec())?;
        if options.storage.format == FileFormat::ArrowFile {
            writer.batches = writer.count_batches()?;
        }
        Ok(Some(writer))
    }

    /// The record batches of the last file.
    fn count_batches(&self) -> Result<u64, OutputError> {
        let path = self.path();
        let name = partial(&self.shard, self.files.len() - 1);
        let file = self
            .folder
            .open(&name)
            .map_err(|source| OutputError::Read {
                path: path.clone(),
                source,
            })?;
        let bytes = self.files.last().copied().unwrap_or(0);
        let count = || -> Result<u64, ArrowError> {
            let mut frames = Frames::open_beginning(file, bytes)?;
            let mut batches = 0;
            while frames.left() > 0 && frames.skip()?.is_some() {
                batches += 1;
            }
            Ok(batches)
        };
        count().map_err(|source| writing(&path, source))
    }

    fn with(
        folder: &Folder,
        shard: &InsidePath,
        columns: &MaskSchema,
        options: WriteOptions,
        file: File,
        files: Vec<u64>,
    ) -> Result<Self, OutputError> {
        let schema = Arc::new(columns.to_arrow());
        let encoder = Encoder::new(&schema, options.storage.compression)
            .map_err(|source| writing(&folder.path().join(shard), source))?;
        Ok(Self {
            folder: folder.clone(),
            shard: shard.clone(),
            columns: columns.clone(),
            options,
            encoder,
            pending: Pending::new(shard, columns, schema),
            files,
            batches: 0,
            file,
        })
    }

    /// Sets the shard of the rows to come, if several shards share the file. It starts as the one that the file is named
    /// after.
    pub fn of_shard(&mut self, shard: &str) {
        self.pending.of_shard(shard);
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If its lists do not match each other and the schema (then it is not added), or the file cannot be written.
    pub fn write(&mut self, row: &MaskRow) -> Result<(), OutputError> {
        self.columns.check(self.pending.shard(), row)?;
        self.pending.push(row);
        if self.pending.is_full() {
            self.write_batch()?;
        }
        Ok(())
    }

    /// Ends the record batch, and syncs everything. Returns the bytes of each file, as
    /// [`resume`](super::MasksFolder::resume) needs them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn sync(&mut self) -> Result<Vec<u64>, OutputError> {
        if !self.pending.is_empty() {
            self.write_batch()?;
        }
        self.file
            .sync_data()
            .map_err(|source| self.cannot_write(source))?;
        Ok(self.files.clone())
    }

    /// Completes the files, still under temporary names. Those of another format than a stream are written here; the
    /// streams stay until [`publish`](super::MasksFolder::publish).
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn finish(mut self) -> Result<Vec<MaskFile>, OutputError> {
        if !self.pending.is_empty() {
            self.write_batch()?;
        }
        self.put(&END)?;
        self.file
            .sync_all()
            .map_err(|source| self.cannot_write(source))?;
        let storage = self.options.storage;
        let names = file_names(&self.shard, self.files.len(), storage.format);
        let files = names.into_iter().zip(self.files).enumerate();
        files
            .map(|(i, (name, bytes))| {
                let (from, to) = (partial(&self.shard, i), rewritten(&self.shard, i));
                let is_stream = storage.format == FileFormat::ArrowStream;
                Ok(MaskFile {
                    name: InsidePath::new(name)?,
                    bytes: match is_stream {
                        true => bytes,
                        false => rewrite(&self.folder, &from, &to, storage)?,
                    },
                    rewritten: !is_stream,
                })
            })
            .collect()
    }

    fn write_batch(&mut self) -> Result<(), OutputError> {
        let batch = self.pending.take();
        let bytes = batch.and_then(|batch| self.encoder.batch(&batch));
        let bytes = bytes.map_err(|source| writing(&self.path(), source))?;
        let so_far = self.files.last().copied().unwrap_or(0);
        let schema = self.encoder.schema().to_vec();
        let format = self.options.storage.format;
        let would_be = so_far
            + (bytes.len() + END.len()) as u64
            + longer(format, schema.len() as u64, self.batches + 1);
        if would_be > self.options.file_bytes && so_far > schema.len() as u64 {
            self.put(&END)?;
            self.file
                .sync_all()
                .map_err(|source| self.cannot_write(source))?;
            self.file = make(&self.folder, &partial(&self.shard, self.files.len()))?;
            self.files.push(0);
            self.batches = 0;
            self.put(&schema)?;
        }
        self.batches += 1;
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.file
            .write_all(bytes)
            .map_err(|source| self.cannot_write(source))?;
        if let Some(last) = self.files.last_mut() {
            *last += bytes.len() as u64;
        }
        Ok(())
    }

    fn path(&self) -> PathBuf {
        let name = partial(&self.shard, self.files.len() - 1);
        self.folder.path().join(name)
    }

    fn cannot_write(&self, source: io::Error) -> OutputError {
        OutputError::Write {
            path: self.path(),
            source,
        }
    }
}

fn make(folder: &Folder, name: &str) -> Result<File, OutputError> {
    folder.create(name).map_err(|source| OutputError::Create {
        path: folder.path().join(name),
        source,
    })
}

/// An error of the Arrow writer; an I/O error inside it becomes that of the file.
pub(crate) fn writing(path: &Path, source: ArrowError) -> OutputError {
    let path = path.to_path_buf();
    match source {
        ArrowError::IoError(_, source) => OutputError::Write { path, source },
        source => OutputError::Encode { path, source },
    }
}
