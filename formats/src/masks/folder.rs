//! A folder of masks: a Hugging Face dataset that grows shard by shard, and can be resumed after an interruption.
//! `writer` writes the mask files; the caller writes the records in `.rho-mask`.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use rho_files::{Lock, WriteTo};
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::spill::{remove_spills, spill_file};
use super::writer::{file_names, partial};
use super::{
    MaskFile, MaskRow, MaskSchema, MaskWriter, OutputError, Spill, SpillMark, WriteOptions,
};

/// The folder of the run's records, which are not masks.
const NOTES: &str = ".rho-mask";
/// The folder of the locks, inside that of the records. They stay as long as the folder does.
const LOCKS: &str = "locks";

/// A folder of masks that is being written. May be shared among threads, and among processes that write different
/// shards.
#[derive(Debug, Clone)]
pub struct MasksFolder {
    path: PathBuf,
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
            Ok(_) if path.join(NOTES).is_dir() => return Ok(true),
            Ok(_) => {}
        }
        match fs::read_dir(&path).map_err(cannot_create)?.next() {
            None => Ok(false),
            // Another rank has just created it.
            Some(_) if path.join(NOTES).is_dir() => Ok(true),
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
        if !folder.path.join("dataset_info.json").exists() {
            folder.replace(Path::new("dataset_info.json"), b"{}")?;
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
        let folder = Self { path };
        folder.make(&folder.path.join(NOTES))?;
        Ok(folder)
    }

    /// A folder that was written before, for reading; creates and checks nothing.
    pub fn existing(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of file `i` of a shard until it is complete.
    pub fn unfinished_file(&self, shard: &str, i: usize) -> PathBuf {
        partial(&self.path, shard, i)
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
        stays_inside(shard)?;
        if let Some(name) = schema.name_twice() {
            return Err(OutputError::ColumnTwice {
                name: name.to_owned(),
            });
        }
        MaskWriter::create(&self.path, shard, schema, options)
    }

    /// Resumes the mask file of a shard after the bytes that [`MaskWriter::sync`] reported. `None` if fewer bytes are
    /// there.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn resume(
        &self,
        shard: &str,
        schema: &MaskSchema,
        options: WriteOptions,
        files: &[u64],
    ) -> Result<Option<MaskWriter>, OutputError> {
        MaskWriter::resume(&self.path, shard, schema, options, files)
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
            let (from, to) = (partial(&self.path, shard, i), self.path.join(&file.name));
            let renamed = match File::open(&from) {
                Ok(opened) => rho_files::complete(&from, &opened, &to),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(source) => Err(source),
            };
            renamed.map_err(|source| OutputError::Write { path: to, source })?;
        }
        for old in replaced {
            if !files.iter().any(|file| file.name == old.name) {
                // It is no longer listed, so it is ignored even if it cannot be removed.
                let _ = fs::remove_file(self.path.join(&old.name));
            }
        }
        remove_spills(&self.mask_file(shard), None);
        let whole = |file: &MaskFile| {
            fs::metadata(self.path.join(&file.name)).is_ok_and(|m| m.len() == file.bytes)
        };
        Ok(files.iter().all(whole))
    }

    /// Gives a complete file of a [`MaskCopy`](super::MaskCopy) its final name, unless it has it already. True if it is
    /// there afterwards, in its full size.
    ///
    /// # Errors
    /// If it cannot be renamed.
    pub fn publish_copy(&self, file: &MaskFile) -> Result<bool, OutputError> {
        let to = self.path.join(&file.name);
        let from = rho_files::partial(&to);
        let whole = |path: &Path| fs::metadata(path).is_ok_and(|m| m.len() == file.bytes);
        // A partial file that another run has started since is not the complete one.
        if whole(&from) && !whole(&to) {
            let renamed =
                File::open(&from).and_then(|opened| rho_files::complete(&from, &opened, &to));
            renamed.map_err(|source| OutputError::Write {
                path: to.clone(),
                source,
            })?;
        }
        Ok(whole(&to))
    }

    /// Starts a spill file for the documents of an open scope, beside the mask file of their shard.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn spill(&self, shard: &str, columns: &MaskSchema, turn: u8) -> Result<Spill, OutputError> {
        Spill::create(
            spill_file(&self.mask_file(shard), turn),
            turn,
            shard,
            columns,
        )
    }

    /// Resumes a spill file after the bytes that [`Spill::sync`] reported, and yields its rows. `None` if the file
    /// differs from what was written.
    ///
    /// # Errors
    /// If the file cannot be read or written.
    pub fn resume_spill(
        &self,
        shard: &str,
        columns: &MaskSchema,
        mark: SpillMark,
    ) -> Result<Option<(Spill, Vec<MaskRow>)>, OutputError> {
        Spill::resume(
            spill_file(&self.mask_file(shard), mark.turn),
            mark,
            shard,
            columns,
        )
    }

    /// Removes the spill files of a shard, except the one of a turn.
    pub fn remove_spills(&self, shard: &str, except: Option<u8>) {
        remove_spills(&self.mask_file(shard), except);
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
        let mut names = Vec::new();
        for MaskFile { name, bytes } in files {
            fingerprint.update(format!("\n{name}\n{bytes}").as_bytes());
            names.push(json!({"filename": name}));
        }
        let state = json!({
            "_data_files": names,
            "_fingerprint": format!("{:016x}", fingerprint.digest()),
            "_format_columns": null,
            "_format_kwargs": {},
            "_format_type": null,
            "_output_all_columns": false,
            "_split": "train",
        });
        self.replace(Path::new("state.json"), state.to_string().as_bytes())
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn summary(&self, summary: &Value) -> Result<(), OutputError> {
        self.replace(
            Path::new("summary.json"),
            format!("{summary:#}\n").as_bytes(),
        )
    }

    /// Replaces a file with what `write` writes; `None` removes it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn file(&self, name: &str, write: Option<&WriteTo<'_>>) -> Result<(), OutputError> {
        let path = self.path.join(name);
        let done = match write {
            Some(write) => rho_files::replace_with(&path, write),
            None => match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        done.map_err(|source| OutputError::Write { path, source })
    }

    /// Writes a record (a file in `.rho-mask`) atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_record(&self, name: &str, bytes: &[u8]) -> Result<(), OutputError> {
        let path = Path::new(NOTES).join(name);
        // Create only folders of records: if the whole output is missing, that is an error.
        if let Some(parent) = path.parent()
            && self.path.join(NOTES).is_dir()
        {
            self.make(&self.path.join(parent))?;
        }
        self.replace(&path, bytes)
    }

    /// The bytes of a record; `None` if it does not exist.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read_record(&self, name: &str) -> Result<Option<Vec<u8>>, OutputError> {
        let path = self.path.join(NOTES).join(name);
        match rho_files::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OutputError::Read { path, source }),
        }
    }

    /// The path of a record, for records that are appended to.
    pub fn record_path(&self, name: &str) -> PathBuf {
        self.path.join(NOTES).join(name)
    }

    /// The names of the records in a subfolder.
    ///
    /// # Errors
    /// If the folder exists and cannot be read.
    pub fn record_names(&self, under: &str) -> Result<Vec<String>, OutputError> {
        let path = self.path.join(NOTES).join(under);
        let read = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                    .collect::<io::Result<Vec<_>>>()
            }),
        };
        let mut names = read.map_err(|source| OutputError::Read { path, source })?;
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        Ok(names)
    }

    /// Takes the lock `name`. `None` if another process holds it.
    ///
    /// # Errors
    /// If its file cannot be created or locked.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, OutputError> {
        let path = self.lock_file(name)?;
        Lock::try_take(&path).map_err(|source| OutputError::Write { path, source })
    }

    /// Takes the lock `name`, and waits for it if needed.
    ///
    /// # Errors
    /// If its file cannot be created or locked.
    pub fn lock(&self, name: &str) -> Result<Lock, OutputError> {
        let path = self.lock_file(name)?;
        Lock::take(&path, || {}).map_err(|source| OutputError::Write { path, source })
    }

    fn lock_file(&self, name: &str) -> Result<PathBuf, OutputError> {
        let path = self.path.join(NOTES).join(LOCKS).join(name);
        if let Some(parent) = path.parent() {
            self.make(parent)?;
        }
        Ok(path)
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
        let mut paths: Vec<PathBuf> = files
            .into_iter()
            .map(|file| self.path.join(&file.name))
            .collect();
        for shard in shards {
            remove_spills(&self.mask_file(shard), None);
            let mut i = 0;
            while partial(&self.path, shard, i).exists() {
                paths.push(partial(&self.path, shard, i));
                i += 1;
            }
        }
        for name in [
            "state.json",
            "summary.json",
            "rejected.jsonl",
            "tokenizer.json",
        ] {
            paths.push(self.path.join(name));
        }
        for path in paths {
            gone(&path, fs::remove_file(&path))?;
            // Removes folders of shards once they are empty; others are not empty.
            let mut parent = path.parent();
            while let Some(folder) = parent
                && folder != self.path
                && fs::remove_dir(folder).is_ok()
            {
                parent = folder.parent();
            }
        }
        self.clear_records()?;
        self.replace(Path::new("dataset_info.json"), b"{}")
    }

    /// Removes the records, except the locks. Remove the files they describe first.
    ///
    /// # Errors
    /// If something exists and cannot be removed.
    pub fn clear_records(&self) -> Result<(), OutputError> {
        let notes = self.path.join(NOTES);
        let entries = fs::read_dir(&notes).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|source| OutputError::Read {
            path: notes.clone(),
            source,
        })?;
        // Folders first: the records beside them say what the folder is.
        let (folders, files): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .filter(|entry| entry.file_name() != LOCKS)
            .map(|entry| entry.path())
            .partition(|path| path.is_dir());
        for path in folders {
            gone(&path, fs::remove_dir_all(&path))?;
        }
        for path in files {
            gone(&path, fs::remove_file(&path))?;
        }
        Ok(())
    }

    fn mask_file(&self, shard: &str) -> PathBuf {
        self.path.join(&file_names(shard, 1)[0])
    }

    fn make(&self, path: &Path) -> Result<(), OutputError> {
        fs::create_dir_all(path).map_err(|source| OutputError::Create {
            path: path.to_owned(),
            source,
        })
    }

    fn replace(&self, name: &Path, bytes: &[u8]) -> Result<(), OutputError> {
        let path = self.path.join(name);
        rho_files::write_atomic(&path, bytes).map_err(|source| OutputError::Write { path, source })
    }
}

/// Ignores that a removed file did not exist.
fn gone(path: &Path, result: io::Result<()>) -> Result<(), OutputError> {
    match result {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(OutputError::Write {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Refuses names that lead out of their folder.
pub(crate) fn stays_inside(name: &str) -> Result<(), OutputError> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if name.is_empty() || name.ends_with('/') || !Path::new(name).components().all(is_plain) {
        return Err(OutputError::ShardName {
            name: name.to_owned(),
        });
    }
    Ok(())
}
