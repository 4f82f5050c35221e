//! `convert`: masks in the formats of other trainers.

use super::Outcome;
use crate::{
    cli::ConvertArgs,
    convert::{
        plan::{self, ConvertPlan},
        run, stream,
    },
    run_folder::Ended,
    stop::Stop,
    terminal,
};

pub(super) fn run(args: &ConvertArgs) -> anyhow::Result<Outcome> {
    let plan = plan::resolve(args)?;
    let stop = Stop::at_signals()?;
    if plan.to_standard_output() {
        return match stream::run(&plan, &stop, args.progress.progress)? {
            stream::Ended::Done(summary) => {
                terminal::text("converted", &summary.to_string());
                note(&plan);
                Ok(Outcome::Done)
            }
            stream::Ended::ReaderGone => Ok(Outcome::Done),
            stream::Ended::Stopped => {
                terminal::line("stopped; a stream cannot be resumed");
                Ok(Outcome::Interrupted)
            }
        };
    }
    let out = args.out.display();
    match run::run(&plan, &stop, args.progress.progress)? {
        Ended::Done(summary, worked) => {
            let what = match worked {
                true => format!("wrote {out}"),
                false => format!("{out}: all shards are done already"),
            };
            terminal::summary(&what, &summary);
            note(&plan);
            Ok(Outcome::Done)
        }
        Ended::Stopped { done, of } => {
            terminal::line(&format!("stopped: {done} of {of} shards are done in {out}"));
            terminal::line(&format!("resume with: {}", super::typed()));
            Ok(Outcome::Interrupted)
        }
    }
}

fn note(plan: &ConvertPlan) {
    if let Some(note) = plan.note() {
        terminal::line(&format!("note: {note}"));
    }
}
