//! A lock file that at most one process holds, or that several share. The file is never removed: removing it while
//! another process waits for it would give the lock to both.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::open::regular;

/// A held lock. It is released when it is dropped or when its process ends, however it ends.
///
/// Some network file systems do not support locks. There every process gets one: its files are still whole, because
/// they are written beside the old ones and renamed.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    excludes_others: bool,
}

impl Lock {
    /// Whether the lock keeps other processes out: false on file systems without locks. Remove leftovers of other
    /// processes only if it is true; otherwise their owners may still be running.
    pub fn excludes_others(&self) -> bool {
        self.excludes_others
    }

    /// Takes the lock at `path`. `None` if another process, or another `Lock` of this process, holds it.
    ///
    /// # Errors
    /// If the file cannot be created or locked.
    pub fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(held(file, true))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => without_locks(error, file).map(Some),
        }
    }

    /// Takes the lock at `path` together with others that share it, and keeps those out that take it alone. Waits while
    /// one of them holds it. The time of the file is then that of the last use.
    ///
    /// # Errors
    /// If the file cannot be created or locked.
    pub fn share(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        // Of use to whoever looks for what is no longer used; not worth an error.
        let _ = file.set_modified(SystemTime::now());
        match file.lock_shared() {
            Ok(()) => Ok(held(file, true)),
            Err(error) => without_locks(error, file),
        }
    }

    /// Takes the lock at `path`. If it is held, calls `waiting` once and then waits for it.
    ///
    /// # Errors
    /// If the file cannot be created or locked.
    pub fn take(path: &Path, waiting: impl FnOnce()) -> io::Result<Self> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        waiting();
        let file = open(path)?;
        match file.lock() {
            Ok(()) => Ok(held(file, true)),
            Err(error) => without_locks(error, file),
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().create(true).append(true), path)
}

fn held(file: File, excludes_others: bool) -> Lock {
    Lock {
        _file: file,
        excludes_others,
    }
}

fn without_locks(error: io::Error, file: File) -> io::Result<Lock> {
    match error.kind() {
        io::ErrorKind::Unsupported => Ok(held(file, false)),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_at_a_time() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lock");
        let held = Lock::try_take(&path)?;
        assert!(held.as_ref().is_some_and(Lock::excludes_others));
        assert!(Lock::try_take(&path)?.is_none());
        assert!(Lock::try_take(&folder.path().join("other"))?.is_some());
        drop(held);
        assert!(Lock::try_take(&path)?.is_some());
        Ok(())
    }

    #[test]
    fn several_share_it_and_none_has_it_alone() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lock");
        let (one, two) = (Lock::share(&path)?, Lock::share(&path)?);
        drop(one);
        assert!(Lock::try_take(&path)?.is_none());
        drop(two);
        assert!(Lock::try_take(&path)?.is_some());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_no_lock_file() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(at("elsewhere"), at("lock"))?;
        assert!(Lock::try_take(&at("lock")).is_err());
        assert!(Lock::take(&at("lock"), || {}).is_err());
        assert!(Lock::share(&at("lock")).is_err());
        assert!(!at("elsewhere").exists());
        Ok(())
    }

    #[test]
    fn who_waits_says_so_once_and_gets_it() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lock");
        let held = Lock::try_take(&path)?;
        let mut held = held;
        let mut said = 0;
        Lock::take(&path, || {
            said += 1;
            held = None;
        })?;
        assert!(held.is_none());
        assert_eq!(said, 1);
        Lock::take(&path, || said += 1)?;
        assert_eq!(said, 1);
        Ok(())
    }

    #[test]
    fn a_lock_in_no_folder_is_an_error() {
        let folder = tempfile::tempdir().map(|folder| folder.path().join("none/lock"));
        assert!(folder.and_then(|path| Lock::try_take(&path)).is_err());
    }
}
