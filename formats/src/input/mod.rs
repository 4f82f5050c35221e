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
//! A row without a document becomes a [`Rejection`] with its reason, and reading continues with the next row. If the
//! stream itself breaks, that is a [`ShardError`]; every complete row before it is yielded first. [`crate::corpus`]
//! finds the shards. Nothing here knows more of tokens than lists of their ids.

mod arrow;
mod cell;
mod compression;
mod error;
mod fields;
mod json_lines;
mod json_values;
mod kind;
mod lines;
mod other_fields;
pub(crate) mod parquet;
mod peek;
pub(crate) mod ranges;
mod reader;
mod sample;
mod streams;
mod tar;
mod text;
mod text_lines;
mod worker;

use serde::Serialize;

pub use compression::Compression;
pub use error::{ShardError, UnsupportedForm};
pub use kind::Kind;
pub use reader::ShardReader;
pub use sample::Sample;

/// Which fields of a row make a document. Field names may be paths into nested objects: `a.b.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// The field with the text.
    pub text_field: String,
    /// The field with the token ids. If set, they are the document, and the text is ignored.
    pub tokens_field: Option<String>,
    /// The field with a number for the document, or with a list of one for each of its tokens. If set, these are the
    /// document, and text and token ids are ignored.
    pub numbers_field: Option<String>,
    /// The field with the document's own id; it may be missing.
    pub id_field: String,
    /// The field with the document's source, if it is wanted.
    pub source_field: Option<String>,
    /// Read text files as one document per line, not per file.
    pub lines: bool,
    /// The largest line or file of a document, decompressed. A larger one is rejected and never held in memory.
    pub max_document_bytes: usize,
    /// The rows to read, if not all. The others are neither documents nor rejections.
    pub sample: Option<Sample>,
    /// The names of these options for the user.
    pub names: OptionNames,
}

/// The names of options for the user, in messages that say which one to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionNames {
    /// [`ReadOptions::text_field`].
    pub text_field: &'static str,
    /// [`ReadOptions::tokens_field`].
    pub tokens_field: &'static str,
    /// [`ReadOptions::numbers_field`].
    pub numbers_field: &'static str,
}

impl Default for OptionNames {
    fn default() -> Self {
        Self {
            text_field: "text_field",
            tokens_field: "tokens_field",
            numbers_field: "numbers_field",
        }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
            tokens_field: None,
            numbers_field: None,
            id_field: "id".to_owned(),
            source_field: None,
            lines: false,
            max_document_bytes: 256 << 20,
            sample: None,
            names: OptionNames::default(),
        }
    }
}

/// What the content of a document is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Tokens,
    Numbers,
}

/// The field with the content of a document.
#[derive(Debug, Clone, Copy)]
struct ContentField<'a> {
    form: Form,
    path: &'a str,
    /// The option that names it.
    option: &'static str,
    /// What it should hold, in messages.
    expected: &'static str,
}

impl ReadOptions {
    fn content_field(&self) -> ContentField<'_> {
        let names = self.names;
        let (form, path, option, expected) = match (&self.numbers_field, &self.tokens_field) {
            (Some(path), _) => (
                Form::Numbers,
                path,
                names.numbers_field,
                "a number, or a list of numbers",
            ),
            (None, Some(path)) => (
                Form::Tokens,
                path,
                names.tokens_field,
                "a list of token ids",
            ),
            (None, None) => (Form::Text, &self.text_field, names.text_field, "a string"),
        };
        ContentField {
            form,
            path,
            option,
            expected,
        }
    }

    fn too_large(&self, what: &str) -> String {
        let most = self.max_document_bytes;
        format!("expected {what} of at most {most} bytes, got a larger one")
    }
}

/// One document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The document's own id (a string or an integer), else `shard#row`.
    pub id: String,
    /// Row number in the shard, from 0. Rejected rows and blank lines count as well.
    pub row: i64,
    /// The text or the token ids.
    pub content: Content,
    /// The document's source, if it is wanted and the row has it.
    pub source: Option<String>,
}

/// The metadata of a document.
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

/// The content of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text that is not yet tokenized.
    Text(String),
    /// Token ids, all within the range of a 32-bit signed integer.
    Tokens(Vec<u32>),
    /// A number, or several.
    Numbers(Numbers),
}

/// The numbers of a document: finite, and rounded to 32 bits.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// There is none: null.
    Null,
    /// One for the document.
    One(f32),
    /// One for each token; NaN for null.
    Each(Vec<f32>),
}

impl Content {
    /// About how many bytes it takes in memory.
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Tokens(tokens) => size_of_val(tokens.as_slice()),
            Self::Numbers(Numbers::Each(numbers)) => size_of_val(numbers.as_slice()),
            Self::Numbers(_) => size_of::<f32>(),
        }
    }
}

/// A row without a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The shard's name.
    pub shard: String,
    /// The row number, from 0.
    pub row: i64,
    /// What was expected, what was found, and what to do about it.
    pub reason: String,
}

impl ReadOptions {
    /// The reason to reject a plain text if a field is wanted.
    fn no_fields_in_text(&self) -> Option<String> {
        let field = self.content_field();
        let (path, option) = (field.path, field.option);
        (field.form != Form::Text).then(|| {
            format!("expected a field {path:?}, got a text file, which has no fields (leave out {option})")
        })
    }
}

/// One row of a shard.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A row with a document.
    Document(Document),
    /// A row without one.
    Rejected(Rejection),
}

impl Record {
    pub(crate) fn row(&self) -> i64 {
        match self {
            Self::Document(document) => document.row,
            Self::Rejected(rejection) => rejection.row,
        }
    }

    /// The record of one row, from its document or from the reason why there is none.
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
