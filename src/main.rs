//! The program: parses the arguments, runs the command, reports errors. Exit codes: 0 all done, 1 finished but
//! something was skipped, 2 stopped by an error, 130 interrupted.

use std::process::ExitCode;

use rho_mask::{
    cli::{self, Cli},
    commands, hint, hinted_error,
    outcome::Outcome,
    stop,
    terminal::{self, DataError},
};

fn main() -> ExitCode {
    settle_environment();
    let ended = run();
    let code = match &ended {
        Ok(code) => *code,
        // The reader of standard output has all it wanted.
        Err(error) if is_reader_gone(error) => 0,
        Err(error) if stop::was_asked_for(error) => {
            terminal::note(&error.to_string());
            stop::INTERRUPTED
        }
        Err(error) => {
            let details = hinted_error::details(error);
            let hint = hint::of(error);
            terminal::error(&hinted_error::chain(error), details, hint.as_deref());
            2
        }
    };
    ExitCode::from(terminal::end(code))
}

fn run() -> anyhow::Result<u8> {
    let words: Vec<_> = std::env::args_os().collect();
    if cli::wants_json(&words) {
        terminal::use_json();
    }
    match cli::parse(words)? {
        Ok(cli) => command(&cli),
        Err(answer) if answer.is_verbose_version => commands::version().map(|()| 0),
        Err(answer) => {
            terminal::help(&answer.plain, answer.styled.as_deref(), answer.is_refusal)?;
            Ok(if answer.is_refusal { 2 } else { 0 })
        }
    }
}

fn command(cli: &Cli) -> anyhow::Result<u8> {
    Ok(match commands::run(cli)? {
        Outcome::Done => 0,
        Outcome::Incomplete => 1,
        Outcome::Interrupted => stop::INTERRUPTED,
    })
}

fn is_reader_gone(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause| matches!(cause, DataError::ReaderGone))
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
