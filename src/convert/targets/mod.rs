//! The formats that masks can be converted to, one file each. To add one: a name in `cli::convert`, a file here, and
//! its lines in [`abilities`] and [`make`]. Formats that are tables of documents or sequences share `rows`, and define
//! only their columns.

mod jsonl;
mod labels;
mod levanter;
mod litdata;
mod mds;
mod neox;
mod olmo;
mod on_demand;
mod parquet;
mod rows;
mod torchtitan;
mod torchtune;
mod webdataset;

use rho_formats::{
    MaskColumns, MaskFile, MasksFolder, OutputError,
    trainers::{IdType, NewFiles, Sink},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::rows::{Layout, Rows};

use super::documents::Documents;
pub(crate) use super::settings::Settings;
use crate::cli::{IdsDtype, TargetName};

/// The options a target supports. Others are refused before anything is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Abilities {
    /// The masks' own columns are written: all of them, or with `--mask` or `--weights` only that one of the columns
    /// that selections created. Otherwise one column is chosen.
    pub(crate) own_columns: bool,
    /// Weights instead of bits.
    pub(crate) weights: bool,
    /// Negative weights.
    pub(crate) signed_weights: bool,
    /// Sequences of one length.
    pub(crate) length: bool,
    /// A choice of the type of token ids.
    pub(crate) dtype: bool,
    /// A choice of the file size; the default, in bytes.
    pub(crate) file_bytes: Option<u64>,
    /// Documents end with an end-of-sequence token.
    pub(crate) ends_documents: bool,
    /// One stream, on standard output.
    pub(crate) stream: bool,
}

/// A format with its settings.
pub(crate) trait Target: Sync {
    /// Creates the files of a shard.
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>>;

    /// Starts a stream of all shards; None if the format cannot be streamed.
    fn stream(&self, _sink: Sink) -> Option<anyhow::Result<Box<dyn Writer>>> {
        None
    }

    /// What a user of the format should know and would not notice.
    fn note(&self) -> Option<&'static str> {
        None
    }

    /// The files that [`Target::finish`] writes.
    fn index(&self) -> &'static [&'static str] {
        &[]
    }

    /// Writes files about all shards, such as an index. `shards` are in the order of the corpus. May be called again,
    /// and then writes the same.
    fn finish(&self, _folder: &MasksFolder, _shards: &[&Written]) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Takes the documents of one shard, or in a stream of all shards. The same calls give the same bytes, because an
/// interrupted shard is written again.
pub(crate) trait Writer {
    /// Adds documents, all of one shard.
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()>;

    /// Ends a shard: in a stream, buffered documents must not be mixed with those of the next shard.
    fn end_shard(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Completes the files.
    fn finish(self: Box<Self>) -> anyhow::Result<Written>;
}

/// The output of a shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Its files.
    pub(crate) files: Vec<MaskFile>,
    /// Rows or sequences, as the trainer counts.
    pub(crate) rows: u64,
    /// Documents left out: none of their tokens is a target, and the trainer cannot read such documents.
    pub(crate) left_out: u64,
    /// Data for [`Target::finish`].
    pub(crate) notes: Value,
}

/// Creates the files of one shard.
pub(crate) struct ShardFiles<'a> {
    pub(super) new: &'a NewFiles,
    /// The start of the names of the shard's files: the shard's own name, which may contain folders (`a/b.jsonl`). It
    /// is unique.
    pub(super) stem: &'a str,
}

impl ShardFiles<'_> {
    /// Creates a file named by the stem and this ending, such as `.tar` or `.00001.mds`.
    pub(crate) fn create(&self, ending: &str) -> Result<Sink, OutputError> {
        self.new.create(&format!("{}{ending}", self.stem))
    }

    /// Creates a file in a separate folder, such as `tokens/a/b.jsonl.bin`.
    pub(crate) fn create_in(&self, folder: &str, ending: &str) -> Result<Sink, OutputError> {
        self.new.create(&format!("{folder}/{}{ending}", self.stem))
    }
}

/// The options a target supports.
pub(crate) fn abilities(name: TargetName) -> Abilities {
    match name {
        TargetName::Labels => labels::ABILITIES,
        TargetName::Olmo => olmo::ABILITIES,
        TargetName::Levanter => levanter::ABILITIES,
        TargetName::Neox => neox::ABILITIES,
        TargetName::Mds => mds::ABILITIES,
        TargetName::Litdata => litdata::ABILITIES,
        TargetName::Torchtitan => torchtitan::ABILITIES,
        TargetName::Torchtune => torchtune::ABILITIES,
        TargetName::Parquet => parquet::ABILITIES,
        TargetName::Jsonl => jsonl::ABILITIES,
        TargetName::Webdataset => webdataset::ABILITIES,
    }
}

/// Creates the target with this name.
pub(crate) fn make(
    name: TargetName,
    settings: &Settings,
    masks: &MaskColumns,
) -> anyhow::Result<Box<dyn Target>> {
    Ok(match name {
        TargetName::Labels => rows::<labels::Labels>(settings),
        TargetName::Olmo => Box::new(olmo::Olmo::new(settings)),
        TargetName::Levanter => rows::<levanter::Levanter>(settings),
        TargetName::Neox => Box::new(neox::Neox::new(settings)),
        TargetName::Mds => Box::new(mds::Mds::new(settings)),
        TargetName::Litdata => Box::new(litdata::Litdata::new(settings)),
        TargetName::Torchtitan => rows::<torchtitan::Torchtitan>(settings),
        TargetName::Torchtune => rows::<torchtune::Torchtune>(settings),
        TargetName::Parquet => Box::new(parquet::OwnTable::new(settings, masks)),
        TargetName::Jsonl => Box::new(jsonl::Jsonl::new(settings)),
        TargetName::Webdataset => Box::new(webdataset::Tar::new(settings)),
    })
}

fn rows<L: Layout>(settings: &Settings) -> Box<dyn Target> {
    Box::new(Rows::<L>::new(settings))
}

impl From<IdsDtype> for IdType {
    fn from(dtype: IdsDtype) -> Self {
        match dtype {
            IdsDtype::U16 => Self::U16,
            IdsDtype::U32 => Self::U32,
        }
    }
}
