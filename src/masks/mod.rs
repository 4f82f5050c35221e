//! Masks, read: a folder or a file of them.
//!
//! ```text
//! masks/ ── files ──► documents ──► show, report
//!        ── tokenizer ──► pieces
//!        ── finished ──► shards ──► select, convert
//! ```
//!
//! * `files`: a masks folder, finished or not, or one mask file, to the files that hold rows. `finished`: a finished folder
//!   and its files, shard by shard. `kind`: which command wrote it.
//! * `documents`: single documents with all their columns.
//! * `summary`: its summary.json. `tokenizer`: the tokenizer that the masks were made with, found again.
//! * `out_folder`: where masks that are made from others may not be written.
//!
//! Nothing here writes to a masks folder.

pub(crate) mod documents;
pub(crate) mod files;
pub(crate) mod finished;
pub(crate) mod kind;
pub(crate) mod out_folder;
pub(crate) mod summary;
pub(crate) mod tokenizer;
