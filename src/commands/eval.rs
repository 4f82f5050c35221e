//! `eval`: how well a model predicts text that was held out.

use super::Outcome;
use crate::{
    cli::EvalArgs,
    eval::{report::Set, run::evaluated},
    terminal,
};

/// Columns of tables that go to no terminal.
const WIDTH: usize = 140;

pub(super) fn run(args: &EvalArgs) -> anyhow::Result<Outcome> {
    let Some(report) = evaluated(args)? else {
        terminal::line("stopped: nothing is kept of a measurement that is not done");
        return Ok(Outcome::Interrupted);
    };
    match args.json {
        true => terminal::data(&serde_json::to_string(&report)?),
        false => {
            let width = terminal::data_width().unwrap_or(WIDTH);
            terminal::data(report.tables(width).trim_end());
        }
    }
    match report.sets.iter().map(Set::rejected).sum() {
        0_u64 => Ok(Outcome::Done),
        rejected => {
            terminal::line(&format!("note: {rejected} rows or questions were left out"));
            Ok(Outcome::Incomplete)
        }
    }
}
