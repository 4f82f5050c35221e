//! Decides what lies in the folders of a corpus without being part of it: hidden names, folders that this program wrote
//! and what the `datasets` library adds to its data. Takes names and folders, yields the reason; counts what was passed over.
//!
//! The rules hold where folders, prefixes or patterns are searched. What an argument names itself is always taken.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::masks::{MaskColumns, listed_masks};

/// The folder of records in each folder that this program writes.
pub(super) const RECORDS: &str = ".rho-mask";
/// A folder with this file holds a dataset of the `datasets` library, or its cache.
pub(super) const DATASET_INFO: &str = "dataset_info.json";

/// What was passed over, counted by reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// Folders of masks and of other results that this program wrote.
    pub results: Examples,
    /// Names that start with `.` or `_`, as Spark, Hive and pyarrow pass them over.
    pub hidden: Examples,
    /// What the `datasets` library writes beside the data that it caches: `dataset_info.json`, and `cache-*.arrow` with
    /// the results of functions.
    pub caches: Examples,
}

/// How many there are, and the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Examples {
    /// Their number.
    pub count: usize,
    /// The first of them.
    pub first: Option<PathBuf>,
}

impl Examples {
    pub(super) fn add(&mut self, path: impl Into<PathBuf>) {
        self.count += 1;
        self.first.get_or_insert_with(|| path.into());
    }

    fn join(&mut self, other: Self) {
        self.count += other.count;
        if self.first.is_none() {
            self.first = other.first;
        }
    }
}

impl PassedOver {
    /// The number of all files and folders; what is in such a folder is not counted.
    pub fn count(&self) -> usize {
        self.results.count + self.hidden.count + self.caches.count
    }

    pub(super) fn join(&mut self, other: Self) {
        self.results.join(other.results);
        self.hidden.join(other.hidden);
        self.caches.join(other.caches);
    }
}

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (examples, one, several) in [
            (
                &self.results,
                "folder that rho-mask wrote",
                "folders that rho-mask wrote",
            ),
            (
                &self.hidden,
                "name that starts with . or _",
                "names that start with . or _",
            ),
            (
                &self.caches,
                "description or cached result of the datasets library",
                "descriptions and cached results of the datasets library",
            ),
        ] {
            let Some(first) = &examples.first else {
                continue;
            };
            let (count, first) = (examples.count, first.display());
            match count {
                1 => write!(f, "{separator}1 {one} ({first})")?,
                _ => write!(f, "{separator}{count} {several} (such as {first})")?,
            }
            separator = ", ";
        }
        Ok(())
    }
}

/// Whether a name is hidden.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_'))
}

/// Whether a file in a folder with [`DATASET_INFO`] describes the data or caches results of them.
pub(super) fn is_cache(name: &OsStr) -> bool {
    let bytes = name.as_encoded_bytes();
    name == DATASET_INFO || (bytes.starts_with(b"cache-") && bytes.ends_with(b".arrow"))
}

/// Whether this program wrote a folder.
pub(super) fn is_of_a_run(folder: &Path) -> bool {
    folder.join(RECORDS).is_dir()
}

/// Whether a folder that may be anything was written by this program, or holds a copy of masks.
pub(super) fn is_result(folder: &Path) -> bool {
    let listed = || match listed_masks(folder) {
        Ok(Some(names)) => names
            .iter()
            .take(1)
            .map(|name| PathBuf::from(name.as_str()))
            .collect(),
        _ => Vec::new(),
    };
    is_of_a_run(folder) || holds_masks(folder, &listed())
}

/// Whether a dataset's first file holds masks: copies of masks often lack the hidden folder of the records.
pub(super) fn holds_masks(folder: &Path, files: &[PathBuf]) -> bool {
    files
        .first()
        .is_some_and(|file| MaskColumns::open(&folder.join(file)).is_ok())
}
