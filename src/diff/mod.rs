//! How far two masks agree: which documents both have, the bits of each mask column, and how far scores differ.
//!
//! ```text
//! a/ ── documents ──┐
//!                   ├─ join ──► pairs ──► agreement, by source ──► tables, or JSON
//! b/ ── documents ──┘
//! ```
//!
//! * `documents`: the documents of a folder, one by one, with the columns that both have.
//! * `join`: pairs of the same document; `records` writes those that do not fit in memory.
//! * `agreement`: the counts. `compare`: the whole comparison. `report`, `table`: its numbers as JSON, and human-readable.
//!
//! The joined documents are read and counted on one thread in a fixed order, so the result is the same at each run.
//! Memory: two record batches, the documents that wait for their partner (bounded), and about 150 bytes per column for
//! each source.

mod agreement;
mod compare;
mod documents;
mod join;
mod records;
mod report;
mod table;

pub(crate) use compare::compare;
pub(crate) use report::Report;
pub(crate) use table::tables;
