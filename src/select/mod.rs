//! From masks to other masks, by scores that are there: no model, no corpus.
//!
//! ```text
//! masks folder ── files, a shard after the other ──► keys ── cuts ──► bits ──► files of the same names
//! ```
//!
//! * `rule`: what is selected by, and the columns that come of it; `plan`: what was typed, decided.
//! * `place`: what may not be written to; `input`: a finished masks folder and its files, shard by shard.
//! * `scores`: a record batch to the numbers that a rule compares.
//! * `corpus`: the cuts of the scope `corpus`, found by counting before anything is written.
//! * `mark`: the numbers of a shard to bits, scope by scope; `shard`: its files, read and written.
//! * `run`: all shards, on several threads; what is done of them is noted in `record`, and `summary` tells of it.
//!
//! A shard is worked on by one thread, in order; what is kept of it follows from the shard and the rule (and the counts of
//! all shards), never from who works on what. It is also the unit of going on after an interruption. Memory: for each
//! thread an open scope and the record batches it lies in; nothing grows with the corpus but the list of its files.

mod corpus;
pub(crate) mod input;
mod mark;
mod place;
pub(crate) mod plan;
mod record;
mod rule;
pub(crate) mod run;
mod scores;
mod shard;
pub(crate) mod summary;
