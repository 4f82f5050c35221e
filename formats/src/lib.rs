//! Takes the paths of a corpus, and masks made elsewhere; yields documents, and a folder of mask files.
//!
//! Everything that touches the bytes of a corpus or of its masks lives here:
//!
//! | room | comes in | goes out |
//! |---|---|---|
//! | [`corpus`] | files and folders as a user names them | [`Shard`]s in a fixed order |
//! | [`input`] | one shard | [`Record`]s: documents, and rows that hold none |
//! | [`remote`] | URLs | files elsewhere, and their bytes |
//! | [`masks`] | scores and masks of documents | Arrow files in a Hugging Face dataset folder, and back |
//! | [`trainers`] | what a trainer is to read | files in the formats of other trainers |
//!
//! Leaves to others: what a document's tokens are, how they score, and which of them are kept. Nothing here prints,
//! and no error is swallowed: a bad row is a [`Rejection`], a bad shard a [`ShardError`].

pub mod corpus;
pub mod input;
mod ipc;
pub mod masks;
pub mod remote;
mod small_file;
pub mod trainers;

pub use corpus::{CorpusError, Found, Place, Shard, find_shards};
pub use input::{
    Compression, Content, Document, Kind, OptionNames, ReadOptions, Record, Rejection, ShardError,
    ShardReader,
};
pub use masks::{
    BatchCompression, DocumentColumns, DocumentName, DocumentRead, ListsCopy, MaskBatch,
    MaskColumns, MaskCopy, MaskDocuments, MaskError, MaskFile, MaskReader, MaskRow, MaskSchema,
    MaskStream, MaskWriter, MasksFolder, NewColumns, NewLists, OutputError, ScoreType, Spill,
    SpillMark, WriteOptions, listed_masks, read_masks, token_hash,
};
pub use object_store::Error as RemoteError;
pub use remote::Remote;
