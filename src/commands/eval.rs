//! `eval`: how well a model predicts text that was held out.

use std::{collections::HashMap, path::Path};

use anyhow::Context as _;
use rho_formats::{Rejection, Shard, ShardReader, find_shards};
use rho_reference::{HeadChoice, ReferenceOptions};
use serde_json::json;

use super::{Outcome, score};
use crate::{
    cli::EvalArgs,
    eval::{
        choices,
        masks::Masks,
        name,
        report::{ChoiceSet, Report, Set, TextSet},
        statistics::Bootstrap,
        text,
    },
    hint::Advised,
    pipeline::{Panel, Work, alone, progress::Progress, tokenize},
    plan::{self, Plan, Prepared},
    select::rule::{Rule, Scope},
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
    let mut prepared = plan::resolve(&args.as_score())?;
    // Scores alone, of the same batches.
    prepared.plan = Plan {
        rule: Rule::none(),
        scope: Scope::None,
        ..prepared.plan
    };
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

/// A set: its name and its shards.
struct Named<'a> {
    name: String,
    path: &'a Path,
    shards: Vec<Shard>,
}

fn sets(args: &EvalArgs) -> anyhow::Result<Vec<Named<'_>>> {
    let mut sets: Vec<Named<'_>> = Vec::new();
    for path in &args.data {
        let named = Named {
            name: name(path),
            path,
            shards: find_shards(std::slice::from_ref(path))?.shards,
        };
        if sets.iter().any(|other| other.name == named.name) {
            return Err(Advised::error(
                format!(
                    "--data: expected files of different names, got two called {}",
                    named.name
                ),
                "rename one of them: the rows of the table are called after them",
            ));
        }
        sets.push(named);
    }
    Ok(sets)
}

/// Loads the model and measures all sets; none where that was stopped.
fn measure(
    args: &EvalArgs,
    prepared: &Prepared,
    sets: &[Named<'_>],
    mut masks: Option<&mut Masks>,
    stop: &Stop,
) -> anyhow::Result<Option<Vec<Set>>> {
    let plan = &prepared.plan;
    let bootstrap = Bootstrap {
        resamples: args.resamples,
        seed: args.seed,
    };
    // Read before the weights are: a line may be wrong.
    let mut questions = Vec::new();
    if args.choices {
        for set in sets {
            questions.push(choices::read(set.path, args.after.as_deref())?);
        }
    }
    let all: Vec<Shard> = sets.iter().flat_map(|set| set.shards.clone()).collect();
    let numbers: Vec<usize> = (0..all.len()).collect();
    let progress = Progress::new(&all, &numbers, args.progress);
    let work = Work {
        plan,
        shards: &all,
        tokenization: prepared.tokenization.as_ref(),
        progress: &progress,
        stop,
    };
    let options = |&device| {
        let of = |&precision| ReferenceOptions {
            device,
            threads: plan.threads,
            head: HeadChoice::Fastest,
            precision,
        };
        prepared.precisions.iter().map(of).collect()
    };
    // One device: the sets of an evaluation are small.
    let panels = prepared.devices.iter().take(1).map(options).collect();
    let (mut devices, _) = score::load(plan, &prepared.models, &prepared.environment, panels)?;
    let mut scorers: Vec<Panel<'_>> = Vec::new();
    for models in &mut devices {
        scorers.push(models.iter_mut().map(|model| model as _).collect());
    }
    let mut measured = Vec::new();
    let mut questions = questions.iter();
    let mut first = 0;
    for set in sets {
        let numbered = (first..).zip(&set.shards);
        first += set.shards.len();
        let done = match questions.next() {
            Some(questions) => {
                let asked = ask(&work, numbered.clone().next(), questions, &mut scorers)?;
                asked
                    .map(|answers| ChoiceSet::of(&set.name, &answers, &bootstrap).map(Set::Choices))
            }
            None => {
                let read = documents(args, &work, numbered, masks.as_deref_mut(), &mut scorers)?;
                let column = masks.as_ref().map(|masks| masks.column.as_str());
                read.map(|(documents, rejected)| {
                    TextSet::of(&set.name, &documents, rejected, column, &bootstrap)
                        .map(|set| Set::Text(Box::new(set)))
                })
            }
        };
        match done {
            None => {
                progress.finish();
                return Ok(None);
            }
            Some(None) => {
                return Err(Advised::error(
                    format!(
                        "{}: expected documents to measure on, got none that could be scored",
                        set.path.display()
                    ),
                    "name the field of the text with --text-field; a document needs two tokens",
                ));
            }
            Some(Some(set)) => measured.push(set),
        }
    }
    progress.finish();
    must_have(args, &measured)?;
    Ok(Some(measured))
}

/// Refuses a marker, or masks, that have to do with none of the sets.
fn must_have(args: &EvalArgs, sets: &[Set]) -> anyhow::Result<()> {
    let text = |of: fn(&TextSet) -> bool| move |set: &Set| matches!(set, Set::Text(set) if of(set));
    if let (Some(marker), false) = (&args.after, args.choices)
        && !sets.iter().any(text(TextSet::has_marker))
    {
        return Err(Advised::error(
            format!("--after: expected the marker {marker:?} in some document, found it in none"),
            "name what stands before the answers, or leave it out",
        ));
    }
    if let (Some(masks), true) = (&args.masks, sets.iter().all(text(TextSet::no_masks))) {
        return Err(Advised::error(
            format!(
                "{}: expected masks of the documents of --data, got none of their tokens",
                masks.display()
            ),
            "score this data first, with the same --bos and --eos",
        ));
    }
    Ok(())
}

/// The sums of a set's documents, and how many rows hold none; none where it was stopped.
fn documents<'a>(
    args: &EvalArgs,
    work: &Work<'_>,
    shards: impl Iterator<Item = (usize, &'a Shard)>,
    mut masks: Option<&mut Masks>,
    scorers: &mut [Panel<'_>],
) -> anyhow::Result<Option<(Vec<text::DocumentSums>, u64)>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the reader's runtime")?;
    let read = work.plan.read_options();
    let (mut documents, mut rejected) = (Vec::new(), Vec::<Rejection>::new());
    for (number, shard) in shards {
        let mut reader = runtime.block_on(ShardReader::open(shard, &read))?;
        let rows = std::iter::from_fn(|| {
            let record = runtime.block_on(reader.next());
            let record = record.transpose()?;
            Some(
                record
                    .map_err(anyhow::Error::from)
                    .map(|record| tokenize::tokenize(work, &shard.name, record)),
            )
        });
        let each = |measured: Result<alone::Measured, Rejection>| {
            let measured = match measured {
                Ok(measured) => measured,
                Err(rejection) => {
                    rejected.push(rejection);
                    return Ok(());
                }
            };
            let mask = match masks.as_deref_mut() {
                Some(masks) => masks.find(&measured.tokens)?,
                None => None,
            };
            let after = args.after.as_deref();
            documents.push(text::sums(&measured, work.tokenization, after, mask)?);
            Ok(())
        };
        if !alone::measure(work, (number, &shard.name), rows, scorers, each)? {
            return Ok(None);
        }
    }
    let rows = documents.len() + rejected.len();
    if let Some(Rejection { shard, row, reason }) = rejected.first() {
        let first = format!("{shard} row {row}: {reason}");
        if rejected.len() as f64 > args.max_rejected * rows as f64 {
            return Err(Advised::error(
                format!(
                    "expected at most {} % of rows without a document, got {} of {rows}, such as {first}",
                    args.max_rejected * 100.0,
                    rejected.len()
                ),
                "this looks like a wrong setting rather than bad rows; if it is not, raise --max-rejected",
            ));
        }
        terminal::line(&format!(
            "note: {} of {rows} rows are left out, such as {first}",
            rejected.len()
        ));
    }
    Ok(Some((documents, rejected.len() as u64)))
}

/// The answers to a set's questions; none where it was stopped.
fn ask(
    work: &Work<'_>,
    shard: Option<(usize, &Shard)>,
    questions: &[choices::Question],
    scorers: &mut [Panel<'_>],
) -> anyhow::Result<Option<Vec<Option<choices::Answered>>>> {
    let (number, shard) = shard.context("expected a file of questions, got none")?;
    let tokenization = work
        .tokenization
        .context("expected a tokenizer for the questions, got none")?;
    let documents = choices::documents(questions, tokenization)?;
    let (asked, documents): (Vec<_>, Vec<_>) = documents.into_iter().unzip();
    let mut losses: HashMap<i64, Vec<f32>> = HashMap::new();
    let rows = documents.into_iter().map(|document| Ok(Ok(document)));
    let each = |measured: Result<alone::Measured, Rejection>| {
        if let Ok(measured) = measured {
            losses.insert(measured.row, measured.loss);
        }
        Ok(())
    };
    if !alone::measure(work, (number, &shard.name), rows, scorers, each)? {
        return Ok(None);
    }
    let asked: Vec<_> = (0..)
        .zip(asked)
        .map(|(row, asked)| (asked, losses.remove(&row)))
        .collect();
    Ok(Some(choices::answers(questions, &asked)))
}

impl Set {
    fn rejected(&self) -> u64 {
        match self {
            Self::Text(set) => set.rejected,
            Self::Choices(set) => set.rejected,
        }
    }
}
