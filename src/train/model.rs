//! The model a run starts from, as far as the plan needs it: its configuration, its tokenizer, and the files that go
//! into the run's folder beside the weights.

use std::path::{Path, PathBuf};

use rho_checkpoint::Outline;

use crate::{
    cli::TrainArgs,
    hinted_error::HintedError,
    hub::{self, Need},
    terminal,
    tokenization::TokenizerFiles,
};

/// The model's path and the files beside it.
pub(super) struct Model {
    /// The checkpoint's folder, or the folder of the config.json of a model from scratch.
    pub(super) folder: PathBuf,
    /// config.json of a model from scratch; None for a checkpoint.
    pub(super) initial: Option<PathBuf>,
    /// Its configuration.
    pub(super) config: Outline,
    /// The tokenizer's files, if it has any.
    pub(super) tokenizer: Option<TokenizerFiles>,
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
                return Err(HintedError::error(
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
            return Err(HintedError::error(
                format!(
                    "{}: expected a model's config.json, got nothing",
                    config_file.display()
                ),
                "name a Hugging Face checkpoint folder with --model, or a config.json with --init",
            ));
        }
        let mut files = vec![config_file];
        files.push(folder.join("generation_config.json"));
        let config = Outline::of_files(files.iter().filter(|file| file.is_file()))?;
        let beside = Some(folder.join("tokenizer.json")).filter(|file| file.is_file());
        let tokenizer = tokenizer.or(beside);
        let tokenizer = tokenizer
            .map(|path| TokenizerFiles::open(&path))
            .transpose()?;
        for note in tokenizer.iter().flat_map(TokenizerFiles::notes) {
            terminal::once(&format!("note: {note}"));
        }
        Ok(Self {
            tokenizer,
            folder,
            initial,
            config,
        })
    }

    /// SHA-256 of the tokenizer.
    pub(super) fn tokenizer_fingerprint(&self) -> Option<String> {
        let files = self.tokenizer.as_ref();
        files.map(|files| files.fingerprint().to_owned())
    }
}
