//! The model that a run starts from, as far as a plan needs it: its configuration, its tokenizer, and what goes into the
//! run's folder beside the weights.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rho_reference::source::{Config, fingerprint};

use crate::{
    cli::TrainArgs,
    hint::Advised,
    hub::{self, Need},
};

/// Where the model is and what stands beside it.
pub(super) struct Model {
    /// The checkpoint's folder, or that of the config.json that is begun with.
    pub(super) folder: PathBuf,
    /// config.json of a model from scratch; none where there are weights.
    pub(super) initial: Option<PathBuf>,
    /// What its configuration says.
    pub(super) config: Config,
    /// tokenizer.json, where there is one.
    pub(super) tokenizer: Option<PathBuf>,
}

impl Model {
    /// Finds the files. Reads no weights.
    pub(super) fn find(args: &TrainArgs) -> anyhow::Result<Self> {
        let named = |typed: &Option<PathBuf>, need| {
            let path = typed.as_ref().map(|path| hub::resolve(path, need));
            path.transpose()
        };
        let model = named(&args.model, Need::Model)?;
        let init = named(&args.init, Need::Configuration)?;
        let tokenizer = named(&args.tokenizer, Need::Tokenizer)?;
        let (folder, initial) = match (&model, &init) {
            (Some(folder), _) => (folder.clone(), None),
            (None, Some(config)) if config.is_dir() => {
                (config.clone(), Some(config.join("config.json")))
            }
            (None, Some(config)) => {
                let folder = config.parent().unwrap_or(Path::new(""));
                (folder.to_owned(), Some(config.clone()))
            }
            (None, None) => {
                return Err(Advised::error(
                    "expected a model to train, got none",
                    "name a checkpoint folder with --model, or a config.json with --init",
                ));
            }
        };
        let config_file = match &initial {
            Some(file) => file.clone(),
            None => folder.join("config.json"),
        };
        if !config_file.is_file() {
            return Err(Advised::error(
                format!(
                    "{}: expected a model's config.json, got nothing",
                    config_file.display()
                ),
                "name a Hugging Face checkpoint folder with --model, or a config.json with --init",
            ));
        }
        let mut files = vec![config_file];
        files.push(folder.join("generation_config.json"));
        let config = Config::of_files(files.iter().filter(|file| file.is_file()))?;
        let named = tokenizer.map(|path| match path.is_dir() {
            true => path.join("tokenizer.json"),
            false => path,
        });
        let beside = Some(folder.join("tokenizer.json")).filter(|file| file.is_file());
        Ok(Self {
            tokenizer: named.or(beside),
            folder,
            initial,
            config,
        })
    }

    /// SHA-256 of the tokenizer.
    pub(super) fn tokenizer_fingerprint(&self) -> anyhow::Result<Option<String>> {
        let tokenizer = self.tokenizer.as_ref().map(|path| {
            fingerprint(std::slice::from_ref(path))
                .with_context(|| format!("{}: cannot be read", path.display()))
        });
        tokenizer.transpose()
    }
}
