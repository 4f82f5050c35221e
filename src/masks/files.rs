//! Opens a masks folder, finished or not, or one mask file, and lists the files that hold rows. `documents` and the
//! statistics read the rows.

use std::path::{Path, PathBuf};

use rho_formats::{MaskColumns, MaskError, MasksFolder, listed_masks};
use serde_json::Value;

use crate::{
    hinted_error::HintedError,
    metadata::Metadata,
    pipeline::{finish::FolderState, record::State},
    run_folder::RecordedPlan,
};

/// Masks to read.
pub(crate) struct Masks {
    /// The path as given.
    pub(crate) path: PathBuf,
    /// The masks folder, if the files are in one.
    pub(crate) folder: Option<PathBuf>,
    /// The files that hold rows, in the order of the corpus.
    pub(crate) files: Vec<RowFile>,
    /// The shards that are not complete, with their progress.
    pub(crate) missing: Vec<String>,
    /// The first file, for its columns.
    first: MaskColumns,
}

/// A file with rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowFile {
    pub(crate) path: PathBuf,
    /// The valid bytes of a file that is still being written.
    beginning: Option<u64>,
}

impl RowFile {
    fn complete(path: PathBuf) -> Self {
        Self {
            path,
            beginning: None,
        }
    }

    fn open(&self) -> Result<MaskColumns, MaskError> {
        match self.beginning {
            None => MaskColumns::open(&self.path),
            Some(bytes) => MaskColumns::open_beginning(&self.path, bytes),
        }
    }
}

impl Masks {
    /// Opens a folder or a file.
    ///
    /// # Errors
    /// If the path does not exist or holds no masks.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let hint = "name a folder that `rho-mask score` or `select` writes, or one of its files";
        if !path.exists() {
            let message = format!("{shown}: expected masks, got nothing");
            return Err(HintedError::error(message, hint));
        }
        let (folder, (files, missing)) = match path.is_dir() {
            true => (Some(path.to_owned()), in_folder(path)?),
            false => {
                let file = RowFile::complete(path.to_owned());
                (around(path), (vec![file], Vec::new()))
            }
        };
        let Some(first) = files.first() else {
            let (got, hint) = match missing.is_empty() {
                true => ("none", hint),
                false => (
                    "a folder in which no shard has masks yet",
                    "wait until the run that writes it has finished some masks",
                ),
            };
            return Err(HintedError::error(
                format!("{shown}: expected masks, got {got}"),
                hint,
            ));
        };
        Ok(Self {
            path: path.to_owned(),
            folder,
            first: first.open()?,
            files,
            missing,
        })
    }

    /// Opens a file; it must have the columns of the first.
    pub(crate) fn open_file(&self, file: usize) -> Result<MaskColumns, MaskError> {
        let columns = self.files[file].open()?;
        match columns.same_schema(&self.first) {
            true => Ok(columns),
            false => Err(MaskError::OtherSchema {
                path: self.files[file].path.clone(),
            }),
        }
    }

    /// The names of the score columns.
    pub(crate) fn scores(&self) -> Vec<String> {
        owned(self.first.scores())
    }

    /// The names of the mask columns.
    pub(crate) fn masks(&self) -> Vec<String> {
        self.first.schema().masks.clone()
    }

    /// The names of the code columns.
    pub(crate) fn codes(&self) -> Vec<String> {
        owned(self.first.codes())
    }

    /// The names of the weight columns.
    pub(crate) fn weights(&self) -> Vec<String> {
        owned(self.first.weights())
    }

    /// Whether the documents have a source.
    pub(crate) fn have_source(&self) -> bool {
        self.first.schema().source
    }

    /// The fields of [`metadata`](Self::metadata) that this version knows.
    pub(crate) fn known_metadata(&self) -> Metadata {
        Metadata::of(self.metadata())
    }

    /// The metadata: how the masks were computed.
    pub(crate) fn metadata(&self) -> &Value {
        &self.first.schema().metadata
    }
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// The files of a folder, and its missing shards.
fn in_folder(path: &Path) -> anyhow::Result<(Vec<RowFile>, Vec<String>)> {
    let folder = MasksFolder::existing(path);
    // summary.json is written last.
    if !path.join("summary.json").exists()
        && let Some(recorded) = RecordedPlan::read(&folder)?
    {
        return match recorded.command() {
            command if command.copies_masks() => Ok(of_select(path, &recorded)),
            _ => of_score(&folder),
        };
    }
    let names = listed_masks(path)?.unwrap_or_default();
    let files = names.iter().map(|name| RowFile::complete(path.join(name)));
    Ok((files.collect(), Vec::new()))
}

/// The files of an unfinished run of `score`: complete ones, and the safe bytes of the others.
fn of_score(folder: &MasksFolder) -> anyhow::Result<(Vec<RowFile>, Vec<String>)> {
    let Some(standing) = FolderState::look(folder)? else {
        return Ok((Vec::new(), Vec::new()));
    };
    let mut files = Vec::new();
    for (shard, record) in standing.records() {
        match &record.state {
            State::Open(durable) => {
                let begun = durable.files.iter().enumerate().map(|(i, &bytes)| RowFile {
                    path: folder.unfinished_file(shard, i),
                    beginning: Some(bytes),
                });
                files.extend(begun);
            }
            _ => {
                let complete = record.files.iter();
                files.extend(complete.map(|f| RowFile::complete(folder.path().join(&f.name))));
            }
        }
    }
    // A run may be writing here: a file that it just renamed no longer exists under its old name.
    files.retain(|file| file.path.exists());
    Ok((files, standing.missing()))
}

/// The files of an unfinished run of `select` or `merge` that are complete: only these have their final names.
fn of_select(folder: &Path, recorded: &RecordedPlan) -> (Vec<RowFile>, Vec<String>) {
    let (mut files, mut missing) = (Vec::new(), Vec::new());
    for shard in &recorded.shards {
        let path = folder.join(&shard.name);
        match path.exists() {
            true => files.push(RowFile::complete(path)),
            false => missing.push(shard.name.to_string()),
        }
    }
    (files, missing)
}

/// The masks folder that contains a mask file, at any depth.
fn around(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let folders = path.ancestors().skip(1);
    let mut folders = folders.filter(|folder| folder.join("dataset_info.json").exists());
    folders.next().map(Path::to_owned)
}
