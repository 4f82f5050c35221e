//! Converts masks to the formats of other trainers. Needs no model and no corpus, and selects nothing.
//!
//! ```text
//! masks folder ── record batches ──► documents (ids, selection) ──► a target's writer ──► its files ──► its index
//! ```
//!
//! * `plan` and `settings`: resolve the arguments; refuse what a target cannot express.
//! * `documents`: the documents of a record batch; `end_of_sequence`: the token at the end of a document; `alignment`:
//!   token- or prediction-aligned entries; `packing`: documents into sequences of one length. Each is decided only
//!   there.
//! * `targets`: the formats. `rho_formats::trainers` encodes their files.
//! * `shard`: passes the documents of a shard to a target's writer; `run`: all shards, on several threads, into a
//!   folder that can be resumed; `stream`: all shards to standard output; `record` and `summary`: the results.
//!
//! One thread converts a shard of the masks, in order, while another reads ahead. A run resumes after the last finished
//! shard. The output of a shard depends only on the shard and the plan. Memory, for each shard in progress: the current
//! record batch, two that are read ahead, and what the target buffers (see its file). Only the list of files grows with
//! the corpus.

pub(crate) mod alignment;
pub(crate) mod documents;
pub(crate) mod end_of_sequence;
mod folder;
mod packing;
pub(crate) mod plan;
mod record;
pub(crate) mod run;
mod settings;
mod shard;
pub(crate) mod stream;
mod summary;
mod targets;
