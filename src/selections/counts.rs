//! The counts of a selection, the same for a scope, a shard and a corpus.

use serde::{Deserialize, Serialize};

/// The counts of a rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) documents: u64,
    pub(crate) tokens: u64,
    /// Tokens that may not be targets.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) context: u64,
    /// One for each selection.
    pub(crate) selections: Vec<Selected>,
    /// Tokens kept by the intersection or union of two selections.
    pub(crate) combined: u64,
}

/// The counts of one selection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Selected {
    pub(crate) scored: u64,
    pub(crate) kept: u64,
    /// The lowest and the highest, over all scopes, of the first key kept; only if tokens before it are dropped. Keys
    /// rather than scores, because JSON has no infinities.
    pub(crate) first: Option<(u32, u32)>,
    /// The same for the last key kept.
    pub(crate) last: Option<(u32, u32)>,
    /// The sum of the weights.
    pub(crate) weights: f64,
    /// By source, in the order of their names, if each source was ranked by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) sources: Vec<OfSource>,
}

/// The tokens of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OfSource {
    /// None for documents without a source.
    pub(crate) source: Option<String>,
    pub(crate) scored: u64,
    pub(crate) kept: u64,
}

/// For counts that old records do not have, and that most masks do not need.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Selected {
    /// Adds the bounds of one scope.
    pub(crate) fn bounds(&mut self, (first, last): (Option<u32>, Option<u32>)) {
        widen(&mut self.first, first.map(|key| (key, key)));
        widen(&mut self.last, last.map(|key| (key, key)));
    }

    /// Adds tokens of a source.
    pub(crate) fn add_source(&mut self, source: Option<&str>, scored: u64, kept: u64) {
        let place = self
            .sources
            .binary_search_by(|of| of.source.as_deref().cmp(&source));
        let i = place.unwrap_or_else(|i| {
            let new = OfSource {
                source: source.map(str::to_owned),
                ..OfSource::default()
            };
            self.sources.insert(i, new);
            i
        });
        self.sources[i].scored += scored;
        self.sources[i].kept += kept;
    }

    fn add(&mut self, other: &Self) {
        for of in &other.sources {
            self.add_source(of.source.as_deref(), of.scored, of.kept);
        }
        self.scored += other.scored;
        self.kept += other.kept;
        widen(&mut self.first, other.first);
        widen(&mut self.last, other.last);
        self.weights += other.weights;
    }
}

fn widen(range: &mut Option<(u32, u32)>, other: Option<(u32, u32)>) {
    *range = match (*range, other) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    };
}

impl Counts {
    /// Tokens with a score for the first selection.
    pub(crate) fn scored(&self) -> u64 {
        self.selections.first().map_or(0, |first| first.scored)
    }

    /// Adds the counts of another shard.
    pub(crate) fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.tokens += other.tokens;
        self.context += other.context;
        self.combined += other.combined;
        let missing = other.selections.len().max(self.selections.len());
        self.selections.resize(missing, Selected::default());
        for (sum, other) in self.selections.iter_mut().zip(&other.selections) {
            sum.add(other);
        }
    }
}
