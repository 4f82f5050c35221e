//! Takes the rows of one shard, or of several that share a file (`of_shard`), yields their mask file: an Arrow IPC stream that gets its final name once it is complete.
//! A large one is split into several files, between two record batches. `folder` keeps the list of all files.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::ArrowError;
use rho_files::{Folder, InsidePath};
use serde::{Deserialize, Serialize};

use super::batch::Pending;
use super::encode::{BatchCompression, END, Encoder};
use super::names::{file_stem, mask_file_name};
use super::{MaskRow, MaskSchema, OutputError};

/// How a mask file is stored; no option changes a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// The compression of the record batches.
    pub compression: BatchCompression,
    /// A file that would exceed this is continued in another.
    pub file_bytes: u64,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            compression: BatchCompression::None,
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
        last.map(|file| Self::with(folder, shard, columns, options, file, files.to_vec()))
            .transpose()
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
        let encoder = Encoder::new(&schema, options.compression)
            .map_err(|source| writing(&folder.path().join(shard), source))?;
        Ok(Self {
            folder: folder.clone(),
            shard: shard.clone(),
            columns: columns.clone(),
            options,
            encoder,
            pending: Pending::new(shard, columns, schema),
            files,
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

    /// Completes the files, still under their temporary names.
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
        let names = file_names(&self.shard, self.files.len());
        let files = names.into_iter().zip(self.files);
        files
            .map(|(name, bytes)| {
                let name = InsidePath::new(name)?;
                Ok(MaskFile { name, bytes })
            })
            .collect()
    }

    fn write_batch(&mut self) -> Result<(), OutputError> {
        let batch = self.pending.take();
        let bytes = batch.and_then(|batch| self.encoder.batch(&batch));
        let bytes = bytes.map_err(|source| writing(&self.path(), source))?;
        let so_far = self.files.last().copied().unwrap_or(0);
        let schema = self.encoder.schema().to_vec();
        let would_be = so_far + (bytes.len() + END.len()) as u64;
        if would_be > self.options.file_bytes && so_far > schema.len() as u64 {
            self.put(&END)?;
            self.file
                .sync_all()
                .map_err(|source| self.cannot_write(source))?;
            self.file = make(&self.folder, &partial(&self.shard, self.files.len()))?;
            self.files.push(0);
            self.put(&schema)?;
        }
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

/// The names of a shard's files in the folder: without a number if there is one.
pub(super) fn file_names(shard: &str, files: usize) -> Vec<String> {
    if files == 1 {
        return vec![mask_file_name(shard)];
    }
    let stem = file_stem(shard);
    (0..files).map(|i| format!("{stem}.{i:05}.arrow")).collect()
}

/// The name of file `i` of a shard until it is complete.
pub(super) fn partial(shard: &str, i: usize) -> String {
    Folder::partial(&match i {
        0 => mask_file_name(shard),
        i => format!("{}.{i:05}.arrow", file_stem(shard)),
    })
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
