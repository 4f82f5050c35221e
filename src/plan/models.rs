//! The models of a run and what they require: one tokenizer, a context that all can take, the precisions.
//!
//! All models score the same token ids, so the ids must mean the same tokens to all of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use rho_formats::TopColumns;
use rho_graph::DataType;
use rho_reference::{Precision, ReferenceModel, ResolvedDevice, Source, fingerprint::fingerprint};
use rho_runtime::LibraryOptions;

use super::{PlannedModel, ScoringRequest, columns::ScoreColumns};
use crate::{
    checkpoint::{self, Say},
    cli::{ModelArgs, PrecisionChoice, SpecialToken},
    hinted_error::HintedError,
    hub::{self, Need},
    terminal,
    tokenization::{Tokenization, TokenizerFiles},
};

/// The name of the bundled model in the metadata.
const BUNDLED: &str = "the bundled demonstration model";
/// Longer contexts must be requested: the attention of most exports takes memory quadratic in the context.
const MAX_DEFAULT_CONTEXT: usize = 1024;

/// The references and the base, with their graphs read.
pub(super) struct Models {
    /// The references first, at least one; then the base, if there is one.
    models: Vec<Model>,
    references: usize,
}

struct Model {
    /// The path that was typed; none for the bundled model.
    as_typed: Option<PathBuf>,
    /// The path of the model, which may be in a cache.
    typed: PathBuf,
    source: Source,
    opened: ReferenceModel,
}

impl Model {
    /// The type in which the weights are stored.
    fn stored(&self) -> String {
        match self.opened.is_stored_in_8_bits() {
            true => Precision::Int8.to_string(),
            false => format!("{:?}", self.opened.precision()).to_lowercase(),
        }
    }
}

impl Models {
    /// Opens all models of the request; `otherwise` gives the path of a reference if the request names none.
    pub(super) fn open(
        request: &ScoringRequest,
        libraries: &LibraryOptions,
        otherwise: impl FnOnce() -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Self> {
        let typed = |path: &PathBuf| (path.clone(), Some(path.clone()));
        let mut paths: Vec<_> = request.references.iter().map(typed).collect();
        if paths.is_empty() {
            paths.push((otherwise()?, None));
        }
        let references = paths.len();
        paths.extend(request.base.as_ref().map(typed));
        let open = |(path, as_typed): (PathBuf, Option<PathBuf>)| {
            let typed = hub::resolve(&path, Need::Model)?;
            let source = checkpoint::reference(
                &typed,
                &request.model_args.ignore_setting,
                &request.model_args.device,
                libraries,
                Say::All,
            )?;
            let source = Source::find(&source)?;
            let opened = ReferenceModel::open(&source)?;
            anyhow::Ok(Model {
                as_typed,
                typed,
                source,
                opened,
            })
        };
        let models: Vec<Model> = paths.into_iter().map(open).collect::<Result<_, _>>()?;
        let ignored: Vec<String> = models
            .iter()
            .flat_map(|model| model.opened.ignored_settings())
            .collect();
        checkpoint::must_be_there(
            &request.model_args.ignore_setting,
            ignored.iter().map(String::as_str),
        )?;
        Ok(Self { models, references })
    }

    /// The score columns of the models.
    pub(super) fn columns(&self, request: &ScoringRequest) -> anyhow::Result<ScoreColumns> {
        if request.combine.is_some() && self.references == 1 {
            return Err(HintedError::error(
                "--combine: expected several references, got one",
                "name each with --model, or omit --combine",
            ));
        }
        Ok(ScoreColumns::of(request, self.references))
    }

    /// How many of the most likely tokens are stored for each position, as `--top` says.
    pub(super) fn top(&self, top: Option<usize>) -> anyhow::Result<Option<usize>> {
        let Some(count) = top else { return Ok(None) };
        if self.references > 1 {
            return Err(HintedError::error(
                format!("--top: expected one reference, got {}", self.references),
                "the most likely tokens of several references cannot be combined: score with each of them by itself",
            ));
        }
        let vocabulary = self.models[0].opened.vocabulary();
        let most = TopColumns::MOST.min(vocabulary);
        if !(1..=most).contains(&count) {
            let hint = match most == vocabulary {
                true => format!("the model's vocabulary has {vocabulary} tokens"),
                false => "choose a smaller number, or omit --top".to_owned(),
            };
            return Err(HintedError::error(
                format!("--top: expected 1 to {most} tokens for each position, got {count}"),
                hint,
            ));
        }
        Ok(Some(count))
    }

    /// Token ids must be below this for all models.
    pub(super) fn vocabulary(&self) -> usize {
        let vocabularies = self.models.iter().map(|m| m.opened.vocabulary());
        vocabularies.min().unwrap_or(0)
    }

    /// The tokenizer's files and the tokenizer. Both may be none if token ids are scored.
    pub(super) fn tokenizer(
        &self,
        request: &ScoringRequest,
    ) -> anyhow::Result<(Option<TokenizerFiles>, Option<Tokenization>)> {
        let args = &request.model_args;
        let first = &self.models[0];
        let named = args.tokenizer.as_ref();
        let named = named.map(|path| hub::resolve(path, Need::Tokenizer));
        let named = named.transpose()?.or(first.source.tokenizer.clone());
        let (mut bos, mut eos) = (args.bos, args.eos);
        if let Some(field) = &request.input.text.tokens_field {
            if bos == SpecialToken::Always || eos == SpecialToken::Always {
                return Err(HintedError::error(
                    format!(
                        "--tokens-field {field}: expected token ids that are used unchanged, got --bos or --eos always"
                    ),
                    "omit --bos and --eos, and put the tokens into the ids",
                ));
            }
            // The tokenizer is only displayed and fingerprinted, so that a reader of the masks can compare it.
            (bos, eos) = (SpecialToken::Never, SpecialToken::Never);
        } else if request.input.text.targets.messages_field.is_some() {
            // The chat template writes them.
            (bos, eos) = (SpecialToken::Never, SpecialToken::Never);
        }
        if named.is_none() && request.input.text.tokens_field.is_none() {
            return Err(HintedError::error(
                format!(
                    "{}: expected tokenizer.json beside the model, got none",
                    first.source.model.display()
                ),
                "name it with --tokenizer, or score token ids with --tokens-field",
            ));
        }
        // An explicit --tokenizer applies to all models: the user says that it is theirs.
        if args.tokenizer.is_none() {
            self.must_tokenize_alike()?;
        }
        let Some(named) = named else {
            return Ok((None, None));
        };
        let files = TokenizerFiles::open(&named)?;
        for note in files.notes() {
            terminal::once(&format!("note: {note}"));
        }
        let tokenization = Tokenization::load(&files, bos, eos, &first.source.config)?;
        tokenization.must_frame(self.vocabulary())?;
        Ok((Some(files), Some(tokenization)))
    }

    /// Refuses models with different tokenizers beside them, or, if tokenizers are missing, with different
    /// vocabularies.
    fn must_tokenize_alike(&self) -> anyhow::Result<()> {
        let Some((first, others)) = self.models.split_first() else {
            return Ok(());
        };
        let hashed = |model: &Model| {
            let path = model.source.tokenizer.as_ref();
            let hashed = path.map(|path| {
                let files = TokenizerFiles::open(path)?;
                anyhow::Ok((files.fingerprint().to_owned(), path.clone()))
            });
            hashed.transpose()
        };
        let of_first = if others.is_empty() {
            None
        } else {
            hashed(first)?
        };
        for other in others {
            let of_other = hashed(other)?;
            match (&of_first, of_other) {
                (Some((expected, first)), Some((got, other))) if *expected != got => {
                    return Err(HintedError::error(
                        format!(
                            "{}: expected the tokenizer of {} (SHA-256 {expected}), got another (SHA-256 {got})",
                            other.display(),
                            first.display()
                        ),
                        "use models with the same tokenizer, because they are compared token by token; if the files differ \
                         but mean the same, name one with --tokenizer",
                    ));
                }
                (Some(_), Some(_)) => {}
                _ if first.opened.vocabulary() != other.opened.vocabulary() => {
                    return Err(HintedError::error(
                        format!(
                            "{}: expected the vocabulary of {}, {} tokens, got {}",
                            other.typed.display(),
                            first.typed.display(),
                            first.opened.vocabulary(),
                            other.opened.vocabulary()
                        ),
                        "use models with the same tokenizer, because they are compared token by token, and put tokenizer.json beside each",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The precision of each model that `--precision` selects, on devices of this kind.
    pub(super) fn precisions(
        &self,
        args: &ModelArgs,
        device: ResolvedDevice,
    ) -> anyhow::Result<Vec<Precision>> {
        let precision = |model: &Model| {
            let in_8_bits = model.opened.is_stored_in_8_bits();
            let precision = match args.precision {
                PrecisionChoice::Auto if in_8_bits && device == ResolvedDevice::Cpu => {
                    Precision::Int8
                }
                PrecisionChoice::Auto | PrecisionChoice::F32 => Precision::AsStored,
                PrecisionChoice::Bf16 => Precision::Bf16,
                PrecisionChoice::Int8 => Precision::Int8,
            };
            let in_f32 = model.opened.precision() == DataType::F32 && !in_8_bits;
            if args.precision == PrecisionChoice::F32 && !in_f32 {
                return Err(HintedError::error(
                    format!(
                        "{}: --precision f32: expected weights stored in f32, got {}",
                        model.source.model.display(),
                        model.stored()
                    ),
                    "omit --precision to compute as the model is stored, or export it in f32",
                ));
            }
            model.opened.check_precision(precision, device)?;
            Ok(precision)
        };
        self.models.iter().map(precision).collect()
    }

    /// Context and overlap, as the model with the shortest context allows.
    pub(super) fn windows(&self, args: &ModelArgs) -> anyhow::Result<(usize, usize)> {
        let allowed = |model: &Model| model.source.config.max_positions;
        let most = self.models.iter().filter_map(allowed).min();
        let context = args
            .context
            .unwrap_or_else(|| most.unwrap_or(MAX_DEFAULT_CONTEXT).min(MAX_DEFAULT_CONTEXT));
        let unknown = self.models.iter().find(|model| allowed(model).is_none());
        if args.context.is_none()
            && let Some(model) = unknown
        {
            let shown = model.source.model.display();
            terminal::line(&format!(
                "note: {shown}: no config.json gives the maximum context; using {context} tokens (--context N changes it)"
            ));
        }
        if context < 2 || most.is_some_and(|most| context > most) {
            let most = most.map_or("any number".to_owned(), |m| m.to_string());
            return Err(HintedError::error(
                format!("--context: expected 2 to {most} tokens, got {context}"),
                "choose a context that the config.json of each model allows",
            ));
        }
        let overlap = args.overlap.unwrap_or(context / 2);
        if overlap >= context {
            return Err(HintedError::error(
                format!(
                    "--overlap: expected less than the context of {context} tokens, got {overlap}"
                ),
                "omit it for half of the context; 0 is fastest",
            ));
        }
        Ok((context, overlap))
    }

    /// The plan's entry for each model.
    pub(super) fn planned(&self, precisions: &[Precision]) -> anyhow::Result<Vec<PlannedModel>> {
        let planned = |(model, precision): (&Model, &Precision)| {
            let files = model.opened.files();
            let sizes = files.iter().map(|file| fs::metadata(file).map(|m| m.len()));
            let hub = hub::name(&model.typed);
            let typed = model.as_typed.as_ref().filter(|_| hub.is_none());
            let bundled = || model.as_typed.is_none().then(|| BUNDLED.to_owned());
            anyhow::Ok(PlannedModel {
                typed: typed.map(|path| path.to_string_lossy().into_owned()),
                hub: hub.or_else(bundled),
                name: name(&model.typed),
                path: model.source.model.clone(),
                fingerprint: hash(&files)?,
                bytes: sizes
                    .sum::<Result<u64, _>>()
                    .context("cannot read the sizes of the model's files")?,
                vocabulary: model.opened.vocabulary(),
                ignored_settings: model.opened.ignored_settings(),
                precision: match precision {
                    Precision::AsStored => model.stored(),
                    reduced => reduced.to_string(),
                },
            })
        };
        self.models.iter().zip(precisions).map(planned).collect()
    }

    /// The graphs, ready to be loaded.
    pub(super) fn into_opened(self) -> Vec<ReferenceModel> {
        self.models.into_iter().map(|model| model.opened).collect()
    }
}

/// The display name of a model: its name and commit on the Hub, or the last part of its path.
pub(crate) fn name(path: &Path) -> String {
    if let Some(name) = hub::name(path) {
        return name;
    }
    let whole = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let last = whole.file_name().unwrap_or(whole.as_os_str());
    last.to_string_lossy().into_owned()
}

/// SHA-256 of a model's files.
fn hash(files: &[PathBuf]) -> anyhow::Result<String> {
    fingerprint(files).context("cannot read the reference to compute its fingerprint")
}
