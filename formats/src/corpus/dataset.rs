//! Takes a folder, yields its data files if it is a Hugging Face dataset. `state.json` lists the files of one dataset,
//! `dataset_dict.json` the folders of several.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::CorpusError;
use crate::small_file;

/// The data files under `folder`, whose entries are `names`, in their order; `None` if it is not a dataset.
pub(super) fn files(
    folder: &Path,
    names: &[OsString],
) -> Result<Option<Vec<PathBuf>>, CorpusError> {
    #[derive(Deserialize)]
    struct Splits {
        splits: Vec<String>,
    }
    if names.iter().any(|name| name == "dataset_dict.json")
        && let Some(Splits { splits }) = read(&folder.join("dataset_dict.json"))?
    {
        let mut files = Vec::new();
        for split in splits.iter().filter(|split| is_inside(split)) {
            let listed = of_one(&folder.join(split))?.unwrap_or_default();
            files.extend(listed.iter().map(|file| Path::new(split).join(file)));
        }
        return Ok(Some(files));
    }
    match names.iter().any(|name| name == "state.json") {
        true => of_one(folder),
        false => Ok(None),
    }
}

fn of_one(folder: &Path) -> Result<Option<Vec<PathBuf>>, CorpusError> {
    #[derive(Deserialize)]
    struct State {
        _data_files: Vec<DataFile>,
    }
    #[derive(Deserialize)]
    struct DataFile {
        filename: String,
    }
    let state: Option<State> = read(&folder.join("state.json"))?;
    Ok(state.map(|state| {
        let files = state._data_files.into_iter().map(|file| file.filename);
        files
            .filter(|file| is_inside(file))
            .map(PathBuf::from)
            .collect()
    }))
}

/// Whether a path stays inside the folder.
fn is_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Parses a file; `None` if another program wrote it.
fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<Option<T>, CorpusError> {
    match small_file::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(source) => Err(CorpusError::Unreadable {
            path: path.to_path_buf(),
            source,
        }),
    }
}
