//! What may be typed after `export`.

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

  For another runtime than ONNX Runtime, or one that wants logits:
      rho-mask export pythia-160m/ --out ref/ --portable --head logits

  A model of the Hub, downloaded where it is not in the Hugging Face cache:
      rho-mask export HuggingFaceTB/SmolLM2-135M --out ref/

`score --model CHECKPOINT/` does the first by itself, once, into the cache folder.

Exit codes: 0 exported; 2 stopped, and nothing is left behind; 130 interrupted, likewise.";

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder with config.json and model.safetensors, or the files of model.safetensors.index.json; or a model's name on
    /// the Hub: org/name[@REVISION] (see `score`).
    ///
    /// docs/export.md lists the families (the model_type of config.json); of a model that also sees or hears, the language
    /// model inside is taken. Weights in f32, f16 or bf16, in fp8 with scales, or in int8. tokenizer.json and generation_config.json go along where they are there.
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: PathBuf,

    /// Folder to write the reference to; it must not exist yet, or be empty.
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,

    /// Setting of a checkpoint's config.json to leave out of account, by its name; may be given several times.
    ///
    /// A setting that is not known could change every score, so it stops the run. This lets one through, as if it were
    /// not there; settings inside an object have its name before them (`rope_parameters.factor`). The exported file says so.
    #[arg(long, value_name = "NAME")]
    pub ignore_setting: Vec<String>,

    /// In what the weights are stored and the model computes: f32, f16, bf16 or int8.
    ///
    /// f32 is for the CPU, f16 for CUDA (the CPU computes it in f32, more slowly than f32 itself), bf16 for CUDA only.
    /// int8 stores the matrices of the body in 8 bits with a scale per output and is for the CPU.
    #[arg(
        long,
        value_name = "TYPE",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub dtype: ExportDtype,

    /// What the graph hands out: fused or logits.
    ///
    /// `fused` ends at the hidden states; the head's weights are in the file and rho-mask computes loss and entropy from
    /// them without ever holding logits. `logits` is what other programs expect. `score` takes both alike.
    #[arg(
        long,
        value_name = "WHAT",
        value_enum,
        default_value_t,
        hide_possible_values = true
    )]
    pub head: HeadOutput,

    /// Use operators of the ONNX standard only (operator set 17), for other runtimes than ONNX Runtime.
    #[arg(long)]
    pub portable: bool,
}

impl ExportArgs {
    /// In f32, for this program: what `export CHECKPOINT --out DIR` says.
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

/// Types of an export.
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

/// Outputs of an export.
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
            HeadOutput::Fused => Self::Fused,
            HeadOutput::Logits => Self::Logits,
        }
    }
}
