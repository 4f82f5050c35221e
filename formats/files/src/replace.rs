//! Replaces files atomically: after a crash, either the old file or the complete new one exists. The new file is
//! written beside the old one, synced and renamed; then the folder is synced.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::open::create;

/// Writes the content of a file.
pub type WriteTo<'a> = dyn Fn(&mut dyn Write) -> io::Result<()> + 'a;

/// The path a file has until it is complete: `.NAME.partial` in the same folder.
pub fn partial(path: &Path) -> PathBuf {
    beside(path, ".partial")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(ending);
    path.with_file_name(name)
}

/// Syncs a partial file that is now complete, and gives it its final name.
///
/// # Errors
/// If it cannot be synced or renamed.
pub fn complete(partial: &Path, file: &File, path: &Path) -> io::Result<()> {
    file.sync_all()?;
    rename(partial, path)
}

/// Renames a file or folder so that its new name survives a crash.
///
/// # Errors
/// If it cannot be renamed, or the folder cannot be synced.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        // A bare name is in the working folder.
        Some(folder) if folder.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Syncs a folder, so that new names in it survive a crash. Only Unix can open a folder; other systems do not need it.
///
/// # Errors
/// If the folder cannot be opened or synced.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Replaces the file at `path`. Only one writer may do so at a time: hold a lock, or share the file with nobody. The
/// partial file of a killed writer is replaced by the next one. A link at either path is replaced too, not followed.
///
/// # Errors
/// If it cannot be written; the old file is still there.
pub fn replace_with(path: &Path, write: &WriteTo<'_>) -> io::Result<()> {
    into(&partial(path), path, write)
}

/// Like [`replace_with`], for bytes in memory.
///
/// # Errors
/// If it cannot be written; the old file is still there.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_with(path, &|file| file.write_all(bytes))
}

/// Like [`write_atomic`], but other processes may write the same file at the same time: the last one wins, and no reader
/// sees a mixture. Leaves no partial file behind if it fails.
///
/// # Errors
/// If it cannot be written; the old file is still there.
pub fn write_atomic_shared(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let partial = beside(path, &format!(".{}.partial", std::process::id()));
    into(&partial, path, &|file| file.write_all(bytes)).inspect_err(|_| {
        // The first error says more than a failure to remove the partial file.
        let _ = fs::remove_file(&partial);
    })
}

fn into(partial: &Path, path: &Path, write: &WriteTo<'_>) -> io::Result<()> {
    let mut file = BufWriter::new(create(partial)?);
    write(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    complete(partial, &file, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name());
        }
        names.sort();
        Ok(names)
    }

    #[test]
    fn the_old_file_or_the_whole_new_one() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("x.json");
        write_atomic(&path, b"old")?;
        let failed = replace_with(&path, &|file| {
            file.write_all(b"ne")?;
            Err(io::Error::other("broke off"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path)?, b"old");
        write_atomic(&path, b"new")?;
        assert_eq!(fs::read(&path)?, b"new");
        assert_eq!(names(folder.path())?, ["x.json"]);
        Ok(())
    }

    #[test]
    fn files_that_differ_in_their_ending_have_partial_files_of_their_own() {
        let (one, other) = (Path::new("a/x.json"), Path::new("a/x.html"));
        assert_eq!(partial(one), Path::new("a/.x.json.partial"));
        assert_ne!(partial(one), partial(other));
    }

    #[test]
    fn what_fails_beside_others_leaves_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        // A folder that is not empty cannot be replaced by a file.
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("inside"))?;
        assert!(write_atomic_shared(&taken, b"x").is_err());
        write_atomic_shared(&folder.path().join("free"), b"x")?;
        assert_eq!(names(folder.path())?, ["free", "taken"]);
        Ok(())
    }
}
