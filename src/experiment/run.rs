//! Runs the steps that are not done, and writes the results after each run so that they can be looked at early.
//!
//! A step is done if its record exists, which is written last. A started step is resumed in its folder, because the
//! commands can resume. Everything runs in this process, so a kill leaves no process behind.

use std::{fs, path::Path, time::Instant};

use anyhow::Context as _;
use clap::Parser as _;
use rho_formats::MasksFolder;
use serde_json::{Value, json};

use super::{
    data, file,
    plan::{PassThrough, Plan},
    results,
    step::{Input, Step, Word, Work},
    table,
};
use crate::{
    cli::{Cli, Command, EvalArgs, ExperimentArgs, ExportArgs, ProgressKind},
    eval::run::evaluated,
    files::{remove_folder, write_atomic},
    hinted_error::HintedError,
    outcome::Outcome,
    report,
    results::{RESULTS, Results},
    run_folder::{own_folder::Owner, records},
    stop::Stop,
    terminal,
};

/// The folder of the steps' records inside the hidden folder, and of the steps themselves beside it.
const STEPS: &str = "steps";
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
/// A model's answers to questions, in the folder of the step.
pub(super) const ANSWERS: &str = "eval.json";

/// Runs a command of this program.
pub(crate) type Perform = fn(&Command) -> anyhow::Result<Outcome>;

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
    let notes = Notes {
        files: MasksFolder::existing(&args.out),
    };
    if args.show_plan {
        let steps = plan.steps.iter().map(|step| shown(step, &notes));
        let steps = steps.collect::<Vec<Value>>();
        terminal::data(&serde_json::to_string_pretty(&steps)?);
        return Ok(Outcome::Done);
    }
    // Arguments that a command refuses are found now, not after the first command has run for an hour.
    let commands = plan.steps.iter().map(parsed);
    let commands: Vec<Option<Command>> = commands.collect::<Result<_, _>>()?;
    let folder = OWNER.open(&args.out)?;
    let records = folder.files.record_path(STEPS);
    fs::create_dir_all(&records)
        .with_context(|| format!("{}: cannot be created", records.display()))?;
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
            // Commands print this themselves.
            if matches!(step.work, Work::Data(_)) {
                terminal::line("stopped: run the same command again to resume");
            }
            return Ok(Outcome::Interrupted);
        }
        notes.write(step, start.elapsed().as_secs_f64())?;
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
    Ok(Outcome::Done)
}

/// Writes the results, and the report once an arm is finished. Both always cover the same runs.
fn written(plan: &Plan, notes: &Notes, out: &Path) -> anyhow::Result<Results> {
    let results = results::write(plan, notes, out)?;
    if !results.arms.is_empty() {
        write_atomic(&out.join(REPORT), &report::experiment::report(out)?)?;
    }
    Ok(results)
}

/// The records of finished steps.
pub(super) struct Notes {
    files: MasksFolder,
}

impl Notes {
    fn name(step: &Step) -> String {
        format!("{STEPS}/{}.json", step.folder_name())
    }

    /// Whether a step is done and its folder exists.
    pub(super) fn is_done(&self, step: &Step) -> bool {
        self.files.record_path(&Self::name(step)).is_file() && step.folder.is_dir()
    }

    /// Seconds of the start that finished it.
    pub(super) fn seconds(&self, step: &Step) -> Option<f64> {
        let record = records::read::<Value>(&self.files, &Self::name(step));
        record.ok()??["seconds"].as_f64()
    }

    fn write(&self, step: &Step, seconds: f64) -> anyhow::Result<()> {
        let record = json!({"name": step.name, "command": words(step), "seconds": seconds});
        records::write_readable(&self.files, &Self::name(step), &record)
    }
}

/// A step as `--show-plan` prints it.
fn shown(step: &Step, notes: &Notes) -> Value {
    json!({
        "name": step.name,
        "folder": step.folder,
        "command": words(step),
        "done": notes.is_done(step),
    })
}

/// The command line of a step; a description for the small tasks.
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
        Word::Text(text) | Word::PassThrough(text) => text.clone(),
        Word::Input(input) => input.path.display().to_string(),
    });
    let mut words: Vec<String> = words.collect();
    if let Some(out) = out {
        words.extend(["--out".to_owned(), out.display().to_string()]);
    }
    words
}

/// Parses the command of a step, which fails for bad values in the file; None for a task that is no command.
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
        HintedError::error(
            format!("step {}: {}", step.name, first.trim()),
            "change the value in the experiment's file; see `rho-mask train --help` and `rho-mask select --help`",
        )
    })
}

/// Whether a run of `train` has done all its steps: a signal may come just when it finishes.
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
            // A complete export may exist without its record. An export does not resume in an existing folder: start
            // over.
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

/// Answers questions with a finished model, using a temporary export beside the answers.
fn ask(step: &Step, model: &Input, args: &EvalArgs, command: Perform) -> anyhow::Result<Outcome> {
    let folder = &step.folder;
    fs::create_dir_all(folder)
        .with_context(|| format!("{}: cannot be created", folder.display()))?;
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
    write_atomic(&folder.join(ANSWERS), &serde_json::to_string(&report)?)?;
    remove_folder(&onnx)?;
    Ok(Outcome::Done)
}

/// Removes the partial files of killed exports. Nobody else is working here, because the experiment is locked.
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

/// Reports folders of steps that are no longer in the file.
fn say_unused(plan: &Plan, out: &Path) {
    let planned: Vec<String> = plan.steps.iter().map(Step::folder_name).collect();
    let entries = fs::read_dir(out.join(STEPS)).into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut unused: Vec<String> = names.filter(|name| !planned.contains(name)).collect();
    unused.sort();
    if let Some(first) = unused.first() {
        terminal::line(&format!(
            "note: {} of the folders in {} belong to steps that are no longer in the file, such as {first}: they are left unchanged",
            unused.len(),
            out.join(STEPS).display()
        ));
    }
}
