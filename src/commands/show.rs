//! `show`: documents of a masks folder in the terminal.

use super::Outcome;
use crate::{
    cli::{ColorWhen, ShowArgs, ShowBy},
    hint::Advised,
    look::{documents::Place, files::Masks, tokenizer},
    show::{self, By, Palette, View, default_mask},
    terminal,
};

pub(super) fn run(args: &ShowArgs) -> anyhow::Result<Outcome> {
    let masks = Masks::open(&args.masks)?;
    let view = View {
        by: by(args, &masks)?,
        palette: Palette::of(match args.color {
            ColorWhen::Auto => terminal::data_colours(),
            ColorWhen::Always => true,
            ColorWhen::Never => false,
        }),
        width: args.width.or_else(terminal::data_width),
        limit: args.limit,
        numbers: args.numbers,
    };
    let found = tokenizer::find(&masks, args.tokenizer.as_deref())?;
    if let Some(note) = found.note {
        terminal::line(&format!("note: {note}"));
    }
    terminal::note_missing(&masks.missing, "shown");
    let places = places(args, &masks)?;
    if places.is_empty() {
        terminal::line("note: the masks hold no document");
    }
    for (i, place) in places.iter().enumerate() {
        let documents = masks.documents(std::slice::from_ref(place))?;
        for document in documents {
            let shown = show::document(&document, found.pieces.as_ref(), &view)?;
            let gap = if i > 0 { "\n" } else { "" };
            terminal::data(&format!("{gap}{shown}"));
        }
    }
    Ok(Outcome::Done)
}

/// What tokens are drawn by; refused where the masks have no such column.
fn by(args: &ShowArgs, masks: &Masks) -> anyhow::Result<By> {
    let names = masks.masks();
    let column = match &args.mask {
        Some(name) if !names.contains(name) => {
            let got = if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            };
            return Err(Advised::error(
                format!("--mask: expected a column of masks, one of {got}, got {name:?}"),
                "name one of these, or leave it out",
            ));
        }
        Some(name) => Some(name),
        None => default_mask(&names),
    };
    match (args.by, column) {
        (Some(ShowBy::Mask) | None, Some(column)) => Ok(By::Mask(column.clone())),
        (Some(ShowBy::Mask), None) => Err(Advised::error(
            "--by mask: expected a column of masks, got none",
            "name a score with --by",
        )),
        (Some(_), _) if args.mask.is_some() => Err(Advised::error(
            "--mask: expected --by mask beside it, got another --by",
            "leave one of them out",
        )),
        (Some(ShowBy::Loss) | None, _) => Ok(By::Low("loss".to_owned())),
        (Some(ShowBy::Entropy), _) => Ok(By::Low("entropy".to_owned())),
        (Some(ShowBy::Excess), _) => Ok(By::High("excess".to_owned())),
    }
}

/// The documents that were asked for.
fn places(args: &ShowArgs, masks: &Masks) -> anyhow::Result<Vec<Place>> {
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
