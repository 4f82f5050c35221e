//! What can be wrong with the data of a run.

/// Why there is no next batch.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A document that cannot be read.
    #[error("{document}: cannot be read")]
    Read {
        /// What it is called.
        document: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// A document with an id that the model does not have.
    #[error("{document}: expected token ids below the vocabulary of {vocabulary}, got {token}")]
    Token {
        /// What it is called.
        document: String,
        /// The id.
        token: u32,
        /// Entries of the vocabulary.
        vocabulary: usize,
    },

    /// Documents of which none has two tokens.
    #[error("expected documents of at least two tokens, got none in {documents}")]
    NoTargets {
        /// How many documents there are.
        documents: usize,
    },

    /// The thread that reads ahead could not be started.
    #[error("cannot start the thread that reads batches")]
    Thread(#[source] std::io::Error),

    /// The thread that reads ahead ended without a word.
    #[error("the thread that reads batches ended before its time")]
    Ended,
}
