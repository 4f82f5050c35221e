//! Loads the model and measures it on sets of documents or questions. Reads nothing twice and keeps no scores: only the
//! sums of each document.

use std::{collections::HashMap, path::Path};

use anyhow::Context as _;
use rho_formats::{Rejection, Shard, ShardReader, remote};

use super::{
    choices,
    masks::Masks,
    name,
    report::{ChoiceSet, Set, TextSet},
    statistics::Bootstrap,
    text,
};
use crate::{
    cli::EvalArgs,
    corpus,
    groups::{self, Group},
    hinted_error::HintedError,
    pipeline::{LoadedModels, Panel, Work, in_memory, tokenize},
    plan::{Plan, Prepared},
    progress::Progress,
    shards,
    stop::Stop,
    terminal,
    tokenization::below,
};

/// A set: its name and its shards, gathered as in `score`.
pub(crate) struct Named<'a> {
    name: String,
    path: &'a Path,
    shards: Vec<Shard>,
    groups: Vec<Group>,
}

/// The sets, each cut after its first documents on request.
pub(crate) fn sets<'a>(args: &'a EvalArgs, plan: &Plan) -> anyhow::Result<Vec<Named<'a>>> {
    let mut sets: Vec<Named<'_>> = Vec::new();
    for path in &args.data {
        let mut shards = corpus::find(std::slice::from_ref(path))?;
        if let Some(limit) = args.text.limit {
            shards = corpus::first(shards, limit, &plan.read_options())?;
        }
        let named = Named {
            name: name(&remote::shown(path)),
            path,
            groups: groups::of_corpus(&shards),
            shards,
        };
        if sets.iter().any(|other| other.name == named.name) {
            return Err(HintedError::error(
                format!(
                    "--data: expected files of different names, got two called {}",
                    named.name
                ),
                "rename one of them: the rows of the table are named after the files",
            ));
        }
        sets.push(named);
    }
    Ok(sets)
}

/// Loads the model and measures all sets; None if stopped.
pub(crate) fn measure(
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
    // Read before the weights are loaded: a line may be wrong.
    let mut questions = Vec::new();
    if args.choices {
        for set in sets {
            questions.push(choices::read(set.path, args.after.as_deref())?);
        }
    }
    let all: Vec<Shard> = sets.iter().flat_map(|set| set.shards.clone()).collect();
    let mut first = 0;
    let mut gathered: Vec<Vec<Group>> = Vec::new();
    for set in sets {
        let groups = set.groups.iter().map(|group| Group {
            members: group.members.start + first..group.members.end + first,
            ..group.clone()
        });
        gathered.push(groups.collect());
        first += set.shards.len();
    }
    let progress = Progress::new(&all, gathered.iter().flatten(), args.progress.progress);
    let work = Work {
        plan,
        shards: &all,
        encoder: prepared.encoder(),
        progress: &progress,
        stop,
    };
    // One device is enough: the sets of an evaluation are small.
    let mut loaded = LoadedModels::of(prepared, 1)?;
    let mut scorers = loaded.panels();
    let mut measured = Vec::new();
    let mut questions = questions.iter();
    for (set, groups) in sets.iter().zip(&gathered) {
        let done = match questions.next() {
            Some(questions) => {
                let asked = ask(&work, groups.first(), questions, &mut scorers)?;
                asked
                    .map(|answers| ChoiceSet::of(&set.name, &answers, &bootstrap).map(Set::Choices))
            }
            None => {
                let read = documents(args, &work, groups, masks.as_deref_mut(), &mut scorers)?;
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
                return Err(HintedError::error(
                    format!(
                        "{}: expected documents to measure on, got none that could be scored",
                        remote::shown(set.path).display()
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

/// Refuses a marker or masks that match none of the sets.
fn must_have(args: &EvalArgs, sets: &[Set]) -> anyhow::Result<()> {
    let text = |of: fn(&TextSet) -> bool| move |set: &Set| matches!(set, Set::Text(set) if of(set));
    if let (Some(marker), false) = (&args.after, args.choices)
        && !sets.iter().any(text(TextSet::has_marker))
    {
        return Err(HintedError::error(
            format!("--after: expected the marker {marker:?} in some document, found it in none"),
            "give the text that comes before the answers, or omit --after",
        ));
    }
    if let (Some(masks), true) = (&args.masks, sets.iter().all(text(TextSet::no_masks))) {
        return Err(HintedError::error(
            format!(
                "{}: expected masks of the documents of --data, got none of their tokens",
                masks.display()
            ),
            "score this data first, with the same --bos and --eos",
        ));
    }
    Ok(())
}

/// The sums of a set's documents, and the number of rows without one; None if stopped.
fn documents(
    args: &EvalArgs,
    work: &Work<'_>,
    groups: &[Group],
    mut masks: Option<&mut Masks>,
    scorers: &mut [Panel<'_>],
) -> anyhow::Result<Option<(Vec<text::DocumentSums>, u64)>> {
    let runtime = shards::runtime()?;
    let read = work.plan.read_options();
    let (mut documents, mut rejected) = (Vec::new(), Vec::<Rejection>::new());
    for group in groups {
        let number = group.members.start;
        let mut members = group.members.clone().enumerate();
        let mut open: Option<(usize, &Shard, ShardReader)> = None;
        let mut before = 0;
        let mut next = || -> anyhow::Result<Option<_>> {
            loop {
                if let Some((member, shard, reader)) = &mut open {
                    if let Some(record) = runtime.block_on(reader.next())? {
                        let document = tokenize::tokenize(work, &shard.name, record);
                        let text = document.as_ref().map_or(0, in_memory::text);
                        let bytes = before + reader.bytes_read();
                        work.progress.read(number, bytes, text);
                        return Ok(Some((*member, document)));
                    }
                    before += shard.bytes;
                }
                let Some((member, shard)) = members.next() else {
                    return Ok(None);
                };
                let shard = &work.shards[shard];
                let reader = runtime.block_on(shards::open(shard, &read))?;
                open = Some((member, shard, reader));
            }
        };
        let rows = std::iter::from_fn(|| next().transpose());
        let each = |measured: Result<in_memory::Measured, Rejection>| {
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
            documents.push(text::sums(
                &measured,
                work.encoder.tokenization,
                after,
                mask,
            )?);
            Ok(())
        };
        if !in_memory::measure(work, group, rows, scorers, each)? {
            return Ok(None);
        }
    }
    let rows = documents.len() + rejected.len();
    if let Some(Rejection { shard, row, reason }) = rejected.first() {
        let first = format!("{shard} row {row}: {reason}");
        if rejected.len() as f64 > args.text.max_rejected * rows as f64 {
            return Err(HintedError::error(
                format!(
                    "expected at most {:.3} % of rows without a document, got {} of {rows}, such as {first}",
                    args.text.max_rejected * 100.0,
                    rejected.len()
                ),
                "this looks like a wrong setting rather than bad rows; if it is not, raise --max-rejected",
            ));
        }
        terminal::line(&format!(
            "note: {} of {rows} rows are skipped, such as {first}",
            rejected.len()
        ));
    }
    Ok(Some((documents, rejected.len() as u64)))
}

/// The answers to a set's questions; None if stopped.
fn ask(
    work: &Work<'_>,
    group: Option<&Group>,
    questions: &[choices::Question],
    scorers: &mut [Panel<'_>],
) -> anyhow::Result<Option<Vec<Option<choices::Answered>>>> {
    let group = group.context("expected a file of questions, got none")?;
    let shard = &work.shards[group.members.start];
    let tokenization = work
        .encoder
        .tokenization
        .context("expected a tokenizer for the questions, got none")?;
    let documents = choices::documents(questions, tokenization)?;
    let (asked, documents): (Vec<_>, Vec<_>) = documents.into_iter().unzip();
    let mut losses: HashMap<i64, Vec<f32>> = HashMap::new();
    // A choice with a token id beyond the model's vocabulary is not scored, and neither is its question.
    let rows = documents.into_iter().map(|document| {
        let beyond = below(Some(tokenization), &document.tokens, work.plan.vocabulary);
        let question = match beyond {
            Ok(()) => Ok(document),
            Err(reason) => Err(Rejection {
                shard: shard.name.clone(),
                row: document.row,
                reason,
            }),
        };
        Ok((0, question))
    });
    let each = |measured: Result<in_memory::Measured, Rejection>| {
        if let Ok(measured) = measured {
            losses.insert(measured.row, measured.loss);
        }
        Ok(())
    };
    if !in_memory::measure(work, group, rows, scorers, each)? {
        return Ok(None);
    }
    let asked: Vec<_> = (0..)
        .zip(asked)
        .map(|(row, asked)| (asked, losses.remove(&row)))
        .collect();
    Ok(Some(choices::answers(questions, &asked)))
}
