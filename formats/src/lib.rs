//! Reads the files of a corpus and yields documents; writes masks as a folder of mask files, and reads them back.
//!
//! The rest of the project reads and writes the bytes of a corpus or of its masks through this crate:
//!
//! | module | takes | yields |
//! |---|---|---|
//! | [`corpus`] | files and folders as the user names them | [`Shard`]s in a fixed order |
//! | [`input`] | one shard | [`Record`]s: documents, and rows without one |
//! | [`remote`] | URLs | remote files and their bytes |
//! | [`masks`] | scores and masks of documents | Arrow files in a Hugging Face dataset folder, and back |
//! | [`exchange`] | record batches of documents | record batches of scores, row by row |
//! | [`trainers`] | what a trainer reads | files in the formats of other trainers |
//!
//! Tokenizing, scoring and selecting tokens are not done here. Nothing here prints, and no error is swallowed: a bad
//! row is a [`Rejection`], a bad shard a [`ShardError`].

pub mod corpus;
pub mod exchange;
pub mod input;
mod ipc;
pub mod masks;
pub mod remote;
mod small_file;
pub mod trainers;

pub use corpus::{CorpusError, Examples, Found, Location, PassedOver, Shard, find_shards};
pub use exchange::{
    Answer, BatchReader, BatchWriter, ExchangeError, InputBatch, Passed, answer_schema,
};
pub use input::{
    Compression, Content, ContentFields, Document, Kind, Numbers, OptionNames, ReadOptions, Record,
    Rejection, Sample, ShardError, ShardReader, UnsupportedForm,
};
pub use masks::{
    AnswerErrors, BatchCompression, DocumentColumns, DocumentName, DocumentRead, FileFormat,
    ListsCopy, MaskBatch, MaskColumns, MaskCopy, MaskDocuments, MaskError, MaskFile, MaskReader,
    MaskRow, MaskSchema, MaskStream, MaskWriter, MasksFolder, NewColumns, NewLists, OutputError,
    RESERVED, ScoreType, Spill, SpillMark, SpilledRows, Storage, TARGET, TopColumns, TopTokens,
    WriteOptions, file_stem, listed_masks, mask_file_name, mask_file_name_in, mask_file_stem,
    read_masks, same_files, token_hash,
};
pub use remote::{Remote, RemoteError, RemoteErrorKind};
