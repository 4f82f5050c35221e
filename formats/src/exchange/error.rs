//! Why an exchange of record batches ends early.

use std::io;

use arrow_schema::ArrowError;

/// Why a stream of record batches cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The system cannot read the input.
    #[error("the input cannot be read")]
    Read {
        /// The system's error.
        source: io::Error,
    },

    /// The bytes are no Arrow stream, or a damaged one.
    #[error("batch {batch} of the input: {reason}")]
    Malformed {
        /// The number of the batch, from 1; 0 for the schema.
        batch: u64,
        /// What was expected, and what was found.
        reason: String,
    },

    /// A field that makes the documents is in no column.
    #[error("the schema of the input: {reason}")]
    Field {
        /// Which field, and which columns there are.
        reason: String,
    },

    /// Columns to pass through that Arrow cannot decode.
    #[error("batch {batch} of the input: its columns cannot be passed through")]
    Columns {
        /// The number of the batch, from 1.
        batch: u64,
        /// Arrow's error.
        source: ArrowError,
    },
}
