//! The program: parse, run, report. Exit codes: 0 all done, 1 finished with something left out, 2 stopped,
//! 130 interrupted.

use std::process::ExitCode;

use clap::Parser;
use rho_mask::{cli::Cli, commands, hint, stop, terminal};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::run(cli) {
        Ok(commands::Outcome::Done) => ExitCode::SUCCESS,
        Ok(commands::Outcome::Incomplete) => ExitCode::from(1),
        Ok(commands::Outcome::Interrupted) => ExitCode::from(stop::INTERRUPTED),
        Err(error) => {
            terminal::line(&format!("error: {}", hint::chain(&error)));
            if let Some(hint) = hint::of(&error) {
                terminal::line(&format!("hint: {hint}"));
            }
            ExitCode::from(2)
        }
    }
}
