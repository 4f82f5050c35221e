//! Runs `eval`, from its arguments to its report.

use serde_json::json;

use super::{
    masks::Masks,
    measure::{measure, sets},
    report::Report,
};
use crate::{
    cli::{EvalArgs, InputArgs, TextArgs},
    hinted_error::HintedError,
    plan::{self, MaskFiles, Plan, ScoringRequest},
    stop::Stop,
};

/// Measures; None if stopped.
pub(crate) fn evaluated(args: &EvalArgs) -> anyhow::Result<Option<Report>> {
    if args.data.iter().any(|path| path.as_os_str() == "-") {
        return Err(HintedError::error(
            "--data: expected files or folders, got standard input",
            "write it to a file",
        ));
    }
    for (option, is_given) in [
        ("--limit", args.text.limit.is_some()),
        ("--sample", args.text.sample.is_some()),
    ] {
        if args.choices && is_given {
            return Err(HintedError::error(
                format!("{option}: expected documents to choose from, got --choices"),
                "omit it: all questions of a file are asked",
            ));
        }
    }
    let prepared = plan::resolve(&request(args))?;
    let sets = sets(args, &prepared.plan)?;
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

/// Requests scores of all data, with the texts, because bits are per byte.
fn request(args: &EvalArgs) -> ScoringRequest {
    let scores = ScoringRequest::scores(
        args.data.clone(),
        args.model.clone(),
        args.model_args.clone(),
    );
    ScoringRequest {
        input: InputArgs {
            text: TextArgs {
                // Each set is cut by itself.
                limit: None,
                ..args.text.clone()
            },
            ..InputArgs::default()
        },
        sample_seed: args.seed,
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
        "limit": args.text.limit,
        "sample": args.text.sample,
    })
}
