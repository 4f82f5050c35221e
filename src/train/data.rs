//! The documents of a run: those of the masks, or token shards built from the corpus first. Compressed masks are
//! unpacked first.

use std::path::Path;

use anyhow::Context as _;
use rho_files::Folder;
use rho_formats::{MaskDocuments, MaskError, MasksFolder, listed_masks};

use super::{
    columns::Columns,
    documents::MaskedDocuments,
    folder::RunFolder,
    plan::Prepared,
    tokens::{self, Counts, Tokenising},
};
use crate::{
    files::{remove_folder, write_atomic},
    hinted_error::HintedError,
    masks_by_tokens::Join,
    numbers::grouped,
    stop::Stop,
    terminal,
};

/// Marks the token shards as complete, and holds their counts.
const DONE: &str = "done.json";

/// The documents, and counts of what was skipped.
pub(super) struct Data {
    pub(super) documents: MaskedDocuments,
    /// The number of tokens of each document.
    pub(super) lengths: Vec<usize>,
    pub(super) counts: Counts,
}

/// Opens the documents, tokenised first if they are texts. None if the run was asked to stop.
pub(super) fn open(
    prepared: &Prepared,
    folder: &RunFolder,
    stop: &Stop,
) -> anyhow::Result<Option<Data>> {
    let columns = &prepared.plan.columns.trained_on();
    let opened = if prepared.shards.is_empty() {
        masks(prepared, folder, stop)?.map(|files| (files, Counts::default()))
    } else {
        tokenised(prepared, folder, stop)?
    };
    let Some((files, counts)) = opened else {
        return Ok(None);
    };
    let lengths: Vec<usize> = (0..files.len()).map(|i| files.length(i)).collect();
    if lengths.iter().all(|&length| length < 2) {
        return Err(HintedError::error(
            format!(
                "expected documents of at least two tokens to train on, got none in {} documents",
                files.len()
            ),
            "name other data with --corpus or --masks",
        ));
    }
    Ok(Some(Data {
        documents: MaskedDocuments::new(files, columns.meaning()),
        lengths,
        counts,
    }))
}

/// The same documents once more, after [`open`].
pub(super) fn again(prepared: &Prepared, folder: &RunFolder) -> anyhow::Result<MaskedDocuments> {
    let columns = &prepared.plan.columns.trained_on();
    let path = match prepared.shards.is_empty() {
        true => folder.unpacked(),
        false => folder.tokens(),
    }?;
    let files = match path.join(DONE).exists() {
        true => documents(&path, columns)?,
        false => MaskDocuments::open(prepared.mask_files.iter().cloned(), &columns.read())?,
    };
    Ok(MaskedDocuments::new(files, columns.meaning()))
}

/// The masks in a form that allows reading single documents: unchanged, or unpacked into the run's folder first.
fn masks(
    prepared: &Prepared,
    folder: &RunFolder,
    stop: &Stop,
) -> anyhow::Result<Option<MaskDocuments>> {
    let columns = &prepared.plan.columns;
    match MaskDocuments::open(prepared.mask_files.iter().cloned(), &columns.read()) {
        Err(MaskError::Compressed { .. } | MaskError::Parquet { .. }) => {}
        opened => return Ok(Some(opened?)),
    }
    let path = folder.unpacked()?;
    let counts = made(&path, |into| {
        terminal::line(&format!("unpacking the masks into {}", path.display()));
        let masks = prepared.plan.masks.clone().unwrap_or_default();
        let done = tokens::unpack(&masks, &prepared.mask_files, columns, into, stop)?;
        Ok(done.map(|()| Counts::default()))
    })?;
    counts.map(|_| documents(&path, columns)).transpose()
}

/// The corpus as token shards. With masks, each document also has their columns.
fn tokenised(
    prepared: &Prepared,
    folder: &RunFolder,
    stop: &Stop,
) -> anyhow::Result<Option<(MaskDocuments, Counts)>> {
    let plan = &prepared.plan;
    let path = folder.tokens()?;
    let counts = made(&path, |into| {
        let join = if prepared.mask_files.is_empty() {
            None
        } else {
            let Some(masks) = masks(prepared, folder, stop)? else {
                return Ok(None);
            };
            Some(Join::new(masks)?)
        };
        terminal::line(&format!("tokenising the corpus into {}", path.display()));
        let work = Tokenising {
            shards: &prepared.shards,
            read: &plan.read_corpus(),
            encoder: prepared.encoder(),
            vocabulary: plan.vocabulary,
            columns: &plan.columns,
            threads: plan.threads,
            max_rejected: plan.max_rejected,
            max_untargeted: plan.max_untargeted,
            max_unmatched: plan.max_unmatched,
            out: folder.path(),
            stop,
        };
        tokens::tokenise(&work, into, join)
    })?;
    let Some(counts) = counts else {
        return Ok(None);
    };
    // The token shards hold the columns of the masks.
    folder.remove_unpacked()?;
    if counts.incomplete() {
        terminal::line(&format!(
            "note: of {} rows, {} hold no document and {} documents have no masks; {} shards ended early",
            grouped(counts.rows),
            grouped(counts.rejected),
            grouped(counts.unmatched),
            counts.broken_shards,
        ));
    }
    Ok(Some((
        documents(&path, &plan.columns.trained_on())?,
        counts,
    )))
}

/// Fills a folder of the run unless it is complete, and returns its counts. None if the run was asked to stop.
fn made(
    path: &Path,
    make: impl FnOnce(&MasksFolder) -> anyhow::Result<Option<Counts>>,
) -> anyhow::Result<Option<Counts>> {
    let done = path.join(DONE);
    if !done.exists() {
        remove_folder(path)?;
        let Some(counts) = make(&MasksFolder::create(path)?)? else {
            return Ok(None);
        };
        write_atomic(&done, &serde_json::to_string(&counts)?)?;
    }
    let text = Folder::at(path).read(DONE);
    let text = text.with_context(|| format!("{}: cannot be read", done.display()))?;
    let counts = serde_json::from_slice(&text.unwrap_or_default())
        .with_context(|| format!("{}: expected the counts of a corpus", done.display()))?;
    Ok(Some(counts))
}

fn documents(path: &Path, columns: &Columns) -> anyhow::Result<MaskDocuments> {
    let names = listed_masks(path)?.unwrap_or_default();
    let files = names.iter().map(|name| path.join(name));
    Ok(MaskDocuments::open(files, &columns.read())?)
}
