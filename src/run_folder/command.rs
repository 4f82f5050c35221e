//! The commands that write run folders, and whose folders each refuses.

use std::path::Path;

use serde_json::Value;

use crate::hinted_error::HintedError;

/// A command that records a plan in its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Score,
    Select,
    Convert,
    Dynamics,
    Merge,
    Gather,
}

impl Command {
    const ALL: [Self; 6] = [
        Self::Score,
        Self::Select,
        Self::Convert,
        Self::Dynamics,
        Self::Merge,
        Self::Gather,
    ];

    /// Its name on the command line and in the settings of a recorded plan.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Select => "select",
            Self::Convert => "convert",
            Self::Dynamics => "dynamics",
            Self::Merge => "merge",
            Self::Gather => "gather",
        }
    }

    /// The command that recorded these settings; `score` records no name.
    pub(super) fn of(settings: &Value) -> Self {
        let named = settings["command"].as_str();
        let mut all = Self::ALL.into_iter();
        all.find(|command| named == Some(command.name()))
            .unwrap_or(Self::Score)
    }

    /// Whether it writes masks from finished masks, file by file.
    pub(crate) fn copies_masks(self) -> bool {
        matches!(self, Self::Select | Self::Merge | Self::Gather)
    }

    /// Whether its folder is a dataset that the `datasets` library can read.
    pub(super) fn writes_a_dataset(self) -> bool {
        self != Self::Convert
    }

    /// Refuses the folder of another command; the error names the command.
    pub(super) fn must_own(self, other: Self, path: &Path) -> anyhow::Result<()> {
        let expected = match (self, other) {
            (own, other) if own == other => return Ok(()),
            // Masks may replace masks: the settings differ, and --restart removes the old ones.
            (Self::Score, Self::Select | Self::Dynamics | Self::Merge | Self::Gather) => {
                return Ok(());
            }
            (Self::Score | Self::Select | Self::Merge | Self::Gather, Self::Convert) => {
                "one of masks".to_owned()
            }
            (own, _) => format!("one of `{}`", own.name()),
        };
        let got = match (self, other) {
            (Self::Select | Self::Merge | Self::Gather, Self::Score) => {
                "one that `score` writes".to_owned()
            }
            (Self::Convert, Self::Score | Self::Select | Self::Merge | Self::Gather) => {
                "one of masks".to_owned()
            }
            (Self::Dynamics, Self::Score | Self::Select | Self::Merge | Self::Gather) => {
                "one with masks".to_owned()
            }
            (_, other) => format!("one of `{}`", other.name()),
        };
        let hint = match self == Self::Convert || other == Self::Convert {
            true => "name another folder",
            false => "name another folder, because the scores in this one are expensive",
        };
        Err(HintedError::error(
            format!(
                "{}: expected a new folder or {expected}, got {got}",
                path.display()
            ),
            hint,
        ))
    }
}
