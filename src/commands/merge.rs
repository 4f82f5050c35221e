//! `merge`: the masks of parts of a corpus in one folder.

use super::Outcome;
use crate::{
    cli::MergeArgs,
    merge::{plan, run},
    run_folder::Ended,
    stop::Stop,
    terminal,
};

pub(super) fn run(args: &MergeArgs) -> anyhow::Result<Outcome> {
    let plan = plan::resolve(args)?;
    let stop = Stop::at_signals()?;
    let out = args.out.display();
    match run::run(&plan, &stop, args.progress.progress)? {
        Ended::Done(summary, worked) => {
            let what = match worked {
                true => format!("wrote {out}"),
                false => format!("{out}: all files are merged already"),
            };
            terminal::summary(&what, &summary);
            if plan.ranked_apart() {
                terminal::line(
                    "note: the tokens of each folder were ranked by themselves; `select --scope corpus` ranks all together",
                );
            }
            Ok(Outcome::Done)
        }
        Ended::Stopped { done, of } => {
            terminal::line(&format!("stopped: {done} of {of} files are done in {out}"));
            terminal::line(&format!("resume with: {}", super::typed()));
            Ok(Outcome::Interrupted)
        }
    }
}
