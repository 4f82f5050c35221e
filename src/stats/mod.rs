//! Statistics of whole masks: one pass over all tokens, for `stats` and the report.
//!
//! ```text
//! masks/ ── record batches, on all cores ──► statistics ──► a table, or JSON
//! ```
//!
//! * `distribution`: the distribution of scores: count, mean, percentiles, histograms. `bins`: its counts.
//! * `group`: counts of a source, and of all sources.
//! * `token_types`: counts of each token id.
//! * `loss_entropy_plane`: loss and entropy of the same tokens.
//! * `pass`: the pass over the files.
//! * `report`, `table`: the numbers as JSON, and human-readable.
//!
//! All counts can be merged, and sums are sums of integers, so the result is bit-identical for any number of threads
//! and any order of the files. Memory: per thread some megabytes and a table with a row per token id; per source,
//! at most 1,024 of them, about 20 kB per column of scores, or less than 2 kB if it has few tokens. Nothing grows with the
//! number of tokens or shards.

mod bins;
mod distribution;
mod group;
mod loss_entropy_plane;
mod pass;
pub(crate) mod report;
pub(crate) mod table;
mod token_types;

pub(crate) use distribution::{Distribution, Sum};
pub(crate) use group::{Group, position_range};
pub(crate) use loss_entropy_plane::{CELLS, Joint, WIDTH};
pub(crate) use pass::{Columns, MOST_SOURCES, SourceOf, Statistics, gather};
pub(crate) use token_types::{TokenType, TokenTypes};
