//! Where the documents of a run are: in the masks, or in token shards that are made of the corpus first.

use std::path::PathBuf;

use anyhow::Context as _;
use rho_formats::{MaskDocuments, MaskError, MasksFolder, listed_masks};

use super::{
    documents::MaskedDocuments,
    folder::RunFolder,
    plan::Prepared,
    tokens::{self, Counts, Tokenising},
};
use crate::{hint::Advised, join::Join, pipeline::summary::grouped, stop::Stop, terminal};

/// The note that the token shards are complete, and what was counted.
const DONE: &str = "done.json";

/// The documents, and what was left out of them.
pub(super) struct Data {
    pub(super) documents: MaskedDocuments,
    /// Tokens of each document.
    pub(super) lengths: Vec<usize>,
    pub(super) counts: Counts,
}

/// Opens the documents, made into tokens first where they are texts. None where the run is to stop.
pub(super) fn open(
    prepared: &Prepared,
    folder: &RunFolder,
    stop: &Stop,
) -> anyhow::Result<Option<Data>> {
    let plan = &prepared.plan;
    let columns = &plan.columns;
    let masks = || MaskDocuments::open(prepared.mask_files.iter().cloned(), &columns.read());
    let (files, counts) = if prepared.shards.is_empty() {
        match masks() {
            Ok(files) => (files, Counts::default()),
            Err(MaskError::Compressed { .. }) => match made(prepared, folder, stop, None)? {
                None => return Ok(None),
                Some(made) => made,
            },
            Err(error) => return Err(error.into()),
        }
    } else {
        let join = match prepared.mask_files.is_empty() {
            true => None,
            false => Some(&masks as &dyn Fn() -> Result<MaskDocuments, MaskError>),
        };
        match made(prepared, folder, stop, join)? {
            None => return Ok(None),
            Some(made) => made,
        }
    };
    let lengths: Vec<usize> = (0..files.len()).map(|i| files.length(i)).collect();
    if lengths.iter().all(|&length| length < 2) {
        return Err(Advised::error(
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

/// Makes token shards in the run's folder, unless they are there.
fn made(
    prepared: &Prepared,
    folder: &RunFolder,
    stop: &Stop,
    join: Option<&dyn Fn() -> Result<MaskDocuments, MaskError>>,
) -> anyhow::Result<Option<(MaskDocuments, Counts)>> {
    let plan = &prepared.plan;
    let path = folder.tokens();
    let done = path.join(DONE);
    if !done.exists() {
        if path.exists() {
            std::fs::remove_dir_all(&path)
                .with_context(|| format!("{}: cannot be removed", path.display()))?;
        }
        let into = MasksFolder::create(&path)?;
        let counts = if prepared.shards.is_empty() {
            terminal::line(&format!("unpacking the masks into {}", path.display()));
            let masks = plan.masks.clone().unwrap_or_default();
            let files = &prepared.mask_files;
            tokens::unpack(&masks, files, &plan.columns, &into, stop)?.map(|()| Counts::default())
        } else {
            terminal::line(&format!("tokenising the corpus into {}", path.display()));
            let join = join.map(|open| Join::new(open()?)).transpose()?;
            let work = Tokenising {
                shards: &prepared.shards,
                read: &plan.read_options(),
                tokenization: prepared.tokenization.as_ref(),
                vocabulary: plan.vocabulary,
                columns: &plan.columns,
                threads: plan.threads,
                max_rejected: plan.max_rejected,
                max_unmatched: plan.max_unmatched,
                out: folder.path(),
                stop,
            };
            tokens::tokenise(&work, &into, join)?
        };
        let Some(counts) = counts else {
            return Ok(None);
        };
        folder.write(&done, &serde_json::to_string(&counts)?)?;
    }
    let text =
        std::fs::read(&done).with_context(|| format!("{}: cannot be read", done.display()))?;
    let counts: Counts = serde_json::from_slice(&text)
        .with_context(|| format!("{}: expected the counts of a corpus", done.display()))?;
    if counts.incomplete() {
        terminal::line(&format!(
            "note: of {} rows, {} hold no document and {} documents have no masks; {} shards ended early: {} says which",
            grouped(counts.rows),
            grouped(counts.rejected),
            grouped(counts.unmatched),
            counts.broken_shards,
            folder.path().join(tokens::REJECTED).display()
        ));
    }
    let names = listed_masks(&path)?.unwrap_or_default();
    let files: Vec<PathBuf> = names.iter().map(|name| path.join(name)).collect();
    let documents = MaskDocuments::open(files, &plan.columns.read())?;
    Ok(Some((documents, counts)))
}
