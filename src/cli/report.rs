//! What may be typed after `report`.

use std::path::PathBuf;

use clap::Args;

/// What `report --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  A page to look at, to print, or to send to a colleague:
      rho-mask report masks/ --out report.html

  Other documents:
      rho-mask report masks/ --out report.html --documents 40 --seed 2 --force

The file needs nothing else: no network, no fonts, no folder beside it. The same masks and options give the same bytes.
It holds text of the corpus: whoever may not see the corpus may not see the report.";

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Masks folder, finished or not, or one of its .arrow files.
    #[arg(value_name = "MASKS")]
    pub masks: PathBuf,

    /// HTML file to write, or - for standard output; it must not exist yet.
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub out: PathBuf,

    /// Replace the file if it exists.
    #[arg(long, help_heading = "Output")]
    pub force: bool,

    /// Mask that the pictures show [default: mask_intersection or mask_union, else the first].
    #[arg(long, value_name = "COLUMN", help_heading = "Contents")]
    pub mask: Option<String>,

    /// Documents to show, token by token.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u16).range(0..=1000),
        help_heading = "Contents"
    )]
    pub documents: u16,

    /// Another seed shows other documents.
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Contents")]
    pub seed: u64,

    /// Tokenizer (tokenizer.json, or a folder with one), where the masks do not hold it.
    #[arg(long, value_name = "PATH", help_heading = "Contents")]
    pub tokenizer: Option<PathBuf>,

    /// Threads to count with [default: one per core].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), help_heading = "Speed")]
    pub threads: Option<u16>,
}
