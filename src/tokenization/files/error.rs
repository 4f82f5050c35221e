//! Errors about the files of a tokenizer.

use std::{io, path::PathBuf};

/// Why the files of a tokenizer are refused.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{}: expected {expected}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: &'static str,
        /// The parser's error.
        source: serde_json::Error,
    },
    /// A setting that could change token ids and is not supported.
    #[error("{}: {what}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// Which setting, what was expected and what was found.
        what: String,
    },
    /// A token that would get another id than in the file.
    #[error(
        "{}: expected the token {content:?} to have the id {expected}, got {got} with tokenizer.json",
        path.display()
    )]
    Id {
        /// The file.
        path: PathBuf,
        /// The token.
        content: String,
        /// The id in the file.
        expected: u64,
        /// The id that Transformers gives it, and so does this program.
        got: String,
    },
    /// A new token that would get the id of a token of the vocabulary.
    #[error(
        "{}: expected a free id for the token {content:?}, which is not in tokenizer.json, got {id}, which is {other:?} in its vocabulary",
        path.display()
    )]
    Taken {
        /// The file that names it.
        path: PathBuf,
        /// The token.
        content: String,
        /// The id after the vocabulary.
        id: u32,
        /// The token that has this id.
        other: String,
    },
    /// tokenizer.json itself is refused.
    #[error("{}: expected a tokenizer.json of Hugging Face tokenizers", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The error of the tokenizers crate.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
