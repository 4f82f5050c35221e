//! One file per command.

mod doctor;
mod finish;
mod score;
mod setup;

use crate::cli::{Cli, Command};

/// How a command ended, if it did not stop with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All done.
    Done,
    /// Finished, with something left out.
    Incomplete,
    /// Stopped because a signal said so.
    Interrupted,
}

/// Runs the command that was typed.
pub fn run(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Score(args) => score::run(&args),
        Command::Finish(args) => finish::run(&args),
        Command::Setup(args) => setup::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    }
}
