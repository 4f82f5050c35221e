//! Installs a package into the cache folder. In: wheels that `fetch` provides. Out: a folder that is complete or does
//! not exist.
//!
//! Each wheel's hash is checked before it is unpacked. Files are unpacked into a temporary folder in the cache, which
//! one rename puts in place: an interrupted installation leaves temporary files, never half a library. A lock file
//! keeps two processes from downloading the same package; on file systems without locks, the rename decides.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rho_files::Lock;

use crate::error::LibraryError;
use crate::manifest::{Condition, Depth, Manifest, condition, copy_hashing, sha256_of};
use crate::options::LibraryOptions;
use crate::wheels::{Package, Wheel};

const TEMPORARY: &str = ".part-";

/// Downloads one wheel into a folder.
pub(crate) type Fetch<'a> = dyn Fn(&Wheel, &Path) -> Result<PathBuf, LibraryError> + 'a;

/// Installs the package if it is missing or damaged, and returns its folder.
pub(crate) fn install_package(
    package: &Package,
    options: &LibraryOptions,
    depth: Depth,
    fetch: &Fetch<'_>,
    say: &mut dyn FnMut(&str),
) -> Result<PathBuf, LibraryError> {
    let cache = options.cache.as_path();
    if cache.as_os_str().is_empty() {
        return Err(LibraryError::NoCacheFolder);
    }
    let folder = cache.join(package.folder);
    if condition(&folder, depth) == Condition::Whole {
        return Ok(folder);
    }
    if options.offline {
        return Err(LibraryError::Offline {
            package: package.name,
        });
    }
    fs::create_dir_all(cache).map_err(LibraryError::disk("create the cache folder", cache))?;
    let lock = lock(cache, say)?;
    match condition(&folder, depth) {
        // Another process has installed it meanwhile.
        Condition::Whole => return Ok(folder),
        Condition::Absent => {}
        Condition::Damaged(problem) => say(&format!(
            "{} is damaged ({problem}): installing it again",
            folder.display()
        )),
    }
    if lock.excludes_others() {
        remove_leftovers(cache);
    }
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .tempdir_in(cache)
        .map_err(LibraryError::disk("create a temporary folder", cache))?;
    let content = temporary.path().join("content");
    make_folder(&content)?;
    let mut manifest = Manifest::default();
    for wheel in package.wheels {
        say(&format!(
            "downloading {} {} ({} MB) with pip",
            wheel.package, wheel.version, wheel.megabytes
        ));
        let download = temporary.path().join(wheel.package);
        make_folder(&download)?;
        let path = fetch(wheel, &download)?;
        check_hash(wheel, &path)?;
        unpack(wheel, &path, &content, &mut manifest)?;
        // NVIDIA's wheels are large; only one at a time is kept.
        fs::remove_dir_all(&download)
            .map_err(LibraryError::disk("remove the folder", &download))?;
    }
    manifest.write(&content)?;
    put_in_place(&content, &folder, depth)?;
    say(&format!("installed in {}", folder.display()));
    Ok(folder)
}

/// Waits for another installation into the same cache.
fn lock(cache: &Path, say: &mut dyn FnMut(&str)) -> Result<Lock, LibraryError> {
    let path = cache.join(".lock");
    let waiting = || say("waiting for another installation of ONNX Runtime to finish");
    Lock::take(&path, waiting).map_err(LibraryError::disk("lock the file", &path))
}

/// Removes what interrupted installations have left. No other process is installing, because we hold the lock.
fn remove_leftovers(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(TEMPORARY))
        {
            // A leftover that cannot be removed does no harm.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn check_hash(wheel: &Wheel, path: &Path) -> Result<(), LibraryError> {
    let got = sha256_of(path).map_err(LibraryError::disk("read the wheel", path))?;
    if got == wheel.sha256 {
        return Ok(());
    }
    Err(LibraryError::WheelHash {
        wheel: file_name(path),
        expected: wheel.sha256.to_owned(),
        got,
    })
}

fn unpack(
    wheel: &Wheel,
    path: &Path,
    content: &Path,
    manifest: &mut Manifest,
) -> Result<(), LibraryError> {
    let failed = |entry: &str, source| LibraryError::Wheel {
        wheel: file_name(path),
        entry: entry.to_owned(),
        source,
    };
    let file = File::open(path).map_err(LibraryError::disk("read the wheel", path))?;
    let mut archive =
        zip::ZipArchive::new(file).map_err(|source| failed("its directory", source))?;
    make_folder(&content.join(wheel.into))?;
    for name in wheel.files {
        let entry = format!("{}{name}", wheel.from);
        let mut from = archive
            .by_name(&entry)
            .map_err(|source| failed(&entry, source))?;
        let target = content.join(wheel.into).join(name);
        let mut to =
            File::create_new(&target).map_err(LibraryError::disk("create the file", &target))?;
        let written = copy_hashing(&mut from, &mut to)
            .and_then(|written| to.sync_all().map(|()| written))
            .map_err(LibraryError::disk("unpack the wheel into", &target))?;
        let key = if wheel.into.is_empty() {
            (*name).to_owned()
        } else {
            format!("{}/{name}", wheel.into)
        };
        manifest.files.insert(key, written);
    }
    Ok(())
}

/// Renames the content into place. A rename does not replace a folder with files. If that folder is complete, another
/// process has installed it on a file system without locks, and ours is discarded. If it is damaged, it is moved away
/// first.
fn put_in_place(content: &Path, folder: &Path, depth: Depth) -> Result<(), LibraryError> {
    if fs::rename(content, folder).is_ok() || condition(folder, depth) == Condition::Whole {
        return Ok(());
    }
    if folder.exists() {
        let old = content.with_file_name("old");
        fs::rename(folder, &old).map_err(LibraryError::disk(
            "move the damaged installation away",
            folder,
        ))?;
    }
    fs::rename(content, folder).map_err(LibraryError::disk("put the installation in place", folder))
}

fn make_folder(path: &Path) -> Result<(), LibraryError> {
    fs::create_dir_all(path).map_err(LibraryError::disk("create the folder", path))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

#[cfg(test)]
#[path = "install_tests.rs"]
mod tests;
