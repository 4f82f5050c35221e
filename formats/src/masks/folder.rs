//! Takes the name of a folder, yields a Hugging Face dataset that grows shard by shard. What stands in a mask file is
//! `writer`'s business.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::{MaskSchema, MaskWriter, OutputError, replace};
use crate::input::Rejection;

/// A folder of masks that is being written. May be shared among threads.
#[derive(Clone)]
pub struct MasksFolder {
    shared: Arc<Shared>,
}

/// What the folder and its writers have in common.
pub(super) struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    rejected: Mutex<Option<File>>,
}

#[derive(Default)]
struct State {
    schema: Option<MaskSchema>,
    /// The shards in the order in which they were begun; with the size of the file, once it is finished.
    shards: Vec<(String, Option<u64>)>,
    places: HashMap<String, usize>,
}

impl MasksFolder {
    /// Whether masks may be written to `path`: nothing is there, or an empty folder. Makes nothing.
    ///
    /// # Errors
    /// Where something else stands in its place or in it, or it cannot be looked at.
    pub fn check(path: &Path) -> Result<(), OutputError> {
        let path = path.to_owned();
        let cannot_create = |source| OutputError::Create {
            path: path.clone(),
            source,
        };
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_dir() => return Err(OutputError::NotAFolder { path }),
            Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(cannot_create(source)),
            Ok(_) => {}
        }
        match fs::read_dir(&path).map_err(cannot_create)?.next() {
            None => Ok(()),
            Some(entry) => {
                let entry = entry.map_err(cannot_create)?.file_name().into();
                Err(OutputError::NotEmpty { path, entry })
            }
        }
    }

    /// Makes the folder. An existing empty one will do.
    ///
    /// `dataset_info.json` is written here, `state.json` with the first finished shard: a dataset without files is
    /// none to the `datasets` library, and it says so clearly only where there is no `state.json`.
    ///
    /// # Errors
    /// Where something else stands in its place or in it, or it cannot be made.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, OutputError> {
        let path = path.into();
        Self::check(&path)?;
        fs::create_dir_all(&path).map_err(|source| OutputError::Create {
            path: path.clone(),
            source,
        })?;
        let shared = Shared {
            path,
            state: Mutex::default(),
            rejected: Mutex::default(),
        };
        shared.replace("dataset_info.json", b"{}")?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Begins the mask file of a shard, `<shard>.arrow`. The dataset has its files in the order of these calls,
    /// whichever is finished first.
    ///
    /// # Errors
    /// Where the shard's name leads out of the folder or was used before, the schema is not that of the other files,
    /// or the file cannot be made.
    pub fn writer(&self, shard: &str, schema: &MaskSchema) -> Result<MaskWriter, OutputError> {
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if shard.is_empty() || shard.ends_with('/') || !Path::new(shard).components().all(is_plain)
        {
            return Err(OutputError::ShardName {
                name: shard.to_owned(),
            });
        }
        if let Some(name) = schema.name_twice() {
            return Err(OutputError::ColumnTwice {
                name: name.to_owned(),
            });
        }
        {
            let mut state = lock(&self.shared.state);
            if state.places.contains_key(shard) {
                return Err(OutputError::ShardTwice {
                    name: shard.to_owned(),
                });
            }
            if state.schema.get_or_insert_with(|| schema.clone()) != schema {
                return Err(OutputError::OtherSchema {
                    name: shard.to_owned(),
                });
            }
            let place = state.shards.len();
            state.places.insert(shard.to_owned(), place);
            state.shards.push((shard.to_owned(), None));
        }
        let path = self.shared.path.join(mask_file(shard));
        MaskWriter::create(Arc::clone(&self.shared), path, shard, schema)
    }

    /// Appends a line to `rejected.jsonl`, which the first call makes.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn reject(&self, rejection: &Rejection) -> Result<(), OutputError> {
        let path = self.shared.path.join("rejected.jsonl");
        let mut file = lock(&self.shared.rejected);
        let mut line = serde_json::to_vec(rejection)
            .map_err(io::Error::from)
            .map_err(|source| OutputError::Write {
                path: path.clone(),
                source,
            })?;
        line.push(b'\n');
        if file.is_none() {
            *file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .map(Some)
                .map_err(|source| OutputError::Create {
                    path: path.clone(),
                    source,
                })?;
        }
        match file.as_mut().map(|file| file.write_all(&line)) {
            Some(Err(source)) => Err(OutputError::Write { path, source }),
            _ => Ok(()),
        }
    }

    /// Writes `summary.json`.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn summary(&self, summary: &Value) -> Result<(), OutputError> {
        self.shared
            .replace("summary.json", format!("{summary:#}\n").as_bytes())
    }
}

impl Shared {
    /// Lists a finished file in `state.json`.
    pub(super) fn finished(&self, shard: &str, bytes: u64) -> Result<(), OutputError> {
        let mut state = lock(&self.state);
        if let Some(place) = state.places.get(shard).copied() {
            state.shards[place].1 = Some(bytes);
        }
        // Under the lock, so that an older list never replaces a newer one.
        self.replace("state.json", state.to_json().to_string().as_bytes())
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), OutputError> {
        let path = self.path.join(name);
        replace::replace(&path, bytes).map_err(|source| OutputError::Write { path, source })
    }
}

impl State {
    /// `state.json` as the `datasets` library writes it.
    ///
    /// The library caches what it computes from a dataset by its fingerprint: it must change when the files do, and be
    /// the same for the same files. So it is a hash of the metadata, and of the names and sizes of the files.
    fn to_json(&self) -> Value {
        let mut fingerprint = Xxh3::new();
        if let Some(schema) = &self.schema {
            fingerprint.update(schema.metadata.to_string().as_bytes());
        }
        let mut files = Vec::new();
        for (shard, bytes) in &self.shards {
            if let Some(bytes) = bytes {
                let name = mask_file(shard);
                fingerprint.update(format!("\n{name}\n{bytes}").as_bytes());
                files.push(json!({"filename": name}));
            }
        }
        json!({
            "_data_files": files,
            "_fingerprint": format!("{:016x}", fingerprint.digest()),
            "_format_columns": null,
            "_format_kwargs": {},
            "_format_type": null,
            "_output_all_columns": false,
            "_split": "train",
        })
    }
}

fn mask_file(shard: &str) -> String {
    format!("{shard}.arrow")
}

/// What a panicking thread left behind is whole all the same: nothing here is changed in two steps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
