//! What is asked of the scorer, before anything is opened or checked. `score` makes one of what was typed; `eval`, `verify`
//! and `dynamics` ask for scores alone.

use std::path::{Path, PathBuf};

use rho_formats::{BatchCompression, ScoreType};

use crate::cli::{
    Combination, InputArgs, MaskCompression, ModelArgs, ProgressArgs, RuleName, ScoreArgs,
    ScoreDtype, SelectionArgs, ThreadsArgs,
};

/// A corpus, models, and what is to be written of their scores.
#[derive(Debug, Clone)]
pub(crate) struct ScoringRequest {
    /// Files, folders, patterns and URLs.
    pub(crate) corpus: Vec<PathBuf>,
    /// A folder, or `-`: nothing is kept, scores are handed on.
    pub(crate) out: PathBuf,
    /// Start over in a folder that was begun.
    pub(crate) restart: bool,
    /// The references; none stands for the bundled demonstration model.
    pub(crate) references: Vec<PathBuf>,
    pub(crate) base: Option<PathBuf>,
    /// How the scores of several references become one.
    pub(crate) combine: Option<Combination>,
    pub(crate) model_args: ModelArgs,
    pub(crate) input: InputArgs,
    /// What to select by; none: scores alone.
    pub(crate) selection: Option<(RuleName, SelectionArgs)>,
    pub(crate) files: MaskFiles,
    /// Which of the runs that share the corpus this is, and of how many; none: what the scheduler says.
    pub(crate) rank: (Option<usize>, Option<usize>),
    pub(crate) progress: ProgressArgs,
    pub(crate) threads: ThreadsArgs,
}

/// How scores and masks are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaskFiles {
    pub(crate) score_type: ScoreType,
    pub(crate) compression: BatchCompression,
    /// Store each document's text too.
    pub(crate) keep_text: bool,
    /// Most bytes of one file.
    pub(crate) shard_bytes: u64,
}

impl Default for MaskFiles {
    fn default() -> Self {
        Self {
            score_type: ScoreType::Float32,
            compression: BatchCompression::None,
            keep_text: false,
            shard_bytes: 1 << 30,
        }
    }
}

impl ScoringRequest {
    /// Scores of this corpus under one model, for this process alone: nothing is selected, and nobody shares the work.
    pub(crate) fn scores(corpus: Vec<PathBuf>, model: PathBuf, model_args: ModelArgs) -> Self {
        Self {
            corpus,
            out: Path::new("-").to_owned(),
            restart: false,
            references: vec![model],
            base: None,
            combine: None,
            model_args,
            input: InputArgs::default(),
            selection: None,
            files: MaskFiles::default(),
            rank: (Some(0), Some(1)),
            progress: ProgressArgs::default(),
            threads: ThreadsArgs::default(),
        }
    }
}

impl From<&ScoreArgs> for ScoringRequest {
    fn from(args: &ScoreArgs) -> Self {
        Self {
            corpus: args.corpus.clone(),
            out: args.out.clone(),
            restart: args.restart,
            references: args.model.clone(),
            base: args.base.clone(),
            combine: args.combine,
            model_args: args.model_args.clone(),
            input: args.input.clone(),
            selection: Some((args.by, args.selection.clone())),
            files: MaskFiles {
                score_type: match args.score_dtype {
                    ScoreDtype::Float32 => ScoreType::Float32,
                    ScoreDtype::Float16 => ScoreType::Float16,
                },
                compression: match args.compression {
                    MaskCompression::None => BatchCompression::None,
                    MaskCompression::Zstd => BatchCompression::Zstd,
                },
                keep_text: args.keep_text,
                shard_bytes: args.shard_size,
            },
            rank: (args.rank, args.world_size),
            progress: args.progress,
            threads: args.threads,
        }
    }
}
