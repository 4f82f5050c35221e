//! Takes the paths that a pattern matches or a prefix lists, decides which of them are passed over (see `passed_over`),
//! and counts each file or folder for which one is, once. `walk` does the same while it walks a folder.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};

use super::passed_over::{DATASET_INFO, PassedOver, RECORDS, is_cache, is_hidden, is_result};

/// A search below a prefix or by a pattern: decides which of the paths found are passed over, and counts each file or
/// folder for which one is, once.
pub(super) struct Search {
    /// The folder that is searched; only the parts below it are looked at. None for a single file.
    below: Option<PathBuf>,
    /// Whether the pattern itself asks for names that start with `_`.
    pub(super) underscores: bool,
    /// Folders that this program wrote, and folders with [`DATASET_INFO`]: known from a listing, or looked up on disk.
    results: HashMap<PathBuf, bool>,
    datasets: HashMap<PathBuf, bool>,
    listed: bool,
    counted: HashSet<PathBuf>,
    /// What was passed over so far.
    pub(super) passed_over: PassedOver,
}

impl Search {
    /// All files below a prefix, listed.
    pub(super) fn below(below: Option<PathBuf>, files: &[PathBuf]) -> Self {
        let (mut results, mut datasets) = (HashMap::new(), HashMap::new());
        for file in files {
            if let (Some(folder), true) = (file.parent(), file.ends_with(DATASET_INFO)) {
                datasets.insert(folder.to_path_buf(), true);
            }
            for folder in file.ancestors().skip(1) {
                if let (Some(parent), true) = (folder.parent(), folder.ends_with(RECORDS)) {
                    results.insert(parent.to_path_buf(), true);
                }
            }
        }
        Self {
            below,
            underscores: false,
            results,
            datasets,
            listed: true,
            counted: HashSet::new(),
            passed_over: PassedOver::default(),
        }
    }

    /// What a pattern matches: below its parts without special characters.
    pub(super) fn of_pattern(pattern: &Path) -> Self {
        let special = |part: &Path| part.to_string_lossy().contains(['*', '?', '[']);
        let parts = pattern.components().map(|part| Path::new(part.as_os_str()));
        let parts: Vec<&Path> = parts.collect();
        let first = parts.iter().position(|part| special(part));
        let (fixed, searched) = parts.split_at(first.unwrap_or(parts.len()));
        Self {
            below: Some(fixed.iter().collect()),
            underscores: searched
                .iter()
                .any(|part| part.to_string_lossy().starts_with('_')),
            results: HashMap::new(),
            datasets: HashMap::new(),
            listed: false,
            counted: HashSet::new(),
            passed_over: PassedOver::default(),
        }
    }

    /// Whether a file or folder is passed over, for one of its parts.
    pub(super) fn passes_over(&mut self, path: &Path) -> bool {
        let Some(below) = &self.below else {
            return false;
        };
        let Ok(inside) = path.strip_prefix(below) else {
            return false;
        };
        let mut so_far = below.clone();
        let mut parts = inside.components().peekable();
        while let Some(part) = parts.next() {
            let name = part.as_os_str();
            if part == Component::ParentDir {
                so_far.push(name);
                continue;
            }
            let is_last = parts.peek().is_none();
            let in_dataset = is_last && is_cache(name) && self.is_dataset(&so_far);
            so_far.push(name);
            let is_asked_for = self.underscores && name.as_encoded_bytes().starts_with(b"_");
            let is_result = match is_last {
                true => !self.listed && is_result(&so_far),
                false => self.is_result(&so_far),
            };
            let is_passed = in_dataset || is_result || (is_hidden(name) && !is_asked_for);
            if !is_passed {
                continue;
            }
            if self.counted.insert(so_far.clone()) {
                let examples = match (in_dataset, is_result) {
                    (true, _) => &mut self.passed_over.caches,
                    (_, true) => &mut self.passed_over.results,
                    _ => &mut self.passed_over.hidden,
                };
                examples.add(so_far);
            }
            return true;
        }
        false
    }

    fn is_result(&mut self, folder: &Path) -> bool {
        let listed = self.listed;
        known(&mut self.results, folder, || !listed && is_result(folder))
    }

    fn is_dataset(&mut self, folder: &Path) -> bool {
        let listed = self.listed;
        known(&mut self.datasets, folder, || {
            !listed && folder.join(DATASET_INFO).is_file()
        })
    }
}

fn known(known: &mut HashMap<PathBuf, bool>, folder: &Path, look: impl FnOnce() -> bool) -> bool {
    match known.get(folder) {
        Some(&known) => known,
        None => *known.entry(folder.to_path_buf()).or_insert_with(look),
    }
}
