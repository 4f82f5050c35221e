//! The arguments of `report`.

use std::path::PathBuf;

use clap::Args;

use super::threads_and_progress::ThreadsArgs;

/// What `report --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  A page to read, print or send to a colleague:
      rho-mask report masks/ --out report.html

  Other documents:
      rho-mask report masks/ --out report.html --documents 40 --seed 2 --force

  The curves of a training run, or of up to four runs side by side:
      rho-mask report trained/ --out curves.html
      rho-mask report slm/ clm/ random/ --out curves.html

  How the losses of tokens changed over a training run:
      rho-mask report dynamics/ --out dynamics.html

  The results of an experiment:
      rho-mask report results/ --out results.html

The file is self-contained: it needs no network, no fonts and no other files. The same masks and options give the same
bytes. A report of masks or dynamics contains text of the corpus: share it only with people who may read the corpus.";

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Masks folder or one of its files, up to four folders of training runs, or a folder that `dynamics` or
    /// `experiment` wrote. Masks, runs and experiments may be unfinished.
    #[arg(value_name = "FOLDER", required = true)]
    pub paths: Vec<PathBuf>,

    /// HTML file to write, or - for standard output; it must not exist yet.
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    pub out: PathBuf,

    /// Replace the file if it exists.
    #[arg(long, help_heading = "Output")]
    pub force: bool,

    /// Mask to show [default: mask_intersection or mask_union, else the first].
    #[arg(long, value_name = "COLUMN", help_heading = "Contents")]
    pub mask: Option<String>,

    /// Number of documents of masks or dynamics to show, token by token [default: 20].
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(0..=1000),
        help_heading = "Contents"
    )]
    pub documents: Option<u16>,

    /// Seed for the choice of documents [default: 0].
    #[arg(long, value_name = "N", help_heading = "Contents")]
    pub seed: Option<u64>,

    /// Tokenizer (tokenizer.json, or a folder with one), if the masks do not contain it.
    #[arg(long, value_name = "PATH", help_heading = "Contents")]
    pub tokenizer: Option<PathBuf>,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}
