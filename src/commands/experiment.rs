//! `experiment`: base, reference, scores and every arm, and their results.

use super::Outcome;
use crate::{cli::ExperimentArgs, experiment::run};

pub(super) fn run(args: &ExperimentArgs) -> anyhow::Result<Outcome> {
    run::run(args, super::perform)
}
