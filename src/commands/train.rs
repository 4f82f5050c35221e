//! `train`: trains a model on masks or a corpus.

use super::Outcome;
use crate::{
    cli::TrainArgs,
    terminal,
    train::run::{self, Finished},
};

pub(super) fn run(args: &TrainArgs) -> anyhow::Result<Outcome> {
    let out = args.out.display();
    match run::run(args)? {
        Finished::Shown => Ok(Outcome::Done),
        Finished::AlreadyDone => {
            terminal::line(&format!("{out}: all steps are done already"));
            Ok(Outcome::Done)
        }
        Finished::Done {
            summary,
            incomplete,
        } => {
            terminal::summary(&format!("trained {out}"), &summary);
            match incomplete {
                true => Ok(Outcome::Incomplete),
                false => Ok(Outcome::Done),
            }
        }
        Finished::Stopped(done) => {
            let done = match done {
                Some((step, steps)) => format!("step {step} of {steps} is saved"),
                None => "before the first step".to_owned(),
            };
            terminal::line(&format!("stopped: {done}"));
            terminal::line(&format!("resume with: {}", super::typed()));
            Ok(Outcome::Interrupted)
        }
    }
}
