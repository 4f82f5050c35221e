//! The commands, one file or folder each.

mod cache;
mod completions;
mod convert;
mod diff;
mod doctor;
mod dynamics;
mod eval;
#[cfg(feature = "train")]
mod experiment;
mod export;
mod finish;
mod gather;
mod merge;
mod report;
mod score;
mod select;
mod serve;
mod setup;
mod show;
mod stats;
#[cfg(feature = "train")]
mod train;
mod verify;
mod version;
mod worker;

use rho_formats::remote::word_without_secrets;

use crate::{
    cli::{Cli, Command, ProgressKind},
    outcome::Outcome,
    program,
    terminal::{self, Settings},
};
pub use version::version;

/// Runs the command of the command line.
///
/// # Errors
///
/// Any error that stops a command; [`crate::hint`] has the hint for it.
pub fn run(cli: &Cli) -> anyhow::Result<Outcome> {
    rho_formats::remote::on_redirect(|from, to| {
        terminal::once(&format!(
            "note: {from} redirects to {to}, which gets no credentials"
        ));
    });
    let progress = cli.command.progress();
    let settings = Settings {
        json: progress == Some(ProgressKind::Json),
        quiet: cli.console.quiet,
        no_bars: progress.is_some_and(|kind| kind != ProgressKind::Auto),
        log: cli.console.log_file.clone(),
    };
    let what = format!("rho-mask {} starts", program::named());
    terminal::set_up(settings, &what)?;
    match &cli.command {
        Command::Score(args) => score::run(args, cli.console.config.as_deref()),
        command => perform(command),
    }
}

/// Runs a command, also as a step of an experiment.
fn perform(command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Score(args) => score::run(args, None),
        Command::Worker(args) => worker::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Select(args) => select::run(args),
        Command::Convert(args) => convert::run(args),
        Command::Show(args) => show::run(args),
        Command::Stats(args) => stats::run(args),
        Command::Gather(args) => gather::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Diff(args) => diff::run(args),
        Command::Export(args) => export::run(args),
        #[cfg(feature = "train")]
        Command::Train(args) => train::run(args),
        #[cfg(not(feature = "train"))]
        Command::Train { .. } | Command::Experiment { .. } => {
            Err(crate::hinted_error::HintedError::error(
                "train, experiment: expected a build with the feature `train`, got one without",
                "build with the default features: cargo build --release",
            ))
        }
        Command::Verify(args) => verify::run(args),
        Command::Eval(args) => eval::run(args),
        #[cfg(feature = "train")]
        Command::Experiment(args) => experiment::run(args),
        Command::Finish(args) => finish::run(args),
        Command::Report(args) => report::run(args),
        Command::Dynamics(args) => dynamics::run(args),
        Command::Setup(args) => setup::run(args),
        Command::Cache(args) => cache::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Completions(args) => completions::completions(args),
        Command::Man(args) => completions::man(args),
    }
}

/// The command line, quoted for a shell, without `--restart`, which would not resume. Logins and queries of URLs are
/// replaced by `***`.
fn typed() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./,:@%+".contains(c);
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words = words.filter(|word| word != "--restart");
    let words = words.map(|word| word_without_secrets(&word).into_owned());
    let quoted = words.map(|word| match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}
