//! Takes scores and masks of documents, yields Arrow files in a Hugging Face dataset folder; and reads them back.
//!
//! ```text
//! masks/
//!   dataset_info.json         {}
//!   state.json                the finished files, in the order of the corpus
//!   part-0.jsonl.zst.arrow    an Arrow IPC stream for each shard, or group of small ones (see `names`)
//!   sub/part-1.jsonl.arrow
//!   tokenizer.json            the tokenizer of the token ids, if texts were scored
//!   rejected.jsonl            the rows without a document, if there were any
//!   summary.json              the summary of the run
//!   .rho-mask/                the records of a run, so that it can be resumed
//! ```
//!
//! `datasets.load_from_disk` opens the folder from the first finished shard on, `pyarrow.ipc.open_stream` and
//! `polars.read_ipc_stream` open each file. On request the files are Arrow files or Parquet (see `file_format`), which
//! other programs read lazily. A file gets its final name only when it is complete. The same rows give the
//! same bytes. The caller decides which tokens are kept.

mod answers;
mod batch;
mod batches;
mod columns;
mod copy;
mod documents;
mod encode;
mod error;
mod file_format;
mod folder;
mod frames;
mod hash;
mod lists;
mod names;
mod parquet_rows;
mod reader;
mod rewrite;
mod schema;
mod score_type;
mod spill;
mod stream;
mod top;
mod writer;

pub use answers::AnswerErrors;
pub(crate) use answers::ERROR;
pub(crate) use batch::Pending;
pub use columns::{MaskBatch, MaskColumns};
pub use copy::{MaskCopy, NewColumns};
pub use documents::{DocumentColumns, DocumentName, DocumentRead, MaskDocuments};
pub use encode::BatchCompression;
pub(crate) use encode::{END, Encoder};
pub use error::{MaskError, OutputError};
pub use file_format::{FileFormat, Storage};
pub use folder::MasksFolder;
pub use hash::token_hash;
pub use lists::{ListsCopy, NewLists};
pub use names::{file_stem, mask_file_name, mask_file_name_in, mask_file_stem, same_files};
pub use reader::{MaskReader, listed_masks, read_masks};
pub(crate) use rewrite::parquet_properties;
pub use schema::{METADATA_KEY, MaskSchema, RESERVED, TARGET};
pub use score_type::ScoreType;
pub use spill::{Spill, SpillMark, SpilledRows};
pub use stream::MaskStream;
pub use top::{TopColumns, TopTokens};
pub(crate) use writer::writing;
pub use writer::{MaskFile, MaskWriter, WriteOptions};

/// One document's scores and masks. Item `i` of each list belongs to token `i`.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskRow {
    /// The document's own id, else `shard#row`.
    pub id: String,
    /// The row number in the shard.
    pub row: i64,
    /// The token ids, exactly as the reference model saw them.
    pub input_ids: Vec<u32>,
    /// Which tokens may be targets, if [`MaskSchema::target`] is set. The others are context: no mask keeps them.
    pub target: Option<Vec<bool>>,
    /// One list for each of [`MaskSchema::scores`]. NaN means "not scored", and is null in the file.
    pub scores: Vec<Vec<f32>>,
    /// The most likely tokens, if [`MaskSchema::top`] is set.
    pub top: Option<TopTokens>,
    /// One list for each of [`MaskSchema::masks`].
    pub masks: Vec<Vec<bool>>,
    /// One list for each of [`MaskSchema::weights`], without NaN.
    pub weights: Vec<Vec<f32>>,
    /// The text, if [`MaskSchema::text`] is set.
    pub text: Option<String>,
    /// The document's source, if [`MaskSchema::source`] is set and the document has one.
    pub source: Option<String>,
}
