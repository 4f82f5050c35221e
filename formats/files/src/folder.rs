//! A folder of which a program wrote the content, and which a stranger may have changed since: an archive that was
//! unpacked, a data set that was downloaded. Takes names of its entries, yields files.
//!
//! The path of the folder itself is the user's choice and may lead over links. Below it nothing does: each folder on the
//! way is a real one, each file a regular one (for reading also one of the Hub's cache), else it is an error. A process that puts links in place of folders *while*
//! this one works is not kept out; whoever can do that can write the files as well.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::open::{self, kind, refused};
use crate::replace::{self, WriteTo};
use crate::{InsidePath, Lock};

/// The largest file that is read as a whole: a record of a million names of 256 bytes.
const LARGEST: u64 = 256 << 20;

const FOLDER: &str = "a folder";

/// A folder under which no symbolic link is followed. Names of entries are [`InsidePath`]s; other names are errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name in the folder.
    pub name: String,
    /// Whether it is a folder, not a link to one.
    pub is_folder: bool,
}

impl Folder {
    /// The folder at this path, which need not exist yet.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of an entry, checked: every folder on the way to it is a real one, or does not exist yet.
    ///
    /// # Errors
    /// If the name leads out of the folder, or over something that is no folder.
    pub fn entry(&self, name: &str) -> io::Result<PathBuf> {
        let name = InsidePath::new(name)
            .map_err(|outside| io::Error::new(io::ErrorKind::InvalidInput, outside))?;
        let mut path = self.path.clone();
        let mut parts = name.parts();
        let last = parts.next_back();
        for part in parts {
            path.push(part);
            match fs::symlink_metadata(&path) {
                Ok(there) if there.is_dir() => {}
                Ok(there) => return Err(refused(&path, FOLDER, kind(&there))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        path.extend(last);
        Ok(path)
    }

    /// A folder inside, which need not exist yet.
    ///
    /// # Errors
    /// If the name leads out of the folder, or over something that is no folder.
    pub fn subfolder(&self, name: &str) -> io::Result<Self> {
        let path = self.entry(name)?;
        match fs::symlink_metadata(&path) {
            Ok(there) if !there.is_dir() => Err(refused(&path, FOLDER, kind(&there))),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(Self { path }),
        }
    }

    /// Creates a folder inside, and the folders on the way to it, unless they exist.
    ///
    /// # Errors
    /// If something else is there, or one cannot be created.
    pub fn make(&self, name: &str) -> io::Result<Self> {
        let made = self.subfolder(name)?;
        fs::create_dir_all(&made.path)?;
        Ok(made)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// If there is no regular file.
    pub fn open(&self, name: &str) -> io::Result<File> {
        open::open(&self.entry(name)?)
    }

    /// Opens a file for reading and for writing in place.
    ///
    /// # Errors
    /// If there is no regular file, or it has another name as well.
    pub fn update(&self, name: &str) -> io::Result<File> {
        open::update(&self.entry(name)?)
    }

    /// Starts a new file in place of an old one, and creates the folders on the way to it.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(&self, name: &str) -> io::Result<File> {
        self.make_parent(name)?;
        open::create(&self.entry(name)?)
    }

    /// Opens a file that grows, for writing after its first `bytes` bytes; later ones are cut off. A file of 0 bytes is
    /// created if needed.
    ///
    /// # Errors
    /// If the file is shorter, or cannot be opened.
    pub fn resume(&self, name: &str, bytes: u64) -> io::Result<File> {
        if bytes == 0 {
            return self.create(name);
        }
        let mut file = self.update(name)?;
        let found = file.metadata()?.len();
        if found < bytes {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("expected at least {bytes} bytes, as recorded, got {found}"),
            ));
        }
        file.set_len(bytes)?;
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    /// The bytes of a file; `None` if there is none.
    ///
    /// # Errors
    /// If something else is there, the file is very large, or cannot be read.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > LARGEST {
            true => Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("expected at most {LARGEST} bytes, got more"),
            )),
            false => Ok(Some(bytes)),
        }
    }

    /// The size of a regular file; `None` if there is none.
    pub fn bytes(&self, name: &str) -> Option<u64> {
        open::bytes(&self.entry(name).ok()?)
    }

    /// Whether there is a folder of this name, not a link to one.
    pub fn has_folder(&self, name: &str) -> bool {
        let there = self.entry(name).and_then(fs::symlink_metadata);
        there.is_ok_and(|there| there.is_dir())
    }

    /// Replaces a file as [`replace_with`](crate::replace_with) does.
    ///
    /// # Errors
    /// If it cannot be written; the old file is still there.
    pub fn replace_with(&self, name: &str, write: &WriteTo<'_>) -> io::Result<()> {
        replace::replace_with(&self.entry(name)?, write)
    }

    /// Replaces a file with bytes in memory.
    ///
    /// # Errors
    /// If it cannot be written; the old file is still there.
    pub fn write_atomic(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.replace_with(name, &|file| file.write_all(bytes))
    }

    /// The name of a file until it is complete: `.NAME.partial` in the same folder.
    pub fn partial(name: &str) -> String {
        match name.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/.{name}.partial"),
            None => format!(".{name}.partial"),
        }
    }

    /// Syncs a file that is now complete, and gives it its final name; creates the folders on the way to it.
    ///
    /// # Errors
    /// If it is no regular file, or cannot be synced or renamed.
    pub fn complete(&self, from: &str, to: &str) -> io::Result<()> {
        let from = self.entry(from)?;
        // Before any folder is made: a run folder that went away is not made again.
        let file = open::open(&from)?;
        self.make_parent(to)?;
        replace::complete(&from, &file, &self.entry(to)?)
    }

    /// Removes a file or a link, if there is one; not what a link leads to.
    ///
    /// # Errors
    /// If it exists and cannot be removed.
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        gone(fs::remove_file(self.entry(name)?))
    }

    /// Removes a file or a link as [`remove_file`](Self::remove_file) does, and the folders on the way to it that are
    /// empty then.
    ///
    /// # Errors
    /// If it exists and cannot be removed.
    pub fn remove_file_and_empty_folders(&self, name: &str) -> io::Result<()> {
        self.remove_file(name)?;
        let mut name = name;
        while let Some((parent, _)) = name.rsplit_once('/') {
            if fs::remove_dir(self.entry(parent)?).is_err() {
                break;
            }
            name = parent;
        }
        Ok(())
    }

    /// Removes a folder and its content, if it exists; of a link only the link.
    ///
    /// # Errors
    /// If it exists and cannot be removed.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        gone(fs::remove_dir_all(self.entry(name)?))
    }

    /// The entries of a folder inside, sorted; none if it does not exist. Names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// If it is no folder, or cannot be read.
    pub fn entries(&self, name: &str) -> io::Result<Vec<Entry>> {
        let entries = match fs::read_dir(self.subfolder(name)?.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let is_folder = entry.file_type()?.is_dir();
            let name = entry.file_name().into_string().ok();
            found.extend(name.map(|name| Entry { name, is_folder }));
        }
        found.sort();
        Ok(found)
    }

    /// Takes a lock as [`Lock::try_take`] does; creates the folders on the way to its file.
    ///
    /// # Errors
    /// If its file cannot be created or locked.
    pub fn try_lock(&self, name: &str) -> io::Result<Option<Lock>> {
        self.make_parent(name)?;
        Lock::try_take(&self.entry(name)?)
    }

    /// Takes a lock, and waits for it if needed.
    ///
    /// # Errors
    /// If its file cannot be created or locked.
    pub fn lock(&self, name: &str) -> io::Result<Lock> {
        self.make_parent(name)?;
        Lock::take(&self.entry(name)?, || {})
    }

    fn make_parent(&self, name: &str) -> io::Result<()> {
        match self.entry(name)?.parent() {
            Some(parent) => fs::create_dir_all(parent),
            None => Ok(()),
        }
    }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::unexpected;

    /// A folder beside others: `out/inside`, and links from `out` to `victim`.
    fn place() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for folder in ["out/inside", "victim"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("victim/file"), "precious").unwrap();
        symlink(at("victim"), at("out/folder")).unwrap();
        symlink("../victim/file", at("out/file")).unwrap();
        symlink("../../victim", at("out/inside/folder")).unwrap();
        let out = Folder::at(at("out"));
        (place, out)
    }

    /// Everything that can be done with a name, and whether it was an error.
    fn everything(out: &Folder, name: &str) -> Vec<io::Result<()>> {
        vec![
            out.make(name).map(drop),
            out.subfolder(name).map(drop),
            out.open(name).map(drop),
            out.read(name).map(drop),
            out.update(name).map(drop),
            out.resume(name, 1).map(drop),
            out.entries(name).map(drop),
            out.try_lock(name).map(drop),
            out.lock(name).map(drop),
        ]
    }

    fn untouched(place: &tempfile::TempDir) {
        let victim = place.path().join("victim");
        assert_eq!(fs::read(victim.join("file")).unwrap(), b"precious");
        assert_eq!(fs::read_dir(victim).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_reached_over_a_link() {
        let (place, out) = place();
        for name in [
            "folder/file",
            "folder/new",
            "inside/folder/file",
            "inside/folder/a/b",
        ] {
            let mut results = everything(&out, name);
            results.extend([
                out.create(name).map(drop),
                out.resume(name, 0).map(drop),
                out.write_atomic(name, b"x"),
                out.complete(name, "inside/new"),
                out.remove_file(name),
                out.remove_file_and_empty_folders(name),
                out.remove_folder(name),
            ]);
            for (i, result) in results.into_iter().enumerate() {
                let error = result.unwrap_err();
                let said = unexpected(&error).map(|error| error.got);
                assert_eq!(said, Some("a symbolic link"), "{name} {i}: {error}");
            }
            assert_eq!(out.bytes(name), None);
            assert!(!out.has_folder(name));
        }
        for name in ["folder", "file"] {
            for (i, result) in everything(&out, name).into_iter().enumerate() {
                assert!(unexpected(&result.unwrap_err()).is_some(), "{name} {i}");
            }
            assert_eq!(out.bytes(name), None);
            assert!(!out.has_folder(name));
        }
        untouched(&place);
        // A link in place of a file or folder is removed or replaced itself.
        out.create("file").unwrap().write_all(b"x").unwrap();
        assert_eq!(out.read("file").unwrap().unwrap(), b"x");
        out.remove_folder("folder").unwrap();
        out.remove_file("inside/folder").unwrap();
        assert!(!out.path().join("folder").exists());
        symlink("../victim/file", out.path().join(Folder::partial("a"))).unwrap();
        symlink("../victim/file", out.path().join("a")).unwrap();
        out.write_atomic("a", b"x").unwrap();
        assert_eq!(out.bytes("a"), Some(1));
        untouched(&place);
    }

    #[test]
    fn no_name_leads_out() {
        let (place, out) = place();
        for name in [
            "../victim/file",
            "/etc/hostname",
            "",
            "inside/../../victim/file",
            "a\0b",
        ] {
            for result in everything(&out, name) {
                assert_eq!(
                    result.unwrap_err().kind(),
                    io::ErrorKind::InvalidInput,
                    "{name}"
                );
            }
            assert!(out.remove_file(name).is_err() && out.remove_folder(name).is_err());
        }
        untouched(&place);
    }

    #[test]
    fn the_folder_itself_may_be_a_link() {
        let (place, _) = place();
        let at = |name: &str| place.path().join(name);
        symlink(at("victim"), at("chosen")).unwrap();
        let out = Folder::at(at("chosen"));
        out.write_atomic("sub", b"x").unwrap();
        out.create("a/b/c").unwrap();
        assert!(at("victim/a/b/c").exists() && at("victim/sub").exists());
        assert_eq!(out.resume("a/b/c", 0).unwrap().metadata().unwrap().len(), 0);
        assert!(out.resume("a/b/c", 5).is_err());
        let names: Vec<_> = out.entries("a").unwrap();
        assert_eq!(
            names,
            [Entry {
                name: "b".to_owned(),
                is_folder: true
            }]
        );
        out.complete("a/b/c", "d/e").unwrap();
        out.remove_file_and_empty_folders("a/b/c").unwrap();
        assert!(!at("victim/a").exists() && at("victim/d/e").exists());
    }
}
