//! Takes bytes, yields a file of a folder or a stream. Files lie under `.rho-mask/partial` until all files of their shard
//! are complete, so that no reader of the folder sees a part of one, and all that an interruption leaves is in one place.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::masks::{MaskFile, MasksFolder, OutputError, stays_inside};

/// Where files lie until they are complete, among the notes of the folder.
const PARTIAL: &str = "partial";

/// What is gathered before it is handed to the system.
const BUFFER: usize = 1 << 20;

/// Makes the files of a folder.
#[derive(Debug, Clone)]
pub struct NewFiles {
    folder: PathBuf,
    partial: PathBuf,
}

impl NewFiles {
    /// Of this folder.
    pub fn of(folder: &MasksFolder) -> Self {
        Self {
            folder: folder.path().to_owned(),
            partial: folder.note_path(PARTIAL),
        }
    }

    /// Begins a file, whatever an earlier run left of it. `name` is its path in the folder, with `/` between the parts.
    ///
    /// # Errors
    /// Where the name leads out of the folder, or the file cannot be made.
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

    /// Gives a complete file its final name, unless it has it already. True where it is there then, in its full size.
    ///
    /// # Errors
    /// Where it cannot be renamed.
    pub fn publish(&self, file: &MaskFile) -> Result<bool, OutputError> {
        let (from, to) = (self.partial.join(&file.name), self.folder.join(&file.name));
        let whole = |path: &Path| fs::metadata(path).is_ok_and(|m| m.len() == file.bytes);
        // What another run began since is not what was complete.
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

    /// Removes files by their final names, and the folders that were made for them; what is not there is passed over.
    ///
    /// # Errors
    /// Where something is there and cannot be removed.
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
            // Folders that were made for files go with the last of them; others are not empty.
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

    /// Removes what interrupted runs left of files.
    ///
    /// # Errors
    /// Where something is there and cannot be removed.
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

/// Takes the bytes of one file, or of a stream.
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
    /// A stream: standard output, most often.
    pub fn stream(out: Box<dyn Write + Send>) -> Self {
        Self {
            name: "-".to_owned(),
            path: PathBuf::from("-"),
            out: Out::Stream(Box::new(BufWriter::with_capacity(BUFFER, out))),
            bytes: 0,
        }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// Where they are not taken.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.write_all(bytes).map_err(|source| self.error(source))
    }

    /// Hands on what is gathered, where somebody reads along.
    ///
    /// # Errors
    /// Where it is not taken.
    pub fn pass_on(&mut self) -> Result<(), OutputError> {
        let passed = match &mut self.out {
            Out::File(_) => Ok(()),
            Out::Stream(out) => out.flush(),
        };
        passed.map_err(|source| self.error(source))
    }

    /// Ends it, and puts a file onto the disk, still under its temporary name.
    ///
    /// # Errors
    /// Where it cannot be written.
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

    /// What the system says of a write, as an error of this file. For encoders that write here through [`Write`].
    pub fn error(&self, source: io::Error) -> OutputError {
        match (&self.out, source.kind()) {
            (Out::Stream(_), io::ErrorKind::BrokenPipe) => OutputError::ReaderGone { source },
            _ => OutputError::Write {
                path: self.path.clone(),
                source,
            },
        }
    }

    /// Where the bytes go; `-` for a stream.
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

    /// Does nothing: encoders flush at moments of their own. See [`pass_on`](Self::pass_on).
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
        // An earlier run left a longer beginning.
        new.create("sub/a.bin").unwrap().put(&[7; 100]).unwrap();
        let mut sink = new.create("sub/a.bin").unwrap();
        sink.put(b"12").unwrap();
        sink.write_all(b"3").unwrap();
        assert_eq!(sink.bytes(), 3);
        let file = sink.finish().unwrap();
        assert!(!path.exists());
        assert!(new.publish(&file).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"123");
        // Once more changes nothing; a file that has gone is missed.
        assert!(new.publish(&file).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!new.publish(&file).unwrap());

        new.create("sub/b.bin").unwrap().finish().unwrap();
        let other = folder.path().join("sub/mine");
        fs::create_dir_all(folder.path().join("sub")).unwrap();
        fs::write(&other, "").unwrap();
        new.clear_partial().unwrap();
        new.remove(["sub/a.bin", "sub/b.bin"]).unwrap();
        assert!(other.exists(), "what is not ours is removed");
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

    /// Takes some bytes, then nobody reads.
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
