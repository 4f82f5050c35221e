//! What can be wrong with a whole shard. What is wrong with one row is a [`super::Rejection`].

use std::io;
use std::path::PathBuf;

use super::{Compression, Kind};

/// Why a shard could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ShardError {
    /// It cannot be opened.
    #[error("{}: cannot be opened", .path.display())]
    Open {
        /// The shard.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// Its compressed stream is cut short or damaged.
    #[error("{} row {row}: expected a whole {compression} stream, got a broken one", .path.display())]
    Broken {
        /// The shard.
        path: PathBuf,
        /// The first row that could not be read; the rows before it were handed out.
        row: i64,
        /// What the stream is, or was taken to be.
        compression: Compression,
        /// What the decoder said.
        source: io::Error,
    },

    /// It is cut short or damaged, and that is not the compression's doing.
    #[error("{} row {row}: expected a whole {kind}, got a broken one", .path.display())]
    Damaged {
        /// The shard.
        path: PathBuf,
        /// The first row that could not be read; the rows before it were handed out.
        row: i64,
        /// What the file is, or was taken to be.
        kind: Kind,
        /// What its reader said.
        source: io::Error,
    },

    /// The system could not read on.
    #[error("{} row {row}: cannot be read on", .path.display())]
    Read {
        /// The shard.
        path: PathBuf,
        /// The first row that could not be read; the rows before it were handed out.
        row: i64,
        /// What the system said.
        source: io::Error,
    },
}

impl ShardError {
    /// The first row that could not be read; the rows before it were handed out.
    pub fn row(&self) -> i64 {
        match self {
            Self::Open { .. } => 0,
            Self::Broken { row, .. } | Self::Damaged { row, .. } | Self::Read { row, .. } => *row,
        }
    }
}

/// What is wrong with the bytes of a format, as far as this crate found it itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(String);

/// Damage.
pub(crate) fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Malformed(what.into()))
}

/// An end that comes too early.
pub(crate) fn cut_short(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, Malformed(what.into()))
}
