//! `diff`: how far two masks folders agree.

use super::Outcome;
use crate::{
    cli::DiffArgs,
    diff::{self, Report, tables},
    terminal,
};

/// Width of tables that are not written to a terminal.
const WIDTH: usize = 100;

pub(super) fn run(args: &DiffArgs) -> anyhow::Result<Outcome> {
    let compared = diff::compare(args)?;
    let report = Report::of(args, &compared);
    if args.json {
        terminal::data_json(&report, false)?;
    } else {
        let width = args.width.or_else(terminal::data_width).unwrap_or(WIDTH);
        terminal::data(tables(&report, args.sources, width).trim_end())?;
    }
    Ok(match report.equal {
        true => Outcome::Done,
        false => Outcome::Incomplete,
    })
}
