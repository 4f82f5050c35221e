//! How tokens are selected: what was asked for, to bits and weights.
//!
//! ```text
//! options ──► rule, scope ──┐
//! documents ──► scores ─────┴─► mark ──► bits, weights ──► counts ──► summary
//! ```
//!
//! * `rule`: what is selected by, and the columns that come of it; `metadata`: as the files say it; `options`: from what was
//!   typed.
//! * `scores`: documents to the numbers that a rule compares; `mark`: these to bits and weights, scope by scope; `cuts`: of
//!   the scope `corpus`.
//! * `counts` and `summary`: what was kept.
//! * `default_mask`: the column of masks that is taken where none is named.
//!
//! `score` selects from what it has just scored, `select` from scores that are there: with the same rules.

pub(crate) mod counts;
pub(crate) mod cuts;
pub(crate) mod default_mask;
pub(crate) mod mark;
mod metadata;
pub(crate) mod options;
pub(crate) mod rule;
pub(crate) mod scores;
mod summary;

pub(crate) use summary::Chosen;
