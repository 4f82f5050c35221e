//! What masks look like as a whole: one pass over all tokens, for `stats` and whoever draws its numbers.
//!
//! ```text
//! masks/ ── record batches, on all cores ──► statistics ──► a table, or JSON
//! ```
//!
//! * `distribution`: the scores of many tokens: how many, their mean, percentiles, histograms.
//! * `group`: what is counted of a source, and of all sources together.
//! * `types`: what is counted of each token id.
//! * `joint`: loss and entropy of the same tokens.
//! * `pass`: goes through the files.
//! * `report`, `table`: the numbers as JSON, and as people read them.
//!
//! All that is counted adds up, and sums are of integers: whatever the number of threads and the order of the files, the
//! result is the same to the last bit. Memory: for each thread some megabytes and a table with a row per token id; for
//! each source about 20 kB per column of scores; nothing grows with the number of tokens.

mod distribution;
mod group;
mod joint;
mod pass;
pub(crate) mod report;
pub(crate) mod table;
mod types;

pub(crate) use distribution::{Distribution, Sum};
pub(crate) use group::{Group, position_range};
pub(crate) use joint::{CELLS, Joint, WIDTH};
pub(crate) use pass::{Columns, SourceOf, Statistics, gather};
pub(crate) use types::{TokenType, TokenTypes};
