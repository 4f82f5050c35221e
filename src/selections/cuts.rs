//! Where a selection in the scope `corpus` divides the tokens it keeps from the others.

use rho_selection::{Cut, Seen};

/// The cuts of a corpus, one for each selection.
#[derive(Debug, Clone)]
pub(crate) struct Cuts {
    pub(crate) cuts: Vec<Cut>,
    /// Scored tokens and kept ones, by selection.
    pub(crate) counts: Vec<(u64, u64)>,
    /// What each shard's predecessors hold of the boundaries' keys, by shard and selection.
    pub(crate) before: Vec<Vec<Seen>>,
}
