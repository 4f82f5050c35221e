//! Record batches in, record batches out, rows one to one: for programs that send documents and wait for their scores.
//!
//! | module | takes | yields |
//! |---|---|---|
//! | `reader` | the bytes of an Arrow IPC stream, from a pipe or a request | one [`InputBatch`] for each record batch |
//! | `writer` | the answers to a batch, and the columns that are passed through | one record batch, flushed at once |

mod error;
mod reader;
mod writer;

pub use error::ExchangeError;
pub use reader::{BatchReader, InputBatch, Passed};
pub use writer::{Answer, BatchWriter, answer_schema};
