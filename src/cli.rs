//! The command line. The doc comments are the `--help` texts; [`crate::plan`] resolves the arguments.

use std::{collections::BTreeSet, ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory as _, Parser, Subcommand};

mod cache;
mod command_line;
mod config;
mod console;
mod convert;
mod diff;
mod dynamics;
mod eval;
#[cfg(feature = "train")]
mod experiment;
mod export;
mod gather;
mod input;
mod merge;
mod model;
mod report;
mod row_scoring;
mod score;
mod select;
mod selection;
mod serve;
mod server;
mod show_and_stats;
mod targets;
mod threads_and_progress;
#[cfg(feature = "train")]
mod train;
mod values;
mod verify;
mod worker;

#[cfg(feature = "train")]
pub use train::{ObjectiveName, ScheduleName, TrainArgs};

pub use cache::{CacheAction, CacheArgs, CacheCleanArgs, CacheListArgs};
pub use command_line::{Answer, command, parse, wants_json};
pub use console::ConsoleArgs;
pub use convert::{ConvertArgs, IdsDtype, TargetName};
pub use diff::{DiffArgs, JoinKey};
pub use dynamics::{DynamicsArgs, LinePlaces};
pub use eval::EvalArgs;
#[cfg(feature = "train")]
pub use experiment::ExperimentArgs;
pub use export::{ExportArgs, ExportDtype, HeadOutput};
pub use gather::GatherArgs;
pub(crate) use input::OPTION_NAMES;
pub use input::{InputArgs, TextArgs};
pub use merge::{MergeArgs, OnDuplicate};
pub use model::ModelArgs;
pub use report::ReportArgs;
pub use row_scoring::RowScoringArgs;
pub use score::ScoreArgs;
pub use select::{
    ColumnCombination, DirectionName, JoinMissing, JoinOn, SelectArgs, SelectBy, StatisticName,
};
pub use selection::{FormulaName, RuleName, ScopeName, SelectionArgs};
pub use serve::ServeArgs;
pub use server::ServerArgs;
pub use show_and_stats::{ColorWhen, ShowArgs, ShowBy, StatsArgs};
pub use targets::TargetArgs;
pub use threads_and_progress::{ProgressArgs, ThreadsArgs};
pub(crate) use values::ratio;
pub use values::{
    Combination, MaskCompression, MaskFormat, MessagesStyle, PrecisionChoice, ProgressKind,
    RankChoice, ScoreDtype, SpecialToken, TargetRule,
};
pub use verify::{OracleDtype, VerifyArgs};
pub use worker::WorkerArgs;

/// Find the tokens of a corpus that are worth training on.
///
/// rho-mask runs a frozen reference model over a corpus. For every token it writes how surprising the token was (loss),
/// how unsure the model was (entropy) and whether to train on it (masks), as Arrow files that any trainer can read.
#[derive(Debug, Parser)]
#[command(
    name = "rho-mask",
    version,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    /// With --version: also show the commit, the platform, ONNX Runtime and the features.
    #[arg(long, requires = "version")]
    pub verbose: bool,

    /// Messages, and options from a file.
    #[command(flatten)]
    pub console: ConsoleArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The environment variables that set options.
pub fn variables() -> BTreeSet<OsString> {
    let command = Cli::command();
    let options = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments);
    let named = options.filter_map(|option| option.get_env());
    named.map(ToOwned::to_owned).collect()
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Score a corpus with a reference model and write token-level masks.
    #[command(after_long_help = score::EXAMPLES)]
    Score(Box<ScoreArgs>),
    /// Score record batches from standard input, row by row, for a program that runs it.
    ///
    /// Reads an Arrow IPC stream and writes one: for each record batch a record batch with as many rows, in order, as
    /// soon as it is scored. The model is loaded once. The columns are those of `score`, then `error`, which says why a
    /// row has no scores (its other columns are then null), then the columns that are passed through. Ends at the end of
    /// the input, and when its parent process is gone.
    #[command(after_long_help = worker::EXAMPLES)]
    Worker(Box<WorkerArgs>),
    /// Serve the scores of a model over HTTP: log-probabilities in OpenAI's form, or record batches.
    ///
    /// Loads the model once and listens on 127.0.0.1. `/v1/completions` answers with the log-probabilities of prompts, as
    /// evaluation harnesses ask for them; `/score` does over HTTP what `worker` does through pipes. Requests that arrive
    /// together are scored in the same batches. Prints one line of JSON with the address on standard output when it is
    /// ready.
    #[command(after_long_help = serve::EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Write new masks from existing scores, by any rule; no model is needed.
    #[command(after_long_help = select::EXAMPLES)]
    Select(Box<SelectArgs>),
    /// Convert masks to the formats of other trainers.
    #[command(after_long_help = convert::EXAMPLES)]
    Convert(Box<ConvertArgs>),
    /// Show documents in the terminal: dropped tokens dim, or tokens coloured by a score.
    #[command(after_long_help = show_and_stats::SHOW_EXAMPLES)]
    Show(ShowArgs),
    /// Print statistics of masks: by source, by position in the document, by token.
    #[command(after_long_help = show_and_stats::STATS_EXAMPLES)]
    Stats(StatsArgs),
    /// Gather the rows that workers scored, from files of an engine, in a masks folder.
    #[command(after_long_help = gather::EXAMPLES)]
    Gather(Box<GatherArgs>),
    /// Merge masks folders of parts of a corpus into one.
    #[command(after_long_help = merge::EXAMPLES)]
    Merge(MergeArgs),
    /// Compare two masks: which bits and scores agree, by source.
    #[command(after_long_help = diff::EXAMPLES)]
    Diff(DiffArgs),
    /// Analyse how the loss of each token changed over the checkpoints of a training run.
    #[command(after_long_help = dynamics::EXAMPLES)]
    Dynamics(Box<DynamicsArgs>),
    /// Write one HTML file that shows masks, training curves, token dynamics or the results of an experiment.
    #[command(after_long_help = report::EXAMPLES)]
    Report(ReportArgs),
    /// Measure how well a model predicts text: loss, perplexity, bits per byte, multiple choice.
    #[command(after_long_help = eval::EXAMPLES)]
    Eval(Box<EvalArgs>),
    /// Export a Hugging Face checkpoint as an ONNX reference; no Python is needed.
    #[command(after_long_help = export::EXAMPLES)]
    Export(ExportArgs),
    /// Compare losses and entropies with what Transformers computes for the same tokens.
    #[command(after_long_help = verify::EXAMPLES)]
    Verify(Box<VerifyArgs>),
    /// Train a model on masks or on a corpus: selective language modelling and its baselines.
    #[cfg(feature = "train")]
    #[command(after_long_help = train::EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Not in this build.
    #[cfg(not(feature = "train"))]
    #[command(hide = true, disable_help_flag = true)]
    Train {
        /// All other arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<std::ffi::OsString>,
    },
    /// Train base, reference and every arm with every seed, and compare the arms.
    #[cfg(feature = "train")]
    #[command(after_long_help = experiment::EXAMPLES)]
    Experiment(ExperimentArgs),
    /// Not in this build.
    #[cfg(not(feature = "train"))]
    #[command(hide = true, disable_help_flag = true)]
    Experiment {
        /// All other arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        rest: Vec<std::ffi::OsString>,
    },
    /// Finish a masks folder that several ranks wrote.
    ///
    /// Checks that all shards are present, adds up the ranks' counts, and writes state.json and summary.json. The last
    /// rank to end does this by itself.
    Finish(FinishArgs),
    /// Install ONNX Runtime.
    ///
    /// Downloads the pinned wheel with `python3 -m pip download`, checks its SHA-256 and unpacks the library into the
    /// user's cache folder. `score` does this by itself when it finds no library.
    Setup(SetupArgs),
    /// List or clean the cache: exported checkpoints, ONNX Runtime, bundled files.
    #[command(after_long_help = cache::EXAMPLES)]
    Cache(CacheArgs),
    /// Show which ONNX Runtime would be used and why: library, version, providers, devices.
    Doctor(DoctorArgs),
    /// Print a script that completes commands and options in a shell.
    #[command(after_long_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Write man pages, one for each command.
    Man(ManArgs),
}

impl Command {
    /// How it shows progress, if it does.
    pub(crate) fn progress(&self) -> Option<ProgressKind> {
        match self {
            Self::Score(args) => Some(args.progress.progress),
            Self::Select(args) => Some(args.progress.progress),
            Self::Gather(args) => Some(args.progress.progress),
            Self::Merge(args) => Some(args.progress.progress),
            Self::Convert(args) => Some(args.progress.progress),
            Self::Dynamics(args) => Some(args.progress.progress),
            Self::Eval(args) => Some(args.progress.progress),
            #[cfg(feature = "train")]
            Self::Train(args) => Some(args.progress.progress),
            #[cfg(feature = "train")]
            Self::Experiment(args) => Some(args.progress.progress),
            _ => None,
        }
    }
}

/// What `completions --help` ends with.
const COMPLETIONS_EXAMPLES: &str = "\
Examples:
      rho-mask completions bash > ~/.local/share/bash-completion/completions/rho-mask
      rho-mask completions zsh > ~/.zfunc/_rho-mask
      rho-mask completions fish > ~/.config/fish/completions/rho-mask.fish";

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for the pages, such as ~/.local/share/man/man1; it is created if it does not exist.
    #[arg(long, short, value_name = "DIR")]
    pub out: PathBuf,
}
/// Arguments of `finish`.
#[derive(Debug, Args)]
pub struct FinishArgs {
    /// The masks folder.
    #[arg(value_name = "MASKS")]
    pub masks: PathBuf,
}

/// Arguments of `setup`.
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Install the CUDA build and the NVIDIA libraries it needs (about 1.3 GB).
    #[arg(long)]
    pub cuda: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Model on a server to ask, http://HOST:PORT/v1#NAME: shows what the server does, or why it cannot be the reference.
    #[arg(long, short, value_name = "MODEL", requires = "tokenizer")]
    pub model: Option<PathBuf>,

    /// Tokenizer of the model on the server (tokenizer.json, a folder with one, or a name on the Hub).
    #[arg(long, value_name = "PATH", requires = "model")]
    pub tokenizer: Option<PathBuf>,

    /// How the server is asked.
    #[command(flatten)]
    pub server: ServerArgs,

    /// ONNX Runtime library to use.
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    pub ort_lib: Option<PathBuf>,
}
