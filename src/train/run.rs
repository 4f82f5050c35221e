//! Runs a training plan.

use rho_trainer::run::{Ended, Event, Learner, Run, RunPlan, RunState};
use serde_json::json;

use super::{
    data::{self, Data},
    dumped_batches::{BATCHES, BatchFile, Dumping},
    evaluation,
    folder::RunFolder,
    plan::Prepared,
    progress::Progress,
    resolve::resolve,
    run_plan::{Lengths, run_plan},
    summary::{self, SUMMARY, Summary, evaluations},
    tensorboard::Events,
};
use crate::{
    cli::{ObjectiveName, TrainArgs},
    files::write_atomic,
    stop::Stop,
    terminal, threads,
};

/// How a run ended.
pub(crate) enum Finished {
    /// All steps are done.
    Done {
        summary: String,
        /// Part of the corpus was skipped.
        incomplete: bool,
    },
    /// An earlier start had done all steps.
    AlreadyDone {
        /// Part of the corpus was skipped.
        incomplete: bool,
    },
    /// Only the plan was requested.
    Shown,
    /// Stopped by a signal: steps done and steps in all; None if it was before the first step.
    Stopped(Option<(u64, u64)>),
}

/// Trains.
pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<Finished> {
    let prepared = resolve(args)?;
    let plan = &prepared.plan;
    if args.show_plan {
        terminal::data_json(plan, true)?;
        return Ok(Finished::Shown);
    }
    threads::common_pool(plan.threads)?;
    let stop = Stop::at_signals()?;
    let fingerprint = plan.what_changes_the_curve()?;
    let folder = RunFolder::open(&plan.out, &fingerprint, args.restart)?;
    if plan.out.join(SUMMARY).exists() {
        if plan.dump_batches > 0 && !plan.out.join(BATCHES).exists() {
            terminal::line(&format!(
                "note: --dump-batches: {BATCHES} is written while a step is trained: start over with --restart"
            ));
        }
        return Ok(Finished::AlreadyDone {
            incomplete: summary::corpus(&plan.out)?.incomplete(),
        });
    }
    let read = plan.read_options();
    let after = plan.eval_after.as_deref();
    let sets = evaluation::sets(
        &prepared.evaluations,
        after,
        &read,
        prepared.encoder(),
        prepared.plan.vocabulary,
    )?;
    let Some(data) = data::open(&prepared, &folder, &stop)? else {
        return Ok(Finished::Stopped(None));
    };
    let lengths = Lengths::of(plan, &data)?;
    let run_plan = run_plan(&prepared, lengths, sets, fingerprint);
    let mut learner = super::learner::open(&prepared, run_plan.steps)?;
    train(
        args,
        &prepared,
        &folder,
        data,
        &run_plan,
        &mut learner,
        &stop,
    )
}

/// Runs the steps.
fn train(
    args: &TrainArgs,
    prepared: &Prepared,
    folder: &RunFolder,
    data: Data,
    run_plan: &RunPlan,
    learner: &mut Learner,
    stop: &Stop,
) -> anyhow::Result<Finished> {
    let plan = &prepared.plan;
    let parameters = learner.parameters();
    let run = Run::prepare(run_plan, learner)?;
    let before = run.state().clone();
    if before.step > 0 {
        terminal::line(&format!(
            "resuming after step {} of {}",
            before.step, run_plan.steps
        ));
    }
    let mut events = Events::open(&plan.out)?;
    let mut progress = Progress::new(args.progress.progress, run_plan.steps, before.step);
    let dumping = Dumping {
        out: &plan.out,
        steps: plan.dump_batches.min(run_plan.steps),
        done: before.step,
        tokenizer: plan.tokenizer.as_deref(),
        weighted: plan.objective == ObjectiveName::Weighted,
    };
    let mut batches = BatchFile::open(&dumping, || data::again(prepared, folder))?;
    let mut waited = 0.0;
    let mut broken = None;
    let mut observe = |event: Event<'_>| {
        let written = match &event {
            Event::Trained(step, batch, outcome) => match &mut batches {
                Some(batches) => batches.add(*step, batch, outcome),
                None => Ok(()),
            },
            Event::Step(metrics, timing) => {
                waited += timing.waited;
                events.add(metrics)
            }
            Event::Evaluated(evaluated) => events.add(evaluated),
            Event::Saved(_) => Ok(()),
        };
        if let Err(error) = written {
            // These files are only for display: report the error, but do not end the run.
            broken.get_or_insert(error);
        }
        progress.event(&event);
    };
    let (documents, counts) = (data.documents, data.counts);
    let ended = run.train(Box::new(documents), &|| stop.requested(), &mut observe);
    progress.finish();
    if let Some(error) = broken {
        terminal::line(&format!("note: {}", crate::hinted_error::chain(&error)));
    }
    let state: RunState = match ended? {
        Ended::Done(state) => state,
        Ended::Stopped(state) => {
            return Ok(Finished::Stopped(Some((state.step, run_plan.steps))));
        }
    };
    let length = |document: usize| data.lengths[document];
    let epochs = plan.epochs.unwrap_or(state.place.epoch + 1);
    let packing = plan.packing.count(data.lengths.len(), length, epochs);
    let mut summary = Summary::new(plan, &state, counts);
    summary.documents = data.lengths.len() as u64;
    summary.padding = packing.padding_share(plan.packing.length);
    summary.packing = packing;
    summary.parameters = parameters;
    let here = state.seconds - before.seconds;
    summary.waited = (here > 0.0).then(|| waited / here);
    summary.evaluations = evaluations(&plan.out, state.step)?;
    write_atomic(&plan.out.join(SUMMARY), &format!("{:#}\n", json!(summary)))?;
    Ok(Finished::Done {
        incomplete: summary.corpus.incomplete(),
        summary: summary.to_string(),
    })
}
