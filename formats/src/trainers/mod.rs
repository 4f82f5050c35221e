//! Takes what a trainer is to read (ids, labels, weights, tables of them), yields files in that trainer's own format, one
//! file here for each format. Which token is a target, and which way round that is said, is decided before: the writers
//! put down numbers.
//!
//! All of them write to a [`Sink`]: a file of a folder that has its final name only when its shard is complete, or a
//! stream. The same calls give the same bytes.

mod indexed;
mod json_lines;
mod lists;
mod litdata;
mod mds;
mod memmaps;
mod numbers;
mod sink;
mod table;
mod tar;

pub use indexed::Indexed;
pub use json_lines::JsonLines;
pub use lists::{Item, ListColumns, ListFields, Lists};
pub use litdata::{CHUNK_BYTES, LitChunks, LitStream, litdata_index};
pub use mds::{MdsShard, SHARD_BYTES, mds_index};
pub use memmaps::{Memmaps, Place};
pub use numbers::IdType;
pub use sink::{NewFiles, Sink};
pub use table::{Table, TableKind, TableSchema};
pub use tar::Samples;

/// A folder of tests, and what makes files in it.
#[cfg(test)]
fn test_files() -> (tempfile::TempDir, NewFiles) {
    let folder = tempfile::tempdir().expect("a folder for tests");
    let new = NewFiles::of(&crate::MasksFolder::existing(folder.path()));
    (folder, new)
}
