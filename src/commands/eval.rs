//! `eval`: how well a model predicts held-out text.

use super::Outcome;
use crate::{
    cli::EvalArgs,
    eval::{report::Set, run::evaluated},
    terminal,
};

/// Width of tables that are not written to a terminal.
const WIDTH: usize = 140;

pub(super) fn run(args: &EvalArgs) -> anyhow::Result<Outcome> {
    let Some(report) = evaluated(args)? else {
        terminal::line("stopped: an unfinished measurement is not saved");
        return Ok(Outcome::Interrupted);
    };
    match args.json {
        true => terminal::data_json(&report, false)?,
        false => {
            let width = terminal::data_width().unwrap_or(WIDTH);
            terminal::data(report.tables(width).trim_end())?;
        }
    }
    match report.sets.iter().map(Set::rejected).sum() {
        0_u64 => Ok(Outcome::Done),
        rejected => {
            terminal::line(&format!("note: skipped {rejected} rows or questions"));
            Ok(Outcome::Incomplete)
        }
    }
}
