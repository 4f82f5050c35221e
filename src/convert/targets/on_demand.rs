//! Files of a shard that are created when there is something to write, so a shard without documents has none. Readers
//! that memory-map files cannot map empty ones.

use rho_formats::{
    OutputError,
    trainers::{NewFiles, Sink},
};

use super::ShardFiles;

/// Creates the files of one shard when they are needed.
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

    /// Creates a file named by the stem and this ending.
    pub(super) fn create(&self, ending: &str) -> Result<Sink, OutputError> {
        self.files().create(ending)
    }

    /// Creates a file in a separate folder.
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
