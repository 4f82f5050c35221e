//! `show`: shows documents of a masks folder in the terminal.

use super::Outcome;
use crate::{
    cli::{ColorWhen, ShowArgs, ShowBy},
    document::Document,
    dynamics::folder::DynamicsFolder,
    hinted_error::HintedError,
    masks::{documents::RowPosition, files::Masks, kind::is_dynamics, tokenizer},
    show::{self, By, Palette, View, default_mask},
    terminal,
    tokenization::token_bytes::TokenBytes,
};

pub(super) fn run(args: &ShowArgs) -> anyhow::Result<Outcome> {
    if is_dynamics(&args.masks) {
        return dynamics(args);
    }
    let masks = Masks::open(&args.masks)?;
    let view = view(args, by(args, &masks)?);
    each(args, &masks, |document, pieces| {
        Ok(vec![show::document(document, pieces, &view)?])
    })
}

/// Shows documents of a dynamics folder: four times, by what checkpoints prefer, or once, by category.
fn dynamics(args: &ShowArgs) -> anyhow::Result<Outcome> {
    let opened = DynamicsFolder::open(&args.masks)?;
    if args.mask.is_some() {
        return Err(HintedError::error(
            "--mask: expected masks, got the dynamics of tokens",
            "omit it",
        ));
    }
    match args.by {
        None | Some(ShowBy::Preference) => {
            let preferred_by = opened.preferred_by();
            each(args, &opened.masks, |document, pieces| {
                let times = opened.summary.preference.times.iter();
                let drawn = times.enumerate().map(|(i, time)| {
                    let by = By::Given {
                        title: format!(
                            "{} of the run, fifths of all tokens by {preferred_by}, high ones preferred",
                            opened.time_name(time)
                        ),
                        scores: opened.preference(document, time),
                        bounds: time.bounds,
                    };
                    let mut view = view(args, by);
                    // The numbers are the same at all times.
                    view.numbers &= i + 1 == opened.summary.preference.times.len();
                    show::document(document, pieces, &view)
                });
                drawn.collect()
            })
        }
        Some(ShowBy::Category) => {
            let view = view(args, By::Category("category".to_owned()));
            each(args, &opened.masks, |document, pieces| {
                Ok(vec![show::document(document, pieces, &view)?])
            })
        }
        Some(_) => Err(HintedError::error(
            "--by: expected preference or category for the dynamics of tokens, got a score or mask",
            "omit it for preference; --numbers shows every loss",
        )),
    }
}

fn view(args: &ShowArgs, by: By) -> View {
    View {
        by,
        palette: Palette::of(match args.color {
            ColorWhen::Auto => terminal::data_colours(),
            ColorWhen::Always => true,
            ColorWhen::Never => false,
        }),
        width: args.width.or_else(terminal::data_width),
        limit: args.limit,
        numbers: args.numbers,
    }
}

/// Draws each requested document.
fn each(
    args: &ShowArgs,
    masks: &Masks,
    draw: impl Fn(&Document, Option<&TokenBytes<'_>>) -> anyhow::Result<Vec<String>>,
) -> anyhow::Result<Outcome> {
    let found = tokenizer::find(masks, args.tokenizer.as_deref())?;
    if let Some(note) = found.note {
        terminal::line(&format!("note: {note}"));
    }
    terminal::note_missing(&masks.missing, "shown");
    let places = places(args, masks)?;
    if places.is_empty() {
        terminal::line("note: the masks hold no document");
    }
    let mut gap = "";
    for place in &places {
        let documents = masks.documents(std::slice::from_ref(place))?;
        for document in documents {
            for shown in draw(&document, found.pieces.as_ref())? {
                terminal::data_drawn(&format!("{gap}{shown}"))?;
                gap = "\n";
            }
        }
    }
    Ok(Outcome::Done)
}

/// The mask or score to colour tokens by; an error if the masks have no such column.
fn by(args: &ShowArgs, masks: &Masks) -> anyhow::Result<By> {
    let names = masks.masks();
    let column = match &args.mask {
        Some(name) if !names.contains(name) => {
            let got = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            return Err(HintedError::error(
                format!("--mask: expected a mask column, one of {got}, got {name:?}"),
                "name one of these, or omit it",
            ));
        }
        Some(name) => Some(name),
        None => default_mask(&names),
    };
    match (args.by, column) {
        (Some(ShowBy::Mask) | None, Some(column)) => Ok(By::Mask(column.clone())),
        (Some(ShowBy::Mask), None) => Err(HintedError::error(
            "--by mask: expected a mask column, got none",
            "name a score with --by",
        )),
        (Some(_), _) if args.mask.is_some() => Err(HintedError::error(
            "--mask: expected --by mask with it, got another --by",
            "omit one of them",
        )),
        (Some(ShowBy::Preference | ShowBy::Category), _) => Err(HintedError::error(
            "--by: expected a mask or a score for a masks folder, got a value for a folder of dynamics",
            "name a folder that `rho-mask dynamics` wrote",
        )),
        (Some(ShowBy::Loss) | None, _) => Ok(By::Low("loss".to_owned())),
        (Some(ShowBy::Entropy), _) => Ok(By::Low("entropy".to_owned())),
        (Some(ShowBy::Excess), _) => Ok(By::High("excess".to_owned())),
    }
}

/// The requested documents.
fn places(args: &ShowArgs, masks: &Masks) -> anyhow::Result<Vec<RowPosition>> {
    if let Some(id) = &args.document {
        let (place, count) = masks.by_id(id)?;
        if count > 1 {
            terminal::line(&format!(
                "note: {count} documents have the id {id:?}; this is the first (--shard and --row name one)"
            ));
        }
        return Ok(vec![place]);
    }
    if let Some(count) = args.sample {
        return masks.sample(count, args.seed);
    }
    if args.row.is_some() || args.shard.is_some() {
        return Ok(vec![masks.by_row(args.shard.as_deref(), args.row)?]);
    }
    Ok(masks.first()?.into_iter().collect())
}
