//! Plans an experiment: from its file to its steps, in the order in which they run.
//!
//! ```text
//! data-base ──► base ──┬──► reference ──► export ──► scores ──┬──► select ──► arm, seed 0, 1, 2 ──► answers
//!                      │    data-corpus ──────────────┘       └─────────────► arm, seed 0, 1, 2
//!                      └── every arm starts from it
//! ```
//!
//! All errors in the file are found here, before anything runs.

use std::path::Path;

use super::{
    check::check,
    file::{Arm, File, Objective, Scorer},
    planner::Planner,
    step::Step,
};

/// The plan of an experiment.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) title: String,
    /// Ordered so that each step comes after those it needs.
    pub(super) steps: Vec<Step>,
    pub(super) arms: Vec<PlannedArm>,
    /// The arms of the sweep, by increasing keep ratio.
    pub(super) sweep: Vec<PlannedArm>,
    pub(super) sweep_objective: Option<&'static str>,
    /// The index of the arm that the others are compared with.
    pub(super) baseline: usize,
    pub(super) seeds: Vec<u64>,
    /// The evaluation set that stands for the downstream task.
    pub(super) downstream: Option<String>,
    pub(super) after: Option<String>,
}

/// An arm and its runs.
#[derive(Debug)]
pub(super) struct PlannedArm {
    pub(super) name: String,
    pub(super) objective: Objective,
    pub(super) keep: Option<f64>,
    /// A human-readable description.
    pub(super) described: String,
    /// Whether it sees the baseline's batches.
    pub(super) same_batches: bool,
    pub(super) runs: Vec<PlannedRun>,
}

/// A run of an arm.
#[derive(Debug, Clone)]
pub(super) struct PlannedRun {
    pub(super) seed: u64,
    /// Index into [`Plan::steps`], as is `ask`.
    pub(super) train: usize,
    pub(super) ask: Option<usize>,
}

/// Options passed on to every command; they do not change results.
#[derive(Debug, Clone, Default)]
pub(super) struct PassThrough {
    pub(super) threads: Option<usize>,
    pub(super) progress: String,
}

impl Plan {
    /// Plans the experiment in the folder `out`.
    pub(super) fn of(
        file: &File,
        path: &Path,
        out: &Path,
        aside: &PassThrough,
    ) -> anyhow::Result<Self> {
        check(file, path)?;
        Planner::new(file, aside, out.join("steps")).plan(path)
    }
}

/// A human-readable description of an arm.
pub(super) fn described(arm: &Arm) -> String {
    let mut words = vec![arm.objective.name().to_owned()];
    let mut say = |name: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("{name} {value}")));
    };
    say("keep", arm.keep.map(|keep| keep.to_string()));
    say("keep", arm.keep_schedule.clone());
    say("mix-clm", arm.mix_clm.map(|mix| mix.to_string()));
    if let Some(select) = &arm.select {
        say("by", Some(select.by.clone()));
        say("keep", select.keep.map(|keep| keep.to_string()));
        say("keep-loss", select.keep_loss.map(|keep| keep.to_string()));
        say(
            "keep-entropy",
            select.keep_entropy.map(|keep| keep.to_string()),
        );
        say("weights", select.weights.clone());
        say("temperature", select.temperature.map(|t| t.to_string()));
    }
    say(
        "scores of the",
        (arm.scores == Scorer::Base).then(|| "base".to_owned()),
    );
    say(
        "mixed with the reference's data,",
        arm.mix.map(|share| format!("{share} of the bytes")),
    );
    say(
        "learning rate",
        arm.train.learning_rate.map(|rate| rate.to_string()),
    );
    words.join(", ")
}

/// Whether the objective has a keep ratio.
pub(super) fn keeps_a_share(objective: Objective) -> bool {
    matches!(
        objective,
        Objective::Slm | Objective::Random | Objective::Hard | Objective::Easy
    )
}

/// Whether it is the arm to compare with: all tokens of the same data.
pub(super) fn is_baseline(arm: &Arm) -> bool {
    arm.objective == Objective::Clm && arm.mix.is_none()
}
