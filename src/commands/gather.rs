//! `gather`: the rows that workers scored, in a masks folder.

use super::Outcome;
use crate::{
    cli::GatherArgs,
    gather::{plan, run},
    run_folder::Ended,
    stop::Stop,
    terminal,
};

pub(super) fn run(args: &GatherArgs) -> anyhow::Result<Outcome> {
    let plan = plan::resolve(args)?;
    let stop = Stop::at_signals()?;
    let out = args.out.display();
    match run::run(&plan, &stop, args.progress.progress)? {
        Ended::Done(summary, worked) => {
            let what = match worked {
                true => format!("wrote {out}"),
                false => format!("{out}: all files are gathered already"),
            };
            terminal::summary(&what, &summary);
            if summary.rejected == 0 {
                return Ok(Outcome::Done);
            }
            let list = args.out.join("rejected.jsonl");
            terminal::line(&format!(
                "note: rows without scores, with reasons: {}",
                list.display()
            ));
            Ok(Outcome::Incomplete)
        }
        Ended::Stopped { done, of } => {
            terminal::line(&format!("stopped: {done} of {of} files are done in {out}"));
            terminal::line(&format!("resume with: {}", super::typed()));
            Ok(Outcome::Interrupted)
        }
    }
}
