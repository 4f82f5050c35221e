//! From a TOML file to an honest comparison: base, reference, scores, and every arm with every seed.
//!
//! ```text
//! experiment.toml ── file ──► plan: steps, each known by what it is made of
//!                                │
//!                               run ──► results/steps/NAME-FINGERPRINT/   folders as the commands write them
//!                                │
//!           curves ── metrics.jsonl, timings.jsonl ──► compare, downstream ──► results/results.json
//! ```
//!
//! * `file`: what may stand in the TOML file (its `paths`), `check`: what may not. `plan`: what follows from it, made by `planner` of `step`s
//!   with a `fingerprint` each.
//! * `run`: does what is not done. Commands are run through the same code as when they are typed. `data`: the small tasks
//!   between them.
//! * `curves`: what a run recorded. `compare`: arms at equal tokens and time, `student`: by Student's t. `downstream`:
//!   eq. 7 of the paper.
//! * `results`: results.json; `table`: the same for people. Pictures are drawn from results.json by [`crate::report`].

mod check;
mod compare;
mod curves;
mod data;
mod downstream;
mod file;
mod fingerprint;
mod paths;
mod plan;
mod planner;
mod results;
pub(crate) mod run;
mod step;
mod student;
mod table;
