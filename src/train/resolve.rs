//! Resolves the arguments to a plan. The cheapest checks come first, before any weight is read or anything is written.

use std::path::PathBuf;

use anyhow::Context as _;
use rho_checkpoint::Checkpoint;
use rho_formats::{Shard, remote::without_secrets};
use rho_reference::{Device, fingerprint::fingerprint};
use rho_selection::KeepRatio;
use rho_trainer::{Config, data::Packing, model::Architecture, run::KeepSchedule};

use super::{
    columns::Columns,
    folder,
    masks::Masks,
    model::Model,
    plan::{Prepared, TrainPlan},
};
use crate::{
    checkpoint,
    cli::{ObjectiveName, SpecialToken, TrainArgs},
    content::{self, ContentPlan},
    corpus,
    hinted_error::HintedError,
    memory, terminal, threads,
    tokenization::Tokenization,
};

/// The paper's keep ratio for a model of a billion parameters.
const DEFAULT_KEEP: f64 = 0.6;
/// Longer rows only on request: attention takes time quadratic in the row length.
const MAX_DEFAULT_LENGTH: usize = 1024;
/// Tokens per step.
const DEFAULT_BATCH_TOKENS: usize = 1 << 14;
/// Most tokens per step. The largest runs have a fifth of it.
const MOST_BATCH_TOKENS: usize = 1 << 26;
/// Tokens computed at once, on the CPU and on CUDA.
const MICRO_TOKENS: (usize, usize) = (4096, 16_384);

/// Resolves the arguments.
pub(super) fn resolve(args: &TrainArgs) -> anyhow::Result<Prepared> {
    numbers(args)?;
    let ratio = args.keep.map_or_else(|| KeepRatio::new(DEFAULT_KEEP), Ok)?;
    let keep = KeepSchedule::parse(&args.keep_schedule, ratio).context("--keep-schedule")?;
    needs(args)?;
    folder::check(&args.out)?;
    let mut shards = shards(args)?;
    let mut evaluations = Vec::new();
    for file in &args.eval {
        let bytes = std::fs::metadata(file)
            .with_context(|| {
                format!(
                    "--eval {}: cannot be read",
                    without_secrets(&file.to_string_lossy())
                )
            })?
            .len();
        let name = file.file_name().unwrap_or(file.as_os_str());
        evaluations.push((name.to_string_lossy().into_owned(), bytes));
    }
    let model = Model::find(args)?;
    let vocabulary = model.config.vocabulary.ok_or_else(|| {
        HintedError::error(
            format!(
                "{}: expected vocab_size in config.json, got none",
                model.folder.display()
            ),
            "name a Hugging Face checkpoint of a language model",
        )
    })?;
    let tokenizer_fingerprint = model.tokenizer_fingerprint();
    let masks = match &args.masks {
        Some(folder) => Some(Masks::open(args, folder)?),
        None => None,
    };
    if let Some(masks) = &masks {
        masks.must_be_of(tokenizer_fingerprint.as_deref(), vocabulary)?;
    }
    args.text.must_be_one_kind()?;
    let mut tokenization = tokenization(args, &model, vocabulary)?;
    let conversations = match tokenization {
        Some(_) => {
            content::conversations(&args.text, model.tokenizer.as_ref(), (args.bos, args.eos))?
        }
        None => None,
    };
    if let (Some(masks), Some(tokenization)) = (&masks, &mut tokenization)
        && let Some((bos, eos)) = masks.around()
    {
        (tokenization.prefix, tokenization.suffix) = (bos, eos);
    }
    let length = length(args, &model)?;
    let batch_tokens = args.batch_tokens.unwrap_or(DEFAULT_BATCH_TOKENS);
    if batch_tokens > MOST_BATCH_TOKENS {
        return Err(HintedError::error(
            format!("--batch-tokens: expected at most {MOST_BATCH_TOKENS}, got {batch_tokens}"),
            "the documents of a batch are in memory at once: lower it",
        ));
    }
    if batch_tokens < length {
        return Err(HintedError::error(
            format!(
                "--batch-tokens: expected at least a row of {length} tokens, got {batch_tokens}"
            ),
            "raise it, or lower --length",
        ));
    }
    let batch_rows = batch_tokens / length;
    let cuda = matches!(args.device, Device::Cuda(_));
    let micro_tokens = if cuda { MICRO_TOKENS.1 } else { MICRO_TOKENS.0 };
    let micro_rows = args.micro_batch.unwrap_or((micro_tokens / length).max(1));
    let around = tokenization.as_ref();
    let (mut columns, mask_files) = match &masks {
        Some(masks) => (masks.columns.clone(), masks.files.clone()),
        None => (Columns::default(), Vec::new()),
    };
    let content = ContentPlan::of(&args.text, conversations.as_ref());
    columns.corpus_target = !shards.is_empty() && content.has_context();
    let sized = |path: &PathBuf| -> anyhow::Result<(String, u64)> {
        let bytes = std::fs::metadata(path)
            .with_context(|| format!("{}: cannot be read", path.display()))?
            .len();
        let name = args
            .masks
            .as_ref()
            .and_then(|masks| path.strip_prefix(masks).ok());
        Ok((name.unwrap_or(path).to_string_lossy().into_owned(), bytes))
    };
    let sizes: Vec<(String, u64)> = mask_files.iter().map(sized).collect::<Result<_, _>>()?;
    let named = |files: &[(String, u64)]| {
        folder::identities(files.iter().map(|(name, bytes)| (name.as_str(), *bytes)))
    };
    let mut plan = TrainPlan {
        out: args.out.clone(),
        objective: args.objective,
        keep: keep.to_string(),
        mix_clm: args.mix_clm,
        columns,
        model_fingerprint: model_fingerprint(args, &model)?,
        ignored_settings: args.ignore_setting.clone(),
        model: model
            .initial
            .clone()
            .unwrap_or_else(|| model.folder.clone()),
        vocabulary,
        tokenizer: model
            .tokenizer
            .as_ref()
            .map(|files| files.path().to_owned()),
        tokenizer_fingerprint,
        device: super::learner::place(&args.device).device()?.1,
        threads: threads::count(args.threads)?,
        gradient_checkpointing: args.gradient_checkpointing,
        masks: args.masks.clone(),
        mask_files: named(&sizes),
        corpus: folder::identities(shards.iter().map(|s| (s.name.as_str(), s.bytes))),
        bos: around.map(|t| t.prefix.clone()).unwrap_or_default(),
        eos: around.map(|t| t.suffix.clone()).unwrap_or_default(),
        content,
        id_field: args.id_field.clone(),
        lines: args.text.lines,
        limit: args.text.limit,
        sample: args.text.sample,
        max_unmatched: args.max_unmatched,
        max_rejected: args.text.max_rejected,
        max_untargeted: args.text.targets.max_untargeted,
        packing: Packing::new(length, batch_rows, args.seed),
        batch_rows,
        micro_rows: micro_rows.min(batch_rows),
        epochs: args.steps.is_none().then(|| args.epochs.unwrap_or(1)),
        steps: args.steps,
        seed: args.seed,
        learning_rate: args.learning_rate,
        schedule: args.schedule,
        warm_up: args.warm_up,
        final_rate: args.final_rate,
        betas: (args.betas[0], args.betas[1]),
        weight_decay: args.weight_decay,
        clip: args.clip,
        save_every: args.save_every,
        keep_last: args.keep_last,
        dump_batches: args.dump_batches,
        evaluations: named(&evaluations),
        eval_every: args.eval_every,
        eval_after: args.eval_after.clone(),
        changed_every: args.changed_every,
        spike: (args.spike > 0.0).then_some(args.spike),
    };
    if let Some(limit) = plan.limit {
        shards = corpus::first(shards, limit, &plan.read_corpus())?;
        plan.corpus = folder::identities(shards.iter().map(|s| (s.name.as_str(), s.bytes)));
    }
    Ok(Prepared {
        plan,
        keep,
        model,
        device: args.device.clone(),
        tokenization,
        conversations,
        shards,
        mask_files,
        evaluations: args.eval.clone(),
    })
}

/// Refuses numbers out of range.
fn numbers(args: &TrainArgs) -> anyhow::Result<()> {
    let wrong = |option: &str, expected: &str, got: f64| {
        Err(HintedError::error(
            format!("--{option}: expected {expected}, got {got}"),
            "leave it out for the default",
        ))
    };
    for (option, got) in [
        ("mix-clm", args.mix_clm),
        ("weight-decay", args.weight_decay),
        ("clip", args.clip),
        ("spike", args.spike),
        ("learning-rate", args.learning_rate),
    ] {
        if !(got.is_finite() && got >= 0.0) {
            return wrong(option, "a number of at least 0", got);
        }
    }
    if !(0.0..=1.0).contains(&args.final_rate) {
        return wrong("final-rate", "a share from 0 to 1", args.final_rate);
    }
    if let Some(&beta) = args.betas.iter().find(|beta| !(0.0..1.0).contains(*beta)) {
        return wrong("betas", "numbers from 0 to below 1", beta);
    }
    let counts = [
        ("epochs", args.epochs),
        ("steps", args.steps),
        ("micro-batch", args.micro_batch.map(|n| n as u64)),
    ];
    match counts.into_iter().find(|(_, count)| *count == Some(0)) {
        Some((option, _)) => wrong(option, "at least 1", 0.0),
        None => Ok(()),
    }
}

/// Refuses an objective without the inputs it needs, and options it does not have.
fn needs(args: &TrainArgs) -> anyhow::Result<()> {
    let name = serde_json::to_value(args.objective)?;
    let name = name.as_str().unwrap_or_default();
    let by_masks = matches!(
        args.objective,
        ObjectiveName::Slm | ObjectiveName::Static | ObjectiveName::Weighted
    );
    if by_masks && args.masks.is_none() {
        return Err(HintedError::error(
            format!("--objective {name}: expected --masks, got none"),
            "score the corpus with a reference first: rho-mask score corpus/ --model reference/ --out masks/",
        ));
    }
    let scheduled = args.keep_schedule != "constant";
    if !args.objective.keeps_a_share() && (args.keep.is_some() || scheduled) {
        let option = if scheduled {
            "--keep-schedule"
        } else {
            "--keep"
        };
        return Err(HintedError::error(
            format!(
                "{option}: expected an objective that keeps a share (slm, random, hard, easy), got {name}"
            ),
            format!("leave {option} out"),
        ));
    }
    if args.keep.is_some() && scheduled {
        return Err(HintedError::error(
            "--keep-schedule: expected no --keep with a schedule that sets its own ratios, got one",
            "leave --keep out",
        ));
    }
    if args.eval_after.is_some() && args.eval.is_empty() {
        return Err(HintedError::error(
            "--eval-after: expected --eval, got none",
            "name a file to evaluate on",
        ));
    }
    if matches!(&args.device, Device::Cuda(devices) if devices.len() > 1) {
        return Err(HintedError::error(
            format!(
                "--device: expected one device to train on, got {}",
                args.device
            ),
            "name one",
        ));
    }
    Ok(())
}

fn shards(args: &TrainArgs) -> anyhow::Result<Vec<Shard>> {
    if args.corpus.is_empty() {
        for (option, is_given) in [
            ("--limit", args.text.limit.is_some()),
            ("--sample", args.text.sample.is_some()),
        ] {
            if is_given {
                return Err(HintedError::error(
                    format!("{option}: expected --corpus with it, got none"),
                    "it chooses documents of a corpus; masks are trained on as they are",
                ));
            }
        }
        return Ok(Vec::new());
    }
    if args.corpus.iter().any(|path| path.as_os_str() == "-") {
        return Err(HintedError::error(
            "--corpus: expected files or folders, got standard input",
            "an interrupted run reads its corpus again: write it to a file",
        ));
    }
    corpus::find(&args.corpus)
}

/// The tokenizer, if there are texts to read.
fn tokenization(
    args: &TrainArgs,
    model: &Model,
    vocabulary: usize,
) -> anyhow::Result<Option<Tokenization>> {
    if args.corpus.is_empty() && args.eval.is_empty() {
        return Ok(None);
    }
    let Some(files) = &model.tokenizer else {
        if args.text.tokens_field.is_some() {
            return Ok(None);
        }
        return Err(HintedError::error(
            format!(
                "{}: expected tokenizer.json beside the model, got none",
                model.folder.display()
            ),
            "name it with --tokenizer, or give token ids with --tokens-field",
        ));
    };
    let unchanged = args.text.tokens_field.is_some() || args.text.targets.messages_field.is_some();
    let (bos, eos) = match unchanged {
        true => (SpecialToken::Never, SpecialToken::Never),
        false => (args.bos, args.eos),
    };
    let tokenization = Tokenization::load(files, bos, eos, &model.config)?;
    tokenization.must_frame(vocabulary)?;
    Ok(Some(tokenization))
}

fn length(args: &TrainArgs, model: &Model) -> anyhow::Result<usize> {
    let most = model.config.max_positions;
    let length = args
        .length
        .unwrap_or_else(|| most.unwrap_or(MAX_DEFAULT_LENGTH).min(MAX_DEFAULT_LENGTH));
    if length < 2 || most.is_some_and(|most| length > most) {
        let most = most.map_or("any number".to_owned(), |most| most.to_string());
        return Err(HintedError::error(
            format!("--length: expected 2 to {most} tokens, got {length}"),
            "the upper limit comes from the model's config.json",
        ));
    }
    Ok(length)
}

/// Refuses a model that does not fit into memory with what training keeps for each of its parameters.
fn must_fit(args: &TrainArgs, config: Config) -> anyhow::Result<()> {
    let parameters = Architecture::new(config).numbers() as u64;
    // Four bytes each; on a GPU, only the weights are also in memory.
    let (bytes, what) = match args.device {
        Device::Cuda(_) => (4, "weights"),
        _ => (16, "weights, gradients and two moments"),
    };
    match memory::total() {
        Some(most) if parameters.saturating_mul(bytes) > most => Err(HintedError::error(
            format!(
                "expected a model whose {what} fit into {most} bytes of memory, got one of {parameters} parameters"
            ),
            "train a smaller model, or use a machine with more memory",
        )),
        _ => Ok(()),
    }
}

/// SHA-256 of the model's files; refuses a model that cannot be trained.
fn model_fingerprint(args: &TrainArgs, model: &Model) -> anyhow::Result<String> {
    if let Some(config) = &model.initial {
        must_fit(args, Config::read(config)?)?;
        let files = std::slice::from_ref(config);
        return fingerprint(files).context("cannot read the model to take its fingerprint");
    }
    let opened = Checkpoint::open_ignoring(&model.folder, &args.ignore_setting)?;
    checkpoint::must_be_there(&args.ignore_setting, opened.settings.ignored())?;
    let config = Config::new(opened.decoder()?, opened.settings.values().clone())?;
    must_fit(args, config)?;
    for note in &opened.notes {
        terminal::line(&format!("note: {}: {note}", model.folder.display()));
    }
    Ok(opened.fingerprint()?)
}
