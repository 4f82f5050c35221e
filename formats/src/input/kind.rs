//! Takes a file's name, yields the format of its rows and its compression. `compression` looks at the content. A new
//! kind takes one line in the table here, one variant, and one file beside this one.

use std::fmt;

use super::lines::BYTE_ORDER_MARK;
use super::{Compression, arrow, json_values, tar};
use crate::ipc::CONTINUATION;

/// The format of a shard's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One JSON object per line, or an array of objects; one document per object.
    JsonLines,
    /// One document per file.
    Text,
    /// A Parquet file, one document per row.
    Parquet,
    /// An Arrow IPC file or stream, one document per row.
    Arrow,
    /// A tar file whose members that share a key are one document: WebDataset.
    WebDataset,
}

const ENDINGS: [(&str, Kind); 10] = [
    ("jsonl", Kind::JsonLines),
    ("json", Kind::JsonLines),
    ("ndjson", Kind::JsonLines),
    ("txt", Kind::Text),
    ("parquet", Kind::Parquet),
    ("arrow", Kind::Arrow),
    ("arrows", Kind::Arrow),
    ("feather", Kind::Arrow),
    ("ipc", Kind::Arrow),
    ("tar", Kind::WebDataset),
];

/// The magic number at both ends of a Parquet file.
pub(crate) const PARQUET: &[u8] = b"PAR1";

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::JsonLines => "JSON lines file",
            Self::Text => "text file",
            Self::Parquet => "Parquet file",
            Self::Arrow => "Arrow file or stream",
            Self::WebDataset => "tar file",
        })
    }
}

impl Kind {
    /// Kind and compression by a name like `part-0.jsonl.gz`, in upper or lower case; `None` if its ending is unknown.
    pub fn of_name(name: &str) -> Option<(Self, Compression)> {
        let (name, compression) = Compression::of_name(name);
        if let Some((stem, ending)) = name.rsplit_once('.')
            && compression == Compression::None
            && !stem.is_empty()
            && ending.eq_ignore_ascii_case("tgz")
        {
            return Some((Self::WebDataset, Compression::Gzip));
        }
        let (stem, ending) = name.rsplit_once('.')?;
        if stem.is_empty() {
            return None;
        }
        let (_, kind) = ENDINGS
            .iter()
            .find(|(known, _)| ending.eq_ignore_ascii_case(known))?;
        Some((*kind, compression))
    }

    /// The kind by the first bytes after decompression if they are unambiguous, else by the name. Any text may start
    /// with a bracket, so JSON is detected only if the name is not that of a text file.
    pub(crate) fn of_content(head: &[u8], named: Self) -> Self {
        if head.starts_with(PARQUET) {
            return Self::Parquet;
        }
        // No text starts like one of them.
        if head.starts_with(arrow::FILE) || head.starts_with(&CONTINUATION) || arrow::is_old(head) {
            return Self::Arrow;
        }
        if tar::begins(head) {
            return Self::WebDataset;
        }
        match named {
            Self::JsonLines | Self::Text => named,
            _ if begins_json(head) => Self::JsonLines,
            _ => named,
        }
    }

    /// The kind by the first bytes, for a file whose name does not show it.
    pub(crate) fn told_by(head: &[u8]) -> Option<Self> {
        match Self::of_content(head, Self::Text) {
            Self::Text if begins_json(head) => Some(Self::JsonLines),
            Self::Text => None,
            kind => Some(kind),
        }
    }

    /// The known names, for a message.
    pub(crate) fn expected_names() -> String {
        let endings: Vec<_> = ENDINGS
            .iter()
            .map(|(ending, _)| format!("*.{ending}"))
            .collect();
        format!("{} (also {})", endings.join(", "), Compression::endings())
    }
}

/// Whether a file starts like JSON lines, or like an array of objects.
fn begins_json(head: &[u8]) -> bool {
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
    text.trim_ascii_start().starts_with(b"{") || json_values::begins_array(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_kind_and_compression() {
        for (name, expected) in [
            ("a.jsonl", Some((Kind::JsonLines, Compression::None))),
            ("a.b.JSON.GZ", Some((Kind::JsonLines, Compression::Gzip))),
            ("a.ndjson.zst", Some((Kind::JsonLines, Compression::Zstd))),
            ("a.txt", Some((Kind::Text, Compression::None))),
            (".hidden.txt", Some((Kind::Text, Compression::None))),
            (".txt", None),
            ("a.csv", None),
            ("a.gz", None),
            ("jsonl", None),
            ("", None),
        ] {
            assert_eq!(Kind::of_name(name), expected, "{name}");
        }
    }
}
