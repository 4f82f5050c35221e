//! The arguments of `export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rho_graph::{Dtype, ExportHead};

/// What `export --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Export a checkpoint as a reference for `score` on the CPU:
      rho-mask export SmolLM2-135M/ --out ref/

  For CUDA:
      rho-mask export Llama-3.2-1B/ --out ref/ --dtype f16

  For a runtime other than ONNX Runtime, or one that expects logits:
      rho-mask export pythia-160m/ --out ref/ --portable --head logits

  A model on the Hub, downloaded if it is not in the Hugging Face cache:
      rho-mask export HuggingFaceTB/SmolLM2-135M --out ref/

`score --model CHECKPOINT/` does the first by itself, once, into the cache folder.

Exit codes: 0 exported; 2 stopped by an error; 130 interrupted. After 2 or 130 nothing is left behind.";

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder with config.json and model.safetensors (or the shards of model.safetensors.index.json), or a model on the
    /// Hub: org/name[@REVISION] (see `score`).
    ///
    /// docs/export.md lists the supported families (the model_type of config.json). Of a multimodal model, the language
    /// model inside is exported. Weights may be f32, f16 or bf16, fp8 with scales, or int8. tokenizer.json and
    /// generation_config.json are copied if they exist.
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: PathBuf,

    /// Folder to write the reference to; it must be new or empty.
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,

    /// Name of a setting in a checkpoint's config.json to ignore; may be given several times.
    ///
    /// An unknown setting could change every score, so it stops the run. This option ignores it, as if it were absent.
    /// Name a setting inside an object with a dot (`rope_parameters.factor`). The exported file records it.
    #[arg(long, value_name = "NAME")]
    pub ignore_setting: Vec<String>,

    /// Type in which the weights are stored and the model computes: f32, f16, bf16 or int8.
    ///
    /// f32 is for the CPU, f16 for CUDA (the CPU computes it in f32, more slowly than f32 itself), bf16 for CUDA only.
    /// int8 is for the CPU; it stores the weight matrices of the body in 8 bits, with one scale per output.
    #[arg(
        long,
        value_name = "TYPE",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub dtype: ExportDtype,

    /// Output of the graph: fused or logits.
    ///
    /// `fused` ends at the hidden states; the file holds the head's weights, and rho-mask computes loss and entropy
    /// from them without ever storing the logits. `logits` is what other programs expect. `score` accepts both.
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub head: HeadOutput,

    /// Use only operators of the ONNX standard (operator set 17), for runtimes other than ONNX Runtime.
    #[arg(long)]
    pub portable: bool,
}

impl ExportArgs {
    /// The defaults: f32, fused, as in `export CHECKPOINT --out DIR`.
    #[cfg(feature = "train")]
    pub(crate) fn plain(checkpoint: PathBuf, out: PathBuf) -> Self {
        Self {
            checkpoint,
            out,
            ignore_setting: Vec::new(),
            dtype: ExportDtype::default(),
            head: HeadOutput::default(),
            portable: false,
        }
    }
}

/// Types of exported weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ExportDtype {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits.
    F16,
    /// bfloat16.
    Bf16,
    /// 8 bits for the body's matrices.
    Int8,
}

/// Outputs of an exported graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum HeadOutput {
    /// Hidden states.
    #[default]
    Fused,
    /// Logits.
    Logits,
}

impl From<ExportDtype> for Dtype {
    fn from(dtype: ExportDtype) -> Self {
        match dtype {
            ExportDtype::F32 => Self::F32,
            ExportDtype::F16 => Self::F16,
            ExportDtype::Bf16 => Self::Bf16,
            ExportDtype::Int8 => Self::Int8,
        }
    }
}

impl From<HeadOutput> for ExportHead {
    fn from(head: HeadOutput) -> Self {
        match head {
            HeadOutput::Fused => Self::HiddenStates,
            HeadOutput::Logits => Self::Logits,
        }
    }
}
