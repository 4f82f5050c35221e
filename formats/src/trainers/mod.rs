//! Takes the data for a trainer (ids, labels, weights, tables of them), yields files in that trainer's own format.
//! There is one module per format. The caller decides which tokens are targets and how that is encoded; the writers
//! only store numbers.
//!
//! All writers write to a [`Sink`]: a file in a folder that gets its final name only when its shard is complete, or a
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
pub use memmaps::{DocumentOrigin, Memmaps};
pub use numbers::IdType;
pub use sink::{NewFiles, Sink};
pub use table::{Table, TableKind, TableSchema};
pub use tar::Samples;

/// A temporary folder for tests, and a creator of files in it.
#[cfg(test)]
fn test_files() -> (tempfile::TempDir, NewFiles) {
    let folder = tempfile::tempdir().expect("a folder for tests");
    let new = NewFiles::of(&crate::MasksFolder::existing(folder.path()));
    (folder, new)
}
