//! Takes one shard, yields its documents, row by row.
//!
//! ```text
//! file -> compression -> lines -> json_lines -> fields -> Document
//!                     \-> text -----------------------/
//! ```
//!
//! A row that holds no document is a [`Rejection`], with its reason, and the next row follows. A break of the stream
//! itself is a [`ShardError`]; every row that came whole before it is handed out first. Does not search for shards
//! (see [`crate::corpus`]) and knows nothing of tokens beyond lists of their ids.

mod compression;
mod error;
mod fields;
mod json_lines;
mod kind;
mod lines;
mod text;

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use serde::Serialize;
use tokio::fs::File;
use tokio::io::{AsyncRead, ReadBuf};

pub use compression::Compression;
pub use error::ShardError;
pub use kind::Kind;

use crate::corpus::Shard;
use json_lines::JsonLines;
use text::TextFile;

/// What is a document in a shard. Field names may be paths into nested objects: `a.b.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// Where the text stands.
    pub text_field: String,
    /// Where the token ids stand. If set, they are the document, and its text is not looked at.
    pub tokens_field: Option<String>,
    /// Where the document's own id stands, if it has one.
    pub id_field: String,
    /// A document whose line or file is larger (decompressed) is rejected, and never held in memory.
    pub max_document_bytes: usize,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
            tokens_field: None,
            id_field: "id".to_owned(),
            max_document_bytes: 256 << 20,
        }
    }
}

impl ReadOptions {
    fn too_large(&self, what: &str) -> String {
        let most = self.max_document_bytes;
        format!("expected {what} of at most {most} bytes, got a larger one")
    }
}

/// One document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its own id (a string or an integer), else `shard#row`.
    pub id: String,
    /// Its row in the shard, from 0. Rejected rows and blank lines count as well.
    pub row: i64,
    /// What it holds.
    pub content: Content,
}

impl Document {
    fn default_id(shard: &str, row: i64) -> String {
        format!("{shard}#{row}")
    }
}

/// What a document holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Text, still to be cut into tokens.
    Text(String),
    /// Token ids, all within the range of a 32-bit signed integer.
    Tokens(Vec<u32>),
}

/// A row that holds no document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The shard's name.
    pub shard: String,
    /// The row, from 0.
    pub row: i64,
    /// What was expected, what was there, and what to do about it.
    pub reason: String,
}

/// One row of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A row that holds a document.
    Document(Document),
    /// A row that does not.
    Rejected(Rejection),
}

/// Reads one shard. Needs a running tokio runtime, whose other threads the file is read on.
///
/// Holds at most one row (bounded by [`ReadOptions::max_document_bytes`]) beside buffers of fixed size.
pub struct ShardReader {
    path: PathBuf,
    compression: Compression,
    bytes: Arc<AtomicU64>,
    rows: Rows,
    broken: bool,
}

/// One variant for each [`Kind`].
enum Rows {
    JsonLines(JsonLines),
    Text(TextFile),
}

impl ShardReader {
    /// Opens a shard and looks at its first bytes.
    ///
    /// # Errors
    /// Where the file cannot be opened or read.
    pub async fn open(shard: &Shard, options: &ReadOptions) -> Result<Self, ShardError> {
        let cannot_open = |source| ShardError::Open {
            path: shard.path.clone(),
            source,
        };
        let file = File::open(&shard.path).await.map_err(cannot_open)?;
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            inner: file,
            bytes: Arc::clone(&bytes),
        };
        let (compression, plain) = compression::decompress(counted, shard.compression)
            .await
            .map_err(cannot_open)?;
        let (name, options) = (shard.name.clone(), options.clone());
        let rows = match shard.kind {
            Kind::JsonLines => Rows::JsonLines(JsonLines::new(name, options, plain)),
            Kind::Text => Rows::Text(TextFile::new(name, options, plain)),
        };
        Ok(Self {
            path: shard.path.clone(),
            compression,
            bytes,
            rows,
            broken: false,
        })
    }

    /// The next row; nothing at the end, and nothing after an error.
    ///
    /// # Errors
    /// Where the stream breaks: once, after all rows that came whole before the break.
    pub async fn next(&mut self) -> Result<Option<Record>, ShardError> {
        if self.broken {
            return Ok(None);
        }
        let record = match &mut self.rows {
            Rows::JsonLines(rows) => rows.next().await,
            Rows::Text(rows) => rows.next().await,
        };
        record.map_err(|source| {
            self.broken = true;
            self.break_at(source)
        })
    }

    /// How many bytes of the file were read, before decompression: for showing progress against [`Shard::bytes`].
    pub fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn break_at(&self, source: io::Error) -> ShardError {
        let path = self.path.clone();
        let row = match &self.rows {
            Rows::JsonLines(rows) => rows.rows(),
            Rows::Text(rows) => rows.rows(),
        };
        // Decoders make up their errors, the system's have a number.
        if self.compression == Compression::None || source.raw_os_error().is_some() {
            ShardError::Read { path, row, source }
        } else {
            ShardError::Broken {
                path,
                row,
                compression: self.compression,
                source,
            }
        }
    }
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    bytes: Arc<AtomicU64>,
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}
