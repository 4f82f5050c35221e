//! The options of every command that reads a corpus.

use clap::Args;
use rho_formats::OptionNames;

use super::{
    targets::TargetArgs,
    values::{above_zero, share},
};

/// What messages call the options below.
pub(crate) const OPTION_NAMES: OptionNames = OptionNames {
    text_field: "--text-field",
    tokens_field: "--tokens-field",
    targets_field: "--targets-field",
    messages_field: "--messages-field",
    tools_field: "--tools-field",
    prompt_field: "--prompt-field",
    completion_field: "--completion-field",
    spans_field: "--spans-field",
    context_field: "--with-context-field",
    numbers_field: "--column",
};

/// Where a row's text is.
#[derive(Debug, Clone, Args)]
pub struct TextArgs {
    /// Field with the text; a.b.c reaches into nested objects.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "text",
        help_heading = "Input"
    )]
    pub text_field: String,

    /// Field with token ids, which are used unchanged instead of text.
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub tokens_field: Option<String>,

    /// Which tokens may be targets.
    #[command(flatten)]
    pub targets: TargetArgs,

    /// Read each line of a text file as a document, not the whole file as one.
    #[arg(long, help_heading = "Input")]
    pub lines: bool,

    /// Read only the first N documents of the corpus; of each set in `eval`.
    ///
    /// Rows without a document are not counted. Files before the one that reaches N are read twice, to count. Every rank
    /// and every later start counts the same documents.
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "Input"
    )]
    pub limit: Option<u64>,

    /// Read only this share of the rows (1% or 0.01), drawn by --seed [default: all].
    ///
    /// A row is in by a hash of the seed, its file's name and its number, so the sample is the same in every rank and
    /// after every interruption, and a larger share contains a smaller one. With --limit: the first N documents of the
    /// sample.
    #[arg(
        long,
        value_name = "RATE",
        value_parser = above_zero,
        help_heading = "Input"
    )]
    pub sample: Option<f64>,

    /// Stop when more than this share of the rows (1% or 0.01) holds no document.
    ///
    /// Where output is written while the corpus is read, the share is checked from 1,000 rows on.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "5%",
        value_parser = share,
        help_heading = "Input"
    )]
    pub max_rejected: f64,
}

/// Fields, limits and strictness.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// Where a row's text is.
    #[command(flatten)]
    pub text: TextArgs,

    /// Field with the document's id; a document without one gets the id shard#row.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "id",
        help_heading = "Input"
    )]
    pub id_field: String,

    /// Field with the document's source, stored in a column `source`; `stats` groups by it.
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    pub source_field: Option<String>,

    /// Skip documents larger than this [default: 268435456, 256 MiB].
    #[arg(long, value_name = "BYTES", help_heading = "Input")]
    pub max_document_bytes: Option<usize>,

    /// Stop at the first row without a document and at the first broken shard.
    #[arg(long, help_heading = "Input")]
    pub strict: bool,
}

impl Default for TextArgs {
    fn default() -> Self {
        Self {
            text_field: "text".to_owned(),
            tokens_field: None,
            targets: TargetArgs::default(),
            lines: false,
            limit: None,
            sample: None,
            max_rejected: 0.05,
        }
    }
}

impl Default for InputArgs {
    fn default() -> Self {
        Self {
            text: TextArgs::default(),
            id_field: "id".to_owned(),
            source_field: None,
            max_document_bytes: None,
            strict: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        input: InputArgs,
    }

    #[test]
    fn what_is_not_typed_is_the_default() {
        let typed = Typed::parse_from(["program"]).input;
        assert_eq!(format!("{typed:?}"), format!("{:?}", InputArgs::default()));
    }
}
