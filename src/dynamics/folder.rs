//! A finished folder of dynamics, read by `show` and `report`.

use std::path::Path;

use super::summary::{SUMMARY, Summary, Time};
use crate::{document::Document, hinted_error::HintedError, masks::files::Masks};

/// A finished folder: its files and its summary.
pub(crate) struct DynamicsFolder {
    pub(crate) masks: Masks,
    pub(crate) summary: Summary,
}

impl DynamicsFolder {
    /// # Errors
    /// If it is not finished or cannot be read.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() && !path.join(SUMMARY).exists() {
            return Err(HintedError::error(
                format!(
                    "{}: expected the dynamics of tokens, finished, got a folder without {SUMMARY}",
                    path.display()
                ),
                "start the run that writes it again: it resumes where it stopped",
            ));
        }
        let masks = Masks::open(path)?;
        let Some(folder) = masks.folder.clone() else {
            return Err(HintedError::error(
                format!(
                    "{}: expected a file in a folder that `dynamics` wrote, got a file without its folder",
                    path.display()
                ),
                "name the folder",
            ));
        };
        Ok(Self {
            masks,
            summary: summary(&folder)?,
        })
    }

    /// The score that ranks a document's tokens at a time: the excess loss, or without a reference the checkpoint's own
    /// loss; NaN where there is none.
    pub(crate) fn preference(&self, document: &Document, time: &Time) -> Vec<f32> {
        let own = document.score(&time.column).unwrap_or_default();
        match document.score(super::plan::REFERENCE_LOSS) {
            Some(reference) => rho_selection::excess(own, reference),
            None => own.to_vec(),
        }
    }

    /// The name of a time, such as `33 % (step 40)`.
    pub(crate) fn time_name(&self, time: &Time) -> String {
        let mut checkpoints = self.summary.checkpoints.iter();
        let checkpoint = checkpoints.find(|checkpoint| checkpoint.column == time.column);
        let name = checkpoint.map_or("", |checkpoint| &checkpoint.name);
        format!("{:.0} % ({name})", (time.share * 100.0).floor())
    }

    /// The name of the score behind the preference.
    pub(crate) fn preferred_by(&self) -> &'static str {
        match self.summary.selection {
            Some(_) => "excess loss over the reference",
            None => "the checkpoint's own loss",
        }
    }
}

/// The summary in a folder.
pub(super) fn summary(folder: &Path) -> anyhow::Result<Summary> {
    let path = folder.join(SUMMARY);
    let read = || -> anyhow::Result<Summary> {
        Ok(serde_json::from_slice(&rho_files::read_named(&path)?)?)
    };
    read().map_err(|source| {
        source.context(HintedError::error(
            format!(
                "{}: expected the summary of `rho-mask dynamics`, got something else",
                path.display()
            ),
            "write the folder again: rho-mask dynamics ... --restart",
        ))
    })
}
