//! How a model scores: the options of every command that scores with a model.

use std::path::PathBuf;

use clap::Args;
use rho_reference::Device;

use super::values::{PrecisionChoice, SpecialToken};

/// All options about the models of a run, except their names.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelArgs {
    /// Name of a setting in a checkpoint's config.json to ignore; may be given several times.
    ///
    /// An unknown setting could change every score, so it stops the run. This option ignores it, as if it were absent.
    /// Name a setting inside an object with a dot (`rope_parameters.factor`). The output records it.
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub ignore_setting: Vec<String>,

    /// Tokenizer (tokenizer.json, a folder with one, or a name on the Hub), if it is not in the model's folder.
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub tokenizer: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda, cuda:N, or cuda:N,M,... for several devices, which share the batches.
    ///
    /// `auto` uses CUDA if it works, else the CPU; the summary and the output record which. `cuda` fails if CUDA does
    /// not work. `eval` and `verify` use the first of several devices.
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Model")]
    pub device: Device,

    /// Precision of the matmuls with weights: auto, f32, bf16 or int8.
    ///
    /// `auto` computes as the model is stored; `f32` also does, and refuses a model stored in another type. `int8` and
    /// `bf16` round the weights of an f32 model when it is loaded, and the activations row by row: they are faster,
    /// work on the CPU only, and change scores slightly. `bf16` needs a processor with avx512_bf16.
    #[arg(
        long,
        value_name = "PRECISION",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Model"
    )]
    pub precision: PrecisionChoice,

    /// Most tokens that a model sees at once.
    ///
    /// The default is what the config.json of each model allows, at most 1024. Longer documents are scored in
    /// overlapping windows.
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub context: Option<usize>,

    /// Fewest tokens of context before every token that is scored in a later window.
    ///
    /// The default is half of --context. With 0, the first token of a later window still sees one token before it,
    /// because it could not be scored without one.
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub overlap: Option<usize>,

    /// When to put a beginning-of-sequence token before each text.
    ///
    /// `auto` does what the tokenizer's post-processor does.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Model"
    )]
    pub bos: SpecialToken,

    /// When to put an end-of-sequence token after each text.
    ///
    /// `auto` does what the tokenizer's post-processor does.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Model"
    )]
    pub eos: SpecialToken,

    /// ONNX Runtime library to use.
    #[arg(
        long,
        value_name = "FILE",
        env = "ORT_DYLIB_PATH",
        help_heading = "Model"
    )]
    pub ort_lib: Option<PathBuf>,

    /// Tokens per batch, padding included [default: 1024 on the CPU, 16384 on CUDA].
    #[arg(long, value_name = "TOKENS", help_heading = "Speed")]
    pub batch_tokens: Option<usize>,
}
