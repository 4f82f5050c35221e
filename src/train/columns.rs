//! What of the masks an objective asks for, found in the columns that are there.

use std::path::Path;

use rho_formats::{DocumentColumns, MaskColumns};
use serde::Serialize;

use super::documents::{Meaning, Weight};
use crate::{
    advised::Advised,
    cli::{ObjectiveName, TrainArgs},
    selections::default_mask::{USUAL_MASK, chosen},
};

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
                let found = chosen(args.mask_column.as_deref(), there, USUAL_MASK);
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
