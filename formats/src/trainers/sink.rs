//! Takes bytes, yields a file in a folder or a stream. Files are under `.rho-mask/partial` until all files of their
//! shard are complete, so that no reader of the folder sees an incomplete one, and all leftovers of an interruption are
//! in one folder.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use rho_files::{Folder, InsidePath};

use crate::masks::{MaskFile, MasksFolder, OutputError};

/// The folder of incomplete files, inside that of the records.
const PARTIAL: &str = "partial";

/// Size of the write buffer, in bytes.
const BUFFER: usize = 1 << 20;

/// Creates the files of a folder.
#[derive(Debug, Clone)]
pub struct NewFiles {
    folder: Folder,
}

impl NewFiles {
    /// Creates files in this folder.
    pub fn of(folder: &MasksFolder) -> Self {
        Self {
            folder: folder.folder().clone(),
        }
    }

    /// Starts a file, in place of what an earlier run left of it. `name` is its path in the folder, with `/` between
    /// the parts.
    ///
    /// # Errors
    /// If the name leads out of the folder, or the file cannot be created.
    pub fn create(&self, name: &str) -> Result<Sink, OutputError> {
        let name = InsidePath::new(name)?;
        let partial = partial(&name);
        let path = self.folder.path().join(&partial);
        let file = self.folder.create(&partial);
        let file = file.map_err(|source| OutputError::Create {
            path: path.clone(),
            source,
        })?;
        Ok(Sink {
            name,
            path,
            out: Out::File(BufWriter::with_capacity(BUFFER, file)),
            bytes: 0,
        })
    }

    /// Gives a complete file its final name, unless it has it already. True if it exists afterwards, in its full size.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn publish(&self, file: &MaskFile) -> Result<bool, OutputError> {
        let from = partial(&file.name);
        let whole = |name: &str| self.folder.bytes(name) == Some(file.bytes);
        // A partial file that another run has started since is not the complete one.
        if whole(&from) && !whole(&file.name) {
            let completed = self.folder.complete(&from, &file.name);
            completed.map_err(|source| self.cannot_write(&file.name, source))?;
        }
        Ok(whole(&file.name))
    }

    /// Removes files by their final names, and their folders if these are empty then. Missing files are ignored.
    ///
    /// # Errors
    /// If something exists and cannot be removed.
    pub fn remove<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<(), OutputError> {
        for name in names {
            let name = InsidePath::new(name)?;
            let removed = self.folder.remove_file_and_empty_folders(&name);
            removed.map_err(|source| self.cannot_write(&name, source))?;
        }
        Ok(())
    }

    /// Removes the incomplete files of interrupted runs.
    ///
    /// # Errors
    /// If something exists and cannot be removed.
    pub fn clear_partial(&self) -> Result<(), OutputError> {
        let name = MasksFolder::record_name(PARTIAL);
        let removed = self.folder.remove_folder(&name);
        removed.map_err(|source| self.cannot_write(&name, source))
    }

    fn cannot_write(&self, name: &str, source: io::Error) -> OutputError {
        OutputError::Write {
            path: self.folder.path().join(name),
            source,
        }
    }
}

/// The name of a file until all files of its shard are complete.
fn partial(name: &str) -> String {
    MasksFolder::record_name(&format!("{PARTIAL}/{name}"))
}

/// Takes the bytes of one file or of a stream.
pub struct Sink {
    /// `-` for a stream.
    name: InsidePath,
    path: PathBuf,
    out: Out,
    bytes: u64,
}

enum Out {
    File(BufWriter<File>),
    Stream(Box<dyn Write + Send>),
}

impl Sink {
    /// A sink that writes to a stream, usually standard output.
    pub fn stream(out: Box<dyn Write + Send>) -> Self {
        Self {
            name: InsidePath::new("-").expect("a dash leads nowhere"),
            path: PathBuf::from("-"),
            out: Out::Stream(Box::new(BufWriter::with_capacity(BUFFER, out))),
            bytes: 0,
        }
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.write_all(bytes).map_err(|source| self.error(source))
    }

    /// Flushes the buffer of a stream, for a reader at its other end. Does nothing for a file.
    ///
    /// # Errors
    /// If the bytes cannot be written.
    pub fn pass_on(&mut self) -> Result<(), OutputError> {
        let passed = match &mut self.out {
            Out::File(_) => Ok(()),
            Out::Stream(out) => out.flush(),
        };
        passed.map_err(|source| self.error(source))
    }

    /// Completes the sink; syncs a file, still under its temporary name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<MaskFile, OutputError> {
        let flushed = self.out_mut().flush();
        flushed.map_err(|source| self.error(source))?;
        if let Out::File(file) = &self.out {
            let synced = file.get_ref().sync_all();
            synced.map_err(|source| self.error(source))?;
        }
        Ok(MaskFile {
            name: self.name,
            bytes: self.bytes,
            rewritten: false,
        })
    }

    /// Converts a system error to one of this file. For encoders that write here through [`Write`].
    pub fn error(&self, source: io::Error) -> OutputError {
        match (&self.out, source.kind()) {
            (Out::Stream(_), io::ErrorKind::BrokenPipe) => OutputError::ReaderGone { source },
            _ => OutputError::Write {
                path: self.path.clone(),
                source,
            },
        }
    }

    /// The path of the file; `-` for a stream.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn out_mut(&mut self) -> &mut dyn Write {
        match &mut self.out {
            Out::File(file) => file,
            Out::Stream(stream) => stream,
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out_mut().write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    /// Does nothing, because encoders flush whenever they like. See [`pass_on`](Self::pass_on).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_has_its_name_when_it_is_complete() {
        let place = tempfile::tempdir().unwrap();
        let folder = MasksFolder::begin(place.path().join("out")).unwrap();
        let new = NewFiles::of(&folder);
        let path = folder.path().join("sub/a.bin");
        // An earlier run left a longer partial file.
        new.create("sub/a.bin").unwrap().put(&[7; 100]).unwrap();
        let mut sink = new.create("sub/a.bin").unwrap();
        sink.put(b"12").unwrap();
        sink.write_all(b"3").unwrap();
        assert_eq!(sink.bytes(), 3);
        let file = sink.finish().unwrap();
        assert!(!path.exists());
        assert!(new.publish(&file).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"123");
        // Publishing again changes nothing; a removed file is noticed.
        assert!(new.publish(&file).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!new.publish(&file).unwrap());

        new.create("sub/b.bin").unwrap().finish().unwrap();
        let other = folder.path().join("sub/mine");
        fs::create_dir_all(folder.path().join("sub")).unwrap();
        fs::write(&other, "").unwrap();
        new.clear_partial().unwrap();
        new.remove(["sub/a.bin", "sub/b.bin"]).unwrap();
        assert!(other.exists(), "a file of somebody else was removed");
        fs::remove_file(&other).unwrap();
        new.remove(["sub/a.bin"]).unwrap();
        assert!(!folder.path().join("sub").exists());
    }

    #[test]
    fn names_stay_in_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let folder = MasksFolder::begin(place.path().join("out")).unwrap();
        let new = NewFiles::of(&folder);
        for name in ["../a", "/a", "a/../../b", "", "a/"] {
            assert!(new.create(name).is_err(), "{name}");
            assert!(new.remove([name]).is_err(), "{name}");
        }
    }

    /// Accepts some bytes, then fails as if its reader had closed it.
    struct Gone(usize);

    impl Write for Gone {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            match taken {
                0 => Err(io::ErrorKind::BrokenPipe.into()),
                taken => Ok(taken),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_goes_is_told_from_other_errors() {
        let mut sink = Sink::stream(Box::new(Gone(3)));
        sink.put(b"12").unwrap();
        sink.pass_on().unwrap();
        sink.put(b"34").unwrap();
        assert!(matches!(
            sink.pass_on(),
            Err(OutputError::ReaderGone { .. })
        ));
    }
}
