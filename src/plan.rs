//! From what was typed to what it means. A [`Plan`] has no open ends; after it nobody looks at the arguments.
//!
//! Everything that can be wrong with a setting is found here, cheapest first and before any weight is read: corpus,
//! output, model, tokenizer, numbers, library, device.

use std::path::PathBuf;

use anyhow::Context as _;
use ort::environment::Environment;
use rho_formats::{BatchCompression, MasksFolder, ReadOptions, ScoreType, Shard, find_shards};
use rho_graph::DataType;
use rho_reference::{
    Device, OpenedReference, Precision, ResolvedDevice, Source,
    library::{self, Library, LibraryOptions},
    product::Multiplier,
    source::fingerprint,
};
use rho_selection::{Batches, KeepRatio};
use serde::Serialize;
use serde_json::json;

use crate::{
    checkpoint,
    cli::{MaskCompression, PrecisionChoice, Scope, ScoreArgs, ScoreDtype, SpecialToken},
    demo,
    hint::Advised,
    memory::Memory,
    ranks, terminal,
    tokenization::Tokenization,
};

/// Paper, appendix H: loss 70 % and entropy 70 %, intersected, did best.
pub(crate) const DEFAULT_KEEP: f64 = 0.7;
/// Attention of most exports takes memory quadratic in the context; longer ones are for those who ask.
const MAX_DEFAULT_CONTEXT: usize = 1024;
/// Documents in one look-ahead, at most.
const LOOK_AHEAD_DOCUMENTS: usize = 4096;
/// Tokens in one look-ahead, in batches: enough lengths to choose from.
const LOOK_AHEAD_BATCHES: usize = 48;

/// Everything `score` does, decided.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// Names of the shards, in order.
    pub shards: Vec<String>,
    /// Bytes of all shards, as they lie.
    pub bytes: u64,
    /// The masks folder.
    pub out: PathBuf,
    /// The ONNX model.
    pub model: PathBuf,
    /// SHA-256 of the model's files.
    pub model_fingerprint: String,
    /// Width of the logits.
    pub vocabulary: usize,
    /// tokenizer.json; none where token ids are given.
    pub tokenizer: Option<PathBuf>,
    /// SHA-256 of tokenizer.json.
    pub tokenizer_fingerprint: Option<String>,
    /// ONNX Runtime's library.
    pub library: PathBuf,
    /// Its version.
    pub library_version: String,
    /// `cpu`, `cuda:N` or `cuda:N,M,...`.
    pub device: String,
    /// Type of the numbers that the products with weights are computed in.
    pub precision: String,
    /// Threads for tokenising and computing.
    pub threads: usize,
    /// Tokens the model sees at once, at most.
    pub context: usize,
    /// Tokens of context that every token of a later window has, at least.
    pub overlap: usize,
    /// Beginning-of-sequence rule and the tokens it puts.
    pub bos: SpecialTokens,
    /// End-of-sequence rule and the tokens it puts.
    pub eos: SpecialTokens,
    /// Tokens per batch, padding included.
    pub batch_tokens: usize,
    /// Documents that are batched together, at most.
    pub look_ahead_documents: usize,
    /// A look-ahead ends with the document that reaches this many tokens.
    pub look_ahead_tokens: usize,
    /// Share kept by lowest loss.
    pub keep_loss: f64,
    /// Share kept by lowest entropy.
    pub keep_entropy: f64,
    /// Among which tokens to rank.
    pub scope: Scope,
    /// Tokens in one scope `batch`.
    pub scope_tokens: usize,
    /// Field with the text.
    pub text_field: String,
    /// Field with token ids, if that is what is scored.
    pub tokens_field: Option<String>,
    /// Field with the document's id.
    pub id_field: String,
    /// Whether text files hold a document per line.
    pub lines: bool,
    /// Larger documents are left out.
    pub max_document_bytes: usize,
    /// Type of the stored scores.
    pub score_type: ScoreType,
    /// Compression of the masks.
    pub compression: BatchCompression,
    /// The masks hold the text.
    pub keep_text: bool,
    /// Most bytes of one mask file.
    pub shard_bytes: u64,
    /// The first bad row is the end.
    pub strict: bool,
    /// The share of bad rows that is the end.
    pub max_rejected: f64,
    /// Which of the runs this one is.
    pub rank: usize,
    /// How many runs share the corpus.
    pub world_size: usize,
    /// Bound of the memory that follows from all this, in bytes.
    pub memory: Memory,
}

/// A rule for special tokens and what it comes to.
#[derive(Debug, Clone, Serialize)]
pub struct SpecialTokens {
    /// What was asked for.
    pub rule: SpecialToken,
    /// The tokens put around each text.
    pub tokens: Vec<u32>,
}

/// A plan with the things it has opened on the way.
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) shards: Vec<Shard>,
    pub(crate) reference: OpenedReference,
    pub(crate) tokenization: Option<Tokenization>,
    pub(crate) environment: Environment,
    /// At least one.
    pub(crate) devices: Vec<ResolvedDevice>,
    pub(crate) precision: Precision,
}

impl Plan {
    /// The masks' metadata: what is known before the first row.
    pub fn metadata(&self) -> serde_json::Value {
        let selection = |column: &str, by: &str, keep: f64| json!({"column": column, "by": by, "keep_lowest": keep});
        json!({
            "format_version": 1,
            "reference": {"fingerprint": self.model_fingerprint, "vocabulary": self.vocabulary},
            "tokenizer": {"fingerprint": self.tokenizer_fingerprint},
            "provider": self.device.split(':').next(),
            "precision": self.precision,
            "context": self.context,
            "overlap": self.overlap,
            "bos": self.bos,
            "eos": self.eos,
            "scope": self.scope,
            "scope_tokens": self.scope_tokens,
            "selections": [
                selection("mask_loss", "loss", self.keep_loss),
                selection("mask_entropy", "entropy", self.keep_entropy),
                {"column": "mask_intersection", "and": ["mask_loss", "mask_entropy"]},
            ],
        })
    }

    /// Whether the masks go to standard output.
    pub fn to_standard_output(&self) -> bool {
        self.out.as_os_str() == "-"
    }

    /// Everything that must be the same for a run to be gone on with: what the masks and their bytes follow from.
    pub(crate) fn what_changes_masks(&self) -> serde_json::Value {
        json!({
            "metadata": self.metadata(),
            "library_version": self.library_version,
            "batch_tokens": self.batch_tokens,
            "look_ahead_documents": self.look_ahead_documents,
            "look_ahead_tokens": self.look_ahead_tokens,
            "text_field": self.text_field,
            "tokens_field": self.tokens_field,
            "id_field": self.id_field,
            "lines": self.lines,
            "max_document_bytes": self.max_document_bytes,
            "score_dtype": self.score_type,
            "compression": self.compression,
            "keep_text": self.keep_text,
            "shard_size": self.shard_bytes,
        })
    }

    /// How the corpus is read.
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            text_field: self.text_field.clone(),
            tokens_field: self.tokens_field.clone(),
            id_field: self.id_field.clone(),
            lines: self.lines,
            max_document_bytes: self.max_document_bytes,
        }
    }
}

/// Resolves the arguments of `score`.
pub(crate) fn resolve(args: &ScoreArgs) -> anyhow::Result<Prepared> {
    let found = find_shards(&args.corpus)?;
    if let Some(first) = found.ignored.first() {
        let count = found.ignored.len();
        terminal::line(&format!(
            "note: {count} files of no known kind are left out, such as {}",
            first.display()
        ));
    }
    if args.out.as_os_str() != "-" {
        MasksFolder::check(&args.out)?;
    } else if args.restart {
        return Err(Advised::error(
            "--restart: expected a folder to start over in, got --out -",
            "leave --restart out",
        ));
    }
    let rank = ranks::resolve(args.rank, args.world_size, &|name| std::env::var(name).ok())?;
    if let Some(from) = rank.from {
        let (rank, of) = (rank.rank, rank.world_size);
        terminal::line(&format!("note: rank {rank} of {of}, by {from}"));
    }

    let mut libraries = LibraryOptions::from_environment();
    libraries.path = args.ort_lib.clone();
    let model = match &args.model {
        Some(model) => checkpoint::reference(model, &args.device, &libraries)?,
        None => {
            terminal::line(&format!("note: {}", demo::NOTICE));
            demo::folder(&libraries.cache)?
        }
    };
    let source = Source::find(&model)?;
    let reference = OpenedReference::open(&source)?;
    let (tokenizer, tokenization) = tokenizer(args, &source, &reference)?;
    let (context, overlap) = windows(args, &source)?;
    let threads = positive(args.threads, "threads")?.unwrap_or_else(cores);
    let batch_tokens = positive(args.batch_tokens, "batch-tokens")?;
    let max_document_bytes = positive(args.max_document_bytes, "max-document-bytes")?
        .unwrap_or(ReadOptions::default().max_document_bytes);

    let library = library(&mut libraries, &args.device)?;
    let environment = library::load(&library)?;
    let devices = args.device.resolve(&environment)?;
    // All of one kind.
    let device = devices[0];
    let precision = precision(args, &source, &reference, device)?;
    reference.check_precision(precision, device)?;
    if precision == Precision::Int8 && Multiplier::detect(precision)? == Multiplier::Int8Portable {
        terminal::line(
            "note: this processor has no instructions for int8 products that rho-mask knows: --precision int8 is slower \
             than f32 here",
        );
    }
    let batch_tokens = batch_tokens.unwrap_or(match device {
        ResolvedDevice::Cpu => 1024,
        ResolvedDevice::Cuda(_) => 16_384,
    });
    let keep = |own: Option<KeepRatio>| own.or(args.keep).map_or(DEFAULT_KEEP, KeepRatio::get);
    let hash = |files: &[PathBuf]| {
        fingerprint(files).context("cannot read the reference to take its fingerprint")
    };
    let special = |rule, tokens: Option<&Vec<u32>>| SpecialTokens {
        rule,
        tokens: tokens.cloned().unwrap_or_default(),
    };
    let mut plan = Plan {
        shards: found.shards.iter().map(|s| s.name.clone()).collect(),
        bytes: found.shards.iter().map(|s| s.bytes).sum(),
        out: args.out.clone(),
        model: source.model.clone(),
        model_fingerprint: hash(&reference.files())?,
        vocabulary: reference.vocabulary(),
        tokenizer_fingerprint: tokenizer.clone().map(|t| hash(&[t])).transpose()?,
        tokenizer,
        library: library.path,
        library_version: library.version,
        device: match device {
            ResolvedDevice::Cuda(_) if devices.len() > 1 => args.device.to_string(),
            device => device.to_string(),
        },
        precision: match precision {
            Precision::AsStored => stored(&reference),
            reduced => reduced.to_string(),
        },
        threads,
        context,
        overlap,
        bos: special(args.bos, tokenization.as_ref().map(|t| &t.prefix)),
        eos: special(args.eos, tokenization.as_ref().map(|t| &t.suffix)),
        batch_tokens,
        look_ahead_documents: LOOK_AHEAD_DOCUMENTS,
        look_ahead_tokens: LOOK_AHEAD_BATCHES * batch_tokens,
        keep_loss: keep(args.keep_loss),
        keep_entropy: keep(args.keep_entropy),
        scope: args.scope,
        scope_tokens: Batches::PAPER,
        text_field: args.text_field.clone(),
        tokens_field: args.tokens_field.clone(),
        id_field: args.id_field.clone(),
        lines: args.lines,
        max_document_bytes,
        score_type: match args.score_dtype {
            ScoreDtype::Float32 => ScoreType::Float32,
            ScoreDtype::Float16 => ScoreType::Float16,
        },
        compression: match args.compression {
            MaskCompression::None => BatchCompression::None,
            MaskCompression::Zstd => BatchCompression::Zstd,
        },
        keep_text: args.keep_text,
        shard_bytes: args.shard_size,
        strict: args.strict,
        max_rejected: args.max_rejected,
        rank: rank.rank,
        world_size: rank.world_size,
        memory: Memory::default(),
    };
    plan.memory = Memory::of(&plan);
    Ok(Prepared {
        plan,
        shards: found.shards,
        reference,
        tokenization,
        environment,
        devices,
        precision,
    })
}

/// Finds the library for a device, or installs it and says so. For `auto` one with CUDA comes first, if it is there.
fn library(options: &mut LibraryOptions, device: &Device) -> anyhow::Result<Library> {
    options.cuda = *device != Device::Cpu;
    if *device == Device::Auto {
        if let (_, Ok(library)) = library::find(options) {
            return Ok(library);
        }
        options.cuda = false;
    }
    Ok(library::find_or_install(options, &mut say)?)
}

/// A line about the library.
pub(crate) fn say(text: &str) {
    terminal::line(&format!("onnxruntime: {text}"));
}

/// The tokenizer's file and the tokenizer, checked against the model; none where token ids are scored.
fn tokenizer(
    args: &ScoreArgs,
    source: &Source,
    reference: &OpenedReference,
) -> anyhow::Result<(Option<PathBuf>, Option<Tokenization>)> {
    if let Some(field) = &args.tokens_field {
        if args.bos == SpecialToken::Always || args.eos == SpecialToken::Always {
            return Err(Advised::error(
                format!(
                    "--tokens-field {field}: token ids are taken as they are, but --bos or --eos says always"
                ),
                "leave --bos and --eos out, and put the tokens into the ids",
            ));
        }
        // Only shown and fingerprinted, so that a reader of the masks can compare.
        let named = args.tokenizer.clone().or_else(|| source.tokenizer.clone());
        let Some(path) = named.map(|p| {
            if p.is_dir() {
                p.join("tokenizer.json")
            } else {
                p
            }
        }) else {
            return Ok((None, None));
        };
        let tokenization = Tokenization::load(
            &path,
            SpecialToken::Never,
            SpecialToken::Never,
            &source.config,
        )?;
        tokenization.must_fit(&path, reference.vocabulary())?;
        return Ok((Some(path), Some(tokenization)));
    }
    let Some(path) = args.tokenizer.clone().or_else(|| source.tokenizer.clone()) else {
        return Err(Advised::error(
            format!(
                "{}: expected tokenizer.json beside the model, got none",
                source.model.display()
            ),
            "name it with --tokenizer, or score token ids with --tokens-field",
        ));
    };
    let path = if path.is_dir() {
        path.join("tokenizer.json")
    } else {
        path
    };
    let tokenization = Tokenization::load(&path, args.bos, args.eos, &source.config)?;
    tokenization.must_fit(&path, reference.vocabulary())?;
    Ok((Some(path), Some(tokenization)))
}

/// In what the weights are stored.
fn stored(reference: &OpenedReference) -> String {
    match reference.is_stored_in_8_bits() {
        true => Precision::Int8.to_string(),
        false => format!("{:?}", reference.precision()).to_lowercase(),
    }
}

/// What `--precision` means for this model.
fn precision(
    args: &ScoreArgs,
    source: &Source,
    reference: &OpenedReference,
    device: ResolvedDevice,
) -> anyhow::Result<Precision> {
    let in_8_bits = reference.is_stored_in_8_bits();
    match args.precision {
        PrecisionChoice::Auto if in_8_bits && device == ResolvedDevice::Cpu => Ok(Precision::Int8),
        PrecisionChoice::Auto => Ok(Precision::AsStored),
        PrecisionChoice::Bf16 => Ok(Precision::Bf16),
        PrecisionChoice::Int8 => Ok(Precision::Int8),
        PrecisionChoice::F32 if reference.precision() == DataType::F32 && !in_8_bits => {
            Ok(Precision::AsStored)
        }
        PrecisionChoice::F32 => Err(Advised::error(
            format!(
                "{}: --precision f32: expected weights stored in f32, got {}",
                source.model.display(),
                stored(reference)
            ),
            "leave --precision out to compute as the model is stored, or export it in f32",
        )),
    }
}

/// Context and overlap.
fn windows(args: &ScoreArgs, source: &Source) -> anyhow::Result<(usize, usize)> {
    let most = source.config.max_positions;
    let context = args
        .context
        .unwrap_or_else(|| most.unwrap_or(MAX_DEFAULT_CONTEXT).min(MAX_DEFAULT_CONTEXT));
    if args.context.is_none() && most.is_none() {
        let shown = source.model.display();
        terminal::line(&format!(
            "note: {shown}: no config.json says how long inputs may be; taking {context} tokens (--context N changes it)"
        ));
    }
    if context < 2 || most.is_some_and(|most| context > most) {
        let most = most.map_or("any number".to_owned(), |m| m.to_string());
        return Err(Advised::error(
            format!("--context: expected 2 to {most} tokens, got {context}"),
            "the upper end is what the model's config.json allows",
        ));
    }
    let overlap = args.overlap.unwrap_or(context / 2);
    if overlap >= context {
        return Err(Advised::error(
            format!("--overlap: expected less than the context of {context} tokens, got {overlap}"),
            "half of the context is the default; 0 is fastest",
        ));
    }
    Ok((context, overlap))
}

fn positive(number: Option<usize>, name: &str) -> anyhow::Result<Option<usize>> {
    match number {
        Some(0) => Err(Advised::error(
            format!("--{name}: expected at least 1, got 0"),
            "leave it out for the default",
        )),
        number => Ok(number),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
