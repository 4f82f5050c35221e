//! Errors in the data of a run.

/// Why the next batch cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A document that cannot be read.
    #[error("{document}: cannot be read")]
    Read {
        /// Its name.
        document: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A token id that is not below vocab_size.
    #[error("{document}: expected token ids below the vocabulary of {vocabulary}, got {token}")]
    Token {
        /// The document's name.
        document: String,
        /// The token id.
        token: u32,
        /// vocab_size.
        vocabulary: usize,
    },

    /// No document has two tokens.
    #[error("expected documents of at least two tokens, got none in {documents}")]
    NoTargets {
        /// Number of documents.
        documents: usize,
    },

    /// The thread that reads ahead could not be started.
    #[error("cannot start the thread that reads batches")]
    Thread(#[source] std::io::Error),

    /// The thread that reads ahead ended early.
    #[error("the thread that reads batches ended early")]
    Ended,
}
