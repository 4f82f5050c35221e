//! `finish`: finishes a masks folder that several ranks wrote.

use rho_formats::MasksFolder;

use super::{Outcome, score::corpus};
use crate::{
    cli::FinishArgs, hinted_error::HintedError, left_out, pipeline::finish::FolderState,
    run_folder::RecordedPlan, terminal,
};

/// Most missing shards that an error names.
const SHOWN: usize = 10;

pub(super) fn run(args: &FinishArgs) -> anyhow::Result<Outcome> {
    let shown = args.masks.display();
    if corpus::is_begun(&args.masks) {
        return Err(HintedError::error(
            format!(
                "{shown}: expected a masks folder to finish, got one that was started with --scope corpus"
            ),
            "start any of its ranks again: the last one to end ranks all tokens and finishes the folder",
        ));
    }
    let begun = MasksFolder::check(&args.masks)?;
    let standing = match begun {
        true => {
            let folder = MasksFolder::create(&args.masks)?;
            let recorded = RecordedPlan::read(&folder)?;
            let command = recorded.map(|recorded| recorded.command());
            if let Some(command) = command.filter(|command| command.copies_masks()) {
                let name = command.name();
                return Err(HintedError::error(
                    format!("{shown}: expected a folder that `score` writes, got one of `{name}`"),
                    format!(
                        "start the same `rho-mask {name}` again: it finishes the folder by itself"
                    ),
                ));
            }
            FolderState::look(&folder)?.map(|standing| (folder, standing))
        }
        false => None,
    };
    let Some((folder, standing)) = standing else {
        return Err(HintedError::error(
            format!("{shown}: expected a masks folder, got a folder without a run"),
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
        return Err(HintedError::error(
            format!(
                "{shown}: expected all shards to be done, {count} are not: {}",
                missing.join(", ")
            ),
            "start their ranks again: they resume where they stopped",
        ));
    }
    let Some(summary) = standing.finish(&folder)? else {
        return Ok(Outcome::Incomplete);
    };
    terminal::line(&format!("finished {shown}\n{summary}"));
    if summary.incomplete() {
        left_out::say(&args.masks);
        return Ok(Outcome::Incomplete);
    }
    Ok(Outcome::Done)
}
