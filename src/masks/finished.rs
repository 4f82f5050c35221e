//! A finished masks folder and its files, shard by shard.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use rho_files::InsidePath;
use rho_formats::{
    FileFormat, MaskColumns, MaskError, MasksFolder, file_stem, listed_masks, mask_file_name_in,
    mask_file_stem,
};
use serde_json::{Map, Value, json};

use super::kind::must_be_masks;
use crate::{
    hinted_error::HintedError,
    metadata::Metadata,
    pipeline::{finish::FolderState, record::Identity},
    run_folder::{RecordedPlan, RecordedShard},
};

/// Most missing shards that an error names.
const SHOWN: usize = 5;

/// The files of a masks folder.
pub(crate) struct Input {
    pub(crate) folder: PathBuf,
    pub(crate) files: Vec<InputFile>,
    /// The shards of the corpus, each as a range of consecutive files; shards that share a file count as one.
    pub(crate) shards: Vec<std::ops::Range<usize>>,
    /// The first file, for its columns.
    pub(crate) first: MaskColumns,
}

/// A file, with its identity when the folder was opened.
pub(crate) struct InputFile {
    pub(crate) name: InsidePath,
    pub(crate) identity: Identity,
}

impl Input {
    /// Opens a folder. Refuses one that is not finished.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let names = finished_files(folder)?;
        let empty = || MaskError::Empty {
            path: folder.to_path_buf(),
        };
        let first = MaskColumns::open(&folder.join(names.first().ok_or_else(empty)?))?;
        let (mut files, mut shards) = (Vec::new(), Vec::<std::ops::Range<usize>>::new());
        let mut last = String::new();
        for (i, name) in names.into_iter().enumerate() {
            let path = folder.join(&name);
            let mut columns = MaskColumns::open(&path)?;
            if !columns.same_schema(&first) {
                return Err(MaskError::OtherSchema { path }.into());
            }
            let identity = Identity::of_file(&path).unwrap_or_default();
            let batch = columns.next_of(&["shard"])?;
            let shard = batch.filter(|batch| batch.rows() > 0);
            let shard = shard.map_or(String::new(), |batch| batch.shard(0).to_owned());
            let before = files.last().map_or("", |file: &InputFile| &file.name);
            let same = !shard.is_empty() && shard == last;
            let is_next = same || continues(before, &name, &shard);
            match shards.last_mut() {
                Some(files) if is_next => files.end = i + 1,
                _ => shards.push(i..i + 1),
            }
            last = shard;
            files.push(InputFile { name, identity });
        }
        Ok(Self {
            folder: folder.to_path_buf(),
            files,
            shards,
            first,
        })
    }

    /// The fingerprint of the tokenizer of the masks, if they record it.
    pub(crate) fn tokenizer(&self) -> Option<String> {
        let metadata = Metadata::of(&self.first.schema().metadata);
        metadata.tokenizer.fingerprint
    }

    /// The path of a file.
    pub(crate) fn path(&self, file: usize) -> PathBuf {
        self.folder.join(&self.files[file].name)
    }

    /// The name of a shard, which is that of its first file.
    pub(crate) fn shard_name(&self, shard: usize) -> &str {
        &self.files[self.shards[shard].start].name
    }

    /// The names of files with the same rows in a format.
    ///
    /// # Errors
    /// If two of them are equal, because the names of the input differ only in their formats.
    pub(crate) fn names_in(&self, format: FileFormat) -> anyhow::Result<Vec<InsidePath>> {
        let mut names = Vec::with_capacity(self.files.len());
        let mut seen = HashSet::new();
        for file in &self.files {
            let name = mask_file_name_in(&file.name, format);
            if !seen.insert(name.clone()) {
                return Err(HintedError::error(
                    format!(
                        "{}: expected one file of each name, got several for {name}",
                        self.folder.display()
                    ),
                    "rename one of them, also in state.json",
                ));
            }
            names.push(InsidePath::new(name)?);
        }
        Ok(names)
    }

    /// The size of each shard.
    pub(crate) fn shard_bytes(&self) -> Vec<u64> {
        let files = |shard: &std::ops::Range<usize>| &self.files[shard.clone()];
        let bytes = |shard| files(shard).iter().map(|file| file.identity.bytes).sum();
        self.shards.iter().map(bytes).collect()
    }

    /// The identity of each file.
    pub(crate) fn identities(&self) -> Map<String, Value> {
        let files = self.files.iter();
        files
            .map(|file| (file.name.to_string(), json!(file.identity)))
            .collect()
    }

    /// The files, as a run that reads them records them.
    pub(crate) fn recorded(&self) -> Vec<RecordedShard> {
        let names = self.files.iter().map(|file| file.name.clone());
        self.recorded_as(&names.collect::<Vec<_>>())
    }

    /// The files, as a run records them that writes one of these names for each.
    pub(crate) fn recorded_as(&self, names: &[InsidePath]) -> Vec<RecordedShard> {
        let files = self.files.iter().zip(names);
        files
            .map(|(file, name)| RecordedShard {
                name: name.clone(),
                bytes: file.identity.bytes,
            })
            .collect()
    }

    /// Refuses a file that changed since the folder was opened.
    pub(crate) fn must_be_unchanged(&self, file: usize) -> anyhow::Result<()> {
        let now = Identity::of_file(&self.path(file)).unwrap_or_default();
        match self.files[file].identity.difference(&now) {
            None => Ok(()),
            Some(difference) => Err(HintedError::error(
                format!(
                    "{}: expected an unchanged file, got one that changed while it was read: {difference}",
                    self.path(file).display()
                ),
                "wait until the masks are finished, then start over with --restart",
            )),
        }
    }
}

/// Whether a file continues the one before it: their names differ only in their numbers, which follow each other. A shard
/// whose own name ends like that has a file of its own.
fn continues(before: &str, name: &str, shard: &str) -> bool {
    fn numbered(name: &str) -> Option<(&str, u32)> {
        let (stem, number) = mask_file_stem(name)?.rsplit_once('.')?;
        let is_number = number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| Some((stem, number.parse().ok()?)))?
    }
    let (Some((stem, number)), Some((next_stem, next))) = (numbered(before), numbered(name)) else {
        return false;
    };
    let is_own = mask_file_stem(name) == Some(&*file_stem(shard));
    stem == next_stem && Some(next) == number.checked_add(1) && !is_own
}

/// The names of the files of a finished folder.
pub(crate) fn finished_files(path: &Path) -> anyhow::Result<Vec<InsidePath>> {
    let shown = path.display();
    if !path.is_dir() {
        let got = if path.exists() {
            "something else"
        } else {
            "nothing"
        };
        return Err(HintedError::error(
            format!("{shown}: expected a masks folder, got {got}"),
            "name the folder that `rho-mask score` or `select` wrote",
        ));
    }
    must_be_masks(path)?;
    let unfinished = |why: String| {
        HintedError::error(
            format!("{shown}: expected a finished masks folder, got one that is not: {why}"),
            "start the run that writes it again: it resumes where it stopped",
        )
    };
    let folder = MasksFolder::existing(path);
    let recorded = RecordedPlan::read(&folder)?;
    if recorded.is_some_and(|recorded| !recorded.command().copies_masks())
        && let Some(standing) = FolderState::look(&folder)?
    {
        let mut missing = standing.missing();
        let count = missing.len();
        if count > 0 {
            missing.truncate(SHOWN);
            if count > SHOWN {
                missing.push(format!("and {} more", count - SHOWN));
            }
            let shards = missing.join(", ");
            return Err(unfinished(format!("{count} shards are not done: {shards}")));
        }
    }
    let Some(names) = listed_masks(path)? else {
        return Err(unfinished("it has no state.json".to_owned()));
    };
    // summary.json is written last.
    if !path.join("summary.json").exists() {
        return Err(unfinished("it has no summary.json".to_owned()));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::continues;

    #[test]
    fn numbered_files_belong_together() {
        let name = |i: usize| format!("b/0.txt.40-files.{i:05}.arrow");
        assert!(continues(&name(0), &name(1), "b/7.txt"));
        assert!(continues(&name(99_999), &name(100_000), "b/7.txt"));
        assert!(!continues(&name(0), &name(2), "b/7.txt"));
        assert!(!continues(
            &name(1),
            "b/0.txt.41-files.00002.arrow",
            "b/7.txt"
        ));
        assert!(!continues("a.txt.arrow", "b.txt.arrow", "b.txt"));
        // Shards with such names.
        assert!(continues("x.00000.parquet", "x.00001.parquet", "x"));
        assert!(!continues("x.00000.arrow", "x.00001.arrow", "x.00001"));
    }
}
