//! The models of a run and what they require: one tokenizer, a context that all can take, the precisions.
//!
//! All models score the same token ids, so the ids must mean the same tokens to all of them.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use rho_checkpoint::Outline;
use rho_formats::TopColumns;
use rho_graph::DataType;
use rho_reference::{
    Device, Precision, ReferenceModel, ResolvedDevice, Source, fingerprint::fingerprint,
};
use rho_runtime::LibraryOptions;

use super::{PlannedModel, PlannedServer, ScoringRequest, columns::ScoreColumns};
use crate::{
    checkpoint::{self, Say},
    cli::{ModelArgs, PrecisionChoice, ServerArgs, SpecialToken},
    hinted_error::HintedError,
    hub::{self, Need},
    reference_server::{Server, ServerAddress, ServerOptions, is_server},
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

enum Model {
    Local(Box<LocalModel>),
    Server(ServerModel),
}

/// A model in files.
struct LocalModel {
    /// The path that was typed; none for the bundled model.
    as_typed: Option<PathBuf>,
    /// The path of the model, which may be in a cache.
    typed: PathBuf,
    source: Source,
    opened: ReferenceModel,
}

/// A model on a server.
struct ServerModel {
    address: ServerAddress,
    options: ServerOptions,
    /// None until the server is asked.
    server: Option<Arc<Server>>,
}

/// A model that can be loaded.
#[derive(Clone)]
pub(crate) enum OpenedModel {
    /// Its graph has been read.
    Local(Box<ReferenceModel>),
    /// Its server was asked.
    Server(Arc<Server>),
}

/// The precision of a model on a server.
const UNKNOWN: &str = "unknown";

impl Model {
    /// Most tokens that it sees at once, if that is known.
    fn max_positions(&self) -> Option<usize> {
        match self {
            Self::Local(local) => local.source.config.max_positions,
            Self::Server(on_server) => on_server.server.as_ref()?.context(),
        }
    }

    /// For messages.
    fn shown(&self) -> String {
        match self {
            Self::Local(local) => local.source.model.display().to_string(),
            Self::Server(on_server) => on_server.address.to_string(),
        }
    }
}

impl ServerModel {
    fn open(path: &Path, args: ServerArgs) -> anyhow::Result<Self> {
        Ok(Self {
            address: ServerAddress::parse(path)?,
            options: ServerOptions {
                concurrency: args.server_concurrency.into(),
                retries: args.server_retries.into(),
                timeout: args.server_timeout.into(),
            },
            server: None,
        })
    }

    fn planned(&self) -> PlannedModel {
        let habits = self.server.as_ref().map(|server| server.habits());
        PlannedModel {
            name: self.address.name.clone(),
            hub: None,
            typed: None,
            server: Some(PlannedServer {
                url: self.address.url(),
                habits,
                options: self.options,
            }),
            path: PathBuf::new(),
            fingerprint: String::new(),
            bytes: 0,
            vocabulary: self.server.as_ref().map_or(0, |server| server.vocabulary()),
            ignored_settings: Vec::new(),
            precision: UNKNOWN.to_owned(),
        }
    }
}

impl LocalModel {
    fn planned(&self, precision: Precision) -> anyhow::Result<PlannedModel> {
        let files = self.opened.files();
        let sizes = files.iter().map(|file| fs::metadata(file).map(|m| m.len()));
        let hub = hub::name(&self.typed);
        let typed = self.as_typed.as_ref().filter(|_| hub.is_none());
        let bundled = || self.as_typed.is_none().then(|| BUNDLED.to_owned());
        Ok(PlannedModel {
            typed: typed.map(|path| path.to_string_lossy().into_owned()),
            hub: hub.or_else(bundled),
            name: name(&self.typed),
            server: None,
            path: self.source.model.clone(),
            fingerprint: hash(&files)?,
            bytes: sizes
                .sum::<Result<u64, _>>()
                .context("cannot read the sizes of the model's files")?,
            vocabulary: self.opened.vocabulary(),
            ignored_settings: self.opened.ignored_settings(),
            precision: match precision {
                Precision::AsStored => self.stored(),
                reduced => reduced.to_string(),
            },
        })
    }

    fn precision(
        &self,
        choice: PrecisionChoice,
        device: ResolvedDevice,
    ) -> anyhow::Result<Precision> {
        let in_8_bits = self.opened.is_stored_in_8_bits();
        let precision = match choice {
            PrecisionChoice::Auto if in_8_bits && device == ResolvedDevice::Cpu => Precision::Int8,
            PrecisionChoice::Auto | PrecisionChoice::F32 => Precision::AsStored,
            PrecisionChoice::Bf16 => Precision::Bf16,
            PrecisionChoice::Int8 => Precision::Int8,
        };
        let in_f32 = self.opened.precision() == DataType::F32 && !in_8_bits;
        if choice == PrecisionChoice::F32 && !in_f32 {
            return Err(HintedError::error(
                format!(
                    "{}: --precision f32: expected weights stored in f32, got {}",
                    self.source.model.display(),
                    self.stored()
                ),
                "omit --precision to compute as the model is stored, or export it in f32",
            ));
        }
        self.opened.check_precision(precision, device)?;
        Ok(precision)
    }

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
        must_be_alone(&request.references)?;
        paths.extend(request.base.as_ref().map(typed));
        let open = |(path, as_typed): (PathBuf, Option<PathBuf>)| {
            if is_server(&path) {
                let args = request.servers.ok_or_else(only_local)?;
                return Ok(Model::Server(ServerModel::open(&path, args)?));
            }
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
            anyhow::Ok(Model::Local(Box::new(LocalModel {
                as_typed,
                typed,
                source,
                opened,
            })))
        };
        let models: Vec<Model> = paths.into_iter().map(open).collect::<Result<_, _>>()?;
        let models = Self { models, references };
        let ignored: Vec<String> = models
            .local()
            .flat_map(|model| model.opened.ignored_settings())
            .collect();
        checkpoint::must_be_there(
            &request.model_args.ignore_setting,
            ignored.iter().map(String::as_str),
        )?;
        Ok(models)
    }

    /// The models in files.
    fn local(&self) -> impl Iterator<Item = &LocalModel> {
        self.models.iter().filter_map(|model| match model {
            Model::Local(local) => Some(&**local),
            Model::Server(_) => None,
        })
    }

    /// Whether a model is in files, so that it needs ONNX Runtime and a device.
    pub(super) fn any_local(&self) -> bool {
        self.local().next().is_some()
    }

    /// Asks the servers what they do.
    pub(super) fn connect(
        &mut self,
        tokenization: Option<&Tokenization>,
        args: &ModelArgs,
    ) -> anyhow::Result<()> {
        for model in &mut self.models {
            if let (Model::Server(on_server), Some(tokenization)) = (model, tokenization) {
                let address = on_server.address.clone();
                let server =
                    Server::connect(address, on_server.options, tokenization, args.context)?;
                on_server.server = Some(Arc::new(server));
            }
        }
        Ok(())
    }

    /// Refuses options about how models compute, if all are on servers.
    pub(super) fn must_compute_elsewhere(&self, args: &ModelArgs) -> anyhow::Result<()> {
        let given = [
            ("--device", args.device != Device::default()),
            ("--precision", args.precision != PrecisionChoice::default()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(HintedError::error(
                format!(
                    "{option}: expected a model in files, got one on a server, which decides itself"
                ),
                format!("omit {option}"),
            )),
            None => Ok(()),
        }
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
        let Model::Local(reference) = &self.models[0] else {
            return Err(HintedError::error(
                "--top: expected a reference in files, got one on a server, which does not give as many for each position",
                "omit --top",
            ));
        };
        let vocabulary = reference.opened.vocabulary();
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

    /// Token ids must be below this for all models. Of a model on a server, those of the tokenizer are known.
    pub(super) fn vocabulary(&self, tokenization: Option<&Tokenization>) -> usize {
        let of_tokenizer = || {
            let ids = tokenization.map(Tokenization::ids).unwrap_or_default();
            ids.last().map_or(0, |&id| id as usize + 1)
        };
        let vocabularies = self.models.iter().map(|model| match model {
            Model::Local(local) => local.opened.vocabulary(),
            Model::Server(_) => of_tokenizer(),
        });
        vocabularies.min().unwrap_or(0)
    }

    /// The tokenizer's files and the tokenizer. Both may be none if token ids are scored.
    pub(super) fn tokenizer(
        &self,
        request: &ScoringRequest,
    ) -> anyhow::Result<(Option<TokenizerFiles>, Option<Tokenization>)> {
        let args = &request.model_args;
        let first = self.local().next();
        let named = args.tokenizer.as_ref();
        let named = named.map(|path| hub::resolve(path, Need::Tokenizer));
        let named = named.transpose()?;
        let on_server = self.models.iter().find(|m| matches!(m, Model::Server(_)));
        if let (None, Some(model)) = (&named, on_server) {
            return Err(HintedError::error(
                format!(
                    "{}: expected --tokenizer with a model on a server, got none",
                    model.shown()
                ),
                "name the tokenizer of the server's model: its token ids are sent",
            ));
        }
        let beside = first.and_then(|model| model.source.tokenizer.clone());
        let named = named.or(beside);
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
                    self.models[0].shown()
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
        let config = first.map(|model| model.source.config.clone());
        let tokenization = Tokenization::load(&files, bos, eos, &config.unwrap_or_default())?;
        tokenization.must_frame(self.vocabulary(Some(&tokenization)))?;
        Ok((Some(files), Some(tokenization)))
    }

    /// Refuses models with different tokenizers beside them, or, if tokenizers are missing, with different
    /// vocabularies.
    fn must_tokenize_alike(&self) -> anyhow::Result<()> {
        let local: Vec<&LocalModel> = self.local().collect();
        let Some((&first, others)) = local.split_first() else {
            return Ok(());
        };
        let hashed = |model: &LocalModel| {
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
        let precision = |model: &Model| match model {
            Model::Local(local) => local.precision(args.precision, device),
            // It computes in what it was loaded in there.
            Model::Server(_) => Ok(Precision::AsStored),
        };
        self.models.iter().map(precision).collect()
    }

    /// Context and overlap, as the model with the shortest context allows.
    pub(super) fn windows(&self, args: &ModelArgs) -> anyhow::Result<(usize, usize)> {
        let most = self.models.iter().filter_map(Model::max_positions).min();
        let context = args
            .context
            .unwrap_or_else(|| most.unwrap_or(MAX_DEFAULT_CONTEXT).min(MAX_DEFAULT_CONTEXT));
        let unknown = self
            .models
            .iter()
            .find(|model| model.max_positions().is_none());
        if args.context.is_none()
            && let Some(model) = unknown
        {
            let what = match model {
                Model::Local(_) => "no config.json gives",
                Model::Server(_) => "the server does not report",
            };
            let shown = model.shown();
            terminal::line(&format!(
                "note: {shown}: {what} the maximum context; using {context} tokens (--context N changes it)"
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
        let planned = |(model, &precision): (&Model, &Precision)| match model {
            Model::Local(local) => local.planned(precision),
            Model::Server(on_server) => Ok(on_server.planned()),
        };
        self.models.iter().zip(precisions).map(planned).collect()
    }

    /// The models, ready to be loaded.
    pub(super) fn into_opened(self) -> Vec<OpenedModel> {
        let opened = |model: Model| match model {
            Model::Local(local) => Some(OpenedModel::Local(Box::new(local.opened))),
            Model::Server(on_server) => on_server.server.map(OpenedModel::Server),
        };
        self.models.into_iter().filter_map(opened).collect()
    }
}

/// What a server that was asked does, as names and facts.
///
/// # Errors
/// If it cannot be the reference with this tokenizer.
pub(crate) fn ask_server(
    model: &Path,
    tokenizer: &Path,
    args: ServerArgs,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let named = hub::resolve(tokenizer, Need::Tokenizer)?;
    let files = TokenizerFiles::open(&named)?;
    let rules = (SpecialToken::Auto, SpecialToken::Auto);
    let tokenization = Tokenization::load(&files, rules.0, rules.1, &Outline::default())?;
    let on_server = ServerModel::open(model, args)?;
    let address = on_server.address.clone();
    let server = Server::connect(address, on_server.options, &tokenization, None)?;
    let habits = server.habits();
    let context = server
        .context()
        .map_or("not reported: set --context".to_owned(), |context| {
            format!("{context} tokens")
        });
    let prompts = match habits.batches {
        true => "token ids, several in a request",
        false => "token ids, one in a request",
    };
    Ok(vec![
        ("model", on_server.address.to_string()),
        ("context", context),
        ("prompts", prompts.to_owned()),
        ("max_tokens", habits.max_tokens.to_string()),
        ("log-probs", "of every token that was sent".to_owned()),
    ])
}

/// Refuses a server among several references: their entropies could not be combined.
fn must_be_alone(references: &[PathBuf]) -> anyhow::Result<()> {
    match references.len() > 1 && references.iter().any(|model| is_server(model)) {
        true => Err(HintedError::error(
            format!(
                "--model: expected a server to be the only reference, got {} references",
                references.len()
            ),
            "a server gives no entropies that could be combined: score with each of them by itself",
        )),
        false => Ok(()),
    }
}

/// The refusal of a server by commands that need more than losses.
fn only_local() -> anyhow::Error {
    HintedError::error(
        "--model: expected a model in files, got one on a server",
        "only `score`, `worker` and `serve` take a server as the reference",
    )
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
