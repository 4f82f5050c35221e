//! Errors of a whole shard. Those of one row are [`super::Rejection`]s.

use std::io;
use std::path::PathBuf;

use super::{Compression, Kind};

/// Why a shard could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// The file cannot be opened.
    #[error("{}: cannot be opened", .path.display())]
    Open {
        /// The shard.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// The compressed stream is truncated or damaged.
    #[error("{} row {row}: expected a whole {compression} stream, got a broken one", .path.display())]
    Broken {
        /// The shard.
        path: PathBuf,
        /// The first row that could not be read; the rows before it were yielded.
        row: i64,
        /// The compression, as detected.
        compression: Compression,
        /// The decoder's error.
        source: io::Error,
    },

    /// The file is truncated or damaged, and the compression is not the cause.
    #[error("{} row {row}: expected a whole {kind}, got a broken one", .path.display())]
    Damaged {
        /// The shard.
        path: PathBuf,
        /// The first row that could not be read; the rows before it were yielded.
        row: i64,
        /// The kind of the file, as detected.
        kind: Kind,
        /// The reader's error.
        source: io::Error,
    },

    /// The file is in a form that is not read.
    #[error("{} row {row}: cannot be read", .path.display())]
    Unsupported {
        /// The shard.
        path: PathBuf,
        /// The first row that could not be read; the rows before it were yielded.
        row: i64,
        /// What it is.
        source: UnsupportedForm,
    },

    /// Reading failed before the end of the file.
    #[error("{} row {row}: cannot be read further", .path.display())]
    Read {
        /// The shard.
        path: PathBuf,
        /// The first row that could not be read; the rows before it were yielded.
        row: i64,
        /// The system's error.
        source: io::Error,
    },
}

impl ShardError {
    /// The first row that could not be read; the rows before it were yielded.
    pub fn row(&self) -> i64 {
        match self {
            Self::Open { .. } => 0,
            Self::Broken { row, .. }
            | Self::Damaged { row, .. }
            | Self::Unsupported { row, .. }
            | Self::Read { row, .. } => *row,
        }
    }
}

/// A form of a known format that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedForm {
    /// The first version of Feather, which is not Arrow IPC.
    #[error("expected Feather version 2 (an Arrow file), got Feather version 1")]
    Feather1,
    /// Parquet with an encrypted footer.
    #[error("expected a Parquet file with a plain footer, got an encrypted one")]
    EncryptedFooter,
    /// Parquet with a plain footer and encrypted columns.
    #[error("expected a Parquet file with plain columns, got encrypted ones")]
    EncryptedColumns,
    /// Zstandard that needs more memory than its own tools have.
    #[error("expected zstd frames with windows of at most 2 GiB, got a larger one")]
    ZstdWindow,
}

/// An error for such a form.
pub(crate) fn unsupported(form: UnsupportedForm) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, form)
}

/// An error in the bytes of a format that this crate found itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(String);

/// An error for damaged bytes.
pub(crate) fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Malformed(what.into()))
}

/// An error for a file that ends too early.
pub(crate) fn cut_short(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, Malformed(what.into()))
}
