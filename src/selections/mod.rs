//! How tokens are selected: from options to bits and weights.
//!
//! ```text
//! options ──► rule, scope ──┐
//! documents ──► scores ─────┴─► mark ──► bits, weights ──► counts ──► summary
//! ```
//!
//! * `rule`: the rule and the columns that it writes; `metadata`: the rule in the metadata of the files; `options`: the
//!   rule from the command-line arguments; `keep_by`: keep ratios of single sources.
//! * `scores`: the scores and keys that a rule compares; `mark`: turns them into bits and weights, scope by scope;
//!   `cuts`: the cuts of the scope `corpus`.
//! * `counts` and `summary`: how many tokens were kept; `stored`: by masks that exist already.
//! * `default_mask`: the mask column that a command uses by default.
//!
//! `score` selects from the scores that it just computed, `select` from stored scores. Both use the same rules.

pub(crate) mod counts;
pub(crate) mod cuts;
pub(crate) mod default_mask;
pub(crate) mod keep_by;
pub(crate) mod mark;
mod metadata;
pub(crate) mod options;
pub(crate) mod rule;
pub(crate) mod scores;
mod stored;
mod summary;

pub(crate) use summary::{SelectionSummary, of_context};
