//! `stats`: statistics of masks.

use super::Outcome;
use crate::{
    cli::StatsArgs,
    hinted_error::HintedError,
    masks::{files::Masks, kind::must_be_masks, tokenizer},
    show::default_mask,
    stats::{self, report::Report, table},
    terminal, threads,
};

/// Width of tables that are not written to a terminal.
const WIDTH: usize = 100;

pub(super) fn run(args: &StatsArgs) -> anyhow::Result<Outcome> {
    let threads = threads::count(args.threads)?;
    must_be_masks(&args.masks)?;
    let masks = Masks::open(&args.masks)?;
    let names = masks.masks();
    let mask = match &args.mask {
        Some(name) if !names.contains(name) => {
            return Err(HintedError::error(
                format!(
                    "--mask: expected a mask column, one of {}, got {name:?}",
                    names.join(", ")
                ),
                "name one of these, or omit it",
            ));
        }
        Some(name) => Some(name.clone()),
        None => default_mask(&names).cloned(),
    };
    let found = tokenizer::find(&masks, args.tokenizer.as_deref())?;
    if let Some(note) = &found.note {
        terminal::line(&format!("note: {note}"));
    }
    terminal::note_missing(&masks.missing, "counted");
    let statistics = stats::gather(&masks, threads)?;
    let report = Report::of(
        &masks,
        &statistics,
        found.pieces.as_ref(),
        (args.top, args.min_count),
    );
    if args.json {
        terminal::data_json(&report, false)?;
        return Ok(Outcome::Done);
    }
    let width = args.width.or_else(terminal::data_width).unwrap_or(WIDTH);
    let tables = table::tables(&report, &statistics, mask.as_deref(), args.sources, width);
    terminal::data(tables.trim_end())?;
    Ok(Outcome::Done)
}
