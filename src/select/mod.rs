//! Writes new masks from the scores of existing ones, without a model or the corpus.
//!
//! ```text
//! masks folder ── files, shard by shard ──► keys ── cuts ──► bits ──► files of the same names
//! ```
//!
//! * `plan`: the resolved arguments. `join`: columns of other programs. `filter`: which documents are selected from. `documents`: selects whole documents;
//!   `prepare`: which documents are left, found before tokens are ranked. `corpus_cuts`: the cuts of the scope `corpus`,
//!   found by counting before anything is written.
//! * `folder`: opened and cleared. `run`: all shards, on several threads; `shard`: reads and writes the files of one shard.
//! * `record`: the record of a finished shard; `summary`: the summary of the run.
//!
//! [`crate::selections`] selects the tokens; [`crate::run_folder`] records which shards are done.
//!
//! One thread marks and writes a shard, in order; another reads ahead. The result depends on the shard and the rule
//! (and, for the scope `corpus_cuts`, on the counts of all shards), never on how threads share the work. A shard is also the
//! unit of resuming. Memory, for each shard in progress: an open scope, its record batches, and two batches that are
//! read ahead. Only the list of files grows with the corpus.

pub(crate) mod corpus_cuts;
mod documents;
mod filter;
pub(crate) mod folder;
mod join;
pub(crate) mod plan;
mod prepare;
mod record;
pub(crate) mod run;
mod shard;
pub(crate) mod summary;
