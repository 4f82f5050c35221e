//! From masks to other masks, by scores that are there: no model, no corpus.
//!
//! ```text
//! masks folder ── files, a shard after the other ──► keys ── cuts ──► bits ──► files of the same names
//! ```
//!
//! * `rule`: what is selected by, and the columns that come of it; `described`: as the metadata says it; `options`: from
//!   what was typed. `plan`: all that was typed, decided.
//! * `place`: what may not be written to; `input`: a finished masks folder and its files, shard by shard.
//! * `scores`: a record batch to the numbers that a rule compares; `counted` and `chosen`: what came of them.
//! * `corpus`: the cuts of the scope `corpus`, found by counting before anything is written.
//! * `mark`: the numbers of a shard to bits, scope by scope; `shard`: its files, read and written.
//! * `usual`: the column of masks that is taken where none is named.
//! * `run`: all shards, on several threads; what is done of them is recorded in [`crate::run_folder`] by `record`, and `summary` reports it.
//!
//! `score` selects by the same rules, from what it has just scored: with `options`, `rule` and `mark`.
//!
//! A shard is marked and written by one thread, in order, and read ahead by another; what is kept of it follows from the
//! shard and the rule (and the counts of all shards), never from who works on what. It is also the unit of going on after an
//! interruption. Memory: for each shard that is worked on an open scope, the record batches it lies in and two that are read
//! ahead; nothing grows with the corpus but the list of its files.

mod chosen;
pub(crate) mod corpus;
pub(crate) mod counted;
mod described;
pub(crate) mod input;
pub(crate) mod mark;
pub(crate) mod options;
pub(crate) mod place;
pub(crate) mod plan;
mod record;
pub(crate) mod rule;
pub(crate) mod run;
pub(crate) mod scores;
mod shard;
pub(crate) mod summary;
pub(crate) mod usual;

pub(crate) use chosen::Chosen;
