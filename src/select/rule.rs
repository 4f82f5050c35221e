//! What is selected by, and the columns that come of it.

use rho_selection::{Bounds, Direction, Formula, Share, Weights};
use serde_json::{Value, json};

/// A rule: one selection, or two and what they have in common.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) selections: Vec<Selection>,
    pub(super) combined: Option<Combined>,
}

/// A column that ranks or weighs by one score.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// What it is called in the summary; the column has a prefix before it.
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) pick: Pick,
}

/// Where the numbers are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// A column of scores.
    Column(String),
    /// `base_loss - loss`.
    Excess,
    /// Chance, for the tokens that have a score in this column.
    Random { seed: u64, scored: String },
}

/// What is made of them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pick {
    /// Tokens by their rank.
    Ranked(Direction, Share),
    /// Tokens by their number.
    Bounded(Bounds),
    /// Weights.
    Weighed(Weights),
}

/// A column made of two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Combined {
    Intersection,
    Union,
}

pub(super) const BASE_LOSS: &str = "base_loss";
pub(super) const LOSS: &str = "loss";

impl Combined {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Intersection => "intersection",
            Self::Union => "union",
        }
    }
}

impl Source {
    /// The columns of scores it needs.
    pub(super) fn columns(&self) -> Vec<&str> {
        match self {
            Self::Column(name) | Self::Random { scored: name, .. } => vec![name],
            Self::Excess => vec![BASE_LOSS, LOSS],
        }
    }
}

impl Selection {
    pub(super) fn is_weights(&self) -> bool {
        matches!(self.pick, Pick::Weighed(_))
    }

    fn column(&self) -> String {
        match self.pick {
            Pick::Weighed(_) => format!("weight_{}", self.name),
            _ => format!("mask_{}", self.name),
        }
    }

    /// What the metadata says of it; the words of `score` where it knows the rule.
    fn metadata(&self) -> Value {
        let mut said = json!({"column": self.column()});
        match &self.source {
            Source::Column(name) => said["by"] = json!(name),
            Source::Excess => {
                said["by"] = json!("excess");
                said["difference"] = json!([BASE_LOSS, LOSS]);
            }
            Source::Random { seed, scored } => {
                said["by"] = json!("random");
                said["seed"] = json!(seed);
                said["scored"] = json!(scored);
            }
        }
        match self.pick {
            Pick::Ranked(direction, Share::Best(ratio)) => {
                let keep = match (&self.source, direction) {
                    (Source::Random { .. }, _) => "keep",
                    (_, Direction::Low) => "keep_lowest",
                    (_, Direction::High) => "keep_highest",
                };
                said[keep] = json!(ratio.get());
            }
            Pick::Ranked(_, Share::Between { easiest, hardest }) => {
                said["drop_lowest"] = json!(easiest.get());
                said["drop_highest"] = json!(hardest.get());
            }
            Pick::Bounded(Bounds { least, most }) => {
                let bound = |bound: f32| bound.is_finite().then_some(bound);
                said["at_least"] = json!(bound(least));
                said["at_most"] = json!(bound(most));
            }
            Pick::Weighed(Weights {
                formula,
                least,
                most,
            }) => {
                let (name, temperature) = match formula {
                    Formula::Rank(_) => ("rank", None),
                    Formula::Sigmoid { temperature } => ("sigmoid", Some(temperature)),
                    Formula::Clipped { temperature } => ("clipped", Some(temperature)),
                };
                said["weights"] = json!(name);
                said["temperature"] = json!(temperature);
                said["least"] = json!(least);
                said["most"] = json!(most);
            }
        }
        said
    }
}

impl Rule {
    /// The columns of scores it needs, each once.
    pub(super) fn columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = Vec::new();
        for name in self.selections.iter().flat_map(|s| s.source.columns()) {
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
        columns
    }

    /// The columns of masks it makes.
    pub(super) fn masks(&self) -> Vec<String> {
        let selections = self.selections.iter().filter(|s| !s.is_weights());
        let mut masks: Vec<String> = selections.map(Selection::column).collect();
        masks.extend(self.combined.map(|c| format!("mask_{}", c.name())));
        masks
    }

    /// The columns of weights it makes.
    pub(super) fn weights(&self) -> Vec<String> {
        let weights = self.selections.iter().filter(|s| s.is_weights());
        weights.map(Selection::column).collect()
    }

    /// Whether the keys of a selection are those of scores: chance has none.
    pub(super) fn by_scores(&self, i: usize) -> bool {
        !matches!(self.selections[i].source, Source::Random { .. })
    }

    /// What the metadata says of the selections.
    pub(super) fn metadata(&self) -> Vec<Value> {
        let mut said: Vec<Value> = self.selections.iter().map(Selection::metadata).collect();
        if let Some(combined) = self.combined {
            let of: Vec<String> = self.selections.iter().map(Selection::column).collect();
            let how = match combined {
                Combined::Intersection => "and",
                Combined::Union => "or",
            };
            said.push(json!({"column": format!("mask_{}", combined.name()), how: of}));
        }
        said
    }
}
