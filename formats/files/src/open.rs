//! Takes the path of a file whose folder is trusted, yields the open file, if it is a regular one: a symbolic link is
//! not followed, and a pipe or device is not waited for. Links in the path to the folder are the business of `folder`.
//!
//! One kind of link counts as the file itself for reading: that of the Hub's cache, in which every file of a download is
//! a link to its content beside the snapshots.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Something else than the file or folder that a program wrote lies at its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexpected {
    /// The path.
    pub path: PathBuf,
    /// What should be there.
    pub expected: &'static str,
    /// What is there.
    pub got: &'static str,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, got {}",
            self.path.display(),
            self.expected,
            self.got
        )
    }
}

impl std::error::Error for Unexpected {}

/// The [`Unexpected`] in an error, if it is one.
pub fn unexpected(error: &io::Error) -> Option<&Unexpected> {
    error.get_ref()?.downcast_ref()
}

pub(crate) fn refused(path: &Path, expected: &'static str, got: &'static str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        Unexpected {
            path: path.to_owned(),
            expected,
            got,
        },
    )
}

/// What a path leads to, in words.
pub(crate) fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_dir() {
        "a folder"
    } else if kind.is_file() {
        "a file"
    } else {
        "a pipe or a device"
    }
}

const FILE: &str = "a regular file";

/// Opens a file that exists, for reading.
///
/// # Errors
/// If there is no regular file at the path itself, nor a link of the Hub's cache.
pub fn open(path: &Path) -> io::Result<File> {
    match in_hub_cache(path) {
        Some(content) => regular(OpenOptions::new().read(true), &content),
        None => regular(OpenOptions::new().read(true), path),
    }
}

/// The size of a file that [`open`] opens; `None` if it opens none.
pub(crate) fn bytes(path: &Path) -> Option<u64> {
    let path = in_hub_cache(path).unwrap_or_else(|| path.to_owned());
    let there = fs::symlink_metadata(path).ok()?;
    there.is_file().then_some(there.len())
}

/// The content of a file of the Hub's cache: `REPOSITORY/snapshots/COMMIT/NAME` is a link to `REPOSITORY/blobs/HASH`.
/// `None` for every other path. The same repository holds both, so such a link leads nowhere else.
pub(crate) fn in_hub_cache(path: &Path) -> Option<PathBuf> {
    if !fs::symlink_metadata(path).ok()?.is_symlink() {
        return None;
    }
    let content = path.canonicalize().ok()?;
    let blobs = content.parent()?;
    let repository = blobs.parent().filter(|_| blobs.ends_with("blobs"))?;
    let folder = path.parent()?.canonicalize().ok()?;
    folder
        .starts_with(repository.join("snapshots"))
        .then_some(content)
}

/// Opens a file that is copied to where others can read it. A link may lead to a file of the same name: a model's folder
/// may share the tokenizer.json of another model, but its vocab.json is no password file.
///
/// # Errors
/// If there is neither a file that [`open`] opens, nor a link to a regular file of the same name.
pub fn open_to_copy(path: &Path) -> io::Result<File> {
    let is_link = fs::symlink_metadata(path)?.is_symlink();
    if is_link
        && let Ok(target) = path.canonicalize()
        && target.file_name() == path.file_name()
    {
        return regular(OpenOptions::new().read(true), &target);
    }
    open(path)
}

/// Opens a file that exists, for reading and for writing in place.
///
/// # Errors
/// If there is no regular file, or it has another name as well: writing would change that one too.
pub(crate) fn update(path: &Path) -> io::Result<File> {
    let file = regular(OpenOptions::new().read(true).write(true), path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if file.metadata()?.nlink() > 1 {
            return Err(refused(
                path,
                "a file of one name",
                "one that is also linked from elsewhere",
            ));
        }
    }
    Ok(file)
}

/// Starts a new file, in place of an old file or link of that name. Whatever the old one led to stays as it is.
///
/// # Errors
/// If a folder has this name, or the file cannot be created.
pub fn create(path: &Path) -> io::Result<File> {
    let new = || {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).open(path)
    };
    match new() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let there = fs::symlink_metadata(path);
            if there.is_ok_and(|there| there.is_dir()) {
                return Err(refused(path, FILE, "a folder"));
            }
            fs::remove_file(path)?;
            new()
        }
        created => created,
    }
}

/// Opens a file of any other process's choice with these options, unless it is no regular file.
pub(crate) fn regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // Without waiting for the other end of a pipe; it has no effect on a regular file.
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    }
    #[cfg(not(unix))]
    if let Ok(there) = fs::symlink_metadata(path)
        && !there.is_file()
    {
        return Err(refused(path, FILE, kind(&there)));
    }
    let opened = options
        .open(path)
        .and_then(|file| Ok((file.metadata()?, file)));
    match opened {
        Ok((metadata, file)) if metadata.is_file() => Ok(file),
        Ok((metadata, _)) => Err(refused(path, FILE, kind(&metadata))),
        // The system's words for a link or a pipe ("too many levels", "no such device") would be a riddle.
        Err(error) => match fs::symlink_metadata(path) {
            Ok(there) if !there.is_file() => Err(refused(path, FILE, kind(&there))),
            _ => Err(error),
        },
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_of_the_hubs_cache_count_as_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("models--a--b/snapshots/c0ffee/sub")).unwrap();
        fs::create_dir_all(at("models--a--b/blobs")).unwrap();
        fs::create_dir_all(at("other/blobs")).unwrap();
        let file = |name: &str| at("models--a--b/snapshots/c0ffee").join(name);
        for (blob, link, target) in [
            ("models--a--b/blobs/1", "a.json", "../../blobs/1"),
            ("models--a--b/blobs/2", "sub/a.json", "../../../blobs/2"),
        ] {
            fs::write(at(blob), "{}").unwrap();
            symlink(target, file(link)).unwrap();
            assert!(open(&file(link)).is_ok());
            assert_eq!(bytes(&file(link)), Some(2));
            assert!(update(&file(link)).is_err());
        }
        fs::write(at("secret"), "s").unwrap();
        fs::write(at("other/blobs/3"), "s").unwrap();
        fs::create_dir(at("models--a--b/blobs/folder")).unwrap();
        symlink(at("secret"), at("models--a--b/blobs/4")).unwrap();
        for (link, target) in [
            ("b", "../../../secret"),
            ("c", "../../../other/blobs/3"),
            ("d", "../../blobs/4"),
            ("e", "../../blobs/folder"),
            ("f", "a.json/.."),
        ] {
            symlink(target, file(link)).unwrap();
            assert!(open(&file(link)).is_err(), "{link}");
            assert_eq!(bytes(&file(link)), None, "{link}");
        }
        // A file may be shared under its own name only.
        fs::write(at("other/a.json"), "{}").unwrap();
        for (link, is_copied) in [("a.json", true), ("b.json", false)] {
            symlink(at("other/a.json"), at(link)).unwrap();
            assert_eq!(open_to_copy(&at(link)).is_ok(), is_copied);
            assert!(open(&at(link)).is_err());
        }
        assert!(open_to_copy(&file("a.json")).is_ok() && open_to_copy(&at("secret")).is_ok());
        assert!(open_to_copy(&at("other")).is_err() && open_to_copy(&at("none")).is_err());
        // The same link elsewhere.
        symlink(at("models--a--b/blobs/1"), at("g")).unwrap();
        assert!(open(&at("g")).is_err());
    }

    #[test]
    fn only_regular_files_are_opened_and_what_links_lead_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        symlink(at("victim"), at("link")).unwrap();
        symlink(at("none"), at("dangling")).unwrap();
        fs::hard_link(at("victim"), at("hard")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        for (name, got) in [
            ("link", "a symbolic link"),
            ("dangling", "a symbolic link"),
            ("folder", "a folder"),
            ("pipe", "a pipe or a device"),
        ] {
            for refused in [open(&at(name)), update(&at(name))] {
                let error = refused.unwrap_err();
                assert_eq!(
                    unexpected(&error).map(|error| error.got),
                    Some(got),
                    "{name}"
                );
            }
        }
        assert!(unexpected(&open(&at("none")).unwrap_err()).is_none());
        assert!(open(&at("hard")).is_ok());
        assert!(unexpected(&update(&at("hard")).unwrap_err()).is_some());
        assert!(create(&at("folder")).is_err());
        for name in ["link", "dangling", "hard", "pipe", "new"] {
            create(&at(name)).unwrap().write_all(b"new").unwrap();
            assert_eq!(fs::read(at(name)).unwrap(), b"new", "{name}");
            assert!(fs::symlink_metadata(at(name)).unwrap().is_file(), "{name}");
        }
        assert_eq!(fs::read(at("victim")).unwrap(), b"precious");
        assert!(!at("none").exists());
    }
}
