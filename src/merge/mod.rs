//! Joins finished masks folders of parts of a corpus into one.
//!
//! ```text
//! masks folders ── settings ── duplicates ──► files, one by one ──► one folder
//! ```
//!
//! * `plan`: the resolved arguments. `settings`: which settings may differ, and which option names one that may not.
//! * `duplicates`: shards and documents that several folders have, found before anything is written.
//! * `run`: all files, on several threads; `file`: copies one; `summary`: the summary of the run.
//!
//! [`crate::run_folder`] records which files are done. Rows are copied with all their columns; only the metadata changes.
//! Memory: a record batch for each thread, the names of the shards, and 4 million token hashes while duplicates are
//! searched; more are on disk.

mod duplicates;
mod file;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod settings;
mod summary;
