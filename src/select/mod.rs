//! From masks to other masks, by scores that are there: no model, no corpus.
//!
//! ```text
//! masks folder ── files, a shard after the other ──► keys ── cuts ──► bits ──► files of the same names
//! ```
//!
//! * `plan`: all that was typed, decided. `corpus`: the cuts of the scope `corpus`, found by counting before anything is
//!   written.
//! * `run`: all shards, on several threads; `shard`: the files of one, read and written.
//! * `record`: what is done of them; `summary`: what came of all.
//!
//! How tokens are selected is in [`crate::selections`], what is done of a run in [`crate::run_folder`].
//!
//! A shard is marked and written by one thread, in order, and read ahead by another; what is kept of it follows from the
//! shard and the rule (and the counts of all shards), never from who works on what. It is also the unit of going on after an
//! interruption. Memory: for each shard that is worked on an open scope, the record batches it lies in and two that are read
//! ahead; nothing grows with the corpus but the list of its files.

pub(crate) mod corpus;
pub(crate) mod plan;
mod record;
pub(crate) mod run;
mod shard;
pub(crate) mod summary;
