//! A masks folder to train on: is it finished, are its tokens the model's, and which columns are read?

use std::path::{Path, PathBuf};

use rho_formats::{MaskColumns, MaskError};

use super::columns::Columns;
use crate::{
    cli::TrainArgs, hinted_error::HintedError, masks::finished::finished_files, metadata::Metadata,
    terminal,
};

/// A masks folder, as far as the plan needs it.
pub(super) struct Masks {
    folder: PathBuf,
    pub(super) files: Vec<PathBuf>,
    metadata: Metadata,
    pub(super) columns: Columns,
}

impl Masks {
    /// Opens it. Fails if it is not finished or lacks a column that the objective needs.
    pub(super) fn open(args: &TrainArgs, folder: &Path) -> anyhow::Result<Self> {
        let names = finished_files(folder)?;
        let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        let first = files.first().ok_or_else(|| MaskError::Empty {
            path: folder.to_owned(),
        })?;
        let first = MaskColumns::open(first)?;
        Ok(Self {
            columns: Columns::of(args, folder, &first)?,
            metadata: Metadata::of(&first.schema().metadata),
            folder: folder.to_owned(),
            files,
        })
    }

    /// Refuses a model whose tokenizer is not that of the masks.
    pub(super) fn must_be_of(
        &self,
        tokenizer: Option<&str>,
        vocabulary: usize,
    ) -> anyhow::Result<()> {
        let shown = self.folder.display();
        match (self.metadata.tokenizer.fingerprint.as_deref(), tokenizer) {
            (Some(theirs), Some(ours)) if theirs != ours => Err(HintedError::error(
                format!(
                    "{shown}: expected masks of the model's tokenizer (SHA-256 {ours}), got masks of another ({theirs})"
                ),
                "score the corpus with a reference that has this model's tokenizer.json, byte for byte",
            )),
            (Some(theirs), None) => Err(HintedError::error(
                format!(
                    "{shown}: expected a tokenizer.json beside the model, to compare with that of the masks (SHA-256 \
                     {theirs}), got none"
                ),
                "name it with --tokenizer",
            )),
            (None, _) => {
                terminal::line(&format!(
                    "note: {shown}: the masks were created from token ids and name no tokenizer; only that ids are below \
                     {vocabulary} is checked, not that they are this model's"
                ));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The tokens that were added before and after each text.
    pub(super) fn around(&self) -> Option<(Vec<u32>, Vec<u32>)> {
        let (bos, eos) = (&self.metadata.bos.tokens, &self.metadata.eos.tokens);
        Some((bos.clone()?, eos.clone()?))
    }
}
