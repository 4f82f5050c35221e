//! `select`: new masks from the scores of a masks folder.

use super::Outcome;
use crate::{
    cli::SelectArgs,
    run_folder::Ended,
    select::{plan, run},
    stop::Stop,
    terminal,
};

pub(super) fn run(args: &SelectArgs) -> anyhow::Result<Outcome> {
    let plan = plan::resolve(args)?;
    let stop = Stop::at_signals()?;
    let out = args.out.display();
    match run::run(&plan, &stop, args.progress.progress)? {
        Ended::Done(summary, worked) => {
            let what = match worked {
                true => format!("wrote {out}"),
                false => format!("{out}: all shards are done already"),
            };
            terminal::summary(&what, &summary);
            Ok(Outcome::Done)
        }
        Ended::Stopped { done, of } => {
            terminal::line(&format!("stopped: {done} of {of} shards are done in {out}"));
            terminal::line(&format!("resume with: {}", super::typed()));
            Ok(Outcome::Interrupted)
        }
    }
}
