//! `score`: a corpus to masks.

use std::time::Instant;

use rho_formats::MasksFolder;
use rho_reference::{HeadChoice, ReferenceOptions};

use super::Outcome;
use crate::{
    cli::ScoreArgs,
    pipeline::{self, Work, progress::Progress},
    plan::{self, Prepared},
    show, terminal,
};

pub(super) fn run(args: &ScoreArgs) -> anyhow::Result<Outcome> {
    let Prepared {
        plan,
        shards,
        reference,
        tokenization,
        environment,
        device,
    } = plan::resolve(args)?;
    if args.show_plan {
        terminal::data(&serde_json::to_string_pretty(&plan)?);
        return Ok(Outcome::Done);
    }
    let masks = MasksFolder::create(&plan.out)?;
    if let Some(reason) = reference.not_cut() {
        terminal::line(&format!(
            "note: {}: the graph cannot be cut before its head: {reason}; scoring hands out logits in small batches, \
             which is slower and takes more memory",
            plan.model.display()
        ));
    }
    let start = Instant::now();
    let mut reference = reference.load(
        &environment,
        ReferenceOptions {
            device,
            threads: plan.threads,
            head: HeadChoice::Fastest,
        },
    )?;
    let loaded = start.elapsed();

    let start = Instant::now();
    let progress = Progress::new(&shards, true);
    let work = Work {
        plan: &plan,
        shards: &shards,
        tokenization: tokenization.as_ref(),
        progress: &progress,
    };
    let report = pipeline::run(&work, &mut reference, &masks);
    progress.finish();
    let mut report = report?;
    report.summary.clock(loaded, start.elapsed());
    masks.summary(&serde_json::to_value(&report.summary)?)?;

    terminal::line(&format!("wrote {}\n{}", plan.out.display(), report.summary));
    if let Some(sample) = &report.sample {
        terminal::line(&format!(
            "\n{}",
            show::document(sample, tokenization.as_ref(), terminal::colours())
        ));
    }
    if report.summary.incomplete() {
        terminal::line(&format!(
            "note: what was left out, and why: {}",
            plan.out.join("rejected.jsonl").display()
        ));
        return Ok(Outcome::Incomplete);
    }
    Ok(Outcome::Done)
}
