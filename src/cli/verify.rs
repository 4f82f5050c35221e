//! The arguments of `verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rho_selection::KeepRatio;

use super::{input::InputArgs, model::ModelArgs, threads_and_progress::ThreadsArgs, values::ratio};

/// What `verify --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Compare rho-mask with Transformers on a checkpoint and your own documents:
      rho-mask verify --model checkpoint/ --corpus corpus/ --python venv/bin/python

  An ONNX reference, with the checkpoint that it was exported from:
      rho-mask verify --model ref/ --checkpoint checkpoint/ --corpus corpus/

  In int8, with the tolerance that you accept:
      rho-mask verify --model checkpoint/ --precision int8 --tolerance 0.5

  Then store the result in the masks:
      rho-mask score corpus/ --model checkpoint/ --out masks/ --verified verify.json

Transformers runs in your own Python, which must have Transformers and PyTorch; nothing is downloaded. Standard
output has the tables, verify.json the full result.

Exit codes: 0 every difference is within its tolerance; 1 one is not; 2 stopped by an error; 130 interrupted.";

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Model: a Hugging Face checkpoint, or anything else that `score --model` takes.
    #[arg(long, short, value_name = "MODEL", help_heading = "Model")]
    pub model: PathBuf,

    /// Checkpoint that Transformers loads, if --model is an ONNX reference.
    #[arg(long, value_name = "DIR", help_heading = "Model")]
    pub checkpoint: Option<PathBuf>,

    /// How the models score.
    #[command(flatten)]
    pub model_args: ModelArgs,

    /// Files and folders to take documents from, as `score` reads them [default: 70 bundled notes].
    #[arg(long, value_name = "CORPUS", num_args = 1.., help_heading = "Sample")]
    pub corpus: Vec<PathBuf>,

    /// Number of documents to compare.
    ///
    /// Every shard contributes equally many, from its start; with more shards than documents, evenly spaced shards
    /// contribute one each. For a document longer than four windows, the first four are compared.
    #[arg(long, value_name = "N", default_value_t = 64, help_heading = "Sample")]
    pub documents: usize,

    /// How the corpus is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// Seed of --sample; another seed reads other rows [default: 0].
    #[arg(long, value_name = "N", requires = "sample", help_heading = "Input")]
    pub seed: Option<u64>,

    /// Python with PyTorch and Transformers.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "python3",
        help_heading = "Transformers"
    )]
    pub python: PathBuf,

    /// Type that Transformers computes in: f64, or f32, which takes half the memory.
    #[arg(
        long,
        value_name = "TYPE",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Transformers"
    )]
    pub dtype: OracleDtype,

    /// Nats by which a loss or an entropy may differ from that of Transformers [default: 0.001 in f32].
    ///
    /// Other precisions have no default: how much they change a score depends on the model.
    #[arg(long, value_name = "NATS", value_parser = nats, help_heading = "What passes")]
    pub tolerance: Option<f64>,

    /// Nats by which a score may differ between batches [default: a tenth of --tolerance].
    #[arg(long, value_name = "NATS", value_parser = nats, help_heading = "What passes")]
    pub batch_tolerance: Option<f64>,

    /// Keep ratios at which to compare the masks by loss, by entropy and by both, bit by bit.
    #[arg(
        long,
        value_name = "RATIO",
        num_args = 1..,
        value_parser = ratio,
        default_values = ["0.6", "0.7"],
        help_heading = "What passes"
    )]
    pub keep: Vec<KeepRatio>,

    /// File to write the result to; an existing file is replaced.
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "verify.json",
        help_heading = "Output"
    )]
    pub out: PathBuf,

    /// How many threads.
    #[command(flatten)]
    pub threads: ThreadsArgs,
}

/// The type that Transformers computes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OracleDtype {
    /// float64.
    #[default]
    F64,
    /// float32.
    F32,
}

impl OracleDtype {
    /// Its name in PyTorch.
    pub(crate) fn torch(self) -> &'static str {
        match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
        }
    }
}

/// A number of nats, 0 or more.
fn nats(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    let number = number.filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| format!("expected a number of nats, 0 or more, got {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerances_are_numbers() {
        assert_eq!(nats("1e-4"), Ok(1e-4));
        for text in ["", "-1", "NaN", "inf", "1 nat"] {
            assert!(nats(text).is_err(), "{text}");
        }
    }
}
