//! Takes bytes, yields a file in a folder or a stream. Files are under `.rho-mask/partial` until all files of their
//! shard are complete, so that no reader of the folder sees an incomplete one, and all leftovers of an interruption are
//! in one folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::masks::{MaskFile, MasksFolder, OutputError, stays_inside};

/// The folder of incomplete files, inside that of the records.
const PARTIAL: &str = "partial";

/// Size of the write buffer, in bytes.
const BUFFER: usize = 1 << 20;

/// Creates the files of a folder.
#[derive(Debug, Clone)]
pub struct NewFiles {
    folder: PathBuf,
    partial: PathBuf,
}

impl NewFiles {
    /// Creates files in this folder.
    pub fn of(folder: &MasksFolder) -> Self {
        Self {
            folder: folder.path().to_owned(),
            partial: folder.record_path(PARTIAL),
        }
    }

    /// Starts a file, overwriting what an earlier run left of it. `name` is its path in the folder, with `/` between
    /// the parts.
    ///
    /// # Errors
    /// If the name leads out of the folder, or the file cannot be created.
    pub fn create(&self, name: &str) -> Result<Sink, OutputError> {
        stays_inside(name)?;
        let path = self.partial.join(name);
        let cannot_create = |path: PathBuf| |source| OutputError::Create { path, source };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(cannot_create(parent.to_owned()))?;
        }
        let file = File::create(&path).map_err(cannot_create(path.clone()))?;
        Ok(Sink {
            name: name.to_owned(),
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
        let (from, to) = (self.partial.join(&file.name), self.folder.join(&file.name));
        let whole = |path: &Path| fs::metadata(path).is_ok_and(|m| m.len() == file.bytes);
        // A partial file that another run has started since is not the complete one.
        if whole(&from) && !whole(&to) {
            let renamed = to.parent().map_or(Ok(()), fs::create_dir_all);
            let renamed = renamed
                .and_then(|()| File::open(&from))
                .and_then(|opened| rho_files::complete(&from, &opened, &to));
            renamed.map_err(|source| OutputError::Write {
                path: to.clone(),
                source,
            })?;
        }
        Ok(whole(&to))
    }

    /// Removes files by their final names, and their folders if these are empty then. Missing files are ignored.
    ///
    /// # Errors
    /// If something exists and cannot be removed.
    pub fn remove<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<(), OutputError> {
        for name in names {
            stays_inside(name)?;
            let path = self.folder.join(name);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(OutputError::Write { path, source });
                }
                _ => {}
            }
            // Removes folders of these files once they are empty; others are not empty.
            let mut parent = path.parent();
            while let Some(folder) = parent
                && folder != self.folder
                && fs::remove_dir(folder).is_ok()
            {
                parent = folder.parent();
            }
        }
        Ok(())
    }

    /// Removes the incomplete files of interrupted runs.
    ///
    /// # Errors
    /// If something exists and cannot be removed.
    pub fn clear_partial(&self) -> Result<(), OutputError> {
        let path = self.partial.clone();
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(OutputError::Write { path, source })
            }
            _ => Ok(()),
        }
    }
}

/// Takes the bytes of one file or of a stream.
pub struct Sink {
    name: String,
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
            name: "-".to_owned(),
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
