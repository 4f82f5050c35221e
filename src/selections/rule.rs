//! The rule that tokens are selected by, and the columns that it writes.

use rho_selection::{Bounds, Combine, Direction, Share, Weights};
use serde::{Serialize, Serializer};

use super::keep_by::KeepBy;
use crate::metadata;

/// Among which tokens to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Among the tokens of a document.
    Document,
    /// Among the tokens of consecutive whole documents of a shard, up to this many tokens.
    Batch(usize),
    /// Among all tokens of all shards.
    Corpus,
    /// No ranking: a token's bit or weight depends only on its own score.
    None,
}

/// A rule: one selection, or two and their combination.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) selections: Vec<Selection>,
    pub(crate) combined: Option<Combined>,
    /// Ratios of single sources; then each source is ranked by itself.
    pub(crate) keep_by: Option<KeepBy>,
}

/// A mask or weight column that is computed from one score.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// Its name in the summary; the column's name adds a prefix.
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) pick: Pick,
}

/// The numbers that a selection compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A score column.
    Column(String),
    /// `base_loss - loss`.
    Excess,
    /// Random numbers, for the tokens that have a score in this column.
    Random { seed: u64, scored: String },
    /// Columns or computed scores, combined token by token, for the tokens that have a score in the column `scored`:
    /// columns of other programs may have a number for tokens that are no targets.
    Columns {
        parts: Vec<Self>,
        combine: Combine,
        scored: String,
    },
}

/// How a selection turns the numbers into a column.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pick {
    /// Keeps tokens by their rank.
    Ranked(Direction, Share),
    /// Keeps tokens whose number is within bounds.
    Bounded(Bounds),
    /// Computes weights.
    Weighed(Weights),
}

/// A mask column that combines two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Combined {
    Intersection,
    Union,
}

pub(crate) const BASE_LOSS: &str = "base_loss";
pub(crate) const LOSS: &str = "loss";
pub(crate) const EXCESS: &str = "excess";
pub(crate) const ENTROPY: &str = "entropy";

impl Scope {
    /// Its name; none if there is no ranking.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Document => Some("document"),
            Self::Batch(_) => Some("batch"),
            Self::Corpus => Some("corpus"),
            Self::None => None,
        }
    }

    /// Its entry in the metadata.
    pub(crate) fn metadata(self) -> metadata::Scope {
        metadata::Scope {
            name: Some(self.name().map(str::to_owned)),
            tokens: match self {
                Self::Batch(tokens) => Some(tokens as u64),
                _ => None,
            },
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.metadata().serialize(serializer)
    }
}

impl Combined {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Intersection => "intersection",
            Self::Union => "union",
        }
    }
}

impl Source {
    /// The score columns that it needs.
    pub(crate) fn columns(&self) -> Vec<&str> {
        match self {
            Self::Column(name) | Self::Random { scored: name, .. } => vec![name],
            Self::Excess => vec![BASE_LOSS, LOSS],
            Self::Columns { parts, scored, .. } => {
                let parts = parts.iter().flat_map(Self::columns);
                parts.chain([scored.as_str()]).collect()
            }
        }
    }
}

impl Selection {
    pub(crate) fn is_weights(&self) -> bool {
        matches!(self.pick, Pick::Weighed(_))
    }

    /// The name of its column.
    pub(crate) fn column(&self) -> String {
        match self.pick {
            Pick::Weighed(_) => format!("weight_{}", self.name),
            _ => format!("mask_{}", self.name),
        }
    }
}

impl Rule {
    /// The rule that selects nothing.
    pub(crate) fn none() -> Self {
        Self {
            selections: Vec::new(),
            combined: None,
            keep_by: None,
        }
    }

    /// The score columns that it needs, without duplicates.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for name in self.selections.iter().flat_map(|s| s.source.columns()) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// The names of its mask columns.
    pub(crate) fn masks(&self) -> Vec<String> {
        let selections = self.selections.iter().filter(|s| !s.is_weights());
        let mut masks: Vec<String> = selections.map(Selection::column).collect();
        masks.extend(self.combined.map(|c| format!("mask_{}", c.name())));
        masks
    }

    /// The names of its weight columns.
    pub(crate) fn weights(&self) -> Vec<String> {
        let weights = self.selections.iter().filter(|s| s.is_weights());
        weights.map(Selection::column).collect()
    }

    /// The share that a selection keeps of a source's tokens.
    pub(crate) fn share(&self, share: Share, source: Option<&str>) -> Share {
        let keep_by = self.keep_by.as_ref();
        keep_by.map_or(share, |keep_by| keep_by.share(source, share))
    }

    /// Whether a selection compares scores, not random numbers.
    pub(crate) fn by_scores(&self, i: usize) -> bool {
        !matches!(self.selections[i].source, Source::Random { .. })
    }
}
