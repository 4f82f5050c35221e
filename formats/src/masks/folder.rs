//! A folder of masks: a Hugging Face dataset that grows shard by shard, and can be resumed after an interruption.
//! `writer` writes the mask files; the caller writes the records in `.rho-mask`.
//!
//! The folder may come from elsewhere, with records and links that lead out of it: every name is checked, and no link
//! inside it is followed (see [`rho_files::Folder`]).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rho_files::{Folder, InsidePath, Lock, WriteTo};
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::names::{partial, partial_of_file, rewritten, rewritten_of_file};
use super::spill::{SpilledRows, spill_file};
use super::{MaskFile, MaskSchema, MaskWriter, OutputError, Spill, SpillMark, WriteOptions};

/// The folder of the run's records, which are not masks.
const NOTES: &str = ".rho-mask";
/// The folder of the locks, inside that of the records. They stay as long as the folder does.
const LOCKS: &str = "locks";

/// A folder of masks that is being written. May be shared among threads, and among processes that write different
/// shards.
#[derive(Debug, Clone)]
pub struct MasksFolder {
    folder: Folder,
}

impl MasksFolder {
    /// Checks that masks may be written to `path`: it does not exist, is an empty folder, or is a folder that masks
    /// were written to before (then it returns true). Creates nothing.
    ///
    /// # Errors
    /// If it is not a folder, holds something else, or cannot be read.
    pub fn check(path: &Path) -> Result<bool, OutputError> {
        let path = path.to_owned();
        let cannot_create = |source| OutputError::Create {
            path: path.clone(),
            source,
        };
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_dir() => return Err(OutputError::NotAFolder { path }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(cannot_create(source)),
            Ok(_) if has_records(&path)? => return Ok(true),
            Ok(_) => {}
        }
        match fs::read_dir(&path).map_err(cannot_create)?.next() {
            None => Ok(false),
            // Another rank has just created it.
            Some(_) if has_records(&path)? => Ok(true),
            Some(entry) => {
                let entry = entry.map_err(cannot_create)?.file_name().into();
                Err(OutputError::NotEmpty { path, entry })
            }
        }
    }

    /// Creates the folder, or opens one that masks were written to before.
    ///
    /// Writes `dataset_info.json` here; `state.json` comes with [`list`](Self::list). The `datasets` library rejects a
    /// dataset without files, with a clear message only if `state.json` is missing.
    ///
    /// # Errors
    /// If it is not a folder, holds something else, or cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, OutputError> {
        let folder = Self::begin(path)?;
        // Ranks that start at the same time would overwrite each other's temporary file.
        let _making = folder.lock("make")?;
        if folder.folder.bytes("dataset_info.json").is_none() {
            folder.replace("dataset_info.json", b"{}")?;
        }
        Ok(folder)
    }

    /// Like [`create`](Self::create), for a folder that is not a dataset of masks: creates only the folder of the
    /// records.
    ///
    /// # Errors
    /// If it is not a folder, holds something else, or cannot be created.
    pub fn begin(path: impl Into<PathBuf>) -> Result<Self, OutputError> {
        let path = path.into();
        Self::check(&path)?;
        let folder = Self::existing(path);
        folder.make(NOTES)?;
        Ok(folder)
    }

    /// A folder that was written before, for reading; creates and checks nothing.
    pub fn existing(path: impl Into<PathBuf>) -> Self {
        Self {
            folder: Folder::at(path),
        }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder, under which no link is followed.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Creates a folder inside, for the files of another run or program, and yields its path.
    ///
    /// # Errors
    /// If something else has its name, such as a link, or it cannot be created.
    pub fn make(&self, name: &str) -> Result<PathBuf, OutputError> {
        let made = self.folder.make(name);
        let made = made.map_err(|source| OutputError::Create {
            path: self.path().join(name),
            source,
        })?;
        Ok(made.path().to_owned())
    }

    /// The path of file `i` of a shard until it is complete.
    pub fn unfinished_file(&self, shard: &str, i: usize) -> PathBuf {
        self.path().join(partial(shard, i))
    }

    /// Starts the mask file of a shard, see [`mask_file_name`](super::mask_file_name).
    ///
    /// # Errors
    /// If the shard's name leads out of the folder, two columns have the same name, or the file cannot be created.
    pub fn writer(
        &self,
        shard: &str,
        schema: &MaskSchema,
        options: WriteOptions,
    ) -> Result<MaskWriter, OutputError> {
        let shard = InsidePath::new(shard)?;
        if let Some(name) = schema.name_twice() {
            return Err(OutputError::ColumnTwice {
                name: name.to_owned(),
            });
        }
        MaskWriter::create(&self.folder, &shard, schema, options)
    }

    /// Resumes the mask file of a shard after the bytes that [`MaskWriter::sync`] reported. `None` if fewer bytes are
    /// there.
    ///
    /// # Errors
    /// If the shard's name leads out of the folder, or the file cannot be written.
    pub fn resume(
        &self,
        shard: &str,
        schema: &MaskSchema,
        options: WriteOptions,
        files: &[u64],
    ) -> Result<Option<MaskWriter>, OutputError> {
        MaskWriter::resume(
            &self.folder,
            &InsidePath::new(shard)?,
            schema,
            options,
            files,
        )
    }

    /// Gives the complete files of a shard their final names, unless they have them already, and removes the files they
    /// replace and the shard's spill files. True if all of them exist afterwards, in their full size.
    ///
    /// # Errors
    /// If a file cannot be renamed.
    pub fn publish(
        &self,
        shard: &str,
        files: &[MaskFile],
        replaced: &[MaskFile],
    ) -> Result<bool, OutputError> {
        for (i, file) in files.iter().enumerate() {
            let from = match file.rewritten {
                true => rewritten(shard, i),
                false => partial(shard, i),
            };
            match self.folder.complete(&from, &file.name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                completed => completed.map_err(self.cannot_write(&file.name))?,
            }
        }
        // The last first, so that the others are found after an interruption.
        for (i, file) in files.iter().enumerate().rev() {
            if file.rewritten {
                self.remove_stream(&partial(shard, i))?;
            }
        }
        for old in replaced {
            if !files.iter().any(|file| file.name == old.name) {
                // It is no longer listed, so it is ignored even if it cannot be removed.
                let _ = self.folder.remove_file(&old.name);
            }
        }
        self.remove_spills(shard, None);
        Ok(files.iter().all(|file| self.is_whole(file)))
    }

    /// Whether a file exists under its final name, in its full size.
    pub fn is_whole(&self, file: &MaskFile) -> bool {
        self.folder.bytes(&file.name) == Some(file.bytes)
    }

    /// Gives a complete file of a [`MaskCopy`](super::MaskCopy) its final name, unless it has it already. True if it is
    /// there afterwards, in its full size.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn publish_copy(&self, file: &MaskFile) -> Result<bool, OutputError> {
        let from = match file.rewritten {
            true => rewritten_of_file(&file.name),
            false => partial_of_file(&file.name),
        };
        // A partial file that another run has started since is not the complete one.
        if self.folder.bytes(&from) == Some(file.bytes) && !self.is_whole(file) {
            let completed = self.folder.complete(&from, &file.name);
            completed.map_err(self.cannot_write(&file.name))?;
        }
        if file.rewritten {
            self.remove_stream(&partial_of_file(&file.name))?;
        }
        Ok(self.is_whole(file))
    }

    /// Removes the stream of a file that was rewritten in another format.
    fn remove_stream(&self, name: &str) -> Result<(), OutputError> {
        let removed = self.folder.remove_file(name);
        removed.map_err(self.cannot_write(name))
    }

    /// Starts a spill file for the documents of an open scope, beside the mask file of their shard.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn spill(&self, shard: &str, columns: &MaskSchema, turn: u8) -> Result<Spill, OutputError> {
        Spill::create(&self.folder, turn, shard, columns)
    }

    /// Resumes a spill file after the bytes that [`Spill::sync`] reported, and yields its rows with their shards. `None`
    /// if the file differs from what was written.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn resume_spill(
        &self,
        shard: &str,
        columns: &MaskSchema,
        mark: SpillMark,
    ) -> Result<Option<(Spill, SpilledRows)>, OutputError> {
        Spill::resume(&self.folder, mark, shard, columns)
    }

    /// Removes the spill files of a shard, except the one of a turn.
    pub fn remove_spills(&self, shard: &str, except: Option<u8>) {
        for turn in [0, 1] {
            if Some(turn) != except {
                // A file that cannot be removed is replaced or left over; it is never read.
                let _ = self.folder.remove_file(&spill_file(shard, turn));
            }
        }
    }

    /// Writes `state.json`: the files of the dataset, in this order.
    ///
    /// The `datasets` library caches its results by the dataset's fingerprint, so it must change with the files, and be
    /// equal for equal files. It is a hash of the metadata and of the names and sizes of the files.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn list<'a>(
        &self,
        metadata: &Value,
        files: impl IntoIterator<Item = &'a MaskFile>,
    ) -> Result<(), OutputError> {
        let mut fingerprint = Xxh3::new();
        fingerprint.update(metadata.to_string().as_bytes());
        // Written out at once: a tree of 100,000 names would take a hundred megabytes.
        let mut state = String::from("{\"_data_files\":[");
        for (i, MaskFile { name, bytes, .. }) in files.into_iter().enumerate() {
            fingerprint.update(format!("\n{name}\n{bytes}").as_bytes());
            let comma = if i == 0 { "" } else { "," };
            // Text in quotes, as JSON has it.
            let name = Value::from(name.as_str());
            state += &format!("{comma}{{\"filename\":{name}}}");
        }
        let rest = json!({
            "_fingerprint": format!("{:016x}", fingerprint.digest()),
            "_format_columns": null,
            "_format_kwargs": {},
            "_format_type": null,
            "_output_all_columns": false,
            "_split": "train",
        });
        state += "],";
        state += rest.to_string().trim_start_matches('{');
        self.replace("state.json", state.as_bytes())
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn summary(&self, summary: &Value) -> Result<(), OutputError> {
        self.replace("summary.json", format!("{summary:#}\n").as_bytes())
    }

    /// Replaces a file with what `write` writes; `None` removes it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn file(&self, name: &str, write: Option<&WriteTo<'_>>) -> Result<(), OutputError> {
        let done = match write {
            Some(write) => self.folder.replace_with(name, write),
            None => self.folder.remove_file(name),
        };
        done.map_err(self.cannot_write(name))
    }

    /// Replaces a file with that of the same name in another folder; removes it if there is none.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn copy(&self, from: &Folder, name: &str) -> Result<(), OutputError> {
        match from.open(name) {
            Ok(opened) => {
                let copy = |to: &mut dyn io::Write| io::copy(&mut &opened, to).map(|_| ());
                self.file(name, Some(&copy))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.file(name, None),
            Err(source) => Err(OutputError::Read {
                path: from.path().join(name),
                source,
            }),
        }
    }

    /// Writes a record (a file in `.rho-mask`) atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_record(&self, name: &str, bytes: &[u8]) -> Result<(), OutputError> {
        let name = record(name);
        // Create only folders of records: if the whole output is missing, that is an error.
        if let Some((parent, _)) = name.rsplit_once('/')
            && self.folder.has_folder(NOTES)
        {
            self.make(parent)?;
        }
        self.replace(&name, bytes)
    }

    /// The bytes of a record; `None` if it does not exist.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_record(&self, name: &str) -> Result<Option<Vec<u8>>, OutputError> {
        let read = self.folder.read(&record(name));
        read.map_err(|source| OutputError::Read {
            path: self.record_path(name),
            source,
        })
    }

    /// The path of a record, for messages.
    pub fn record_path(&self, name: &str) -> PathBuf {
        self.path().join(NOTES).join(name)
    }

    /// The name of a record in [`folder`](Self::folder), for records that are appended to.
    pub fn record_name(name: &str) -> String {
        record(name)
    }

    /// Removes a folder of records.
    ///
    /// # Errors
    /// If it exists and cannot be removed.
    pub fn remove_records(&self, under: &str) -> Result<(), OutputError> {
        let removed = self.folder.remove_folder(&record(under));
        removed.map_err(self.cannot_write(&record(under)))
    }

    /// The names of the records in a subfolder.
    ///
    /// # Errors
    /// If the folder exists and cannot be read.
    pub fn record_names(&self, under: &str) -> Result<Vec<String>, OutputError> {
        let entries = self.folder.entries(&record(under));
        let entries = entries.map_err(|source| OutputError::Read {
            path: self.record_path(under),
            source,
        })?;
        let names = entries.into_iter().map(|entry| entry.name);
        Ok(names.filter(|name| !name.starts_with('.')).collect())
    }

    /// Takes the lock `name`. `None` if another process holds it.
    ///
    /// # Errors
    /// If its file cannot be created or locked.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, OutputError> {
        let name = lock_file(name);
        self.folder
            .try_lock(&name)
            .map_err(self.cannot_write(&name))
    }

    /// Takes the lock `name`, and waits for it if needed.
    ///
    /// # Errors
    /// If its file cannot be created or locked.
    pub fn lock(&self, name: &str) -> Result<Lock, OutputError> {
        let name = lock_file(name);
        self.folder.lock(&name).map_err(self.cannot_write(&name))
    }

    /// Removes everything that was written here for these shards, the records last, so that it can be called again
    /// after an interruption. Other files and the locks stay.
    ///
    /// # Errors
    /// If something exists and cannot be removed.
    pub fn clear<'a>(
        &self,
        shards: impl IntoIterator<Item = &'a str>,
        files: impl IntoIterator<Item = &'a MaskFile>,
    ) -> Result<(), OutputError> {
        let files = files.into_iter();
        let mut names: Vec<String> = files.map(|file| file.name.to_string()).collect();
        for shard in shards {
            self.remove_spills(shard, None);
            // The first of which both are missing is the last: the last are removed first.
            let mut partials = Vec::new();
            for i in 0.. {
                let both = [partial(shard, i), rewritten(shard, i)];
                let mut there = false;
                for name in &both {
                    let path = self.folder.entry(name).map_err(self.cannot_write(name))?;
                    there |= fs::symlink_metadata(path).is_ok();
                }
                if !there {
                    break;
                }
                partials.extend(both);
            }
            names.extend(partials.into_iter().rev());
        }
        for name in [
            "state.json",
            "summary.json",
            "rejected.jsonl",
            "tokenizer.json",
        ] {
            names.push(name.to_owned());
        }
        for name in names {
            let removed = self.folder.remove_file_and_empty_folders(&name);
            removed.map_err(self.cannot_write(&name))?;
        }
        self.clear_records()?;
        self.replace("dataset_info.json", b"{}")
    }

    /// Removes the records, except the locks. Remove the files they describe first.
    ///
    /// # Errors
    /// If something exists and cannot be removed.
    pub fn clear_records(&self) -> Result<(), OutputError> {
        let entries = self.folder.entries(NOTES);
        let entries = entries.map_err(|source| OutputError::Read {
            path: self.path().join(NOTES),
            source,
        })?;
        let entries = entries.iter().filter(|entry| entry.name != LOCKS);
        // Folders first: the records beside them say what the folder is.
        let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|entry| entry.is_folder);
        for entry in folders {
            self.remove_records(&entry.name)?;
        }
        for entry in files {
            let name = record(&entry.name);
            let removed = self.folder.remove_file(&name);
            removed.map_err(self.cannot_write(&name))?;
        }
        Ok(())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), OutputError> {
        let written = self.folder.write_atomic(name, bytes);
        written.map_err(self.cannot_write(name))
    }

    fn cannot_write(&self, name: &str) -> impl Fn(io::Error) -> OutputError + 'static {
        let path = self.path().join(name);
        move |source| OutputError::Write {
            path: path.clone(),
            source,
        }
    }
}

/// Whether a folder has a folder of records.
fn has_records(path: &Path) -> Result<bool, OutputError> {
    let folder = Folder::at(path);
    match folder.subfolder(NOTES) {
        Ok(_) => Ok(folder.has_folder(NOTES)),
        Err(source) => Err(OutputError::Create {
            path: path.join(NOTES),
            source,
        }),
    }
}

fn record(name: &str) -> String {
    format!("{NOTES}/{name}")
}

fn lock_file(name: &str) -> String {
    format!("{NOTES}/{LOCKS}/{name}")
}
