//! `train`: trains a model on masks or a corpus.

use super::Outcome;
use crate::{
    cli::TrainArgs,
    left_out, terminal,
    train::run::{self, Finished},
};

pub(super) fn run(args: &TrainArgs) -> anyhow::Result<Outcome> {
    let out = args.out.display();
    match run::run(args)? {
        Finished::Shown => Ok(Outcome::Done),
        Finished::AlreadyDone { incomplete } => {
            terminal::line(&format!("{out}: all steps are done already"));
            Ok(outcome(args, incomplete))
        }
        Finished::Done {
            summary,
            incomplete,
        } => {
            terminal::summary(&format!("trained {out}"), &summary);
            Ok(outcome(args, incomplete))
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

/// How the run ended; says what it skipped.
fn outcome(args: &TrainArgs, incomplete: bool) -> Outcome {
    if !incomplete {
        return Outcome::Done;
    }
    left_out::say(&args.out);
    terminal::line(
        "note: the model was not trained on these: mend them and start over with --restart",
    );
    Outcome::Incomplete
}
