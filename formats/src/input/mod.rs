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
mod json_text;
mod json_values;
mod kind;
mod lines;
mod other_fields;
pub(crate) mod parquet;
mod peek;
pub(crate) mod ranges;
mod reader;
mod sample;
mod spans;
mod streams;
mod tar;
mod targets;
mod text;
mod text_lines;
mod wanted;
mod worker;

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;

pub use compression::Compression;
pub use error::{ShardError, UnsupportedForm};
pub use kind::Kind;
pub use reader::ShardReader;
pub use sample::Sample;

/// Which fields of a row make a document. Field names may be paths into nested objects: `a.b.c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadOptions {
    /// The fields with the content.
    pub content: ContentFields,
    /// The field with a text that stands before the document, if it is wanted. Then every row must have it.
    pub context_field: Option<String>,
    /// The field with the document's own id; it may be missing.
    pub id_field: String,
    /// The field with the document's source, if it is wanted.
    pub source_field: Option<String>,
    /// Read text files as one document per line, not per file.
    pub lines: bool,
    /// The largest line or file of a document, decompressed; in columns, the largest field. A larger one is rejected
    /// and never held in memory.
    pub max_document_bytes: usize,
    /// The rows to read, if not all. The others are neither documents nor rejections.
    pub sample: Option<Sample>,
    /// The names of these options for the user.
    pub names: OptionNames,
}

/// The fields that make the content of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentFields {
    /// A text.
    Text {
        /// The text.
        text: String,
    },
    /// Token ids, which are used unchanged. A text beside them is ignored.
    Tokens {
        /// The list of token ids.
        tokens: String,
        /// Which of them may be targets, if not all: a list of bits, or of labels with -100.
        targets: Option<String>,
    },
    /// The messages of a conversation.
    Messages {
        /// The list of messages.
        messages: String,
        /// The list of tools that the conversation may call; a row may lack it.
        tools: Option<String>,
    },
    /// A prompt, which is context, and a completion, whose tokens are targets.
    Completion {
        /// The text of the prompt.
        prompt: String,
        /// The text of the completion.
        completion: String,
    },
    /// A text of which some ranges of characters are context.
    Spans {
        /// The text.
        text: String,
        /// The list of ranges.
        spans: String,
    },
    /// A number for the document, or a list of one for each of its tokens.
    Numbers {
        /// The number, or the list.
        numbers: String,
    },
}

impl ContentFields {
    /// A text in this field.
    pub fn text(field: impl Into<String>) -> Self {
        Self::Text { text: field.into() }
    }

    /// Token ids in this field, all of which may be targets.
    pub fn tokens(field: impl Into<String>) -> Self {
        Self::Tokens {
            tokens: field.into(),
            targets: None,
        }
    }
}

/// The names of options for the user, in messages that say which one to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionNames {
    /// The text, of [`ContentFields::Text`] and [`ContentFields::Spans`].
    pub text_field: &'static str,
    /// The token ids.
    pub tokens_field: &'static str,
    /// Which token ids may be targets.
    pub targets_field: &'static str,
    /// The messages.
    pub messages_field: &'static str,
    /// The tools.
    pub tools_field: &'static str,
    /// The prompt.
    pub prompt_field: &'static str,
    /// The completion.
    pub completion_field: &'static str,
    /// The ranges that are context.
    pub spans_field: &'static str,
    /// The numbers.
    pub numbers_field: &'static str,
    /// [`ReadOptions::context_field`].
    pub context_field: &'static str,
}

impl Default for OptionNames {
    fn default() -> Self {
        Self {
            text_field: "text_field",
            tokens_field: "tokens_field",
            targets_field: "targets_field",
            messages_field: "messages_field",
            tools_field: "tools_field",
            prompt_field: "prompt_field",
            completion_field: "completion_field",
            spans_field: "spans_field",
            numbers_field: "numbers_field",
            context_field: "context_field",
        }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            content: ContentFields::text("text"),
            context_field: None,
            id_field: "id".to_owned(),
            source_field: None,
            lines: false,
            max_document_bytes: 256 << 20,
            sample: None,
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
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The document's own id (a string or an integer), else `shard#row`.
    pub id: String,
    /// Row number in the shard, from 0. Rejected rows and blank lines count as well.
    pub row: i64,
    /// The text, the token ids, the messages or the numbers.
    pub content: Content,
    /// The text that stands before the document, if it is wanted.
    pub context: Option<String>,
    /// The document's source, if it is wanted and the row has it.
    pub source: Option<String>,
}

/// The metadata of a document.
#[derive(Debug, Default)]
struct Said {
    id: Option<String>,
    source: Option<String>,
    context: Option<String>,
}

impl Document {
    pub(crate) fn default_id(shard: &str, row: i64) -> String {
        format!("{shard}#{row}")
    }
}

/// The content of a document, as its [`ContentFields`] say.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Text that is not yet tokenized.
    Text(String),
    /// Token ids, all within the range of a 32-bit signed integer.
    Tokens(Vec<u32>),
    /// A conversation: texts of JSON that `serde_json` parses.
    Messages {
        /// The list of messages.
        messages: String,
        /// The list of tools, if the row has one.
        tools: Option<String>,
    },
    /// A prompt and its completion, which are one text.
    Completion {
        /// What is context.
        prompt: String,
        /// What may be a target.
        completion: String,
    },
    /// Token ids of which some are context.
    TargetedTokens {
        /// As of [`Content::Tokens`].
        tokens: Vec<u32>,
        /// For each token, whether it may be a target.
        target: Vec<bool>,
    },
    /// A text of which some characters are context.
    Spans {
        /// The whole text.
        text: String,
        /// The ranges of its characters (code points of Unicode) that are context: sorted, disjoint, not empty.
        context: Vec<Range<usize>>,
    },
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

impl Numbers {
    /// All of them.
    fn as_slice(&self) -> &[f32] {
        match self {
            Self::Null => &[],
            Self::One(number) => std::slice::from_ref(number),
            Self::Each(numbers) => numbers,
        }
    }
}

impl Content {
    /// The bytes that it takes in memory, without its containers.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Tokens(tokens) => size_of_val(&tokens[..]),
            Self::Messages { messages, tools } => {
                messages.len() + tools.as_ref().map_or(0, String::len)
            }
            Self::Completion { prompt, completion } => prompt.len() + completion.len(),
            Self::TargetedTokens { tokens, target } => size_of_val(&tokens[..]) + target.len(),
            Self::Spans { text, context } => text.len() + size_of_val(&context[..]),
            Self::Numbers(numbers) => size_of_val(numbers.as_slice()),
        }
    }

    /// Its parts as bytes, for a digest: two contents of one kind have the same parts only if they are equal.
    pub fn parts(&self) -> Vec<Cow<'_, [u8]>> {
        fn text(text: &str) -> Cow<'_, [u8]> {
            Cow::Borrowed(text.as_bytes())
        }
        fn tokens(tokens: &[u32]) -> Cow<'_, [u8]> {
            tokens
                .iter()
                .flat_map(|token| token.to_le_bytes())
                .collect()
        }
        match self {
            Self::Text(whole) => vec![text(whole)],
            Self::Tokens(ids) => vec![tokens(ids)],
            Self::Messages { messages, tools } => {
                let tools = tools.as_deref().map(text);
                [text(messages)].into_iter().chain(tools).collect()
            }
            Self::Completion { prompt, completion } => vec![text(prompt), text(completion)],
            Self::TargetedTokens {
                tokens: ids,
                target,
            } => vec![
                tokens(ids),
                target.iter().map(|bit| u8::from(*bit)).collect(),
            ],
            Self::Spans {
                text: whole,
                context,
            } => {
                let ends = context.iter().flat_map(|span| [span.start, span.end]);
                let ends = ends.flat_map(|end| (end as u64).to_le_bytes()).collect();
                vec![text(whole), ends]
            }
            Self::Numbers(numbers) => {
                let is_list = matches!(numbers, Numbers::Each(_));
                let bytes = numbers.as_slice().iter();
                let bytes = bytes.flat_map(|number| number.to_le_bytes()).collect();
                vec![vec![u8::from(is_list)].into(), bytes]
            }
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
    /// The reason to reject a plain text if more than a text is wanted.
    fn no_fields_in_text(&self) -> Option<String> {
        let fields = wanted::Wanted::of(self);
        let mut fields = fields.iter();
        let field = fields.find(|field| !field.is_text_of_document(self))?;
        let (path, option) = (&field.path, field.option);
        Some(format!(
            "expected a field {path:?}, got a text file, which has no fields (leave out {option})"
        ))
    }
}

/// The records of an Arrow stream in memory; its first row has the number `row`.
///
/// # Errors
/// If the stream is malformed.
pub(crate) fn records_of_arrow(
    stream: bytes::Bytes,
    row: i64,
    shard: &str,
    options: &ReadOptions,
) -> std::io::Result<Vec<Record>> {
    let (shard, options) = (shard.to_owned(), options.clone());
    let read = move |sink: &mut worker::Sink| {
        let input = arrow::Input::Ranges(ranges::Ranges::of_bytes(stream).into());
        arrow::read(input, &shard, &options, &|_| {}, sink)
    };
    worker::Worker::start_at(row, read)?.all()
}

/// Why a field that every row must have is in no column of an Arrow schema, given as the flatbuffer of its message.
pub(crate) fn missing_of_arrow(schema: &[u8], options: &ReadOptions) -> Option<String> {
    arrow::missing(schema, options)
}

/// One row of a shard.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A row with a document.
    Document(Document),
    /// A row without one, and its id if it could be read.
    Rejected(Rejection, Option<String>),
}

impl Record {
    pub(crate) fn row(&self) -> i64 {
        match self {
            Self::Document(document) => document.row,
            Self::Rejected(rejection, _) => rejection.row,
        }
    }

    /// The record of one row, from its document or from the reason why there is none.
    fn of(shard: &str, row: i64, document: Result<(Said, Content), String>) -> Self {
        match document {
            Ok((said, content)) => Self::Document(Document {
                id: said.id.unwrap_or_else(|| Document::default_id(shard, row)),
                row,
                content,
                context: said.context,
                source: said.source,
            }),
            Err(reason) => Self::rejected(shard, row, None, reason),
        }
    }

    /// The record of a row without a document.
    fn rejected(shard: &str, row: i64, id: Option<String>, reason: String) -> Self {
        let shard = shard.to_owned();
        Self::Rejected(Rejection { shard, row, reason }, id)
    }
}
