//! Takes the rows of one shard, yields its mask file: an Arrow IPC stream, under its final name once it is complete.
//! Where it lies among the others is `folder`'s business.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;

use super::batch::{MOST_ID_BYTES, MOST_TOKENS, Pending};
use super::folder::Shared;
use super::{MaskRow, MaskSchema, OutputError, replace};

/// The greatest token id: the masks hold 32-bit signed integers.
const GREATEST_TOKEN: u32 = i32::MAX as u32;

/// Writes one mask file. Blocks, as files do.
///
/// Holds one batch of rows. Until [`finish`](Self::finish) the file has a temporary name, `.<name>.partial`, and it
/// keeps that name where a writer is dropped before.
pub struct MaskWriter {
    folder: Arc<Shared>,
    shard: String,
    path: PathBuf,
    partial: PathBuf,
    scores: Vec<String>,
    masks: Vec<String>,
    pending: Pending,
    stream: StreamWriter<BufWriter<File>>,
}

impl MaskWriter {
    pub(super) fn create(
        folder: Arc<Shared>,
        path: PathBuf,
        shard: &str,
        columns: &MaskSchema,
    ) -> Result<Self, OutputError> {
        let cannot = |path: &Path| {
            let path = path.to_path_buf();
            move |source| OutputError::Create { path, source }
        };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(cannot(parent))?;
        }
        let partial = replace::partial(&path);
        let file = File::create(&partial).map_err(cannot(&partial))?;
        let schema = Arc::new(columns.to_arrow());
        let stream = StreamWriter::try_new(BufWriter::new(file), &schema)
            .map_err(|source| writing(&path, source))?;
        Ok(Self {
            folder,
            shard: shard.to_owned(),
            path,
            partial,
            scores: columns.scores.clone(),
            masks: columns.masks.clone(),
            pending: Pending::new(shard, columns, schema),
            stream,
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Where its lists fit neither one another nor the schema (it is not added then), or the file cannot be written.
    pub fn write(&mut self, row: &MaskRow) -> Result<(), OutputError> {
        self.check(row)?;
        self.pending.push(row);
        if self.pending.is_full() {
            self.write_batch()?;
        }
        Ok(())
    }

    /// Completes the file, gives it its final name, and lists it in the folder's `state.json`.
    ///
    /// # Errors
    /// Where one of these cannot be written.
    pub fn finish(mut self) -> Result<(), OutputError> {
        if !self.pending.is_empty() {
            self.write_batch()?;
        }
        let buffered = self
            .stream
            .into_inner()
            .map_err(|source| writing(&self.path, source))?;
        let file = buffered.into_inner().map_err(|error| OutputError::Write {
            path: self.path.clone(),
            source: error.into_error(),
        })?;
        let bytes = file
            .metadata()
            .and_then(|metadata| {
                replace::complete(&self.partial, &file, &self.path)?;
                Ok(metadata.len())
            })
            .map_err(|source| OutputError::Write {
                path: self.path.clone(),
                source,
            })?;
        self.folder.finished(&self.shard, bytes)
    }

    fn write_batch(&mut self) -> Result<(), OutputError> {
        self.pending
            .take()
            .and_then(|batch| self.stream.write(&batch))
            .and_then(|()| Ok(self.stream.get_mut().flush()?))
            .map_err(|source| writing(&self.path, source))
    }

    fn check(&self, row: &MaskRow) -> Result<(), OutputError> {
        let unfit = |what: String, expected: usize, got: usize| OutputError::Row {
            shard: self.shard.clone(),
            row: row.row,
            what,
            expected,
            got,
        };
        let tokens = row.input_ids.len();
        let counts = [
            ("lists of scores", self.scores.len(), row.scores.len()),
            ("lists of masks", self.masks.len(), row.masks.len()),
        ];
        for (what, expected, got) in counts {
            if expected != got {
                return Err(unfit(what.to_owned(), expected, got));
            }
        }
        let scores = self.scores.iter().zip(row.scores.iter().map(Vec::len));
        let masks = self.masks.iter().zip(row.masks.iter().map(Vec::len));
        for (name, got) in scores.chain(masks) {
            if got != tokens {
                return Err(unfit(
                    format!("items of {name:?}, as many as tokens"),
                    tokens,
                    got,
                ));
            }
        }
        if tokens > MOST_TOKENS {
            return Err(unfit("tokens at most".to_owned(), MOST_TOKENS, tokens));
        }
        if row.id.len() > MOST_ID_BYTES {
            return Err(unfit(
                "bytes of id at most".to_owned(),
                MOST_ID_BYTES,
                row.id.len(),
            ));
        }
        match row.input_ids.iter().find(|token| **token > GREATEST_TOKEN) {
            Some(token) => Err(OutputError::Token {
                shard: self.shard.clone(),
                row: row.row,
                token: *token,
            }),
            None => Ok(()),
        }
    }
}

/// An error of the Arrow writer; where it is one of the file, as that.
fn writing(path: &Path, source: ArrowError) -> OutputError {
    let path = path.to_path_buf();
    match source {
        ArrowError::IoError(_, source) => OutputError::Write { path, source },
        source => OutputError::Encode { path, source },
    }
}
