//! `score --scope corpus`: a token's rank in the corpus is known only when all tokens are scored. So the scores are
//! written first, without masks, to a folder inside the masks folder. The last rank to end selects from them, as
//! `select` does, and removes them.
//!
//! ```text
//! corpus ── score ──► masks/.rho-mask-scored/ ── select ──► masks/
//! ```
//!
//! Both halves can be resumed. For a while the scores are on disk twice.

use std::{collections::BTreeMap, path::Path};

use rho_formats::MasksFolder;
use serde::{Deserialize, Serialize};

use super::{Job, Outcome, to_folder};
use crate::{
    files::remove_folder,
    hinted_error::HintedError,
    left_out,
    masks::summary::SummaryFile,
    pipeline::{
        LoadedModels, finish::FolderState, record::Identity, rejected::must_be_targeted,
        store::must_be_the_input, summary::Summary,
    },
    plan::Plan,
    run_folder::{Command, Ended, RecordedPlan, lock, records},
    select::{folder, plan::SelectPlan, run as select},
    selections::{
        SelectionSummary,
        rule::{Rule, Scope},
    },
    terminal,
};

/// Records that the run is finished, and its plan.
const DONE: &str = "corpus.json";
/// The folder of the scores until the selection is done.
pub(super) const SCORED: &str = ".rho-mask-scored";

/// The record of a finished run.
#[derive(Serialize, Deserialize)]
struct Done {
    /// The run's plan.
    #[serde(rename = "noted")]
    plan: RecordedPlan,
    /// The identity of each shard's input.
    inputs: BTreeMap<String, Identity>,
}

pub(super) fn run(
    job: &Job<'_>,
    load: impl FnOnce() -> anyhow::Result<LoadedModels>,
) -> anyhow::Result<Outcome> {
    let Job {
        request,
        plan,
        shards,
        ..
    } = *job;
    let folder = MasksFolder::create(&plan.out)?;
    // Without masks, so that the scores do not depend on the selection.
    let scored = Plan {
        out: plan.out.join(SCORED),
        rule: Rule::none(),
        scope: Scope::None,
        ..plan.clone()
    };
    let wanted = RecordedPlan::of_corpus(plan.what_changes_masks(), shards)?;
    let started = RecordedPlan::read(&folder)?;
    let is_other = |started: &RecordedPlan| started.command() != Command::Select;
    if started.as_ref().is_some_and(is_other) {
        return Err(HintedError::error(
            format!(
                "{}: expected a new folder or one that was started with --scope corpus, got one of another scope",
                plan.out.display()
            ),
            "`rho-mask select --scope corpus` ranks the scores in this folder, without scoring again; or name another folder",
        ));
    }
    // Opened by its path below, as the folder of a run of its own: a link in its place is refused here. Not before the
    // refusals above: `finish` takes a folder that has it for a started one.
    let make = || folder.make(SCORED);
    if request.restart {
        make()?;
        let _held = lock::take_rank(
            &MasksFolder::create(&scored.out)?,
            plan.rank,
            plan.world_size,
        )?;
        let shards = started.iter().flat_map(|started| &started.shards);
        let names: Vec<&str> = shards.map(|shard| shard.name.as_str()).collect();
        folder::clear(&folder, &names)?;
    }
    let done: Option<Done> = records::read(&folder, DONE)?;
    if let Some(done) = &done {
        done.plan.must_equal(&wanted, &plan.out)?;
        if let Some(outcome) = nothing_to_do(job, &folder, done)? {
            return Ok(outcome);
        }
    }
    make()?;
    let outcome = to_folder(
        &Job {
            plan: &scored,
            ..*job
        },
        load,
    )?;
    if outcome == Outcome::Interrupted {
        return Ok(outcome);
    }
    let scores = MasksFolder::existing(&scored.out);
    let standing = FolderState::look(&scores)?;
    let Some(standing) = standing.filter(|standing| standing.missing().is_empty()) else {
        // Other ranks still have shards to score; the last one to end selects.
        return Ok(outcome);
    };
    let _selecting = folder.lock("corpus")?;
    // Another rank that ended at the same time may have selected already.
    if done.is_none() && records::read::<Done>(&folder, DONE)?.is_some() {
        return Ok(outcome);
    }
    let Some(mut summary) = standing.finish(&scores)? else {
        return Ok(outcome);
    };
    // A broken shard is scored again at each start, so an earlier selection, from other scores, is void.
    let again = done.is_some() || request.restart || summary.broken_shards > 0;
    let Some(chosen) = selected(job, &scored.out, again)? else {
        return Ok(Outcome::Interrupted);
    };
    summary.chosen = chosen;
    finish(&folder, &scores, &summary, plan)?;
    let done = Done {
        plan: wanted,
        inputs: standing.inputs(),
    };
    records::write(&folder, DONE, &done)?;
    // The masks now hold the scores. If a shard broke, the scores stay until it can be read.
    if summary.broken_shards == 0 {
        remove_folder(&scored.out)?;
    }
    terminal::summary(&format!("wrote {}", plan.out.display()), &summary);
    summary.must_have_documents(&plan.out.display().to_string())?;
    summary.must_be_targeted(plan.max_untargeted)?;
    if summary.incomplete() {
        left_out::say(&plan.out);
    }
    Ok(outcome)
}

/// The outcome of the finished run; none if a broken shard must be tried again.
fn nothing_to_do(
    job: &Job<'_>,
    folder: &MasksFolder,
    done: &Done,
) -> anyhow::Result<Option<Outcome>> {
    let summary = SummaryFile::read(folder.path())?.unwrap_or_default();
    if summary.broken_shards != Some(0) {
        return Ok(None);
    }
    for shard in job.shards {
        if let Some(input) = done.inputs.get(&shard.name) {
            must_be_the_input(folder, shard, input, &Identity::of(shard))?;
        }
    }
    // The run that finished may have been killed before it removed the scores.
    remove_folder(&job.plan.out.join(SCORED))?;
    let out = job.plan.out.display();
    terminal::line(&format!("{out}: all shards are masked already"));
    if summary.documents == Some(0) && summary.rejected > Some(0) {
        return Err(HintedError::error(
            format!(
                "{out}: expected documents, got none: all rows are rejected, with the reasons in rejected.jsonl"
            ),
            "check how the corpus is read; then start over with --restart, or name another folder",
        ));
    }
    let untargeted = summary.untargeted.unwrap_or(0);
    let left_out = untargeted + summary.rejected.unwrap_or(0);
    let rows = left_out + summary.documents.unwrap_or(0);
    must_be_targeted(job.plan.max_untargeted, untargeted, rows)?;
    Ok(Some(match left_out == 0 {
        true => Outcome::Done,
        false => {
            left_out::say(&job.plan.out);
            Outcome::Incomplete
        }
    }))
}

/// Selects from the scores; none if it was stopped.
fn selected(job: &Job<'_>, scored: &Path, again: bool) -> anyhow::Result<Option<SelectionSummary>> {
    terminal::line("scored; now selecting among all tokens");
    let plan = SelectPlan::of_scores(scored, job.plan, again)?;
    match select::run(&plan, job.stop, job.request.progress.progress)? {
        Ended::Done(summary, _) => Ok(Some(summary.chosen)),
        Ended::Stopped { .. } => {
            let out = job.plan.out.display();
            terminal::line(&format!(
                "stopped: all scores are in {out}, but the selection is not finished"
            ));
            terminal::line(&format!("resume with: {}", super::super::typed()));
            Ok(None)
        }
    }
}

/// Writes rejected.jsonl and summary.json beside the masks: what was scored, and what was selected from it.
fn finish(
    folder: &MasksFolder,
    scores: &MasksFolder,
    summary: &Summary,
    plan: &Plan,
) -> anyhow::Result<()> {
    folder.copy(scores.folder(), "rejected.jsonl")?;
    #[derive(Serialize)]
    struct WithScope<'a> {
        #[serde(flatten)]
        summary: &'a Summary,
        #[serde(flatten)]
        scope: crate::metadata::Scope,
    }
    let scope = plan.scope.metadata();
    Ok(folder.summary(&serde_json::to_value(WithScope { summary, scope })?)?)
}

/// Whether a folder holds an unfinished run with `--scope corpus`.
pub(in crate::commands) fn is_begun(masks: &Path) -> bool {
    masks.join(SCORED).is_dir()
}
