//! What can be wrong with a masks folder: on writing it, and on reading one back.

use std::io;
use std::path::PathBuf;

use arrow_schema::{ArrowError, DataType};

use super::schema::METADATA_KEY;

/// Why masks could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The folder's place is taken.
    #[error("{}: expected a folder, got something else", .path.display())]
    NotAFolder {
        /// The place.
        path: PathBuf,
    },

    /// The folder holds something.
    #[error("{}: expected an empty folder, found {} in it", .path.display(), .entry.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// One of the things in it.
        entry: PathBuf,
    },

    /// A folder or file that cannot be made.
    #[error("{}: cannot be made", .path.display())]
    Create {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file that cannot be written.
    #[error("{}: cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file that cannot be read back.
    #[error("{}: cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// Whoever read the stream wants no more of it.
    #[error("standard output: nobody reads it any more")]
    ReaderGone {
        /// What the system said.
        source: io::Error,
    },

    /// Rows that are no Arrow.
    #[error("{}: cannot be put into Arrow", .path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What Arrow said.
        source: ArrowError,
    },

    /// The name of a shard that cannot name a file in the folder.
    #[error("shard {name:?}: expected a relative path that stays in its folder")]
    ShardName {
        /// The name.
        name: String,
    },

    /// Two columns of one name.
    #[error("column {name:?}: expected a name of its own, got one of another column")]
    ColumnTwice {
        /// The name.
        name: String,
    },

    /// A row that does not fit.
    #[error("{shard} row {row}: expected {expected} {what}, got {got}")]
    Row {
        /// The shard's name.
        shard: String,
        /// The row.
        row: i64,
        /// What was counted.
        what: String,
        /// How many there should have been.
        expected: usize,
        /// How many there were.
        got: usize,
    },

    /// A token id that does not fit into 32 bits with a sign.
    #[error(
        "{shard} row {row}: expected token ids of at most {}, got {token}",
        i32::MAX
    )]
    Token {
        /// The shard's name.
        shard: String,
        /// The row.
        row: i64,
        /// The id.
        token: u32,
    },

    /// A token id that the type of ids in the file does not hold.
    #[error("{}: expected token ids from 0 to {largest}, got {token}", .path.display())]
    TooWide {
        /// The file.
        path: PathBuf,
        /// The id.
        token: i32,
        /// The largest that fits.
        largest: i32,
    },

    /// More than the format of a file can count.
    #[error("{}: expected at most {most} {what}, got more", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is counted.
        what: &'static str,
        /// The most that it counts.
        most: u64,
    },
}

/// Why masks could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// A file that cannot be read.
    #[error("{}: cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },

    /// A file that is no Arrow stream, or a broken one.
    #[error("{}: expected an Arrow IPC stream, got something else or a broken one", .path.display())]
    Arrow {
        /// The file.
        path: PathBuf,
        /// What Arrow said.
        source: ArrowError,
    },

    /// JSON that is none, or not what it should be.
    #[error("{}: expected {expected}, got something else", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },

    /// A folder that lists a file which is not in it.
    #[error("{}: expected names of files in this folder, got {name:?}", .path.display())]
    Outside {
        /// The list.
        path: PathBuf,
        /// The name.
        name: String,
    },

    /// A folder that lists no file.
    #[error("{}: expected mask files, found none listed in state.json", .path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },

    /// An Arrow file that says nothing of masks.
    #[error("{}: expected metadata under {METADATA_KEY:?}, found none", .path.display())]
    NotMasks {
        /// The file.
        path: PathBuf,
    },

    /// A file whose columns or metadata differ from those of the folder's first.
    #[error("{}: expected the columns and metadata of the folder's first file", .path.display())]
    OtherSchema {
        /// The file.
        path: PathBuf,
    },

    /// A column that is missing or of another type.
    #[error("{}: expected column {column:?} of type {expected}", .path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: &'static str,
        /// The type it should have.
        expected: DataType,
    },

    /// A column that was asked for by its name and is not there.
    #[error("{}: expected a column {column:?} of numbers or masks, as asked for, found none", .path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
    },

    /// A file whose documents cannot be read one by one.
    #[error("{}: expected record batches as they are, got compressed ones", .path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
    },

    /// A row whose lists do not fit one another.
    #[error("{} row {row}: expected {expected}, got something else", .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row, counted in the file.
        row: usize,
        /// What it should be.
        expected: &'static str,
    },
}
