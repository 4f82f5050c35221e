//! What of a corpus is read: the options of every command that scores one.

use clap::Args;

use super::values::share;

/// Fields, limits, and what is not put up with.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// Field with the text; a.b.c reaches into nested objects.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "text",
        help_heading = "Input"
    )]
    pub text_field: String,

    /// Field with token ids: they are taken as they are and no text is read.
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub tokens_field: Option<String>,

    /// Field with the document's id; without it a document is called shard#row.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "id",
        help_heading = "Input"
    )]
    pub id_field: String,

    /// Field with what the document is from, kept in a column `source`; `stats` counts by it.
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub source_field: Option<String>,

    /// Text files hold a document per line, not one each.
    #[arg(long, help_heading = "Input")]
    pub lines: bool,

    /// Documents larger than this are left out [default: 268435456, 256 MiB].
    #[arg(long, value_name = "BYTES", help_heading = "Input")]
    pub max_document_bytes: Option<usize>,

    /// Stop at the first row that holds no document, and at the first broken shard.
    #[arg(long, help_heading = "Input")]
    pub strict: bool,

    /// Stop when more than this share of the rows (1% or 0.01) holds no document, after the first 1,000 rows.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "5%",
        value_parser = share,
        help_heading = "Input"
    )]
    pub max_rejected: f64,
}
