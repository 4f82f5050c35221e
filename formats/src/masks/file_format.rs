//! How the files of a masks folder are encoded. While a shard is being written its file is a stream in every case;
//! `rewrite` encodes it anew when it is complete, and `batches` reads all of them.

use serde::{Deserialize, Serialize};

use super::BatchCompression;

/// The format of the mask files; it changes no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// Arrow IPC stream: what `datasets.load_from_disk` opens.
    #[default]
    ArrowStream,
    /// Arrow IPC file, also known as Feather version 2: the same record batches, with a footer that says where they are.
    ArrowFile,
    /// Parquet, compressed with Zstandard; each record batch is a row group.
    Parquet,
}

impl FileFormat {
    /// The ending of the names of such files.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::ArrowStream | Self::ArrowFile => ".arrow",
            Self::Parquet => ".parquet",
        }
    }

    /// The name, as in options and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::ArrowStream => "arrow-stream",
            Self::ArrowFile => "arrow-file",
            Self::Parquet => "parquet",
        }
    }
}

/// How the rows of a mask file are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Storage {
    /// The format of the file.
    pub format: FileFormat,
    /// The compression of the record batches of an Arrow stream or file; Parquet has its own.
    pub compression: BatchCompression,
}
