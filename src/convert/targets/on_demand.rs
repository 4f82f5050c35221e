//! Files of a shard that are begun when there is something to write: a shard without documents has none then. Readers that
//! map files into memory cannot map empty ones.

use rho_formats::{
    OutputError,
    trainers::{NewFiles, Sink},
};

use super::ShardFiles;

/// Makes the files of one shard, whenever they are wanted.
pub(super) struct LaterFiles {
    new: NewFiles,
    stem: String,
}

impl LaterFiles {
    pub(super) fn of(files: &ShardFiles<'_>) -> Self {
        Self {
            new: files.new.clone(),
            stem: files.stem.to_owned(),
        }
    }

    /// Begins a file: the stem with this ending.
    pub(super) fn create(&self, ending: &str) -> Result<Sink, OutputError> {
        self.files().create(ending)
    }

    /// Begins a file in a folder of its own.
    pub(super) fn create_in(&self, folder: &str, ending: &str) -> Result<Sink, OutputError> {
        self.files().create_in(folder, ending)
    }

    fn files(&self) -> ShardFiles<'_> {
        ShardFiles {
            new: &self.new,
            stem: &self.stem,
        }
    }
}
