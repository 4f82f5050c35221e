//! Takes one shard, yields its documents, row by row.
//!
//! ```text
//! file -> compression -> lines -> json_lines -> fields -> Document
//!                     |       \-> text_lines ---------/
//!                     \-> text -----------------------/
//!                     \-> tar -> fields --------------/
//! file -> ranges -> parquet, arrow -> cell -> worker -/
//! ```
//!
//! A row that holds no document is a [`Rejection`], with its reason, and the next row follows. A break of the stream
//! itself is a [`ShardError`]; every row that came whole before it is handed out first. Does not search for shards
//! (see [`crate::corpus`]) and knows nothing of tokens beyond lists of their ids.

mod arrow;
mod cell;
mod compression;
mod error;
mod fields;
mod json_lines;
mod kind;
mod lines;
mod parquet;
mod peek;
mod ranges;
mod reader;
mod tar;
mod text;
mod text_lines;
mod worker;

use serde::Serialize;

pub use compression::Compression;
pub use error::ShardError;
pub use kind::Kind;
pub use reader::ShardReader;

/// What is a document in a shard. Field names may be paths into nested objects: `a.b.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// Where the text stands.
    pub text_field: String,
    /// Where the token ids stand. If set, they are the document, and its text is not looked at.
    pub tokens_field: Option<String>,
    /// Where the document's own id stands, if it has one.
    pub id_field: String,
    /// Where the document says which source it is from, if that is asked for.
    pub source_field: Option<String>,
    /// Text files hold a document per line, not one each.
    pub lines: bool,
    /// A document whose line or file is larger (decompressed) is rejected, and never held in memory.
    pub max_document_bytes: usize,
    /// What these options are called where they were set.
    pub names: OptionNames,
}

/// What a person calls options, for messages that say which one to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionNames {
    /// [`ReadOptions::text_field`].
    pub text_field: &'static str,
    /// [`ReadOptions::tokens_field`].
    pub tokens_field: &'static str,
}

impl Default for OptionNames {
    fn default() -> Self {
        Self {
            text_field: "text_field",
            tokens_field: "tokens_field",
        }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
            tokens_field: None,
            id_field: "id".to_owned(),
            source_field: None,
            lines: false,
            max_document_bytes: 256 << 20,
            names: OptionNames::default(),
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
    /// Where it says it is from, if that was asked for and it does.
    pub source: Option<String>,
}

/// What a document says of itself beside what it holds.
#[derive(Debug, Default)]
struct Said {
    id: Option<String>,
    source: Option<String>,
}

impl Document {
    pub(crate) fn default_id(shard: &str, row: i64) -> String {
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

impl ReadOptions {
    /// Why a text that has no fields is no list of token ids, if one is wanted.
    fn no_tokens_in_text(&self) -> Option<String> {
        let option = self.names.tokens_field;
        self.tokens_field.as_ref().map(|field| {
            format!("expected a field {field:?}, got a text file, which has no fields (leave out {option})")
        })
    }
}

/// One row of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A row that holds a document.
    Document(Document),
    /// A row that does not.
    Rejected(Rejection),
}

impl Record {
    pub(crate) fn row(&self) -> i64 {
        match self {
            Self::Document(document) => document.row,
            Self::Rejected(rejection) => rejection.row,
        }
    }

    /// The record of one row, from what its document says of itself and holds; or from why it holds nothing.
    fn of(shard: &str, row: i64, document: Result<(Said, Content), String>) -> Self {
        match document {
            Ok((Said { id, source }, content)) => Self::Document(Document {
                id: id.unwrap_or_else(|| Document::default_id(shard, row)),
                row,
                content,
                source,
            }),
            Err(reason) => Self::Rejected(Rejection {
                shard: shard.to_owned(),
                row,
                reason,
            }),
        }
    }
}
