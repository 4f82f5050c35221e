//! The values that options take, and how they are parsed.

use clap::ValueEnum;
use rho_formats::{FileFormat, ScoreType};
use rho_selection::KeepRatio;

/// The precision of the matmuls with weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PrecisionChoice {
    /// The type in which the model is stored.
    #[default]
    Auto,
    /// f32, for a model stored in f32.
    F32,
    /// bfloat16, from an f32 model.
    Bf16,
    /// int8, from an f32 model.
    Int8,
}

/// When to add a special token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SpecialToken {
    /// As the tokenizer's post-processor does.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl SpecialToken {
    /// The value of the option.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Always => "always",
            Self::Never => "never",
        }
    }
}

/// The rank of a run among those that share a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankChoice {
    /// From the environment variables of a scheduler.
    Auto,
    /// Counted from 0.
    Number(usize),
}

impl std::str::FromStr for RankChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text
                .parse()
                .map(Self::Number)
                .map_err(|_| "expected auto or a whole number".to_owned()),
        }
    }
}

/// Parses `yes` or `no`.
pub(crate) fn yes_or_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}

/// How the messages of a conversation are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessagesStyle {
    /// Objects with `role` and `content`.
    #[default]
    #[value(name = "openai")]
    OpenAi,
    /// Objects with `from` and `value`.
    #[value(name = "sharegpt")]
    ShareGpt,
}

/// Which tokens of a conversation may be targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetRule {
    /// Those of every assistant message.
    #[default]
    Assistant,
    /// Those of the last assistant message.
    LastAssistant,
    /// All.
    All,
}

impl TargetRule {
    /// The value of the option.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Assistant => "assistant",
            Self::LastAssistant => "last-assistant",
            Self::All => "all",
        }
    }
}

/// How to combine the scores of several references.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Combination {
    /// The lowest score.
    Min,
    /// The mean.
    #[default]
    Mean,
    /// The highest score.
    Max,
}

/// How scores are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ScoreDtype {
    /// 32 bits.
    #[default]
    Float32,
    /// 16 bits.
    Float16,
}

impl From<ScoreDtype> for ScoreType {
    fn from(kind: ScoreDtype) -> Self {
        match kind {
            ScoreDtype::Float32 => Self::Float32,
            ScoreDtype::Float16 => Self::Float16,
        }
    }
}

/// How masks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum MaskCompression {
    /// No compression.
    #[default]
    None,
    /// Zstandard.
    Zstd,
}

/// The format of mask files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum MaskFormat {
    /// Arrow IPC streams (.arrow), which `datasets.load_from_disk` opens.
    #[default]
    ArrowStream,
    /// Arrow IPC files (.arrow), which polars and pyarrow scan lazily.
    ArrowFile,
    /// Parquet (.parquet), always compressed with Zstandard.
    Parquet,
}

impl From<MaskFormat> for FileFormat {
    fn from(format: MaskFormat) -> Self {
        match format {
            MaskFormat::ArrowStream => Self::ArrowStream,
            MaskFormat::ArrowFile => Self::ArrowFile,
            MaskFormat::Parquet => Self::Parquet,
        }
    }
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProgressKind {
    /// A bar on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// A line per event.
    Plain,
    /// A JSON object per line, and nothing else.
    Json,
    /// No progress, and no text of documents.
    None,
}
/// A number of bytes, with an optional unit.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a size such as 1GiB or 500MB, got {text}");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let bytes = number.checked_mul(unit).filter(|&bytes| bytes > 0);
    bytes.ok_or_else(wrong)
}

/// A number of bootstrap resamples, each of which is one number in memory.
pub(super) fn resamples(text: &str) -> Result<usize, String> {
    const MOST: usize = 1_000_000;
    let number = text.parse::<usize>().ok();
    let number = number.filter(|&number| number <= MOST);
    number.ok_or_else(|| format!("expected a whole number up to {MOST}, got {text}"))
}

/// A share, as a percentage or a number.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let (number, whole) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    let share = number.trim().parse::<f64>().map(|number| number / whole);
    let share = share.ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("expected a share from 0% to 100%, or from 0 to 1, got {text}"))
}
/// A share above 0, as a percentage or a number.
pub(super) fn above_zero(text: &str) -> Result<f64, String> {
    let above = share(text).ok().filter(|&share| share > 0.0);
    above.ok_or_else(|| format!("expected a share above 0%, up to 100% or 1, got {text}"))
}

/// A keep ratio, as a percentage or a number.
pub(crate) fn ratio(text: &str) -> Result<KeepRatio, String> {
    KeepRatio::new(share(text)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_shares() {
        let sizes = ["1GiB", "500MB", "7", "3k"].map(|text| size(text).unwrap());
        assert_eq!(sizes, [1 << 30, 500_000_000, 7, 3 << 10]);
        let shares = ["1%", "0.05", "100%", "0"].map(|text| share(text).unwrap());
        assert_eq!(shares, [0.01, 0.05, 1.0, 0.0]);
        for text in ["", "GiB", "0", "1.5GiB", "1XB", "99999999999TiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(above_zero("1%"), Ok(0.01));
        assert!(above_zero("0").is_err());
        for text in ["", "%", "101%", "-1%", "2", "NaN"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
