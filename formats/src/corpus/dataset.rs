//! Takes a folder, yields its data files if it is a Hugging Face dataset. `state.json` lists the files of one dataset,
//! `dataset_dict.json` the folders of several. A list that names a file outside its folder is an error.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rho_files::InsidePath;
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
        for split in inside(&folder.join("dataset_dict.json"), splits)? {
            let listed = of_one(&folder.join(&split))?.unwrap_or_default();
            files.extend(listed.iter().map(|file| Path::new(&*split).join(file)));
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
    let path = folder.join("state.json");
    let Some(State { _data_files }) = read(&path)? else {
        return Ok(None);
    };
    let names = _data_files.into_iter().map(|file| file.filename);
    let files = inside(&path, names)?.into_iter();
    Ok(Some(files.map(|file| PathBuf::from(&*file)).collect()))
}

/// The names in a list, if all of them stay inside its folder.
fn inside(
    list: &Path,
    names: impl IntoIterator<Item = String>,
) -> Result<Vec<InsidePath>, CorpusError> {
    let names = names.into_iter().map(InsidePath::new);
    let names = names.collect::<Result<_, _>>();
    names.map_err(|source| CorpusError::Outside {
        path: list.to_owned(),
        source,
    })
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
