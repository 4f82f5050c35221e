//! `score`: a corpus to masks.

use std::{
    io,
    sync::Mutex,
    time::{Duration, Instant},
};

use ort::environment::Environment;
use rho_formats::{MaskStream, OutputError, Shard};
use rho_reference::{HeadChoice, OpenedReference, Reference, ReferenceOptions};

use super::Outcome;
use crate::{
    cli::ScoreArgs,
    hint,
    look::documents::Document,
    pipeline::{
        self, Report, Work,
        conclude::{RankTimes, Standing, add_times},
        output::{Output, StreamOutput},
        progress::Progress,
        store::{Store, schema},
        summary::{Summary, grouped},
    },
    plan::{self, Plan, Prepared},
    ranks,
    show::{self, By, Palette, View},
    stop::Stop,
    terminal,
    tokenization::Tokenization,
};

pub(super) fn run(args: &ScoreArgs) -> anyhow::Result<Outcome> {
    let Prepared {
        plan,
        shards,
        reference,
        tokenization,
        environment,
        devices,
        precision,
    } = plan::resolve(args)?;
    let plan = &plan;
    if args.show_plan {
        terminal::data(&serde_json::to_string_pretty(plan)?);
        return Ok(Outcome::Done);
    }
    let tokenization = tokenization.as_ref();
    let load = || {
        let options = |device| ReferenceOptions {
            device,
            threads: plan.threads,
            head: HeadChoice::Fastest,
            precision,
        };
        load(
            plan,
            &reference,
            &environment,
            devices.into_iter().map(options),
        )
    };
    if plan.to_standard_output() {
        return to_stream(args, plan, &shards, tokenization, load);
    }
    let store = Store::open(plan, &shards, args.restart)?;
    if store.nothing_to_do() {
        terminal::line(&format!(
            "{}: all shards are masked already",
            plan.out.display()
        ));
        return conclude(plan, &store, None);
    }
    let stop = Stop::at_signals()?;
    let progress = Progress::new(&shards, store.mine(), args.progress);
    store
        .finished()
        .into_iter()
        .for_each(|shard| progress.done_before(shard));
    let work = Work {
        plan,
        shards: &shards,
        tokenization,
        progress: &progress,
        stop: &stop,
    };
    let output = Output::Folder(&store);
    let scored = score(load()?, &work, &output);
    let (report, times) = match scored {
        Ok(done) => done,
        Err(error) => {
            // What is finished is listed all the same; the first error is the one to tell.
            if plan.world_size == 1
                && let Ok(Some(standing)) = Standing::look(store.folder())
            {
                let _ = standing.conclude(store.folder());
            }
            return Err(error);
        }
    };
    let times = add_times(store.folder(), (plan.rank, plan.world_size), times)?;
    let summary = Summary::of(&report.totals, &plan.device, &[times]);
    if !store.done() {
        terminal::line(&format!(
            "stopped: {} of {} shards are done in {}, {} tokens were scored in this run",
            store.finished().len(),
            store.mine().len(),
            plan.out.display(),
            grouped(report.tokens)
        ));
        return conclude(plan, &store, Some(&summary));
    }
    terminal::line(&format!("wrote {}\n{summary}", plan.out.display()));
    if let Some(sample) = &report.sample {
        terminal::line(&format!("\n{}", first_document(sample, tokenization)?));
    }
    conclude(plan, &store, Some(&summary))
}

/// Tokens shown of the first document.
const SHOWN: usize = 400;

/// The first document, for a look at what was kept.
fn first_document(
    sample: &Document,
    tokenization: Option<&Tokenization>,
) -> anyhow::Result<String> {
    let view = View {
        by: By::Mask("mask_intersection".to_owned()),
        palette: Palette::of(terminal::colours()),
        width: terminal::width(),
        limit: Some(SHOWN),
        numbers: false,
    };
    let pieces = tokenization.map(Tokenization::pieces);
    show::document(sample, pieces.as_ref(), &view)
}

/// Completes the folder where that can be, and says how the run ended.
fn conclude(plan: &Plan, store: &Store<'_>, summary: Option<&Summary>) -> anyhow::Result<Outcome> {
    let mut complete = None;
    if let Some(standing) = Standing::look(store.folder())? {
        let missing = standing.missing();
        // Others see to it where they are not done yet; whoever comes last finds everything done.
        if plan.world_size == 1 || missing.is_empty() {
            complete = standing.conclude(store.folder())?;
        }
        if !store.done() {
            terminal::line(&format!("go on with: {}", super::typed()));
            return Ok(Outcome::Interrupted);
        }
        if !missing.is_empty() {
            terminal::line(&format!(
                "rank {} of {} is done; {} shards of other ranks are not yet",
                plan.rank,
                plan.world_size,
                missing.len()
            ));
        } else if plan.world_size > 1
            && let Some(complete) = &complete
        {
            terminal::line(&format!("all ranks are done\n{complete}"));
        } else if let (None, Some(complete)) = (summary, &complete) {
            terminal::line(&complete.to_string());
        }
    }
    let incomplete = summary.is_some_and(Summary::incomplete)
        || complete.as_ref().is_some_and(Summary::incomplete);
    if incomplete {
        let list = plan.out.join("rejected.jsonl");
        terminal::line(&format!(
            "note: what was left out, and why: {}",
            list.display()
        ));
        return Ok(Outcome::Incomplete);
    }
    Ok(Outcome::Done)
}

/// Masks to standard output. Nothing else goes there.
fn to_stream(
    args: &ScoreArgs,
    plan: &Plan,
    shards: &[Shard],
    tokenization: Option<&Tokenization>,
    load: impl FnOnce() -> anyhow::Result<Loaded>,
) -> anyhow::Result<Outcome> {
    let sizes: Vec<(u64, &str)> = shards.iter().map(|s| (s.bytes, s.name.as_str())).collect();
    let mine = ranks::share(&sizes, plan.rank, plan.world_size);
    let shards: Vec<_> = mine.iter().map(|&i| shards[i].clone()).collect();
    let stop = Stop::at_signals()?;
    let all: Vec<usize> = (0..shards.len()).collect();
    let progress = Progress::new(&shards, &all, args.progress);
    let work = Work {
        plan,
        shards: &shards,
        tokenization,
        progress: &progress,
        stop: &stop,
    };
    let reference = load()?;
    let written = || {
        let stream = MaskStream::new(Box::new(io::stdout()), &schema(plan), plan.compression)?;
        let output = Output::Stream(Box::new(StreamOutput {
            names: shards.iter().map(|s| s.name.as_str()).collect(),
            stream: Mutex::new(stream),
            totals: Mutex::default(),
        }));
        let scored = score(reference, &work, &output)?;
        if !stop.requested()
            && let Output::Stream(stream) = output
        {
            let stream = stream.stream.into_inner();
            stream
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .finish()?;
        }
        anyhow::Ok(scored)
    };
    let (report, times) = match written() {
        Ok(done) => done,
        Err(error) if reader_gone(&error) => return Ok(Outcome::Done),
        Err(error) => return Err(error),
    };
    let summary = Summary::of(&report.totals, &plan.device, &[times]);
    terminal::line(&summary.to_string());
    if stop.requested() {
        terminal::line("stopped; a stream cannot be gone on with");
        return Ok(Outcome::Interrupted);
    }
    match summary.incomplete() {
        true => Ok(Outcome::Incomplete),
        false => Ok(Outcome::Done),
    }
}

fn reader_gone(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|c| c.downcast_ref());
    causes.any(|cause| matches!(cause, OutputError::ReaderGone { .. }))
}

/// A loaded reference for each device, and how long that took.
type Loaded = (Vec<Reference>, Duration);

fn load(
    plan: &Plan,
    reference: &OpenedReference,
    environment: &Environment,
    options: impl Iterator<Item = ReferenceOptions>,
) -> anyhow::Result<Loaded> {
    if let Some(reason) = reference.not_cut() {
        terminal::line(&format!(
            "note: {}: the graph cannot be cut before its head: {reason}; scoring hands out logits in small batches, \
             which is slower and takes more memory",
            plan.model.display()
        ));
    }
    let start = Instant::now();
    let references = options.map(|options| reference.clone().load(environment, options));
    let references: Vec<Reference> = references.collect::<Result<_, _>>()?;
    if let Some(reason) = references.iter().find_map(Reference::attention_as_exported) {
        terminal::line(&format!(
            "note: {}: attention is computed as the graph has it, which is slower: {}",
            plan.model.display(),
            hint::chain_of(reason)
        ));
    }
    Ok((references, start.elapsed()))
}

fn score(
    (mut references, loaded): Loaded,
    work: &Work<'_>,
    output: &Output<'_>,
) -> anyhow::Result<(Report, RankTimes)> {
    let start = Instant::now();
    let mut scorers: Vec<_> = references.iter_mut().map(|r| r as _).collect();
    let report = pipeline::run(work, &mut scorers, output);
    work.progress.finish();
    let mut report = report?;
    report.seconds.load = loaded.as_secs_f64();
    report.seconds.total = start.elapsed().as_secs_f64();
    let times = RankTimes {
        tokens: report.tokens,
        seconds: report.seconds.clone(),
    };
    Ok((report, times))
}
