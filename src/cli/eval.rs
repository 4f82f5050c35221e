//! What may be typed after `eval`.

use std::path::{Path, PathBuf};

use clap::Args;
use rho_reference::Device;

use super::{
    ScoreArgs,
    input::InputArgs,
    selection::{RuleName, SelectionArgs},
    values::{MaskCompression, PrecisionChoice, ProgressKind, ScoreDtype, SpecialToken, share},
};

/// What `eval --help` ends with.
pub(super) const EXAMPLES: &str = "\
Examples:
  Loss, perplexity and bits per byte of text that was held out, and of what comes after a marker:
      rho-mask eval --model trained/ --data held-out.jsonl svamp.jsonl --after 'Answer: '

  The same of the tokens that masks of this text keep, and of those that they drop:
      rho-mask score held-out.jsonl --model ref/ --out masks/
      rho-mask eval --model trained/ --data held-out.jsonl --masks masks/

  Multiple choice by likelihood; a line has question, choices and answer (index, letter or text):
      rho-mask eval --model trained/ --data questions.jsonl --choices --after 'Answer: '

Intervals hold 95 %: documents (or questions) are drawn again with replacement, --resamples times. Standard
output has the table, or one JSON object with --json.

Exit codes: 0 everything was measured; 1 measured, but rows without a document were left out; 2 stopped;
130 interrupted.";

/// Arguments of `eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Model: whatever `score --model` takes, such as the folder of a training run, or org/name[@REVISION] on the Hub.
    #[arg(long, short, value_name = "MODEL", help_heading = "Model")]
    pub model: PathBuf,

    /// Setting of a checkpoint's config.json to leave out of account, by its name; may be given several times.
    ///
    /// A setting that is not known could change every score, so it stops the run. This lets one through, as if it were
    /// not there; settings inside an object have its name before them (`rope_parameters.factor`).
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    pub ignore_setting: Vec<String>,

    /// Tokenizer (tokenizer.json, a folder with one, or a name on the Hub), if it is not beside the model.
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub tokenizer: Option<PathBuf>,

    /// Where to compute: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value_t, help_heading = "Model")]
    pub device: Device,

    /// Precision of the products with weights: auto, f32, bf16 or int8; see `score`.
    #[arg(
        long,
        value_name = "PRECISION",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Model"
    )]
    pub precision: PrecisionChoice,

    /// Longest stretch of tokens that the model sees at once [default: as `score`].
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub context: Option<usize>,

    /// Tokens of context, at the least, before every token of a later window [default: half of the context].
    #[arg(long, value_name = "TOKENS", help_heading = "Model")]
    pub overlap: Option<usize>,

    /// Put a beginning-of-sequence token before each text; `auto` as the tokenizer does.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Model"
    )]
    pub bos: SpecialToken,

    /// Put an end-of-sequence token after each text; `auto` as the tokenizer does.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        help_heading = "Model"
    )]
    pub eos: SpecialToken,

    /// Files and folders to measure on, as `score` reads them; each is a set of its own.
    #[arg(long, value_name = "DATA", num_args = 1.., required = true, help_heading = "Data")]
    pub data: Vec<PathBuf>,

    /// Measure also what comes after the first such marker of each document, such as 'Answer: '.
    ///
    /// With --choices: what is put on a new line between a question and its choices.
    #[arg(long, value_name = "TEXT", help_heading = "Data")]
    pub after: Option<String>,

    /// The data is multiple choice: JSON lines with question, choices and answer.
    ///
    /// The choice of highest likelihood after the question is the model's; for the length-normalised accuracy, of highest
    /// likelihood per UTF-8 byte of the choice.
    #[arg(long, conflicts_with_all = ["masks", "tokens_field", "text_field"], help_heading = "Data")]
    pub choices: bool,

    /// Masks of this data: measure also the tokens that they keep, and those that they drop.
    ///
    /// Found by the tokens that they speak of, whatever shard and row they came from.
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub masks: Option<PathBuf>,

    /// The column of the masks [default: mask_intersection, or the only one there is].
    #[arg(long, value_name = "COLUMN", requires = "masks", help_heading = "Data")]
    pub mask: Option<String>,

    /// Field with the text; a.b.c reaches into nested objects.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "text",
        help_heading = "Data"
    )]
    pub text_field: String,

    /// Field with token ids: they are taken as they are and no text is read.
    #[arg(long, value_name = "NAME", help_heading = "Data")]
    pub tokens_field: Option<String>,

    /// Text files hold a document per line, not one each.
    #[arg(long, help_heading = "Data")]
    pub lines: bool,

    /// Stop when more than this share of a set's rows (1% or 0.01) holds no document.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "5%",
        value_parser = share,
        help_heading = "Data"
    )]
    pub max_rejected: f64,

    /// How often documents are drawn again for the intervals; 0 is none.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        help_heading = "Intervals"
    )]
    pub resamples: usize,

    /// Of the intervals: another seed draws others.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        help_heading = "Intervals"
    )]
    pub seed: u64,

    /// Print one JSON object instead of a table.
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// How to show progress, on standard error.
    #[arg(
        long,
        value_name = "KIND",
        value_enum,
        default_value_t,
        help_heading = "Progress"
    )]
    pub progress: ProgressKind,

    /// Tokens per batch, padding included [default: as `score`].
    #[arg(long, value_name = "TOKENS", help_heading = "Speed")]
    pub batch_tokens: Option<usize>,

    /// Threads to compute with [default: one per core].
    #[arg(long, value_name = "N", help_heading = "Speed")]
    pub threads: Option<usize>,

    /// ONNX Runtime library to use.
    #[arg(
        long,
        value_name = "FILE",
        env = "ORT_DYLIB_PATH",
        help_heading = "Model"
    )]
    pub ort_lib: Option<PathBuf>,
}

impl EvalArgs {
    /// What `score` would be told to score the same data with the same model, and to hand it on.
    pub(crate) fn as_score(&self) -> ScoreArgs {
        ScoreArgs {
            corpus: self.data.clone(),
            out: Path::new("-").to_owned(),
            restart: false,
            score_dtype: ScoreDtype::Float32,
            compression: MaskCompression::None,
            keep_text: self.tokens_field.is_none(),
            shard_size: 1 << 30,
            model: vec![self.model.clone()],
            ignore_setting: self.ignore_setting.clone(),
            base: None,
            combine: None,
            verified: Vec::new(),
            tokenizer: self.tokenizer.clone(),
            device: self.device.clone(),
            precision: self.precision,
            context: self.context,
            overlap: self.overlap,
            bos: self.bos,
            eos: self.eos,
            by: RuleName::Intersection,
            selection: SelectionArgs::default(),
            input: InputArgs {
                text_field: self.text_field.clone(),
                tokens_field: self.tokens_field.clone(),
                id_field: "id".to_owned(),
                source_field: None,
                lines: self.lines,
                max_document_bytes: None,
                strict: false,
                max_rejected: self.max_rejected,
            },
            // Nobody shares a measurement.
            rank: Some(0),
            world_size: Some(1),
            progress: self.progress,
            batch_tokens: self.batch_tokens,
            threads: self.threads,
            ort_lib: self.ort_lib.clone(),
            show_plan: false,
        }
    }
}
