//! Does the steps that are not done, and writes the results after each run, so that a look at them needs no patience.
//!
//! A step is done when its record says so, which is written last; what is started is resumed in its folder, for the commands
//! can.
//! All of it happens in this process: a kill leaves nobody at work.

use std::{fs, path::Path, time::Instant};

use anyhow::Context as _;
use clap::Parser as _;
use rho_formats::MasksFolder;
use serde_json::{Value, json};

use super::{
    data, file,
    plan::{Aside, Plan},
    results,
    step::{Input, Step, Word, Work},
    table,
};
use crate::{
    advised::Advised,
    cli::{Cli, Command, EvalArgs, ExperimentArgs, ExportArgs, ProgressKind},
    eval::run::evaluated,
    files::{remove_folder, write_whole},
    outcome::Outcome,
    report,
    results::{RESULTS, Results},
    run_folder::{notes, owner::Owner},
    stop::Stop,
    terminal,
};

/// The records of steps, among the notes; the steps themselves lie beside them.
const STEPS: &str = "steps";
const OWNER: Owner = Owner {
    note: STEPS,
    others: &[STEPS, RESULTS, REPORT],
    lock: "experiment.lock",
    run: "another experiment",
    expected: "a new folder, or one that an experiment began",
    hint: "name another folder",
};
/// Their pictures.
const REPORT: &str = "report.html";
/// The answers of a run to questions, in its step's folder.
pub(super) const ANSWERS: &str = "eval.json";

/// What runs a command of this program.
pub(crate) type Perform = fn(&Command) -> anyhow::Result<Outcome>;

/// Runs an experiment, its commands by `command`.
pub(crate) fn run(args: &ExperimentArgs, command: Perform) -> anyhow::Result<Outcome> {
    let file = file::read(&args.file, &args.path)?;
    let aside = Aside {
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
    let notes = Notes {
        files: MasksFolder::existing(&args.out),
    };
    if args.show_plan {
        let steps = plan.steps.iter().map(|step| shown(step, &notes));
        let steps = steps.collect::<Vec<Value>>();
        terminal::data(&serde_json::to_string_pretty(&steps)?);
        return Ok(Outcome::Done);
    }
    // Words that a command does not take are found before the first of them runs for an hour.
    let commands = plan.steps.iter().map(parsed);
    let commands: Vec<Option<Command>> = commands.collect::<Result<_, _>>()?;
    let folder = OWNER.open(&args.out)?;
    let records = folder.files.note_path(STEPS);
    fs::create_dir_all(&records)
        .with_context(|| format!("{}: cannot be made", records.display()))?;
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
        let outcome = perform(step, planned.as_ref(), command, &stop)
            .with_context(|| format!("step {}", step.name))?;
        if outcome == Outcome::Interrupted || stop.requested() && !is_finished(step) {
            // Commands say it themselves.
            if matches!(step.work, Work::Data(_)) {
                terminal::line("stopped: the same command goes on");
            }
            return Ok(Outcome::Interrupted);
        }
        notes.write(step, start.elapsed().as_secs_f64())?;
        if matches!(step.work, Work::Command(_)) && step.folder.join("metrics.jsonl").exists() {
            written(&plan, &notes, &args.out)?;
        }
        if stop.requested() {
            terminal::line("stopped: the same command goes on");
            return Ok(Outcome::Interrupted);
        }
    }
    let results = written(&plan, &notes, &args.out)?;
    match args.json {
        true => terminal::data(&serde_json::to_value(&results)?.to_string()),
        false => terminal::data(table::tables(&results, terminal::data_width()).trim_end()),
    }
    terminal::line(&format!(
        "wrote {}, and {} of it",
        args.out.join(RESULTS).display(),
        args.out.join(REPORT).display()
    ));
    Ok(Outcome::Done)
}

/// Writes the results of what is done, and the report beside them as soon as an arm is: they never tell of different runs.
fn written(plan: &Plan, notes: &Notes, out: &Path) -> anyhow::Result<Results> {
    let results = results::write(plan, notes, out)?;
    if !results.arms.is_empty() {
        write_whole(&out.join(REPORT), &report::experiment::report(out)?)?;
    }
    Ok(results)
}

/// What is recorded of steps that are done.
pub(super) struct Notes {
    files: MasksFolder,
}

impl Notes {
    fn name(step: &Step) -> String {
        format!("{STEPS}/{}.json", step.folder_name())
    }

    /// Whether a step is done and what it made is there.
    pub(super) fn is_done(&self, step: &Step) -> bool {
        self.files.note_path(&Self::name(step)).is_file() && step.folder.is_dir()
    }

    /// Seconds of the start that ended it.
    pub(super) fn seconds(&self, step: &Step) -> Option<f64> {
        let record = notes::read::<Value>(&self.files, &Self::name(step));
        record.ok()??["seconds"].as_f64()
    }

    fn write(&self, step: &Step, seconds: f64) -> anyhow::Result<()> {
        let record = json!({"name": step.name, "command": words(step), "seconds": seconds});
        notes::write_readable(&self.files, &Self::name(step), &record)
    }
}

/// A step of the plan as people see it.
fn shown(step: &Step, notes: &Notes) -> Value {
    json!({
        "name": step.name,
        "folder": step.folder,
        "command": words(step),
        "done": notes.is_done(step),
    })
}

/// What a step does, as it would be typed; the small tasks in their own words.
fn words(step: &Step) -> Vec<String> {
    let inputs = |inputs: &[Input]| -> Vec<String> {
        let paths = inputs.iter().map(|input| input.path.display().to_string());
        paths.collect()
    };
    match &step.work {
        Work::Command(words) => typed(words, Some(&step.folder)),
        Work::Data(data) => {
            let mut words = vec!["documents of".to_owned()];
            words.extend(inputs(&data.files));
            words.extend(data.part.map(|part| format!("part {part}")));
            if let Some((share, files)) = &data.mixed {
                words.push(format!("with {share} of the bytes from"));
                words.extend(inputs(files));
            }
            words
        }
        Work::Ask { model, words } => {
            let mut typed = typed(words, None);
            typed.extend(["--model".to_owned(), model.path.display().to_string()]);
            typed
        }
    }
}

fn typed(words: &[Word], out: Option<&Path>) -> Vec<String> {
    let words = words.iter().map(|word| match word {
        Word::Text(text) | Word::Aside(text) => text.clone(),
        Word::Input(input) => input.path.display().to_string(),
    });
    let mut words: Vec<String> = words.collect();
    if let Some(out) = out {
        words.extend(["--out".to_owned(), out.display().to_string()]);
    }
    words
}

/// The command of a step, which the words of the file must make; none of a task that is no command.
fn parsed(step: &Step) -> anyhow::Result<Option<Command>> {
    let words = match &step.work {
        Work::Data(_) => return Ok(None),
        _ => words(step),
    };
    let cli = Cli::try_parse_from(std::iter::once("rho-mask".to_owned()).chain(words));
    cli.map(|cli| Some(cli.command)).map_err(|error| {
        let said = error.to_string();
        let said = said.trim_start_matches("error: ");
        let first = said.split("\n\n").next().unwrap_or(said).replace('\n', " ");
        Advised::error(
            format!("step {}: {}", step.name, first.trim()),
            "change the value in the experiment's file; `rho-mask train --help` and `select --help` say what is expected",
        )
    })
}

/// Whether a run of `train` has all its steps: a signal may come when it is just done.
fn is_finished(step: &Step) -> bool {
    step.folder.join("summary.json").is_file()
}

fn perform(
    step: &Step,
    planned: Option<&Command>,
    command: Perform,
    stop: &Stop,
) -> anyhow::Result<Outcome> {
    match (&step.work, planned) {
        (Work::Data(data), _) => Ok(match data::write(data, &step.folder, stop)? {
            true => Outcome::Done,
            false => Outcome::Interrupted,
        }),
        (Work::Ask { model, .. }, Some(Command::Eval(args))) => ask(step, model, args, command),
        (_, Some(planned)) => {
            // Renamed when it was whole, but not recorded: an export is not resumed in a folder that is there.
            if matches!(planned, Command::Export(_)) {
                remove_folder(&step.folder)?;
            }
            let outcome = command(planned)?;
            if outcome != Outcome::Interrupted && step.sheds_checkpoints {
                remove_folder(&step.folder.join("checkpoints"))?;
            }
            Ok(outcome)
        }
        (_, None) => anyhow::bail!("expected a command, got none: please report it"),
    }
}

/// Answers questions with a finished model: exported beside the answers, for a while.
fn ask(step: &Step, model: &Input, args: &EvalArgs, command: Perform) -> anyhow::Result<Outcome> {
    let folder = &step.folder;
    fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let onnx = folder.join("onnx");
    remove_folder(&onnx)?;
    let export = Command::Export(ExportArgs::plain(model.path.clone(), onnx.clone()));
    let outcome = command(&export)?;
    if outcome == Outcome::Interrupted {
        return Ok(outcome);
    }
    let args = EvalArgs {
        model: onnx.clone(),
        ..args.clone()
    };
    let Some(report) = evaluated(&args)? else {
        return Ok(Outcome::Interrupted);
    };
    write_whole(&folder.join(ANSWERS), &serde_json::to_string(&report)?)?;
    remove_folder(&onnx)?;
    Ok(Outcome::Done)
}

/// Removes what exports that were killed have left; nobody else is at work here, for the experiment is locked.
fn remove_leftovers(out: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(out.join(STEPS))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.contains(".partial-") {
            remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

/// Says which folders are of steps that the file does not have any more.
fn say_unused(plan: &Plan, out: &Path) {
    let planned: Vec<String> = plan.steps.iter().map(Step::folder_name).collect();
    let entries = fs::read_dir(out.join(STEPS)).into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut unused: Vec<String> = names.filter(|name| !planned.contains(name)).collect();
    unused.sort();
    if let Some(first) = unused.first() {
        terminal::line(&format!(
            "note: {} of the folders in {} are of steps that the file does not have any more, such as {first}: they are left as \
             they are",
            unused.len(),
            out.join(STEPS).display()
        ));
    }
}
