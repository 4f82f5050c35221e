//! Takes a mask file of any format, yields its schema and record batches: the one place that knows how many formats there
//! are. What a file is stands in its first bytes; its name says nothing.

use std::fs::File;
use std::io::{Read, Seek};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, SchemaRef};

use super::answers::Answers;
use super::frames::{FILE_MAGIC, Frames};
use super::parquet_rows::{MAGIC, ParquetRows};

/// The record batches of one file.
pub(super) enum Batches {
    /// An Arrow stream, or an Arrow file.
    Arrow(Frames),
    Parquet(Box<ParquetRows>),
    /// Answers to rows, in a file of any format.
    Answers(Box<Answers>),
}

impl Batches {
    /// Reads the schema.
    pub(super) fn open(mut file: File) -> Result<Self, ArrowError> {
        let mut head = Vec::new();
        (&mut file)
            .take(FILE_MAGIC.len() as u64)
            .read_to_end(&mut head)?;
        file.rewind()?;
        if head == FILE_MAGIC {
            Frames::open_file(file).map(Self::Arrow)
        } else if head.starts_with(MAGIC) {
            ParquetRows::open(file).map(|rows| Self::Parquet(Box::new(rows)))
        } else {
            Frames::open(file).map(Self::Arrow)
        }
    }

    /// Opens the first `bytes` bytes of a file that is still being written, which is a stream.
    pub(super) fn open_beginning(file: File, bytes: u64) -> Result<Self, ArrowError> {
        Frames::open_beginning(file, bytes).map(Self::Arrow)
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        match self {
            Self::Arrow(frames) => frames.schema(),
            Self::Parquet(rows) => rows.schema(),
            Self::Answers(answers) => answers.schema(),
        }
    }

    /// The unread bytes of the file.
    pub(super) fn left(&self) -> u64 {
        match self {
            Self::Arrow(frames) => frames.left(),
            Self::Parquet(rows) => rows.left(),
            Self::Answers(answers) => answers.left(),
        }
    }

    /// Whether the buffers of the last batch read are compressed, as the record batches of Arrow are.
    pub(super) fn compressed(&self) -> bool {
        match self {
            Self::Arrow(frames) => frames.compressed(),
            Self::Parquet(_) | Self::Answers(_) => false,
        }
    }

    /// The next batch; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        self.next_of(None)
    }

    /// The next batch with only the columns at these indices, in ascending order.
    pub(super) fn next_of(
        &mut self,
        only: Option<&[usize]>,
    ) -> Result<Option<RecordBatch>, ArrowError> {
        match self {
            Self::Arrow(frames) => frames.next_of(only),
            Self::Parquet(rows) => rows.next_of(only),
            Self::Answers(answers) => answers.next_of(only),
        }
    }

    /// Skips the next batch and returns its number of rows; none at the end.
    pub(super) fn skip(&mut self) -> Result<Option<usize>, ArrowError> {
        match self {
            Self::Arrow(frames) => frames.skip(),
            Self::Parquet(rows) => rows.skip(),
            Self::Answers(answers) => answers.skip(),
        }
    }
}
