//! Who uses an entry of a cache. A process that uses one holds it until it ends; who cleans up removes only what nobody
//! holds. The mark is a lock file beside the entry, `.NAME.used`, whose time is that of the last use.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::Lock;

/// The ending of the names of the marks.
const USED: &str = ".used";

/// What this process holds. Never released: models and libraries stay mapped.
static HELD: Mutex<BTreeMap<PathBuf, Lock>> = Mutex::new(BTreeMap::new());

/// Marks an entry as used by this process until it ends. Call it before looking at the entry, which another process may
/// be removing; the folder of the entry must exist.
///
/// # Errors
/// If the mark cannot be written, except where nobody can write: there nobody can remove the entry either.
pub fn hold(entry: &Path) -> io::Result<()> {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if held.contains_key(entry) {
        return Ok(());
    }
    match Lock::share(&mark(entry)) {
        Ok(lock) => {
            held.insert(entry.to_owned(), lock);
            Ok(())
        }
        Err(error) => match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Ok(()),
            _ => Err(error),
        },
    }
}

/// When an entry was used last: the time of its mark, or its own if it was never held.
pub fn last_used(entry: &Path) -> Option<SystemTime> {
    let time = |path: &Path| fs::symlink_metadata(path).and_then(|there| there.modified());
    time(&mark(entry)).or_else(|_| time(entry)).ok()
}

/// Whether a process holds an entry now.
///
/// # Errors
/// If that cannot be found out.
pub fn is_held(entry: &Path) -> io::Result<bool> {
    let mark = mark(entry);
    match fs::symlink_metadata(&mark) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        _ => Ok(Lock::try_take(&mark)?.is_none()),
    }
}

/// Removes an entry, a folder, unless a process holds it; of a link only the link. True if it is gone. Without locks, as
/// on some network file systems, nothing is removed.
///
/// # Errors
/// If it cannot be removed.
pub fn remove_unless_held(entry: &Path) -> io::Result<bool> {
    match Lock::try_take(&mark(entry))? {
        Some(lock) if lock.excludes_others() => match fs::remove_dir_all(entry) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        },
        _ => Ok(false),
    }
}

/// Whether a name is that of a mark.
pub fn is_mark(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(USED)
}

fn mark(entry: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(entry.file_name().unwrap_or_default());
    name.push(USED);
    entry.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for name in ["held", "free"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("file"), "").unwrap();
        }
        hold(&at("held")).unwrap();
        hold(&at("held")).unwrap();
        assert!(is_held(&at("held")).unwrap() && !is_held(&at("free")).unwrap());
        assert!(!remove_unless_held(&at("held")).unwrap());
        assert!(remove_unless_held(&at("free")).unwrap());
        assert!(at("held/file").exists() && !at("free").exists());
        assert!(is_mark(".held.used") && at(".held.used").exists());
        assert!(last_used(&at("held")).is_some() && last_used(&at("none")).is_none());
        assert!(hold(&at("none/entry")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_removed_and_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("elsewhere")).unwrap();
        fs::write(at("elsewhere/file"), "").unwrap();
        std::os::unix::fs::symlink(at("elsewhere"), at("link")).unwrap();
        assert!(remove_unless_held(&at("link")).unwrap());
        assert!(!at("link").exists() && at("elsewhere/file").exists());
    }
}
