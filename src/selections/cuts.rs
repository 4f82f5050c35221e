//! The cuts of the scope `corpus`, which separate the kept tokens of a selection from the others.

use rho_selection::{Cut, Seen};

/// The cuts of a corpus, one for each selection.
#[derive(Debug, Clone)]
pub(crate) struct Cuts {
    pub(crate) cuts: Vec<Cut>,
    /// Scored and kept tokens, by selection.
    pub(crate) counts: Vec<(u64, u64)>,
    /// How many tokens with the keys of the bounds all shards before a shard hold, by shard and selection.
    pub(crate) before: Vec<Vec<Seen>>,
}
