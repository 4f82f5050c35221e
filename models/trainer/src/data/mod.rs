//! From documents to batches of packed rows, in an order made by chance that depends on the seed alone.
//!
//! ```text
//! documents ── order ──► windows ── pack ──► rows ── batch ──► step
//!              a permutation       best fit  shuffled in their window
//! ```
//!
//! * `document`: what is trained on, behind the trait [`Documents`]: who holds them is the caller's business.
//! * `order`: an epoch's permutation of the documents, computed and not stored.
//! * `rows`: one row after the other through all epochs, from any [`Place`] on; which pieces of a window's documents share
//!   one is said by [`pack`].
//! * `batch`: rows with their tokens and what the masks say of them.
//! * `loader`: batches ahead of time, on a thread of its own.
//!
//! A document that is longer than a row is cut into pieces that overlap by exactly one token, so that each of its tokens
//! but the first is a target exactly once:
//!
//! ```text
//! document   a b c d e f g        rows of 4
//! pieces     a b c d
//!                  d e f g        d is context here: it was a target before
//! targets      b c d e f g
//! ```
//!
//! Nothing of the documents but their lengths is looked at until a batch is read. Memory: a window of pieces, and the
//! batches that wait; nothing grows with the corpus.

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
pub use rho_selection::{Packed, Piece, Row, pack};
pub use rows::{Packing, PackingCounts, Place, Rows};

#[cfg(test)]
mod tests;
