//! What is selected by, and the columns that come of it.

use rho_selection::{Bounds, Direction, Share, Weights};
use serde::{Serialize, Serializer};

use crate::metadata;

/// Among which tokens to rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Each document by itself.
    Document,
    /// Whole documents of a shard, up to so many tokens.
    Batch(usize),
    /// All shards.
    Corpus,
    /// A token's bit or weight follows from its own score.
    None,
}

/// A rule: one selection, or two and what they have in common.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) selections: Vec<Selection>,
    pub(crate) combined: Option<Combined>,
}

/// A column that ranks or weighs by one score.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    /// What it is called in the summary; the column has a prefix before it.
    pub(crate) name: String,
    pub(crate) source: Source,
    pub(crate) pick: Pick,
}

/// Where the numbers are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A column of scores.
    Column(String),
    /// `base_loss - loss`.
    Excess,
    /// Chance, for the tokens that have a score in this column.
    Random { seed: u64, scored: String },
}

/// What is made of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pick {
    /// Tokens by their rank.
    Ranked(Direction, Share),
    /// Tokens by their number.
    Bounded(Bounds),
    /// Weights.
    Weighed(Weights),
}

/// A column made of two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Combined {
    Intersection,
    Union,
}

pub(crate) const BASE_LOSS: &str = "base_loss";
pub(crate) const LOSS: &str = "loss";

impl Scope {
    /// The word for it.
    pub(crate) fn name(self) -> Option<&'static str> {
        match self {
            Self::Document => Some("document"),
            Self::Batch(_) => Some("batch"),
            Self::Corpus => Some("corpus"),
            Self::None => None,
        }
    }

    /// As the metadata of files has it.
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
    /// The columns of scores it needs.
    pub(crate) fn columns(&self) -> Vec<&str> {
        match self {
            Self::Column(name) | Self::Random { scored: name, .. } => vec![name],
            Self::Excess => vec![BASE_LOSS, LOSS],
        }
    }
}

impl Selection {
    pub(crate) fn is_weights(&self) -> bool {
        matches!(self.pick, Pick::Weighed(_))
    }

    /// The column it makes.
    pub(crate) fn column(&self) -> String {
        match self.pick {
            Pick::Weighed(_) => format!("weight_{}", self.name),
            _ => format!("mask_{}", self.name),
        }
    }
}

impl Rule {
    /// Selects nothing.
    pub(crate) fn none() -> Self {
        Self {
            selections: Vec::new(),
            combined: None,
        }
    }

    /// The columns of scores it needs, each once.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for name in self.selections.iter().flat_map(|s| s.source.columns()) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// The columns of masks it makes.
    pub(crate) fn masks(&self) -> Vec<String> {
        let selections = self.selections.iter().filter(|s| !s.is_weights());
        let mut masks: Vec<String> = selections.map(Selection::column).collect();
        masks.extend(self.combined.map(|c| format!("mask_{}", c.name())));
        masks
    }

    /// The columns of weights it makes.
    pub(crate) fn weights(&self) -> Vec<String> {
        let weights = self.selections.iter().filter(|s| s.is_weights());
        weights.map(Selection::column).collect()
    }

    /// Whether the keys of a selection are those of scores: chance has none.
    pub(crate) fn by_scores(&self, i: usize) -> bool {
        !matches!(self.selections[i].source, Source::Random { .. })
    }
}
