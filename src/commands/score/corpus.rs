//! `score --scope corpus`: ranks among all tokens are known only when all are scored. So the scores are written first, to
//! a folder inside the masks folder, without masks; whoever ends last selects from there, as `select` does,
//! and removes them.
//!
//! ```text
//! corpus ── score ──► masks/.rho-mask-scored/ ── select ──► masks/
//! ```
//!
//! Both halves can be gone on with. For a while the scores lie on the disk twice.

use std::{fs, io, path::PathBuf};

use anyhow::Context as _;
use rho_formats::{MasksFolder, Shard};
use serde_json::Value;

use super::{Loaded, Outcome, say_where_rejected, to_folder};
use crate::{
    cli::ScoreArgs,
    hint::Advised,
    pipeline::{
        conclude::Standing,
        noted::{Noted, NotedShard, damaged},
        store::{locked, must_be_as_scored},
        summary::Summary,
    },
    plan::Plan,
    select::{
        Chosen,
        plan::SelectPlan,
        rule::{Rule, Scope},
        run::{self as select, Ended},
    },
    stop::Stop,
    terminal,
    tokenization::Tokenization,
};

/// Says that all is done, and by which plan.
const DONE: &str = "corpus.json";
/// Where the scores wait.
const SCORED: &str = ".rho-mask-scored";

pub(super) fn run(
    args: &ScoreArgs,
    plan: &Plan,
    shards: &[Shard],
    tokenization: Option<&Tokenization>,
    load: impl FnOnce() -> anyhow::Result<Loaded>,
) -> anyhow::Result<Outcome> {
    let folder = MasksFolder::create(&plan.out)?;
    // Without masks, so that whatever is selected later is selected from the same scores.
    let scored = Plan {
        out: plan.out.join(SCORED),
        rule: Rule::none(),
        scope: Scope::None,
        ..plan.clone()
    };
    let wanted = Noted::of(plan, shards.iter().map(NotedShard::of).collect());
    let begun = Noted::read(&folder)?;
    if begun.as_ref().is_some_and(|noted| !noted.is_of_select()) {
        return Err(Advised::error(
            format!(
                "{}: expected a new folder, or one that was begun with --scope corpus, got one of another scope",
                plan.out.display()
            ),
            "name another folder: scores are dear",
        ));
    }
    if args.restart {
        let _held = locked(
            &MasksFolder::create(&scored.out)?,
            plan.rank,
            plan.world_size,
        )?;
        select::clear(&folder, begun.iter().flat_map(|noted| &noted.shards))?;
    }
    let done = done(&folder)?;
    if let Some(noted) = &done {
        noted.must_be(&wanted, &plan.out)?;
        let summary = told(&folder)?;
        let broken = summary["broken_shards"].as_u64().unwrap_or(0);
        if broken == 0 {
            for shard in shards {
                must_be_as_scored(&MasksFolder::existing(&scored.out), shard)?;
            }
            terminal::line(&format!(
                "{}: all shards are masked already",
                plan.out.display()
            ));
            return Ok(match summary["rejected"].as_u64() {
                Some(0) => Outcome::Done,
                _ => Outcome::Incomplete,
            });
        }
    }
    let outcome = to_folder(args, &scored, shards, tokenization, load)?;
    if outcome == Outcome::Interrupted {
        return Ok(outcome);
    }
    let scores = MasksFolder::create(&scored.out)?;
    let standing = Standing::look(&scores)?;
    let Some(standing) = standing.filter(|standing| standing.missing().is_empty()) else {
        // Others see to it.
        return Ok(outcome);
    };
    let _selecting = folder.lock("corpus")?;
    // Another rank that ended at the same time may have been first.
    if done.is_none() && self::done(&folder)?.is_some() {
        return Ok(outcome);
    }
    let Some(mut summary) = standing.conclude(&scores)? else {
        return Ok(outcome);
    };
    let Some(chosen) = selected(args, plan, &scored.out, done.is_some())? else {
        return Ok(Outcome::Interrupted);
    };
    summary.chosen = chosen;
    finish(&folder, &scores, &summary, plan)?;
    folder.note(DONE, &serde_json::to_vec(&wanted)?)?;
    if summary.broken_shards == 0 {
        standing.remove_masks(&scores)?;
    }
    terminal::line(&format!("wrote {}\n{summary}", plan.out.display()));
    if summary.incomplete() {
        say_where_rejected(plan);
    }
    Ok(outcome)
}

/// Selects from the scores; none where it was stopped.
fn selected(
    args: &ScoreArgs,
    plan: &Plan,
    scored: &std::path::Path,
    again: bool,
) -> anyhow::Result<Option<Chosen>> {
    terminal::line("scored; now selecting among all tokens");
    let select_plan = SelectPlan::of_scores(
        scored,
        plan,
        // What was selected from other scores, before a broken shard was mended, does not count.
        again || args.restart,
    )?;
    let stop = Stop::at_signals()?;
    match select::run(&select_plan, &stop, args.progress)? {
        Ended::Done(summary, _) => Ok(Some(summary.chosen)),
        Ended::Stopped { .. } => {
            terminal::line(&format!(
                "stopped: all is scored in {}, but not all selected",
                plan.out.display()
            ));
            terminal::line(&format!("go on with: {}", super::super::typed()));
            Ok(None)
        }
    }
}

/// What the folder says of itself beside the masks: what was scored, and what was selected of it.
fn finish(
    folder: &MasksFolder,
    scores: &MasksFolder,
    summary: &Summary,
    plan: &Plan,
) -> anyhow::Result<()> {
    let rejected = scores.path().join("rejected.jsonl");
    let copy = |to: &mut dyn io::Write| io::copy(&mut fs::File::open(&rejected)?, to).map(|_| ());
    folder.file("rejected.jsonl", rejected.exists().then_some(&copy as _))?;
    let mut told = serde_json::to_value(summary)?;
    plan.scope.tell(&mut told);
    Ok(folder.summary(&told)?)
}

fn done(folder: &MasksFolder) -> anyhow::Result<Option<Noted>> {
    let Some(bytes) = folder.noted(DONE)? else {
        return Ok(None);
    };
    let noted = serde_json::from_slice(&bytes);
    noted
        .map(Some)
        .map_err(|source| damaged(folder, DONE, source))
}

fn told(folder: &MasksFolder) -> anyhow::Result<Value> {
    let path: PathBuf = folder.path().join("summary.json");
    let bytes = fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{}: expected JSON", path.display()))
}
