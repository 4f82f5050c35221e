//! Reads masks: a folder or a file.
//!
//! ```text
//! masks/ ── files ──► documents ──► show, report
//!        ── tokenizer ──► token texts
//!        ── finished ──► shards ──► select, convert
//! ```
//!
//! * `files`: lists the files with rows of a masks folder, finished or not, or of one mask file. `finished`: a finished
//!   folder and its files, shard by shard. `kind`: which command wrote it.
//! * `documents`: single documents with all their columns.
//! * `summary`: its summary.json. `tokenizer`: finds the tokenizer of the masks.
//! * `duplicates`: finds documents that came before.
//! * `out_folder`: refuses an output folder that overlaps the input folder.
//!
//! Nothing here writes to a masks folder.

pub(crate) mod documents;
pub(crate) mod duplicates;
pub(crate) mod files;
pub(crate) mod finished;
pub(crate) mod kind;
pub(crate) mod out_folder;
pub(crate) mod summary;
pub(crate) mod tokenizer;
