//! `eval`: how well a model predicts text that was held out.

use serde_json::json;

use super::Outcome;
use crate::{
    cli::{EvalArgs, InputArgs},
    eval::{
        masks::Masks,
        measure::{measure, sets},
        report::{Report, Set},
    },
    hint::Advised,
    plan::{self, MaskFiles, Plan, ScoringRequest},
    stop::Stop,
    terminal,
};

/// Columns of tables that go to no terminal.
const WIDTH: usize = 140;

pub(super) fn run(args: &EvalArgs) -> anyhow::Result<Outcome> {
    let Some(report) = evaluated(args)? else {
        terminal::line("stopped: nothing is kept of a measurement that is not done");
        return Ok(Outcome::Interrupted);
    };
    match args.json {
        true => terminal::data(&serde_json::to_string(&report)?),
        false => {
            let width = terminal::data_width().unwrap_or(WIDTH);
            terminal::data(report.tables(width).trim_end());
        }
    }
    match report.sets.iter().map(Set::rejected).sum() {
        0_u64 => Ok(Outcome::Done),
        rejected => {
            terminal::line(&format!("note: {rejected} rows or questions were left out"));
            Ok(Outcome::Incomplete)
        }
    }
}

/// Measures; none where that was stopped.
pub(crate) fn evaluated(args: &EvalArgs) -> anyhow::Result<Option<Report>> {
    if args.data.iter().any(|path| path.as_os_str() == "-") {
        return Err(Advised::error(
            "--data: expected files or folders, got standard input",
            "put it into a file",
        ));
    }
    let prepared = plan::resolve(&request(args))?;
    let sets = sets(args)?;
    let masks = args
        .masks
        .as_ref()
        .map(|folder| Masks::open(folder, args.mask.as_deref(), &prepared.plan));
    let mut masks = masks.transpose()?;
    let stop = Stop::at_signals()?;
    let measured = measure(args, &prepared, &sets, masks.as_mut(), &stop)?;
    Ok(measured.map(|sets| Report {
        made: made(args, &prepared.plan),
        resamples: args.resamples,
        seed: args.seed,
        sets,
    }))
}

/// Scores of all data, with its text: bits are per byte.
fn request(args: &EvalArgs) -> ScoringRequest {
    let scores = ScoringRequest::scores(
        args.data.clone(),
        args.model.clone(),
        args.model_args.clone(),
    );
    ScoringRequest {
        input: InputArgs {
            text: args.text.clone(),
            ..InputArgs::default()
        },
        files: MaskFiles {
            keep_text: args.text.tokens_field.is_none(),
            ..MaskFiles::default()
        },
        progress: args.progress,
        threads: args.threads,
        ..scores
    }
}

/// How it was measured.
fn made(args: &EvalArgs, plan: &Plan) -> serde_json::Value {
    let model = &plan.references[0];
    json!({
        "model": model.name,
        "fingerprint": model.fingerprint,
        "tokenizer_fingerprint": plan.tokenizer_fingerprint,
        "device": plan.device,
        "precision": plan.precision,
        "context": plan.context,
        "overlap": plan.overlap,
        "bos": plan.bos,
        "eos": plan.eos,
        "after": args.after,
    })
}
