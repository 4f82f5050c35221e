//! Performs one step: its command, documents to write, or questions to answer.

use std::fs;

use anyhow::Context as _;
use clap::Parser as _;

use super::{
    data,
    step::{Input, Step, Work},
};
use crate::{
    cli::{Cli, Command, EvalArgs, ExportArgs},
    eval::run::evaluated,
    files::{remove_folder, write_atomic},
    hinted_error::HintedError,
    outcome::Outcome,
    stop::Stop,
};

/// A model's answers to questions, in the folder of the step.
pub(super) const ANSWERS: &str = "eval.json";

/// Runs a command of this program.
pub(crate) type Perform = fn(&Command) -> anyhow::Result<Outcome>;

/// Parses the command of a step, which fails for bad values in the file; None for a task that is no command.
pub(super) fn parsed(step: &Step) -> anyhow::Result<Option<Command>> {
    let words = match &step.work {
        Work::Data(_) => return Ok(None),
        _ => step.words(),
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
pub(super) fn is_finished(step: &Step) -> bool {
    step.folder.join("summary.json").is_file()
}

/// Performs a step; `planned` is its command, and `command` runs commands.
pub(super) fn perform(
    step: &Step,
    planned: Option<&Command>,
    command: Perform,
    stop: &Stop,
) -> anyhow::Result<Outcome> {
    match (&step.work, planned) {
        (Work::Data(data), _) => data::write(data, &step.folder, stop),
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
    Ok(match report.sets.iter().any(|set| set.rejected() > 0) {
        true => Outcome::Incomplete,
        false => Outcome::Done,
    })
}
