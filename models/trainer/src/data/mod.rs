//! From documents to batches of packed rows, in a random order that depends on the seed alone.
//!
//! ```text
//! documents ── order ──► windows ── pack ──► rows ── batch ──► step
//!              a permutation       best fit  shuffled in their window
//! ```
//!
//! * `document`: the training documents, behind the trait [`Documents`]; the caller stores them.
//! * `order`: an epoch's permutation of the documents, computed and not stored.
//! * `rows`: all rows of all epochs in order, starting at any [`DataPosition`]. [`pack`] decides which documents of a window
//!   share a row.
//! * `batch`: rows with their tokens, reference losses and weights.
//! * `loader`: reads batches ahead on its own thread.
//!
//! A document longer than a row is cut into parts that overlap by exactly one token, so that each of its tokens but
//! the first is a target exactly once:
//!
//! ```text
//! document   a b c d e f g        rows of 4
//! parts     a b c d
//!                  d e f g        d is context here: it was a target before
//! targets      b c d e f g
//! ```
//!
//! Until a batch is read, only the lengths of documents are used. Memory holds a window of parts and the read-ahead
//! batches; nothing grows with the corpus.

mod batch;
mod document;
mod error;
mod loader;
mod order;
mod rows;

pub use batch::{GlobalBatch, Segment};
pub use document::{Document, Documents};
pub use error::DataError;
pub use loader::{Loaded, Loader, Loading, Waited};
pub use order::Order;
pub use rho_selection::{DocumentPart, Packed, Row, pack};
pub use rows::{DataPosition, Packing, PackingCounts, Rows};

#[cfg(test)]
mod tests;
