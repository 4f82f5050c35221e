//! Opens files that somebody else named. Takes a path, yields an open file, or its content.
//!
//! A FIFO, a socket or a device in the place of a file is refused before it is opened: opening a FIFO waits for a
//! writer, a device may never end, and opening some devices changes them. Only the descriptors that this process was
//! started with (`/dev/stdin`, `/dev/fd/63` of a shell's `<(...)`) may be pipes: their other end is open already.

use std::fmt;
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::Path;

use crate::pointer::refuse_pointer;

/// The error inside the [`io::Error`] for something that is not a file: what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAFile(&'static str);

impl fmt::Display for NotAFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "expected a file, got {}", self.0)
    }
}

impl std::error::Error for NotAFile {}

impl NotAFile {
    /// What `kind` is, if it is neither a file nor a folder.
    fn of(kind: FileType) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::FileTypeExt;
            if kind.is_fifo() {
                return Some(Self("a FIFO"));
            } else if kind.is_socket() {
                return Some(Self("a socket"));
            } else if kind.is_char_device() || kind.is_block_device() {
                return Some(Self("a device"));
            }
        }
        let known = kind.is_file() || kind.is_dir() || kind.is_symlink();
        (!known).then_some(Self("something else"))
    }
}

/// Opens a file that the user named, over any links. A folder is left to the first read, whose error names it.
///
/// # Errors
/// If it cannot be opened, or is a FIFO, a socket or a device: then the error holds a [`NotAFile`].
pub fn open_named(path: &Path) -> io::Result<File> {
    let refuse = |kind| match NotAFile::of(kind) {
        Some(other) if !is_own_descriptor(path) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, other))
        }
        _ => Ok(()),
    };
    refuse(fs::metadata(path)?.file_type())?;
    let file = File::open(path)?;
    // It may have been replaced in between.
    refuse(file.metadata()?.file_type())?;
    Ok(file)
}

/// The bytes of a file.
///
/// # Errors
/// Those of [`open_named`], and if it cannot be read, or is a pointer to a file that was not downloaded.
pub fn read_named(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = open_named(path)?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0).min(1 << 26));
    file.read_to_end(&mut bytes)?;
    refuse_pointer(&bytes)?;
    Ok(bytes)
}

/// The text of a file.
///
/// # Errors
/// Those of [`read_named`], and if it is not UTF-8.
pub fn read_named_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read_named(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn is_own_descriptor(path: &Path) -> bool {
    let below = ["/dev/fd", "/proc/self/fd"];
    path == Path::new("/dev/stdin") || below.iter().any(|folder| path.starts_with(folder))
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    fn refused(path: &Path) -> String {
        let errors = [
            open_named(path).err(),
            read_named(path).err(),
            read_named_text(path).err(),
        ];
        let texts = errors.map(|error| error.unwrap().to_string());
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        texts[0].clone()
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting() {
        let place = tempfile::tempdir().unwrap();
        let fifo = place.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(refused(&fifo), "expected a file, got a FIFO");
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&fifo, &link).unwrap();
        assert_eq!(refused(&link), "expected a file, got a FIFO");
        let socket = place.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(refused(&socket), "expected a file, got a socket");
        assert_eq!(
            refused(Path::new("/dev/zero")),
            "expected a file, got a device"
        );
    }

    #[test]
    fn files_and_own_pipes_are_read() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("file");
        fs::write(&path, "text").unwrap();
        assert_eq!(read_named(&path).unwrap(), b"text");
        assert_eq!(read_named_text(&path).unwrap(), "text");
        assert!(read_named(place.path()).is_err());
        assert!(read_named(&place.path().join("none")).is_err());
        let (reader, mut writer) = io::pipe().unwrap();
        io::Write::write_all(&mut writer, b"piped").unwrap();
        drop(writer);
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&reader);
        let path = format!("/dev/fd/{descriptor}");
        assert_eq!(read_named_text(Path::new(&path)).unwrap(), "piped");
    }
}
