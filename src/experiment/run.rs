//! Runs the steps that are not done, and writes the results after each run so that they can be looked at early.
//!
//! A step is done if its record exists, which is written last. A started step is resumed in its folder, because the
//! commands can resume. Everything runs in this process, so a kill leaves no process behind.

use std::{path::Path, time::Instant};

use anyhow::Context as _;
use rho_formats::MasksFolder;
use serde_json::Value;

use super::{
    file,
    perform::{Perform, is_finished, parsed, perform},
    plan::{PassThrough, Plan},
    results,
    step::Work,
    step_records::{STEPS, StepRecords, remove_leftovers, say_unused},
    table,
};
use crate::{
    cli::{Command, ExperimentArgs, ProgressKind},
    files::write_atomic,
    left_out::REJECTED,
    outcome::Outcome,
    report,
    results::{RESULTS, Results},
    run_folder::own_folder::Owner,
    stop::Stop,
    terminal,
};

const OWNER: Owner = Owner {
    note: STEPS,
    others: &[STEPS, RESULTS, REPORT],
    lock: "experiment.lock",
    run: "another experiment",
    expected: "a new folder, or one that an experiment started",
    hint: "name another folder",
};
/// The report on the results.
const REPORT: &str = "report.html";
/// Runs an experiment; `command` runs its commands.
pub(crate) fn run(args: &ExperimentArgs, command: Perform) -> anyhow::Result<Outcome> {
    let file = file::read(&args.file, &args.path)?;
    let aside = PassThrough {
        threads: args.threads.threads,
        progress: match args.progress.progress {
            ProgressKind::Auto => "auto",
            ProgressKind::Plain => "plain",
            ProgressKind::Json => "json",
            ProgressKind::None => "none",
        }
        .to_owned(),
    };
    let plan = Plan::of(&file, &args.file, &args.out, &aside)?;
    let notes = StepRecords {
        files: MasksFolder::existing(&args.out),
    };
    if args.show_plan {
        let steps = plan.steps.iter().map(|step| notes.shown(step));
        let steps = steps.collect::<Vec<Value>>();
        terminal::data(&serde_json::to_string_pretty(&steps)?);
        return Ok(Outcome::Done);
    }
    // Arguments that a command refuses are found now, not after the first command has run for an hour.
    let commands = plan.steps.iter().map(parsed);
    let commands: Vec<Option<Command>> = commands.collect::<Result<_, _>>()?;
    let folder = OWNER.open(&args.out)?;
    for steps in [STEPS, &MasksFolder::record_name(STEPS)] {
        folder.files.make(steps)?;
    }
    let stop = Stop::at_signals()?;
    let todo = plan
        .steps
        .iter()
        .filter(|step| !notes.is_done(step))
        .count();
    terminal::line(&format!(
        "{}: {} steps, {todo} to do",
        plan.title,
        plan.steps.len()
    ));
    remove_leftovers(&args.out)?;
    say_unused(&plan, &args.out);
    for ((number, step), planned) in (1..).zip(&plan.steps).zip(&commands) {
        if notes.is_done(step) {
            continue;
        }
        terminal::line(&format!(
            "step {number} of {}: {}",
            plan.steps.len(),
            step.name
        ));
        let start = Instant::now();
        notes
            .check(step)
            .with_context(|| format!("step {}", step.name))?;
        let outcome = perform(step, planned.as_ref(), command, &stop)
            .with_context(|| format!("step {}", step.name))?;
        if outcome == Outcome::Interrupted || stop.requested() && !is_finished(step) {
            // Commands print this themselves.
            if matches!(step.work, Work::Data(_)) {
                terminal::line("stopped: run the same command again to resume");
            }
            return Ok(Outcome::Interrupted);
        }
        let incomplete = outcome == Outcome::Incomplete;
        notes.write(step, start.elapsed().as_secs_f64(), incomplete)?;
        if matches!(step.work, Work::Command(_)) && step.folder.join("metrics.jsonl").exists() {
            written(&plan, &notes, &args.out)?;
        }
        if stop.requested() {
            terminal::line("stopped: run the same command again to resume");
            return Ok(Outcome::Interrupted);
        }
    }
    let results = written(&plan, &notes, &args.out)?;
    match args.json {
        true => terminal::data(&serde_json::to_value(&results)?.to_string()),
        false => terminal::data(table::tables(&results, terminal::data_width()).trim_end()),
    }
    terminal::line(&format!(
        "wrote {}, and the report {}",
        args.out.join(RESULTS).display(),
        args.out.join(REPORT).display()
    ));
    let incomplete = plan.steps.iter().filter(|step| notes.is_incomplete(step));
    let mut ended = Outcome::Done;
    for step in incomplete {
        ended = Outcome::Incomplete;
        let list = step.folder.join(REJECTED);
        terminal::line(&match list.exists() {
            true => format!(
                "note: step {} skipped rows or shards: {}",
                step.name,
                list.display()
            ),
            false => format!("note: step {} skipped rows", step.name),
        });
    }
    Ok(ended)
}

/// Writes the results, and the report once an arm is finished. Both always cover the same runs.
fn written(plan: &Plan, notes: &StepRecords, out: &Path) -> anyhow::Result<Results> {
    let results = results::write(plan, notes, out)?;
    if !results.arms.is_empty() {
        write_atomic(&out.join(REPORT), &report::experiment::report(out)?)?;
    }
    Ok(results)
}
