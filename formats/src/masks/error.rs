//! Errors of writing a masks folder and of reading one.

use std::io;
use std::path::PathBuf;

use arrow_schema::{ArrowError, DataType};
use rho_files::LeadsOutside;

use super::schema::METADATA_KEY;

/// Why masks could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The path exists and is not a folder.
    #[error("{}: expected a folder, got something else", .path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },

    /// The folder is not empty.
    #[error("{}: expected an empty folder, found {} in it", .path.display(), .entry.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
        /// One of its entries.
        entry: PathBuf,
    },

    /// A folder or file that cannot be created.
    #[error("{}: cannot be created", .path.display())]
    Create {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// A file that cannot be written.
    #[error("{}: cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// A file that cannot be read back.
    #[error("{}: cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// The reader of the stream closed it.
    #[error("standard output: its reader closed it")]
    ReaderGone {
        /// The system's error.
        source: io::Error,
    },

    /// Rows that cannot be encoded in Arrow.
    #[error("{}: cannot be encoded in Arrow", .path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Arrow's error.
        source: ArrowError,
    },

    /// The name of a shard that cannot name a file in the folder.
    #[error("shard {name:?}: expected a relative path that stays in its folder")]
    ShardName {
        /// The name.
        name: String,
    },

    /// Two columns with the same name.
    #[error("column {name:?}: expected a unique name, got that of another column")]
    ColumnTwice {
        /// The name.
        name: String,
    },

    /// A row that does not match the schema.
    #[error("{shard} row {row}: expected {expected} {what}, got {got}")]
    Row {
        /// The shard's name.
        shard: String,
        /// The row number.
        row: i64,
        /// The thing that was counted.
        what: String,
        /// The expected number.
        expected: usize,
        /// The actual number.
        got: usize,
    },

    /// A token id that does not fit into a signed 32-bit integer.
    #[error(
        "{shard} row {row}: expected token ids of at most {}, got {token}",
        i32::MAX
    )]
    Token {
        /// The shard's name.
        shard: String,
        /// The row number.
        row: i64,
        /// The id.
        token: u32,
    },

    /// A token id that does not fit into the file's type of ids.
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
        /// The thing that is counted.
        what: &'static str,
        /// The largest number the format can count.
        most: u64,
    },
}

impl From<LeadsOutside> for OutputError {
    fn from(LeadsOutside { name }: LeadsOutside) -> Self {
        Self::ShardName { name }
    }
}

/// Why masks could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// A file that cannot be read.
    #[error("{}: cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },

    /// A file in none of the formats of masks, or a broken one.
    #[error("{}: expected masks as an Arrow stream or file, or Parquet, got something else or a broken one", .path.display())]
    Arrow {
        /// The file.
        path: PathBuf,
        /// The reader's error.
        source: ArrowError,
    },

    /// Invalid JSON, or not the expected one.
    #[error("{}: expected {expected}, got something else", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: &'static str,
        /// The parser's error.
        source: serde_json::Error,
    },

    /// A folder that lists a file outside it.
    #[error("{}: cannot be used", .path.display())]
    Outside {
        /// The list.
        path: PathBuf,
        /// The name.
        source: LeadsOutside,
    },

    /// A folder that lists no file.
    #[error("{}: expected mask files, found none listed in state.json", .path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },

    /// An Arrow file without metadata of masks.
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

    /// A column of answers to rows that is missing or of another type.
    #[error("{}: expected column {column:?} of type {expected}, got {got}", .path.display())]
    AnswerColumn {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// The type it should have.
        expected: DataType,
        /// The type it has.
        got: String,
    },

    /// A column that was requested by name and is missing.
    #[error("{}: expected the requested column {column:?} of numbers or masks, found none", .path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
    },

    /// A file whose documents cannot be read one by one.
    #[error("{}: expected uncompressed record batches, got compressed ones", .path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
    },

    /// A Parquet file, whose documents cannot be read one by one.
    #[error("{}: expected an Arrow stream or file, whose documents are read one by one, got Parquet", .path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
    },

    /// A row whose lists do not match each other.
    #[error("{} row {row}: expected {expected}, got something else", .path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row number in the file.
        row: usize,
        /// The expected content.
        expected: &'static str,
    },
}
