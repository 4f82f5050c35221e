//! Runs the experiment that a TOML file describes: base, reference, scores, and every arm with every seed, then a
//! comparison.
//!
//! ```text
//! experiment.toml ── file ──► plan: steps, each identified by a fingerprint of its inputs
//!                                │
//!                               run ──► results/steps/NAME-FINGERPRINT/   folders as the commands write them
//!                                │
//!           curves ── metrics.jsonl, timings.jsonl ──► compare, downstream ──► results/results.json
//! ```
//!
//! * `file`: the keys of the TOML file, with its `paths`; `check`: what is refused. `plan`: what follows from it;
//!   `planner` builds it from `step`s, each with a `fingerprint`.
//! * `run`: does the steps that are not done. Commands run through the same code as on the command line. `data`: the
//!   small tasks between them.
//! * `curves`: the records of a run. `compare`: arms at equal tokens and time; `interval`: intervals by Student's t.
//!   `downstream`: eq. 7 of the paper.
//! * `results`: results.json; `table`: the same, human-readable. [`crate::report`] draws charts from results.json.

mod check;
mod compare;
mod curves;
mod data;
mod downstream;
mod file;
mod fingerprint;
mod interval;
mod paths;
mod perform;
mod plan;
mod planner;
mod results;
pub(crate) mod run;
mod step;
mod step_records;
mod table;
