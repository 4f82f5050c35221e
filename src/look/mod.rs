//! A masks folder as people look at it: `show`, `stats`, and the document at the end of `score`.
//!
//! ```text
//! masks/ ── files ──► documents ──┐
//!        ── tokenizer ──► pieces ─┴─► drawn ──► show
//!        ── files ──► batches ──────► statistics ──► stats
//! ```
//!
//! * `files`: a masks folder, finished or not, or one mask file, to the files that hold rows.
//! * `documents`: single documents with all their columns.
//! * `tokenizer`: the tokenizer that belongs to a masks folder, put there and found again.
//! * `drawn`: the tokens of a document to the text that is drawn for each, every character once.
//!
//! * `table`: columns of text that a terminal only draws.
//!
//! Nothing here writes to a masks folder but the tokenizer.

pub(crate) mod documents;
pub(crate) mod drawn;
pub(crate) mod files;
pub(crate) mod table;
pub(crate) mod tokenizer;
