//! `dynamics`: how the loss of each token changed over the checkpoints of a run.

use super::{Outcome, score};
use crate::{
    cli::DynamicsArgs,
    dynamics::{
        output_folder::{self, Started},
        plan::{self, DynamicsPlan},
        summary::Summary,
    },
    left_out,
    stop::Stop,
    terminal,
    terminal_text::safe,
};

pub(super) fn run(args: &DynamicsArgs) -> anyhow::Result<Outcome> {
    let mut plan = plan::resolve(args)?;
    if args.show_plan {
        let shown = serde_json::to_string_pretty(&plan.recorded()?.settings)?;
        terminal::data(&shown);
        return Ok(Outcome::Done);
    }
    let stop = Stop::at_signals()?;
    let begun = output_folder::open(&plan)?;
    let out = args.out.display();
    if let Some(summary) = begun.finished()? {
        terminal::line(&format!("{out}: already finished\n{summary}"));
        return Ok(outcome(&summary, args));
    }
    if !scored(&mut plan, &begun, &stop)? {
        return Ok(Outcome::Interrupted);
    }
    let Some(summary) = begun.describe(&plan, &stop)? else {
        terminal::line(&format!(
            "stopped: all scores are in {out}, but the analysis is not finished"
        ));
        terminal::line(&format!("resume with: {}", super::typed()));
        return Ok(Outcome::Interrupted);
    };
    terminal::line(&format!("wrote {out}\n{summary}"));
    Ok(outcome(&summary, args))
}

/// Scores with all models, one after the other; false if it was stopped.
fn scored(plan: &mut DynamicsPlan, begun: &Started, stop: &Stop) -> anyhow::Result<bool> {
    let count = plan.models().count();
    let tokenization = plan.checkpoints[0].prepared.tokenization.take();
    let mut stopped = false;
    for (number, model) in (1..).zip(plan.checkpoints.iter_mut().chain(&mut plan.reference)) {
        let name = safe(&model.named.name);
        if begun.is_scored(model) {
            terminal::line(&format!("{number} of {count}: {name} is scored already"));
            continue;
        }
        terminal::line(&format!("{number} of {count}: scoring with {name}"));
        let ended = score::alone(
            &model.request,
            &mut model.prepared,
            tokenization.as_ref(),
            stop,
        )?;
        if ended == Outcome::Interrupted {
            stopped = true;
            break;
        }
    }
    plan.checkpoints[0].prepared.tokenization = tokenization;
    Ok(!stopped)
}

fn outcome(summary: &Summary, args: &DynamicsArgs) -> Outcome {
    if !summary.incomplete() {
        return Outcome::Done;
    }
    left_out::say(&args.out);
    Outcome::Incomplete
}
