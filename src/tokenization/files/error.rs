//! What can be wrong with the files of a tokenizer.

use std::{io, path::PathBuf};

/// Why the files of a tokenizer are not taken.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not the JSON it should be.
    #[error("{}: expected {expected}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What should stand there.
        expected: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A setting that could change token ids, and that is not followed here.
    #[error("{}: {what}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// Which setting, what was expected and what was found.
        what: String,
    },
    /// A token that would get another id than the file says.
    #[error(
        "{}: expected the token {content:?} to have the id {expected}, but with tokenizer.json it gets {got}",
        path.display()
    )]
    Id {
        /// The file.
        path: PathBuf,
        /// The token.
        content: String,
        /// What the file says.
        expected: u64,
        /// What Transformers gives it, and so does this program.
        got: String,
    },
    /// A new token that would share its id with one of the vocabulary.
    #[error(
        "{}: the token {content:?} is not in tokenizer.json; the next free place is {id}, but that is {other:?} in its vocabulary",
        path.display()
    )]
    Taken {
        /// The file that names it.
        path: PathBuf,
        /// The token.
        content: String,
        /// The place after the vocabulary.
        id: u32,
        /// The token that is there.
        other: String,
    },
    /// tokenizer.json itself is refused.
    #[error("{}: expected a tokenizer.json of Hugging Face tokenizers", path.display())]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What the tokenizers crate said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
