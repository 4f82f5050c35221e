//! `score`: a corpus to masks.

use std::{
    io,
    sync::Mutex,
    time::{Duration, Instant},
};

use ort::environment::Environment;
use rho_formats::{MaskStream, OutputError, Shard};
use rho_reference::{
    HeadChoice, OpenedReference, Precision, Reference, ReferenceOptions, ResolvedDevice,
};

pub(super) mod corpus;

use super::Outcome;
use crate::{
    cli::ScoreArgs,
    hint,
    look::documents::Document,
    numbers::grouped,
    pipeline::{
        self, Panel, Report, Work,
        conclude::{RankTimes, Standing, add_times},
        output::{Output, StreamOutput},
        progress::Progress,
        store::{Store, schema},
        summary::{Subject, Summary},
    },
    plan::{self, Plan, Prepared, ScoringRequest},
    ranks,
    select::rule::Scope,
    show::{self, By, Palette, View},
    stop::Stop,
    terminal,
    tokenization::Tokenization,
};

pub(super) fn run(args: &ScoreArgs) -> anyhow::Result<Outcome> {
    let request = &ScoringRequest::from(args);
    let Prepared {
        plan,
        shards,
        models,
        tokenization,
        environment,
        devices,
        precisions,
    } = plan::resolve(request)?;
    let plan = &plan;
    if args.show_plan {
        terminal::data(&serde_json::to_string_pretty(plan)?);
        return Ok(Outcome::Done);
    }
    let tokenization = tokenization.as_ref();
    let load = || {
        let panels = panels(plan, &devices, &precisions);
        load(plan, &models, &environment, panels)
    };
    let job = Job {
        request,
        plan,
        shards: &shards,
        tokenization,
        stop: &Stop::at_signals()?,
    };
    if plan.to_standard_output() {
        return to_stream(&job, load);
    }
    match plan.scope {
        Scope::Corpus => corpus::run(&job, load),
        _ => to_folder(&job, load),
    }
}

/// A panel for each device: all models, each in its own precision.
fn panels(
    plan: &Plan,
    devices: &[ResolvedDevice],
    precisions: &[Precision],
) -> Vec<Vec<ReferenceOptions>> {
    let panel = |&device| {
        let options = |&precision| ReferenceOptions {
            device,
            threads: plan.threads,
            head: HeadChoice::Fastest,
            precision,
        };
        precisions.iter().map(options).collect()
    };
    devices.iter().map(panel).collect()
}

/// Scores alone into the folder of a plan that selects nothing, for commands that make something else of them. The models
/// are gone when it ends.
pub(super) fn alone(
    request: &ScoringRequest,
    prepared: &mut Prepared,
    tokenization: Option<&Tokenization>,
    stop: &Stop,
) -> anyhow::Result<Outcome> {
    let plan = &prepared.plan;
    let models = std::mem::take(&mut prepared.models);
    let job = Job {
        request,
        plan,
        shards: &prepared.shards,
        tokenization,
        stop,
    };
    to_folder(&job, || {
        let panels = panels(plan, &prepared.devices, &prepared.precisions);
        load(plan, &models, &prepared.environment, panels)
    })
}

/// What is to be done.
#[derive(Clone, Copy)]
struct Job<'a> {
    request: &'a ScoringRequest,
    plan: &'a Plan,
    shards: &'a [Shard],
    tokenization: Option<&'a Tokenization>,
    stop: &'a Stop,
}

/// Masks to a folder; scores alone where the plan has no rule.
fn to_folder(
    job: &Job<'_>,
    load: impl FnOnce() -> anyhow::Result<Loaded>,
) -> anyhow::Result<Outcome> {
    let Job {
        request,
        plan,
        shards,
        tokenization,
        stop,
    } = *job;
    let store = Store::open(plan, shards, request.restart)?;
    if store.nothing_to_do() {
        if plan.makes_masks() {
            let out = plan.out.display();
            terminal::line(&format!("{out}: all shards are masked already"));
        }
        return conclude(plan, &store, None);
    }
    let progress = Progress::new(shards, store.mine(), request.progress.progress);
    store
        .finished()
        .into_iter()
        .for_each(|shard| progress.done_before(shard));
    let work = Work {
        plan,
        shards,
        tokenization,
        progress: &progress,
        stop,
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
    let summary = Summary::of(&report.totals, &Subject::of(plan), &[times]);
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
    if plan.makes_masks() {
        terminal::line(&format!("wrote {}\n{summary}", plan.out.display()));
    }
    if let Some(sample) = &report.sample {
        terminal::drawn(&format!("\n{}", first_document(sample, tokenization)?));
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
    let (mask, _) = sample.masks.last().expect("a sample has a mask");
    let view = View {
        by: By::Mask(mask.clone()),
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
            && plan.makes_masks()
            && let Some(complete) = &complete
        {
            terminal::line(&format!("all ranks are done\n{complete}"));
        } else if let (None, Some(complete), true) = (summary, &complete, plan.makes_masks()) {
            terminal::line(&complete.to_string());
        }
    }
    let incomplete = summary.is_some_and(Summary::incomplete)
        || complete.as_ref().is_some_and(Summary::incomplete);
    if incomplete {
        if plan.makes_masks() {
            say_where_rejected(plan);
        }
        return Ok(Outcome::Incomplete);
    }
    Ok(Outcome::Done)
}

/// Where the rows that are left out are listed.
fn say_where_rejected(plan: &Plan) {
    let list = plan.out.join("rejected.jsonl");
    terminal::line(&format!(
        "note: what was left out, and why: {}",
        list.display()
    ));
}

/// Masks to standard output. Nothing else goes there.
fn to_stream(
    job: &Job<'_>,
    load: impl FnOnce() -> anyhow::Result<Loaded>,
) -> anyhow::Result<Outcome> {
    let Job {
        request,
        plan,
        shards,
        tokenization,
        stop,
    } = *job;
    let sizes: Vec<(u64, &str)> = shards.iter().map(|s| (s.bytes, s.name.as_str())).collect();
    let mine = ranks::share(&sizes, plan.rank, plan.world_size);
    let shards: Vec<_> = mine.iter().map(|&i| shards[i].clone()).collect();
    let all: Vec<usize> = (0..shards.len()).collect();
    let progress = Progress::new(&shards, &all, request.progress.progress);
    let work = Work {
        plan,
        shards: &shards,
        tokenization,
        progress: &progress,
        stop,
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
    let summary = Summary::of(&report.totals, &Subject::of(plan), &[times]);
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

/// The loaded models of each device, and how long that took.
pub(crate) type Loaded = (Vec<Vec<Reference>>, Duration);

/// Loads the models of a plan onto each device.
pub(crate) fn load(
    plan: &Plan,
    models: &[OpenedReference],
    environment: &Environment,
    panels: Vec<Vec<ReferenceOptions>>,
) -> anyhow::Result<Loaded> {
    for (planned, model) in plan.models().zip(models) {
        if let Some(reason) = model.not_cut() {
            terminal::line(&format!(
                "note: {}: the graph cannot be cut before its head: {reason}; scoring hands out logits in small \
                 batches, which is slower and takes more memory",
                planned.path.display()
            ));
        }
    }
    let start = Instant::now();
    let mut devices: Vec<Vec<Reference>> = Vec::new();
    for options in panels {
        let models = models.iter().zip(options);
        let panel = models.map(|(model, options)| model.clone().load(environment, options));
        devices.push(panel.collect::<Result<_, _>>()?);
    }
    for (planned, model) in plan.models().zip(devices.first().into_iter().flatten()) {
        if let Some(reason) = model.attention_as_exported() {
            terminal::line(&format!(
                "note: {}: attention is computed as the graph has it, which is slower: {}",
                planned.path.display(),
                hint::chain_of(reason)
            ));
        }
    }
    Ok((devices, start.elapsed()))
}

fn score(
    (mut devices, loaded): Loaded,
    work: &Work<'_>,
    output: &Output<'_>,
) -> anyhow::Result<(Report, RankTimes)> {
    let start = Instant::now();
    let mut scorers: Vec<Panel<'_>> = Vec::new();
    for models in &mut devices {
        scorers.push(models.iter_mut().map(|model| model as _).collect());
    }
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
