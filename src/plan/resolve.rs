//! Resolves a request to the scorer into a plan.
//!
//! Every invalid setting is found here, before any weight is read, in order of cost: corpus, output, model, tokenizer,
//! numbers, library, device.

use ort::environment::Environment;
use rho_formats::{FileFormat, MasksFolder, ReadOptions, Shard};
use rho_reference::{Device, Precision, ResolvedDevice, matmul::Multiplier};
use rho_runtime::{Library, LibraryOptions};

use super::{
    Memory, Plan, ScoringRequest, SpecialTokens,
    models::{Models, OpenedModel},
};
use crate::{
    content::{self, ContentPlan, Encoder},
    conversations::Conversations,
    corpus, demo,
    hinted_error::HintedError,
    metadata::Sampled,
    ranks,
    selections::{
        options,
        rule::{BASE_LOSS, ENTROPY, Rule, Scope},
    },
    terminal, threads,
    tokenization::Tokenization,
};

/// Most documents in one read-ahead block.
const LOOK_AHEAD_DOCUMENTS: usize = 4096;
/// Tokens in one read-ahead block, in batches: enough that documents of similar length can be batched together.
const LOOK_AHEAD_BATCHES: usize = 48;

/// Most tokens in a batch: far more than any device holds.
const MOST_BATCH_TOKENS: usize = 1 << 24;
/// Most bytes of a document.
const MOST_BYTES: usize = 1 << 40;

/// A plan, with everything that was opened to make it.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) shards: Vec<Shard>,
    /// In the order of [`Plan::models`].
    pub(crate) models: Vec<OpenedModel>,
    pub(crate) tokenization: Option<Tokenization>,
    /// Only for conversations.
    pub(crate) conversations: Option<Conversations>,
    /// None if all models are on servers.
    pub(crate) environment: Option<Environment>,
    /// At least one, unless all models are on servers.
    pub(crate) devices: Vec<ResolvedDevice>,
    /// One for each model.
    pub(crate) precisions: Vec<Precision>,
}

impl Prepared {
    /// What turns the rows of the corpus into tokens.
    pub(crate) fn encoder(&self) -> Encoder<'_> {
        Encoder {
            tokenization: self.tokenization.as_ref(),
            conversations: self.conversations.as_ref(),
        }
    }
}

/// Opens and checks everything that the request names.
pub(crate) fn resolve(request: &ScoringRequest) -> anyhow::Result<Prepared> {
    let mut shards = corpus::find(&request.corpus)?;
    if request.out.as_os_str() != "-" {
        MasksFolder::check(&request.out)?;
    } else if request.restart {
        return Err(HintedError::error(
            "--restart: expected a folder to start over in, got --out -",
            "omit --restart",
        ));
    } else if request.files.format != FileFormat::ArrowStream {
        return Err(HintedError::error(
            format!(
                "--format: expected arrow-stream with --out -, because standard output is one stream, got {}",
                request.files.format.name()
            ),
            "omit --format, or name a folder with --out",
        ));
    }
    let rank = ranks::resolve(request.rank.0, request.rank.1, &|name| {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    })?;
    if let Some(from) = rank.from {
        let (rank, of) = (rank.rank, rank.world_size);
        terminal::line(&format!("note: rank {rank} of {of}, from {from}"));
    }

    let mut libraries = LibraryOptions::from_environment();
    libraries.path = request.model_args.ort_lib.clone();
    let mut models = Models::open(request, &libraries, || {
        terminal::line(&format!("note: {}", demo::NOTICE));
        demo::folder(&libraries.cache)
    })?;
    request.input.text.must_be_one_kind()?;
    if request.context_field.is_some() && request.input.text.targets.messages_field.is_some() {
        return Err(HintedError::error(
            "--with-context-field: expected texts or token ids, got conversations (--messages-field)",
            "a text before the first special token of a chat template is nothing that a model has seen; give the prompt \
             as the context and the answer as the text",
        ));
    }
    let (tokenizer, tokenization) = models.tokenizer(request)?;
    let special = (request.model_args.bos, request.model_args.eos);
    let conversations = content::conversations(&request.input.text, tokenizer.as_ref(), special)?;
    let columns = models.columns(request)?;
    let top = models.top(request.files.top)?;
    let scores = columns.names();
    let (rule, scope) = selection(request, &scores)?;
    models.connect(tokenization.as_ref(), &request.model_args)?;
    let (context, overlap) = models.windows(&request.model_args)?;
    if let (Some(keep_by), None) = (&rule.keep_by, &request.input.source_field) {
        // Without a field of sources, they are the shards.
        let names = shards.iter().map(|shard| Some(shard.name.clone()));
        keep_by.must_be_among(&names.collect::<Vec<_>>())?;
    }
    let threads = threads::count(request.threads)?;
    let batch_tokens = bounded(
        request.model_args.batch_tokens,
        "batch-tokens",
        MOST_BATCH_TOKENS,
    )?;
    let max_document_bytes = request.input.max_document_bytes;
    let max_document_bytes = bounded(max_document_bytes, "max-document-bytes", MOST_BYTES)?
        .unwrap_or(ReadOptions::default().max_document_bytes);

    let mut library_used = None;
    let mut environment = None;
    let mut devices = Vec::new();
    if models.any_local() {
        let library = library(&mut libraries, &request.model_args.device)?;
        let loaded = rho_runtime::load(&library)?;
        devices = request.model_args.device.resolve(&loaded)?;
        environment = Some(loaded);
        library_used = Some(library);
    } else {
        models.must_compute_elsewhere(&request.model_args)?;
    }
    // All devices are of one kind.
    let on_device = devices.first().copied();
    let device = on_device.unwrap_or(ResolvedDevice::Cpu);
    let precisions = models.precisions(&request.model_args, device)?;
    if precisions.contains(&Precision::Int8) && Multiplier::detect(Precision::Int8)?.is_portable() {
        terminal::once(
            "note: this processor has no int8 matmul instructions that rho-mask can use: --precision int8 is slower \
             than f32 here",
        );
    }
    let batch_tokens = batch_tokens.unwrap_or(match on_device {
        Some(ResolvedDevice::Cpu) => 1024,
        Some(ResolvedDevice::Cuda(_)) => 16_384,
        // The prompts of a request.
        None => 4096,
    });
    let mut references = models.planned(&precisions)?;
    let base = columns.base.then(|| references.pop()).flatten();
    if let Some(base) = &base
        && let [reference] = &references[..]
        && reference.server.is_none()
        && base.server.is_none()
        && reference.fingerprint == base.fingerprint
    {
        terminal::line("note: --base is the reference itself, so the excess loss is 0 everywhere");
    }
    let special = |rule, tokens: Option<&Vec<u32>>| SpecialTokens {
        rule,
        tokens: tokens.cloned().unwrap_or_default(),
    };
    let mut plan = Plan {
        shards: shards.iter().map(|s| s.name.clone()).collect(),
        bytes: shards.iter().map(|s| s.bytes).sum(),
        out: request.out.clone(),
        vocabulary: models.vocabulary(tokenization.as_ref()),
        tokenizer_fingerprint: tokenizer.as_ref().map(|t| t.fingerprint().to_owned()),
        tokenizer_files: tokenizer
            .as_ref()
            .map(|t| t.sources().clone())
            .unwrap_or_default(),
        tokenizer: tokenizer.map(|files| files.path().to_owned()),
        library: library_used.as_ref().map(|library| library.path.clone()),
        library_version: library_used.map(|library| library.version),
        device: match on_device {
            Some(ResolvedDevice::Cuda(_)) if devices.len() > 1 => {
                request.model_args.device.to_string()
            }
            Some(device) => device.to_string(),
            None => "server".to_owned(),
        },
        precision: references[0].precision.clone(),
        references,
        combine: (columns.references > 1).then(|| columns.combine.name().to_owned()),
        base,
        verified: Vec::new(),
        threads,
        context,
        overlap,
        bos: special(
            request.model_args.bos,
            tokenization.as_ref().map(|t| &t.prefix),
        ),
        eos: special(
            request.model_args.eos,
            tokenization.as_ref().map(|t| &t.suffix),
        ),
        batch_tokens,
        look_ahead_documents: LOOK_AHEAD_DOCUMENTS,
        look_ahead_tokens: LOOK_AHEAD_BATCHES * batch_tokens,
        scores,
        rule,
        scope,
        content: ContentPlan::of(&request.input.text, conversations.as_ref()),
        context_field: request.context_field.clone(),
        id_field: request.input.id_field.clone(),
        source_field: request.input.source_field.clone(),
        lines: request.input.text.lines,
        max_document_bytes,
        limit: request.input.text.limit,
        sample: request.input.text.sample.map(|rate| Sampled {
            rate,
            seed: request.sample_seed,
        }),
        score_type: request.files.score_type,
        top,
        format: request.files.format,
        compression: request.files.compression,
        keep_text: request.files.keep_text,
        score_context: request.files.score_context,
        shard_bytes: request.files.shard_bytes,
        strict: request.input.strict,
        max_rejected: request.input.text.max_rejected,
        max_untargeted: request.input.text.targets.max_untargeted,
        rank: rank.rank,
        world_size: rank.world_size,
        memory: Memory::default(),
    };
    if let Some(limit) = plan.limit {
        shards = corpus::first(shards, limit, &plan.read_options())?;
        plan.shards = shards.iter().map(|s| s.name.clone()).collect();
        plan.bytes = shards.iter().map(|s| s.bytes).sum();
    }
    plan.memory = Memory::of(&plan);
    Ok(Prepared {
        plan,
        shards,
        models: models.into_opened(),
        tokenization,
        conversations,
        environment,
        devices,
        precisions,
    })
}

/// The rule and the scope, for masks with these score columns.
pub(super) fn selection(
    request: &ScoringRequest,
    scores: &[String],
) -> anyhow::Result<(Rule, Scope)> {
    let Some((by, options)) = &request.selection else {
        return Ok((Rule::none(), Scope::None));
    };
    let there: Vec<&str> = scores.iter().map(String::as_str).collect();
    let (rule, mut scope) = options::resolve(*by, options, &there)?;
    if request.row_by_row && matches!(scope, Scope::Batch(_)) {
        scope = Scope::Document;
    }
    if let Some(column) = rule.columns().into_iter().find(|c| !there.contains(c)) {
        let hint = match column {
            BASE_LOSS => "name the model to train with --base",
            ENTROPY if !there.contains(&ENTROPY) => {
                "a server gives log-probs, from which entropy cannot be computed: use --by loss, or --by excess with \
                 --base"
            }
            _ => "name a column that this run writes",
        };
        return Err(HintedError::error(
            format!(
                "expected a score column {column:?} to select by, got {}",
                there.join(", ")
            ),
            hint,
        ));
    }
    if scope == Scope::Corpus && request.out.as_os_str() == "-" {
        return Err(HintedError::error(
            "--scope corpus: expected an output folder, because ranks among all tokens are known only at the end, got --out -",
            "name a folder, or use --scope batch or document",
        ));
    }
    Ok((rule, scope))
}

/// Finds the library for a device, or installs it and reports that. `auto` prefers an installed one with CUDA.
fn library(options: &mut LibraryOptions, device: &Device) -> anyhow::Result<Library> {
    options.cuda = *device != Device::Cpu;
    if *device == Device::Auto {
        if let (_, Ok(library)) = rho_runtime::find(options) {
            return Ok(library);
        }
        options.cuda = false;
    }
    Ok(rho_runtime::find_or_install(options, &mut say)?)
}

/// Prints a line about the library.
pub(crate) fn say(text: &str) {
    terminal::line(&format!("onnxruntime: {text}"));
}

fn bounded(number: Option<usize>, name: &str, most: usize) -> anyhow::Result<Option<usize>> {
    match number {
        Some(0) => Err(HintedError::error(
            format!("--{name}: expected at least 1, got 0"),
            "omit it for the default",
        )),
        Some(number) if number > most => Err(HintedError::error(
            format!("--{name}: expected at most {most}, got {number}"),
            "omit it for the default",
        )),
        number => Ok(number),
    }
}
