//! Takes a folder, yields the paths of its shards (relative, sorted by their bytes) and of the files of unknown kind.
//! What `passed_over` names is left out.
//!
//! Every real folder is entered once, however many symbolic links lead to it, so a loop of links ends. The parent
//! module names the shards.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::passed_over::{
    DATASET_INFO, PassedOver, RECORDS, holds_masks, is_cache, is_hidden, is_of_a_run,
};
use super::{CorpusError, dataset, kind_of};

/// The content of a folder.
pub(super) struct Walked {
    /// Shards, relative to the folder.
    pub(super) files: Vec<PathBuf>,
    /// Files of unknown kind, with the folder's path.
    pub(super) ignored: Vec<PathBuf>,
    pub(super) passed_over: PassedOver,
}

/// Walks `folder`.
pub(super) fn walk(folder: &Path) -> Result<Walked, CorpusError> {
    let mut walk = Walk {
        top: folder,
        files: Vec::new(),
        ignored: Vec::new(),
        passed_over: PassedOver::default(),
        open: Vec::new(),
        entered: HashMap::new(),
        again: Vec::new(),
    };
    walk.enter(Path::new(""))?;

    if !walk.again.is_empty() {
        // Sorted by their parts, the files below a folder follow each other.
        walk.files.sort_by(|(_, a), (_, b)| a.cmp(b));
    }
    // A second path to a folder that holds shards is a second path to each of them.
    for (first, second) in &walk.again {
        let before = walk.files.partition_point(|(_, file)| file < first);
        if let Some((_, file)) = walk.files.get(before)
            && let Ok(inside) = file.strip_prefix(first)
        {
            return Err(CorpusError::GivenTwice {
                first: folder.join(file),
                second: folder.join(second).join(inside),
            });
        }
    }
    walk.files.sort_by(|(a, _), (b, _)| bytes(a).cmp(bytes(b)));
    walk.ignored.sort_by(|a, b| bytes(a).cmp(bytes(b)));
    Ok(Walked {
        files: walk.files.into_iter().map(|(_, file)| file).collect(),
        ignored: walk.ignored,
        passed_over: walk.passed_over,
    })
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

struct Walk<'a> {
    top: &'a Path,
    /// Sort key and path of each file. The sort key of a dataset's file has its number instead of its name.
    files: Vec<(PathBuf, PathBuf)>,
    ignored: Vec<PathBuf>,
    passed_over: PassedOver,
    /// The real paths of the folders that are being walked, outermost first.
    open: Vec<PathBuf>,
    /// Real path to the relative path under which a folder was entered first.
    entered: HashMap<PathBuf, PathBuf>,
    /// Folders met again outside themselves: the first relative path and this one.
    again: Vec<(PathBuf, PathBuf)>,
}

impl Walk<'_> {
    fn enter(&mut self, relative: &Path) -> Result<(), CorpusError> {
        let folder = self.top.join(relative);
        let unreadable = |source| CorpusError::Unreadable {
            path: folder.clone(),
            source,
        };
        let real = fs::canonicalize(&folder).map_err(unreadable)?;
        if self.open.contains(&real) {
            return Ok(());
        }
        if let Some(first) = self.entered.get(&real) {
            self.again.push((first.clone(), relative.to_path_buf()));
            return Ok(());
        }
        self.entered.insert(real.clone(), relative.to_path_buf());
        self.open.push(real);
        let mut names = fs::read_dir(&folder)
            .and_then(|entries| {
                entries
                    .map(|entry| entry.map(|entry| entry.file_name()))
                    .collect::<io::Result<Vec<_>>>()
            })
            .map_err(unreadable)?;
        // Which path reaches a folder first must not depend on the file system's order.
        names.sort();
        let is_found = !relative.as_os_str().is_empty();
        let has =
            |wanted: &str| names.binary_search_by(|name| name.as_os_str().cmp(wanted.as_ref()));
        if is_found && has(RECORDS).is_ok() && is_of_a_run(&folder) {
            self.passed_over.results.add(folder);
            self.open.pop();
            return Ok(());
        }
        if let Some(listed) = dataset::files(&folder, &names)? {
            if is_found && holds_masks(&folder, &listed) {
                self.passed_over.results.add(folder);
                self.open.pop();
                return Ok(());
            }
            for (index, file) in listed.into_iter().enumerate() {
                let sorted = relative.join(format!("{index:010}"));
                self.files.push((sorted, relative.join(file)));
            }
            self.open.pop();
            return Ok(());
        }
        let caches = has(DATASET_INFO).is_ok();
        for name in names {
            if is_hidden(&name) {
                self.passed_over.hidden.add(folder.join(name));
            } else if caches && is_cache(&name) {
                self.passed_over.caches.add(folder.join(name));
            } else {
                self.meet(relative.join(name))?;
            }
        }
        self.open.pop();
        Ok(())
    }

    fn meet(&mut self, relative: PathBuf) -> Result<(), CorpusError> {
        let path = self.top.join(&relative);
        let known = kind_of(&path).is_some();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return self.enter(&relative),
            Ok(metadata) if metadata.is_file() && known => {
                self.files.push((relative.clone(), relative));
            }
            // A dangling link with the name of a shard is a missing shard: do not skip it.
            Err(source) if known => return Err(CorpusError::Unreadable { path, source }),
            _ => self.ignored.push(path),
        }
        Ok(())
    }
}
