//! `score`: from a corpus to masks.

use std::{io, path::Path, sync::Mutex, time::Instant};

use rho_formats::{MaskStream, OutputError, Shard};
use serde::Serialize;

pub(super) mod corpus;

use super::Outcome;
use crate::{
    cli::{ProgressKind, ScoreArgs},
    content::Encoder,
    document::Document,
    groups::{self, Group},
    left_out,
    numbers::grouped,
    pipeline::{
        self, LoadedModels, Report, Work,
        finish::{FolderState, RankTimes, add_times},
        output::{Output, StreamOutput},
        store::{Store, schema},
        summary::{Subject, Summary},
    },
    plan::{self, Plan, Prepared, ScoringRequest},
    progress::Progress,
    ranks,
    selections::rule::Scope,
    show::{self, By, Palette, View},
    stop::Stop,
    terminal,
    tokenization::Tokenization,
    verify::certificate,
};

/// What `--show-plan` prints.
#[derive(Serialize)]
struct ShownPlan<'a> {
    /// The file that options come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<&'a Path>,
    #[serde(flatten)]
    plan: &'a Plan,
}

/// `config`: the file that some of the arguments come from.
pub(super) fn run(args: &ScoreArgs, config: Option<&Path>) -> anyhow::Result<Outcome> {
    let request = &ScoringRequest::from(args);
    let mut prepared = plan::resolve(request)?;
    prepared.plan.verified = certificate::of_run(&args.verified, &prepared.plan)?;
    let plan = &prepared.plan;
    if args.show_plan {
        terminal::data_json(&ShownPlan { config, plan }, true)?;
        return Ok(Outcome::Done);
    }
    let stop = Stop::at_signals()?;
    let load = || LoadedModels::until(&prepared, usize::MAX, &stop);
    let job = Job {
        request,
        plan,
        shards: &prepared.shards,
        encoder: prepared.encoder(),
        stop: &stop,
    };
    if plan.to_standard_output() {
        return to_stream(&job, load);
    }
    match plan.scope {
        Scope::Corpus => corpus::run(&job, load),
        _ => to_folder(&job, load),
    }
}

/// Writes scores without masks to the folder of a plan that selects nothing, for other commands. Drops the models at
/// the end.
pub(super) fn alone(
    request: &ScoringRequest,
    prepared: &mut Prepared,
    tokenization: Option<&Tokenization>,
    stop: &Stop,
) -> anyhow::Result<Outcome> {
    let job = Job {
        request,
        plan: &prepared.plan,
        shards: &prepared.shards,
        encoder: Encoder {
            tokenization,
            conversations: prepared.conversations.as_ref(),
        },
        stop,
    };
    let ended = to_folder(&job, || LoadedModels::of(prepared, usize::MAX));
    prepared.models.clear();
    ended
}

/// The inputs of a run.
#[derive(Clone, Copy)]
struct Job<'a> {
    request: &'a ScoringRequest,
    plan: &'a Plan,
    shards: &'a [Shard],
    encoder: Encoder<'a>,
    stop: &'a Stop,
}

/// Writes masks to a folder; only scores if the plan has no rule.
fn to_folder(
    job: &Job<'_>,
    load: impl FnOnce() -> anyhow::Result<LoadedModels>,
) -> anyhow::Result<Outcome> {
    let Job {
        request,
        plan,
        shards,
        encoder,
        stop,
    } = *job;
    let store = Store::open(plan, shards, request.restart)?;
    if store.nothing_to_do() {
        if plan.makes_masks() {
            let out = plan.out.display();
            terminal::line(&format!("{out}: all shards are masked already"));
        }
        return finish(plan, &store, None);
    }
    let progress = Progress::new(shards, store.my_groups(), request.progress.progress);
    store
        .finished()
        .into_iter()
        .for_each(|shard| progress.done_before(shard));
    let work = Work {
        plan,
        shards,
        encoder,
        progress: &progress,
        stop,
    };
    let output = Output::Folder(&store);
    let scored = score(load()?, &work, &output);
    let (report, times) = match scored {
        Ok(done) => done,
        Err(error) => {
            // Write the summary of the finished shards anyway; report the first error.
            if plan.world_size == 1
                && let Ok(Some(standing)) = FolderState::look(store.folder())
            {
                let _ = standing.finish(store.folder());
            }
            return Err(error);
        }
    };
    let times = add_times(store.folder(), (plan.rank, plan.world_size), times)?;
    let mut summary = Summary::of(&report.totals, &Subject::of(plan), &[times]);
    if !store.done() {
        terminal::line(&format!(
            "stopped: {} of {} shards are done in {}, {} tokens were scored in this run",
            store.finished().len(),
            store.mine().len(),
            plan.out.display(),
            grouped(report.tokens)
        ));
        return finish(plan, &store, Some(&summary));
    }
    if let Some(standing) = FolderState::look(store.folder())? {
        summary = standing.with_reasons(store.folder(), &store.mine(), summary)?;
    }
    if plan.makes_masks() {
        terminal::summary(&format!("wrote {}", plan.out.display()), &summary);
    }
    if let Some(sample) = report.sample.as_ref().filter(|_| is_shown(request)) {
        terminal::sample(&format!(
            "\n{}",
            first_document(sample, encoder.tokenization)?
        ));
    }
    finish(plan, &store, Some(&summary))
}

/// Whether the text of a document is shown: only to somebody who watches.
fn is_shown(request: &ScoringRequest) -> bool {
    let kind = request.progress.progress;
    matches!(kind, ProgressKind::Auto | ProgressKind::Plain) && terminal::is_terminal()
}

/// Tokens of the first document that are shown.
const SHOWN: usize = 400;

/// The first document, drawn to show which tokens were kept.
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

/// Finishes the folder if no shard is missing, and reports how the run ended.
fn finish(plan: &Plan, store: &Store<'_>, summary: Option<&Summary>) -> anyhow::Result<Outcome> {
    let mut complete = None;
    if let Some(standing) = FolderState::look(store.folder())? {
        let missing = standing.missing();
        // With several ranks, the last one to end finds no shard missing and finishes the folder.
        if plan.world_size == 1 || missing.is_empty() {
            complete = standing.finish(store.folder())?;
        }
        if !store.done() {
            terminal::line(&format!("resume with: {}", super::typed()));
            return Ok(Outcome::Interrupted);
        }
        if !missing.is_empty() {
            terminal::line(&format!(
                "rank {} of {} is done; {} shards of other ranks are not",
                plan.rank,
                plan.world_size,
                missing.len()
            ));
        } else if plan.world_size > 1
            && plan.makes_masks()
            && let Some(complete) = &complete
        {
            terminal::summary("all ranks are done", complete);
        } else if let (None, Some(complete), true) = (summary, &complete, plan.makes_masks()) {
            terminal::summary("the masks:", complete);
        }
    }
    // With --scope corpus, the list of rejected rows is not in its place yet.
    if let Some(complete) = &complete
        && !plan.out.ends_with(corpus::SCORED)
    {
        complete.must_have_documents(&plan.out.display().to_string())?;
        complete.must_be_targeted(plan.max_untargeted)?;
    }
    // This rank's own shards count also while those of other ranks are missing.
    let incomplete = store.incomplete()
        || summary.is_some_and(Summary::incomplete)
        || complete.as_ref().is_some_and(Summary::incomplete);
    if incomplete {
        if plan.makes_masks() {
            left_out::say(&plan.out);
        }
        return Ok(Outcome::Incomplete);
    }
    Ok(Outcome::Done)
}

/// Writes masks to standard output, and nothing else.
fn to_stream(
    job: &Job<'_>,
    load: impl FnOnce() -> anyhow::Result<LoadedModels>,
) -> anyhow::Result<Outcome> {
    let Job {
        request,
        plan,
        shards,
        encoder,
        stop,
    } = *job;
    let all = groups::of_corpus(shards);
    let sizes: Vec<(u64, &str)> = all
        .iter()
        .map(|group| (groups::bytes(shards, group), group.name.as_str()))
        .collect();
    let mine = ranks::share(&sizes, plan.rank, plan.world_size);
    let mine: Vec<Group> = mine.into_iter().map(|i| all[i].clone()).collect();
    let progress = Progress::new(shards, &mine, request.progress.progress);
    let work = Work {
        plan,
        shards,
        encoder,
        progress: &progress,
        stop,
    };
    let reference = load()?;
    let written = || {
        let stream = MaskStream::new(Box::new(io::stdout()), &schema(plan), plan.compression)?;
        let output = Output::Stream(Box::new(StreamOutput {
            groups: mine,
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
    let mut summary = Summary::of(&report.totals, &Subject::of(plan), &[times]);
    summary.rejected_reasons = report.reasons;
    terminal::summary("wrote to standard output", &summary);
    if stop.requested() {
        terminal::line("stopped; a stream cannot be resumed");
        return Ok(Outcome::Interrupted);
    }
    summary.must_have_documents("the corpus")?;
    summary.must_be_targeted(plan.max_untargeted)?;
    match summary.incomplete() {
        true => Ok(Outcome::Incomplete),
        false => Ok(Outcome::Done),
    }
}

fn reader_gone(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|c| c.downcast_ref());
    causes.any(|cause| matches!(cause, OutputError::ReaderGone { .. }))
}

fn score(
    mut loaded: LoadedModels,
    work: &Work<'_>,
    output: &Output<'_>,
) -> anyhow::Result<(Report, RankTimes)> {
    let start = Instant::now();
    let report = pipeline::run(work, &mut loaded.panels(), output);
    work.progress.finish();
    let mut report = report?;
    report.seconds.load = loaded.seconds();
    report.seconds.total = start.elapsed().as_secs_f64();
    let times = RankTimes {
        tokens: report.tokens,
        seconds: report.seconds.clone(),
    };
    Ok((report, times))
}
