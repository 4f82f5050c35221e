//! What of the masks an objective asks for, found in the columns that are there.

use std::path::Path;

use rho_formats::{DocumentColumns, MaskColumns};
use serde::Serialize;

use super::documents::{Meaning, Weight};
use crate::{
    cli::{ObjectiveName, TrainArgs},
    hint::Advised,
};

/// The mask that `score` writes and Rho-1's self-reference did best with.
const DEFAULT_MASK: &str = "mask_intersection";

/// The columns to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Columns {
    /// The reference's loss; for objectives that do not rank by it, only to be reported.
    pub(super) loss: Option<String>,
    /// Bits.
    pub(super) mask: Option<String>,
    /// Weights.
    pub(super) weight: Option<String>,
}

impl Columns {
    /// What is needed of a masks folder, whose first file is this. Refuses what is not there.
    pub(super) fn of(args: &TrainArgs, masks: &Path, first: &MaskColumns) -> anyhow::Result<Self> {
        let shown = masks.display();
        let missing = |what: &str, there: &[String], option: &str| {
            let there = match there {
                [] => "none".to_owned(),
                there => there.join(", "),
            };
            Advised::error(
                format!("{shown}: expected {what}, got {there}"),
                format!("name another column with {option}, or other masks"),
            )
        };
        let scores: Vec<String> = first.scores().into_iter().map(str::to_owned).collect();
        let loss = match scores.contains(&args.loss_column) {
            true => Some(args.loss_column.clone()),
            false if args.objective == ObjectiveName::Slm => {
                let what = format!("a column {:?} of the reference's loss", args.loss_column);
                return Err(missing(&what, &scores, "--loss-column"));
            }
            false => None,
        };
        let mut columns = Self {
            loss,
            ..Self::default()
        };
        match args.objective {
            ObjectiveName::Static => {
                let there = &first.schema().masks;
                let found = chosen(args.mask_column.as_deref(), there, DEFAULT_MASK);
                columns.mask = Some(
                    found.ok_or_else(|| missing("a column of masks", there, "--mask-column"))?,
                );
            }
            ObjectiveName::Weighted => {
                let weights = first.weights().into_iter().map(str::to_owned);
                let there: Vec<String> = weights.collect();
                let found = chosen(args.weight_column.as_deref(), &there, "");
                columns.weight =
                    Some(found.ok_or_else(|| {
                        missing("a column of weights", &there, "--weight-column")
                    })?);
            }
            _ => {}
        }
        Ok(columns)
    }

    /// In the order in which they are read.
    pub(super) fn read(&self) -> DocumentColumns {
        let scores = self.loss.iter().chain(&self.weight);
        DocumentColumns {
            scores: scores.cloned().collect(),
            masks: self.mask.iter().cloned().collect(),
        }
    }

    /// What they mean.
    pub(super) fn meaning(&self) -> Meaning {
        Meaning {
            reference_loss: self.loss.is_some(),
            weight: match (&self.mask, &self.weight) {
                (Some(_), _) => Some(Weight::Bit),
                (None, Some(_)) => Some(Weight::Number),
                (None, None) => None,
            },
        }
    }
}

/// The column that was named, else the usual one, else the only one.
fn chosen(named: Option<&str>, there: &[String], usual: &str) -> Option<String> {
    let is_there = |name: &str| there.iter().find(|column| *column == name).cloned();
    match (named, there) {
        (Some(name), _) => is_there(name),
        (None, [only]) => Some(only.clone()),
        (None, _) => is_there(usual),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_the_usual_or_the_only_column() {
        let there = ["mask_loss", DEFAULT_MASK].map(String::from);
        let pick = |named, there: &[String]| chosen(named, there, DEFAULT_MASK);
        assert_eq!(pick(None, &there).as_deref(), Some(DEFAULT_MASK));
        assert_eq!(
            pick(Some("mask_loss"), &there).as_deref(),
            Some("mask_loss")
        );
        assert_eq!(pick(Some("mask_excess"), &there), None);
        assert_eq!(pick(None, &there[..1]).as_deref(), Some("mask_loss"));
        assert_eq!(pick(None, &[]), None);
    }
}
