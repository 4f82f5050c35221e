//! What may be typed after `report`.

use std::path::PathBuf;

use clap::Args;

use super::work::ThreadsArgs;

/// What `report --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  A page to look at, to print, or to send to a colleague:
      rho-mask report masks/ --out report.html

  Other documents:
      rho-mask report masks/ --out report.html --documents 40 --seed 2 --force

  The curves of a training run, or of up to four side by side:
      rho-mask report trained/ --out curves.html
      rho-mask report slm/ clm/ random/ --out curves.html

  What the losses of tokens did over a training run:
      rho-mask report dynamics/ --out dynamics.html

  What an experiment came to:
      rho-mask report results/ --out results.html

The file needs nothing else: no network, no fonts, no folder beside it. The same masks and options give the same bytes.
A report of masks or dynamics holds text of the corpus: whoever may not see the corpus may not see the report.";

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Masks folder, or one of its .arrow files; up to four folders of training runs; a folder that `dynamics` or
    /// `experiment` wrote. Masks, runs and experiments may be unfinished.
    #[arg(value_name = "FOLDER", required = true)]
    pub paths: Vec<PathBuf>,

    /// HTML file to write, or - for standard output; it must not exist yet.
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub out: PathBuf,

    /// Replace the file if it exists.
    #[arg(long, help_heading = "Output")]
    pub force: bool,

    /// Mask that the pictures show [default: mask_intersection or mask_union, else the first].
    #[arg(long, value_name = "COLUMN", help_heading = "Contents")]
    pub mask: Option<String>,

    /// Documents of masks or dynamics to show, token by token [default: 20].
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(0..=1000),
        help_heading = "Contents"
    )]
    pub documents: Option<u16>,

    /// Another seed shows other documents [default: 0].
    #[arg(long, value_name = "N", help_heading = "Contents")]
    pub seed: Option<u64>,

    /// Tokenizer (tokenizer.json, or a folder with one), where the masks do not hold it.
    #[arg(long, value_name = "PATH", help_heading = "Contents")]
    pub tokenizer: Option<PathBuf>,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}
