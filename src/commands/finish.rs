//! `finish`: a masks folder that several ranks wrote, completed.

use rho_formats::MasksFolder;

use super::{Outcome, score::corpus};
use crate::{
    advised::Advised,
    cli::FinishArgs,
    pipeline::conclude::Standing,
    run_folder::{Command, RecordedPlan},
    terminal,
};

/// Shards that are named when they are missing.
const SHOWN: usize = 10;

pub(super) fn run(args: &FinishArgs) -> anyhow::Result<Outcome> {
    let shown = args.masks.display();
    if corpus::is_begun(&args.masks) {
        return Err(Advised::error(
            format!(
                "{shown}: expected masks to complete, got one that was begun with --scope corpus"
            ),
            "start any of its ranks again: whoever ends last ranks all tokens and completes the folder",
        ));
    }
    let begun = MasksFolder::check(&args.masks)?;
    let standing = match begun {
        true => {
            let folder = MasksFolder::create(&args.masks)?;
            let recorded = RecordedPlan::read(&folder)?;
            if recorded.is_some_and(|recorded| recorded.command() == Command::Select) {
                return Err(Advised::error(
                    format!("{shown}: expected a folder that `score` writes, got one of `select`"),
                    "start the same `rho-mask select` again: it completes the folder by itself",
                ));
            }
            Standing::look(&folder)?.map(|standing| (folder, standing))
        }
        false => None,
    };
    let Some((folder, standing)) = standing else {
        return Err(Advised::error(
            format!("{shown}: expected a folder of masks, found nothing begun"),
            "name the folder that `rho-mask score` writes to",
        ));
    };
    let mut missing = standing.missing();
    if !missing.is_empty() {
        let count = missing.len();
        let more = count.saturating_sub(SHOWN);
        missing.truncate(SHOWN);
        if more > 0 {
            missing.push(format!("and {more} more"));
        }
        return Err(Advised::error(
            format!(
                "{shown}: expected all shards to be done, {count} are not: {}",
                missing.join(", ")
            ),
            "start their ranks again: they go on where they stopped",
        ));
    }
    let Some(summary) = standing.conclude(&folder)? else {
        return Ok(Outcome::Incomplete);
    };
    terminal::line(&format!("finished {shown}\n{summary}"));
    if summary.incomplete() {
        terminal::line(&format!(
            "note: what was left out, and why: {}",
            args.masks.join("rejected.jsonl").display()
        ));
        return Ok(Outcome::Incomplete);
    }
    Ok(Outcome::Done)
}
