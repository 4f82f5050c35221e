//! How a model scores: the options that every command with a model to score by has.

use std::path::PathBuf;

use clap::Args;
use rho_reference::Device;

use super::values::{PrecisionChoice, SpecialToken};

/// Everything about the models of a run but their names.
#[derive(Debug, Clone, Default, Args)]
pub struct ModelArgs {
    /// Setting of a checkpoint's config.json to leave out of account, by its name; may be given several times.
    ///
    /// A setting that is not known could change every score, so it stops the run. This lets one through, as if it were
    /// not there; settings inside an object have its name before them (`rope_parameters.factor`). What is written says so.
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub ignore_setting: Vec<String>,

    /// Tokenizer (tokenizer.json, a folder with one, or a name on the Hub), if it is not beside the model.
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub tokenizer: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda, cuda:N or cuda:N,M,... for several, which share the batches.
    ///
    /// `auto` takes CUDA where it works and else the CPU; which one is said at the end and in what is written. `cuda` is
    /// CUDA or an error. `eval` and `verify` take the first of several devices.
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Model")]
    pub device: Device,

    /// Precision of the products with weights: auto, f32, bf16 or int8.
    ///
    /// `auto` computes as the model is stored; `f32` does so too, and refuses a model that is stored otherwise. `int8`
    /// and `bf16` round the weights of an f32 model when it is loaded and the activations row by row: faster, on the
    /// CPU only, and scores move a little. `bf16` needs a processor with avx512_bf16.
    #[arg(
        long,
        value_name = "PRECISION",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Model"
    )]
    pub precision: PrecisionChoice,

    /// Longest stretch of tokens that a model sees at once.
    ///
    /// The default is what the config.json of each model allows, at most 1024. Longer documents are scored in overlapping
    /// windows.
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub context: Option<usize>,

    /// Tokens of context, at the least, that every token of a later window sees before it.
    ///
    /// The default is half of the context. With 0 a later window's first token still sees the one token before it,
    /// for without any it could not be scored.
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub overlap: Option<usize>,

    /// Put a beginning-of-sequence token before each text.
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

    /// Put an end-of-sequence token after each text.
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
