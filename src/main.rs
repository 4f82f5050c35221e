//! The program: parses the arguments, runs the command, reports errors. Exit codes: 0 all done, 1 finished but
//! something was skipped, 2 stopped by an error, 130 interrupted.

use std::process::ExitCode;

use clap::Parser;
use rho_mask::{
    cli::{self, Cli},
    commands, hint, hinted_error,
    outcome::Outcome,
    stop, terminal,
};

fn main() -> ExitCode {
    settle_environment();
    let cli = Cli::parse();
    match commands::run(&cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Incomplete) => ExitCode::from(1),
        Ok(Outcome::Interrupted) => ExitCode::from(stop::INTERRUPTED),
        Err(error) if stop::was_asked_for(&error) => {
            terminal::line(&error.to_string());
            ExitCode::from(stop::INTERRUPTED)
        }
        Err(error) => {
            terminal::line(&format!("error: {}", hinted_error::chain(&error)));
            if let Some(hint) = hint::of(&error) {
                terminal::line(&format!("hint: {hint}"));
            }
            ExitCode::from(2)
        }
    }
}

/// Turns off the telemetry of ONNX Runtime's official builds: from 1.31 on they report usage to Microsoft, and keep a
/// database for it in the user's cache folder. Set the variable to 0 to turn it on.
///
/// Variables of options that are empty count as not set, as everywhere else: the parser would refuse the empty value.
#[expect(
    unsafe_code,
    reason = "changing the environment is unsafe while other threads run"
)]
fn settle_environment() {
    const TELEMETRY: &str = "ORT_DISABLE_TELEMETRY";
    if std::env::var_os(TELEMETRY).is_none() {
        // SAFETY: this runs first in `main`, when there is no other thread yet.
        unsafe { std::env::set_var(TELEMETRY, "1") };
    }
    for name in cli::variables() {
        if std::env::var_os(&name).is_some_and(|value| value.is_empty()) {
            // SAFETY: as above.
            unsafe { std::env::remove_var(&name) };
        }
    }
}
