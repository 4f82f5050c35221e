//! `worker`: record batches from standard input, their scores to standard output, row by row.

use std::io::{self, BufReader, Stdin, Write};

use anyhow::Context as _;
use rho_formats::{BatchReader, BatchWriter, Location, OutputError, Passed, Shard, answer_schema};

use super::Outcome;
use crate::{
    cli::{ProgressKind, WorkerArgs},
    hinted_error::HintedError,
    parent,
    pipeline::{LoadedModels, Work, row_by_row, store::schema, tokenize},
    plan::{self, ScoringRequest},
    progress::Progress,
    stop::Stop,
};

pub(super) fn run(args: &WorkerArgs) -> anyhow::Result<Outcome> {
    let request = &ScoringRequest::of_rows(&args.scoring)?;
    if args.show_schema {
        return show_schema(args, request);
    }
    parent::end_with_parent().context("cannot watch the parent process")?;
    let prepared = plan::resolve(request)?;
    let plan = &prepared.plan;
    let mut loaded = LoadedModels::of(&prepared, usize::MAX)?;
    let mut scorers = loaded.panels();
    let pool = tokenize::pool(plan.threads)?;
    let progress = Progress::of(vec![0], 1, ProgressKind::None);
    let stop = Stop::never();
    let work = Work {
        plan,
        shards: &prepared.shards,
        encoder: prepared.encoder(),
        progress: &progress,
        stop: &stop,
    };
    let Some(input) = open()? else {
        return Ok(Outcome::Done);
    };
    let mut input = input.counted_from(args.first_row);
    let read = plan.read_options();
    input.must_have(&read)?;
    let passed = passed(args, &input)?;
    let shard = shard(&prepared.shards)?;
    let mut written = || {
        let columns = schema(plan);
        let mut output = BatchWriter::new(io::stdout().lock(), &columns, &passed)?;
        while let Some(batch) = input.next_batch()? {
            let records = batch.records(&shard.name, &read)?;
            let columns = batch.columns(&passed)?;
            let Some(answers) = row_by_row::answers(&work, &pool, &mut scorers, records)? else {
                break;
            };
            output.write(&shard.name, &answers, columns)?;
        }
        anyhow::Ok(output.finish()?)
    };
    match written() {
        Err(error) if reader_gone(&error) => Ok(Outcome::Done),
        ended => ended.map(|()| Outcome::Done),
    }
}

type Input = BatchReader<BufReader<Stdin>>;

/// Standard input as record batches; none if it is empty.
fn open() -> anyhow::Result<Option<Input>> {
    Ok(BatchReader::open(BufReader::new(io::stdin()))?)
}

/// Standard input as a shard: the rows are named after it.
fn shard(shards: &[Shard]) -> anyhow::Result<&Shard> {
    let mut shards = shards.iter();
    let shard = shards.find(|shard| shard.place == Location::StandardInput);
    shard.context("standard input is not part of the plan")
}

/// Writes the schema of the output, without metadata.
fn show_schema(args: &WorkerArgs, request: &ScoringRequest) -> anyhow::Result<Outcome> {
    let columns = plan::columns_of(request)?;
    let passes = args.pass_all || !args.pass.is_empty();
    let passed = match passes {
        true => match open()? {
            Some(input) => passed(args, &input)?,
            None => {
                return Err(HintedError::error(
                    "--show-schema with --pass: expected an Arrow stream with the schema on standard input, got nothing",
                    "write the schema of the input to the standard input of this command",
                ));
            }
        },
        false => Passed::default(),
    };
    let bytes = answer_schema(&columns, &passed)?;
    let mut output = io::stdout().lock();
    let written = output.write_all(&bytes).and_then(|()| output.flush());
    written.context("standard output cannot be written")?;
    Ok(Outcome::Done)
}

/// The columns that are passed through.
fn passed(args: &WorkerArgs, input: &Input) -> anyhow::Result<Passed> {
    let columns = input.columns();
    if args.pass_all {
        // The id is in the output, as a string.
        let id = &args.scoring.input.id_field;
        let others = (0..columns.len()).filter(|&i| columns[i] != id);
        return Ok(input.passed(others.collect()));
    }
    let index = |name: &String| {
        columns
            .iter()
            .position(|column| column == name)
            .ok_or_else(|| {
                HintedError::error(
                    format!(
                        "--pass: expected a column of the input, got {name:?}; it has {}",
                        columns.join(", ")
                    ),
                    "check the spelling",
                )
            })
    };
    let indices = args.pass.iter().map(index).collect::<anyhow::Result<_>>()?;
    Ok(input.passed(indices))
}

fn reader_gone(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref());
    causes.any(|cause| matches!(cause, OutputError::ReaderGone { .. }))
}
