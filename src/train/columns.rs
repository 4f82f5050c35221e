//! The columns of the masks that an objective needs, found among those that exist.

use std::path::Path;

use rho_formats::{DocumentColumns, MaskColumns, TARGET};
use serde::Serialize;

use super::documents::{ColumnRoles, Weight};
use crate::{
    cli::{ObjectiveName, TrainArgs},
    hinted_error::HintedError,
    metadata::Metadata,
    selections::default_mask::{USUAL_MASK, chosen},
};

/// The columns to read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Columns {
    /// The reference's loss; objectives that do not rank by it only report it.
    pub(super) loss: Option<String>,
    /// The mask.
    pub(super) mask: Option<String>,
    /// The weights.
    pub(super) weight: Option<String>,
    /// Whether the masks say which tokens may be targets.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) target: bool,
    /// Whether the corpus says so itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) corpus_target: bool,
}

impl Columns {
    /// The columns needed from a masks folder whose first file is `first`. Fails if one is missing.
    pub(super) fn of(args: &TrainArgs, masks: &Path, first: &MaskColumns) -> anyhow::Result<Self> {
        let shown = masks.display();
        let missing = |what: &str, there: &[String], option: &str| {
            let there = match there {
                [] => "none".to_owned(),
                there => there.join(", "),
            };
            HintedError::error(
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
            target: first.schema().target,
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
                let found = found
                    .ok_or_else(|| missing("a column of weights", &there, "--weight-column"))?;
                let metadata = Metadata::of(&first.schema().metadata);
                if let Some(least) = metadata.negative_weights(&found) {
                    return Err(HintedError::error(
                        format!(
                            "{shown}: {found}: expected weights of at least 0, got --min-weight {least}"
                        ),
                        "select again with --min-weight 0: the loss is divided by the sum of the weights",
                    ));
                }
                columns.weight = Some(found);
            }
            _ => {}
        }
        Ok(columns)
    }

    /// The columns of what is trained on: of the masks, or of token shards with the columns of masks and corpus.
    pub(super) fn trained_on(&self) -> Self {
        Self {
            target: self.target || self.corpus_target,
            corpus_target: false,
            ..self.clone()
        }
    }

    /// The columns in reading order.
    pub(super) fn read(&self) -> DocumentColumns {
        let scores = self.loss.iter().chain(&self.weight);
        let target = self.target.then(|| TARGET.to_owned());
        DocumentColumns {
            scores: scores.cloned().collect(),
            masks: self.mask.iter().cloned().chain(target).collect(),
        }
    }

    /// What they mean.
    pub(super) fn meaning(&self) -> ColumnRoles {
        ColumnRoles {
            reference_loss: self.loss.is_some(),
            weight: match (&self.mask, &self.weight) {
                (Some(_), _) => Some(Weight::Bit),
                (None, Some(_)) => Some(Weight::Number),
                (None, None) => None,
            },
            target: self.target,
        }
    }
}
