//! The formats that masks can be converted to, one file each. To add one: a name in `cli::convert`, a file here, and its
//! lines in [`abilities`] and [`make`]. Those whose trainers read tables of documents or sequences share `rows`, and say only
//! which columns they have.

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

/// What a target can express. An option that it cannot is refused before anything is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Abilities {
    /// The masks' own columns are written: all of them, or with `--mask` or `--weights` that one alone of what selections
    /// made. Else one column is chosen.
    pub(crate) own_columns: bool,
    /// Weights in the place of bits.
    pub(crate) weights: bool,
    /// Sequences of one length.
    pub(crate) length: bool,
    /// Token ids of a type that can be chosen.
    pub(crate) dtype: bool,
    /// Files of a size that can be chosen; its default, in bytes.
    pub(crate) file_bytes: Option<u64>,
    /// Documents must end with an end-of-sequence token.
    pub(crate) ends_documents: bool,
    /// One stream, on standard output.
    pub(crate) stream: bool,
}

/// A format, as it is to be written.
pub(crate) trait Target: Sync {
    /// Begins the files of a shard.
    fn begin(&self, files: &ShardFiles<'_>) -> anyhow::Result<Box<dyn Writer>>;

    /// Begins a stream of all shards, where the format has one.
    fn stream(&self, _sink: Sink) -> Option<anyhow::Result<Box<dyn Writer>>> {
        None
    }

    /// What whoever trains on it should know, and would not notice.
    fn note(&self) -> Option<&'static str> {
        None
    }

    /// The files that [`Target::conclude`] writes.
    fn index(&self) -> &'static [&'static str] {
        &[]
    }

    /// Writes what speaks of all shards, in the order of the corpus, such as an index. May be called again, and writes the
    /// same then.
    fn conclude(&self, _folder: &MasksFolder, _shards: &[&Written]) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Takes the documents of one shard, or of all of them in a stream. The same calls give the same bytes: a shard that was
/// interrupted is written anew.
pub(crate) trait Writer {
    /// Adds documents, all of one shard.
    fn write(&mut self, documents: &Documents) -> anyhow::Result<()>;

    /// A shard ends: what was gathered of it is not to be mixed with what follows in a stream.
    fn end_shard(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Completes the files.
    fn finish(self: Box<Self>) -> anyhow::Result<Written>;
}

/// What came of a shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Its files.
    pub(crate) files: Vec<MaskFile>,
    /// Rows in them, or sequences: what a trainer counts.
    pub(crate) rows: u64,
    /// Documents that were left out for no token of them is a target, by targets whose trainers cannot take such.
    pub(crate) left_out: u64,
    /// Whatever [`Target::conclude`] needs to know.
    pub(crate) notes: Value,
}

/// Makes the files of one shard.
pub(crate) struct ShardFiles<'a> {
    pub(super) new: &'a NewFiles,
    /// What the names of the shard's files begin with: the shard's own name, which may lie in folders (`a/b.jsonl`). No
    /// other shard has it.
    pub(super) stem: &'a str,
}

impl ShardFiles<'_> {
    /// Begins a file: the stem with this ending, such as `.tar`, or `.00001.mds`.
    pub(crate) fn create(&self, ending: &str) -> Result<Sink, OutputError> {
        self.new.create(&format!("{}{ending}", self.stem))
    }

    /// Begins a file in a folder of its own, as `tokens/a/b.jsonl.bin`.
    pub(crate) fn create_in(&self, folder: &str, ending: &str) -> Result<Sink, OutputError> {
        self.new.create(&format!("{folder}/{}{ending}", self.stem))
    }
}

/// What a target can express.
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

/// The target of a name.
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
