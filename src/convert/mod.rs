//! From masks to the formats of other trainers: no model, no corpus, no selection.
//!
//! ```text
//! masks folder ── record batches ──► documents (ids, what was chosen) ──► a target's writer ──► its files ──► its index
//! ```
//!
//! * `plan` and `settings`: all that was typed, decided; what a target cannot express is refused there.
//! * `documents`: a record batch as targets take it; `end_of_document`: the token at the end of a document; `alignment`: which way
//!   round a trainer wants what is token-aligned in the masks; `packing`: documents into sequences of one length. Each of
//!   these is decided in that one place.
//! * `targets`: the formats. The bytes of their files are made by `rho_formats::trainers`.
//! * `shard`: the documents of a shard to a target's writer; `run`: all shards, on several threads, into a folder that can be
//!   gone on with; `stream`: all shards to standard output; `record` and `summary`: what came of it.
//!
//! A shard of the masks is converted by one thread, in order, and read ahead by another; it is the unit of going on after an
//! interruption. What is written of it follows from the shard and the plan alone. Memory: for each shard that is worked on
//! the record batch in work, two that are read ahead, and what a target gathers, which its file says; nothing grows with the
//! corpus but the list of its files.

pub(crate) mod alignment;
pub(crate) mod documents;
pub(crate) mod end_of_document;
mod packing;
pub(crate) mod plan;
mod record;
pub(crate) mod run;
mod settings;
mod shard;
pub(crate) mod stream;
mod summary;
mod targets;
