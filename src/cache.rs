//! The cache folder: what lies in it, what of it is in use, and what may be removed. Takes the folder, yields its
//! entries. The modules that put something there write and read it themselves.
//!
//! ```text
//! CACHE/onnxruntime-*/             ONNX Runtime, installed by `rho-runtime`
//!       demo-*/  documents-*/      the bundled files
//!       exported/NAME/             a checkpoint, exported; contents.json has the hashes of its files
//!       exported/NAME.lock  .lock  held while an entry is written
//!       **/.NAME.used              held by every process that uses an entry
//! ```
//!
//! No link in it is followed: one in place of an entry is listed, and left alone.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context as _;
use rho_files::{Contents, Folder, Lock, usage};
use serde::{Deserialize, Serialize};

/// The folder of the exports.
pub(crate) const EXPORTED: &str = "exported";
/// The record of an export, in its folder.
const CONTENTS: &str = "contents.json";

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A checkpoint, exported.
    Export,
    /// ONNX Runtime.
    Runtime,
    /// The demonstration reference, or the documents beside it.
    Bundled,
    /// What a killed export or installation left.
    Leftover,
    /// Not written by this program.
    Unknown,
}

impl Kind {
    /// Its name in tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Runtime => "runtime",
            Self::Bundled => "bundled",
            Self::Leftover => "leftover",
            Self::Unknown => "unknown",
        }
    }
}

/// Something in the cache folder.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its path in the cache folder.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) bytes: u64,
    /// When it was used last.
    pub(crate) used: Option<SystemTime>,
    /// Whether a process uses it now.
    pub(crate) in_use: bool,
    /// The checkpoint of an export.
    pub(crate) from: Option<String>,
    path: PathBuf,
    /// The lock that is held while it is written.
    lock: PathBuf,
}

/// The record of an export: the checkpoint it was made from, and its files.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    from: String,
    #[serde(flatten)]
    contents: Contents,
}

/// Records the files of an export that has just been written.
pub(crate) fn record(export: &Path, from: &Path) -> anyhow::Result<()> {
    let cannot_record = || format!("{}: cannot be recorded", export.display());
    let record = Record {
        from: from.display().to_string(),
        contents: Contents::of(export, CONTENTS).with_context(cannot_record)?,
    };
    let text = format!("{:#}\n", serde_json::to_value(record)?);
    rho_files::write_atomic(&export.join(CONTENTS), text.as_bytes()).with_context(cannot_record)
}

/// What is wrong with an export; none if every byte is as it was written.
pub(crate) fn damage(export: &Path) -> Option<String> {
    match read(export) {
        Some(record) => record.contents.difference(export, CONTENTS),
        None => Some(format!("{CONTENTS}: expected the hashes of its files")),
    }
}

fn read(export: &Path) -> Option<Record> {
    let text = Folder::at(export).read(CONTENTS).ok()??;
    serde_json::from_slice(&text).ok()
}

/// Everything in the cache folder, sorted by kind and name.
pub(crate) fn entries(cache: &Path) -> anyhow::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for (below, kind_of) in [("", kind as fn(&str) -> Option<Kind>), (EXPORTED, export)] {
        let folder = cache.join(below);
        let is_folder = fs::symlink_metadata(&folder).is_ok_and(|there| there.is_dir());
        // The cache folder itself may be a link.
        if !is_folder && (!below.is_empty() || !folder.is_dir()) {
            continue;
        }
        let read = || format!("{}: cannot be read", folder.display());
        for entry in fs::read_dir(&folder).with_context(read)? {
            let entry = entry.with_context(read)?;
            let own = entry.file_name().to_string_lossy().into_owned();
            let is_folder = entry.file_type().with_context(read)?.is_dir();
            let kind = match is_folder {
                true if below.is_empty() && own == EXPORTED => continue,
                true => kind_of(&own).unwrap_or(Kind::Unknown),
                false if is_lock(&own) => continue,
                false => Kind::Unknown,
            };
            found.push(described(entry.path(), below, own, kind)?);
        }
    }
    found.sort_by(|a, b| (a.kind as u8, &a.name).cmp(&(b.kind as u8, &b.name)));
    Ok(found)
}

fn described(path: PathBuf, below: &str, own: String, kind: Kind) -> anyhow::Result<Entry> {
    let read = || format!("{}: cannot be read", path.display());
    let folder = path.parent().unwrap_or(&path);
    let lock = match (below, kind) {
        ("", _) => folder.join(".lock"),
        // `.NAME.partial-RANDOM`
        (_, Kind::Leftover) => {
            let exported = own.trim_start_matches('.').rsplit_once(".partial-");
            folder.join(format!("{}.lock", exported.map_or("", |(name, _)| name)))
        }
        _ => folder.join(format!("{own}.lock")),
    };
    Ok(Entry {
        bytes: bytes(&path).with_context(read)?,
        used: usage::last_used(&path),
        in_use: kind != Kind::Unknown && usage::is_held(&path).with_context(read)?,
        from: read_from(&path, kind),
        name: match below {
            "" => own,
            below => format!("{below}/{own}"),
        },
        kind,
        lock,
        path,
    })
}

fn read_from(path: &Path, kind: Kind) -> Option<String> {
    (kind == Kind::Export)
        .then(|| read(path))?
        .map(|record| record.from)
}

/// What a folder in the cache folder is.
fn kind(name: &str) -> Option<Kind> {
    match name.split_once('-')?.0 {
        "onnxruntime" => Some(Kind::Runtime),
        "demo" | "documents" => Some(Kind::Bundled),
        ".part" => Some(Kind::Leftover),
        _ => None,
    }
}

/// What a folder among the exports is: they are named by a fingerprint.
fn export(name: &str) -> Option<Kind> {
    let is_leftover = name.starts_with('.') && name.contains(".partial-");
    let name = name.trim_start_matches('.');
    let fingerprint = name.split('-').next().unwrap_or_default();
    let is_ours = fingerprint.len() == 64 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
    match (is_ours, is_leftover) {
        (true, true) => Some(Kind::Leftover),
        (true, false) => Some(Kind::Export),
        _ => None,
    }
}

fn is_lock(name: &str) -> bool {
    usage::is_mark(name) || name == ".lock" || name.ends_with(".lock")
}

/// The size of a file, or of all files in a folder; links count as themselves.
fn bytes(path: &Path) -> std::io::Result<u64> {
    let there = fs::symlink_metadata(path)?;
    if !there.is_dir() {
        return Ok(there.len());
    }
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        sum += bytes(&entry?.path())?;
    }
    Ok(sum)
}

/// Removes an entry, unless a process uses or writes it, or it is unknown. True if it is gone.
pub(crate) fn remove(entry: &Entry) -> anyhow::Result<bool> {
    let cannot_remove = || format!("{}: cannot be removed", entry.path.display());
    if entry.kind == Kind::Unknown {
        return Ok(false);
    }
    let writing = Lock::try_take(&entry.lock).with_context(cannot_remove)?;
    match writing {
        Some(lock) if lock.excludes_others() => {
            usage::remove_unless_held(&entry.path).with_context(cannot_remove)
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_known_by_their_names() {
        let hash = "ab".repeat(32);
        for (name, expected) in [
            ("onnxruntime-1.31.1-linux-x86_64", Some(Kind::Runtime)),
            ("demo-0123456789abcdef", Some(Kind::Bundled)),
            (".part-x1", Some(Kind::Leftover)),
            ("mine", None),
            ("my-folder", None),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
        assert_eq!(export(&format!("{hash}-f32-0.1.0.1")), Some(Kind::Export));
        let leftover = format!(".{hash}-f32-0.1.0.1.partial-Xy");
        assert_eq!(export(&leftover), Some(Kind::Leftover));
        assert_eq!(export("mine"), None);
        assert_eq!(export(".mine.partial-x"), None);
    }
}
