//! Takes a column of another program into the masks: a number for each document, or one for each of its tokens.
//!
//! ```text
//! scores.parquet ── table ──► rows, by key ──┐
//!                                            ├─ pairs ──► numbers of all tokens, on disk ──► a column of scores
//! masks/ ── documents, by key ───────────────┘
//! ```
//!
//! * `plan`: the resolved arguments. `table`: the rows of the other program's files. `pairs`: finds the row of each
//!   document; rows that do not fit in memory are divided among partitions on disk, and the documents with them.
//! * `column`: the numbers of all tokens, on disk, and from where they are read document by document.

mod column;
mod pairs;
mod plan;
mod table;

pub(super) use column::{Counts, Joined};
pub(super) use plan::JoinPlan;
