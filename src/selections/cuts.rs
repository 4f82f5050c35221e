//! The cuts of the scope `corpus`, which separate the kept tokens of a selection from the others.

use std::collections::BTreeMap;

use rho_selection::{Cut, Seen};

/// The cuts of a corpus.
#[derive(Debug, Clone)]
pub(crate) struct Cuts {
    /// The tokens that are ranked together; one group of all tokens, or one for each source.
    pub(crate) groups: Vec<Group>,
    /// Scored and kept tokens of all groups, by selection.
    pub(crate) counts: Vec<(u64, u64)>,
    /// How many tokens with the keys of the bounds all shards before a shard hold, by shard, group and selection. A group
    /// is missing where a shard has none of its documents, or no cut divides equal scores.
    pub(crate) before: Vec<BTreeMap<usize, Vec<Seen>>>,
}

/// Tokens that are ranked together.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// Their source.
    pub(crate) source: Option<String>,
    /// By selection.
    pub(crate) cuts: Vec<Cut>,
}

impl Cuts {
    /// The group of a source; the only one if sources are not ranked by themselves.
    pub(crate) fn group(&self, source: Option<&str>) -> Option<usize> {
        match &self.groups[..] {
            [_] => Some(0),
            groups => groups
                .binary_search_by(|group| group.source.as_deref().cmp(&source))
                .ok(),
        }
    }
}
