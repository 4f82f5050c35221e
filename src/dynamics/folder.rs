//! A folder of dynamics that is done, as `show` and `report` read it.

use std::{fs, path::Path};

use super::summary::{Summary, Time};
use crate::{advised::Advised, document::Document, masks::files::Masks};

/// What is written last.
pub(super) const SUMMARY: &str = "summary.json";

/// Its files and its summary.
pub(crate) struct Opened {
    pub(crate) masks: Masks,
    pub(crate) summary: Summary,
}

impl Opened {
    /// # Errors
    /// Where it is not finished, or cannot be read.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() && !path.join(SUMMARY).exists() {
            return Err(Advised::error(
                format!(
                    "{}: expected the dynamics of tokens, finished, got a folder without {SUMMARY}",
                    path.display()
                ),
                "start the run that writes it again: it goes on where it stopped",
            ));
        }
        let masks = Masks::open(path)?;
        let Some(folder) = masks.folder.clone() else {
            return Err(Advised::error(
                format!(
                    "{}: expected a file in the folder that `dynamics` wrote, got one alone",
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

    /// What tokens of a document are preferred by at a time: the excess loss, or the checkpoint's own loss without a
    /// reference; NaN where there is none.
    pub(crate) fn preference(&self, document: &Document, time: &Time) -> Vec<f32> {
        let own = document.score(&time.column).unwrap_or_default();
        match document.score(super::plan::REFERENCE_LOSS) {
            Some(reference) => rho_selection::excess(own, reference),
            None => own.to_vec(),
        }
    }

    /// What a time is called: `33 % (step 40)`.
    pub(crate) fn time_name(&self, time: &Time) -> String {
        let mut checkpoints = self.summary.checkpoints.iter();
        let checkpoint = checkpoints.find(|checkpoint| checkpoint.column == time.column);
        let name = checkpoint.map_or("", |checkpoint| &checkpoint.name);
        format!("{:.0} % ({name})", (time.share * 100.0).floor())
    }

    /// What preference is by, in words.
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
    let read = || -> anyhow::Result<Summary> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
    read().map_err(|source| {
        source.context(Advised::error(
            format!(
                "{}: expected the summary of `rho-mask dynamics`, got something else",
                path.display()
            ),
            "write the folder anew: rho-mask dynamics ... --restart",
        ))
    })
}
