//! A request to the scorer, before anything is opened or checked. `score` builds it from its arguments; `eval`,
//! `verify` and `dynamics` request only scores.

use std::path::{Path, PathBuf};

use rho_formats::{BatchCompression, FileFormat, ScoreType};

use crate::{
    cli::{
        Combination, InputArgs, MaskCompression, ModelArgs, ProgressArgs, RankChoice,
        RowScoringArgs, RuleName, ScopeName, ScoreArgs, SelectionArgs, ServerArgs, ThreadsArgs,
    },
    hinted_error::HintedError,
};

/// A corpus, models, and how to write their scores.
#[derive(Debug, Clone)]
pub(crate) struct ScoringRequest {
    /// Files, folders, patterns and URLs.
    pub(crate) corpus: Vec<PathBuf>,
    /// A folder, or `-`: nothing is stored, scores are streamed.
    pub(crate) out: PathBuf,
    /// Remove an earlier run from the folder and start over.
    pub(crate) restart: bool,
    /// The references; empty means the bundled demonstration model.
    pub(crate) references: Vec<PathBuf>,
    pub(crate) base: Option<PathBuf>,
    /// How to combine the scores of several references.
    pub(crate) combine: Option<Combination>,
    pub(crate) model_args: ModelArgs,
    /// How servers are asked; none if the models must be local, because more than their losses is needed.
    pub(crate) servers: Option<ServerArgs>,
    pub(crate) input: InputArgs,
    /// The field with a text after which the documents are scored too.
    pub(crate) context_field: Option<String>,
    /// The seed of `--sample`.
    pub(crate) sample_seed: u64,
    /// The selection; none means only scores.
    pub(crate) selection: Option<(RuleName, SelectionArgs)>,
    /// Rank the tokens of each document by themselves, because no row waits for later ones.
    pub(crate) row_by_row: bool,
    pub(crate) files: MaskFiles,
    /// Rank and world size; none means the scheduler's values.
    pub(crate) rank: (Option<RankChoice>, Option<usize>),
    pub(crate) progress: ProgressArgs,
    pub(crate) threads: ThreadsArgs,
}

/// How scores and masks are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MaskFiles {
    pub(crate) score_type: ScoreType,
    /// How many of the most likely tokens to store for each position.
    pub(crate) top: Option<usize>,
    pub(crate) format: FileFormat,
    pub(crate) compression: BatchCompression,
    /// Also store each document's text.
    pub(crate) keep_text: bool,
    /// Also store the scores of context tokens.
    pub(crate) score_context: bool,
    /// Most bytes of one file.
    pub(crate) shard_bytes: u64,
}

impl Default for MaskFiles {
    fn default() -> Self {
        Self {
            score_type: ScoreType::Float32,
            top: None,
            format: FileFormat::ArrowStream,
            compression: BatchCompression::None,
            keep_text: false,
            score_context: true,
            shard_bytes: 1 << 30,
        }
    }
}

impl ScoringRequest {
    /// A request for the scores of this corpus under one model, without a selection and with world size 1.
    pub(crate) fn scores(corpus: Vec<PathBuf>, model: PathBuf, model_args: ModelArgs) -> Self {
        Self {
            corpus,
            out: Path::new("-").to_owned(),
            restart: false,
            references: vec![model],
            base: None,
            combine: None,
            model_args,
            servers: None,
            input: InputArgs::default(),
            context_field: None,
            sample_seed: 0,
            selection: None,
            row_by_row: false,
            files: MaskFiles::default(),
            rank: (Some(RankChoice::Number(0)), Some(1)),
            progress: ProgressArgs::default(),
            threads: ThreadsArgs::default(),
        }
    }
}

impl ScoringRequest {
    /// A request for rows that come one after the other, ranked by document.
    ///
    /// # Errors
    /// If an option describes a corpus.
    pub(crate) fn of_rows(args: &RowScoringArgs) -> anyhow::Result<Self> {
        must_not_describe_a_corpus(args)?;
        Ok(Self {
            references: args.model.clone(),
            base: args.base.clone(),
            combine: args.combine,
            servers: Some(args.server),
            input: args.input.clone(),
            context_field: args.with_context_field.clone(),
            selection: (!args.scores_only).then(|| (args.by, args.selection.clone())),
            row_by_row: true,
            files: MaskFiles {
                score_type: args.score_dtype.into(),
                top: args.top,
                keep_text: args.keep_text,
                score_context: args.score_context,
                ..MaskFiles::default()
            },
            threads: args.threads,
            ..Self::scores(
                vec![Path::new("-").to_owned()],
                Path::new("").to_owned(),
                args.model_args.clone(),
            )
        })
    }
}

/// Refuses the options of `score` that have no meaning for rows which are all answered, in order.
fn must_not_describe_a_corpus(args: &RowScoringArgs) -> anyhow::Result<()> {
    let (text, default) = (&args.input.text, InputArgs::default().text);
    let is_other = |scope: &ScopeName| *scope != ScopeName::Document;
    let given = [
        ("--lines", text.lines),
        ("--limit", text.limit.is_some()),
        ("--sample", text.sample.is_some()),
        ("--strict", args.input.strict),
        ("--max-rejected", text.max_rejected != default.max_rejected),
        (
            "--max-untargeted",
            text.targets.max_untargeted != default.targets.max_untargeted,
        ),
        ("--batch", args.selection.batch.is_some()),
    ];
    if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
        return Err(HintedError::error(
            format!(
                "{option}: expected rows to answer one by one, got an option for a whole corpus"
            ),
            format!("omit {option}"),
        ));
    }
    if args.selection.scope.as_ref().is_some_and(is_other) {
        return Err(HintedError::error(
            "--scope: expected document, because every batch is answered at once, got another",
            "omit --scope; to rank among more tokens, use --scores-only and `select` afterwards",
        ));
    }
    Ok(())
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
            servers: Some(args.server),
            input: args.input.clone(),
            context_field: args.with_context_field.clone(),
            sample_seed: args.selection.seed.unwrap_or(0),
            selection: Some((
                args.by,
                SelectionArgs {
                    // A rule that draws nothing at random refuses a seed; here it may be that of the sample.
                    seed: match args.by {
                        RuleName::Random => args.selection.seed,
                        _ if args.input.text.sample.is_some() => None,
                        _ => args.selection.seed,
                    },
                    ..args.selection.clone()
                },
            )),
            row_by_row: false,
            files: MaskFiles {
                score_type: args.score_dtype.into(),
                top: args.top,
                format: args.format.into(),
                compression: match args.compression {
                    MaskCompression::None => BatchCompression::None,
                    MaskCompression::Zstd => BatchCompression::Zstd,
                },
                keep_text: args.keep_text,
                score_context: args.score_context,
                shard_bytes: args.shard_size,
            },
            rank: (args.rank, args.world_size),
            progress: args.progress,
            threads: args.threads,
        }
    }
}
