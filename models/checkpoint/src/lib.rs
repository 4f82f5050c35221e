//! Hugging Face checkpoints: the configuration, the tensors, and the decoder that both describe. Used by the exporter,
//! the trainer and the reference. Weights are read only on request.
//!
//! ```text
//! config.json ─────────────────────► Settings: typed; each is read, known to have no effect, or refused
//! model.safetensors, or its index ─► Weights:  name ► file, offset, dtype, shape, scales
//! both ── families ────────────────► Decoder:  norms, attention, rotation, feed-forward blocks, multipliers
//! config.json, generation_config.json ► Outline: longest input, vocabulary size, BOS and EOS
//! all of them, byte by byte ───────► fingerprint
//! ```

mod data_type;
pub mod decoder;
mod error;
pub mod families;
pub mod memory_map;
mod multimodal;
mod quantised;
pub mod rope;
mod settings;
mod settings_without_effect;
mod size_bounds;
pub mod to_f32;
mod token_settings;
mod weights;

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use quantised::Quantisation;
use sha2::{Digest, Sha256};

pub use data_type::DataType;
pub use decoder::Decoder;
pub use error::CheckpointError;
pub use rope::Rotation;
pub use settings::Settings;
pub use token_settings::Outline;
pub use weights::{Rows, Stored, Weights};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// File name of the configuration.
pub const CONFIG: &str = "config.json";

/// The generation settings; only the EOS tokens are used.
const GENERATION: &str = "generation_config.json";

/// The configuration of a PEFT adapter: Transformers looks for one beside the weights.
const ADAPTER: &str = "adapter_config.json";

/// Files that are copied with a model into a new folder, if they exist.
pub const COMPANIONS: [&str; 6] = [
    GENERATION,
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
];

/// A checkpoint whose configuration and headers have been read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The folder.
    pub folder: PathBuf,
    /// The settings of the language model.
    pub settings: Settings,
    /// The tensors of the language model.
    pub weights: Weights,
    /// Human-readable notes: what was skipped, or read differently from how it is stored.
    pub notes: Vec<String>,
}

impl Checkpoint {
    /// Whether a folder looks like a checkpoint: a configuration and safetensors.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(CONFIG).is_file()
            && [weights::SINGLE, weights::INDEX]
                .iter()
                .any(|name| folder.join(name).is_file())
    }

    /// Reads the configuration and the headers of the weights.
    ///
    /// # Errors
    /// When the folder holds no checkpoint, a file cannot be read or is damaged, an adapter is beside the weights, or
    /// the quantisation is not supported.
    pub fn open(folder: &Path) -> Result<Self, CheckpointError> {
        Self::open_ignoring(folder, &[])
    }

    /// As [`Checkpoint::open`], but treats the settings in `ignored` (full names) as absent.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn open_ignoring(folder: &Path, ignored: &[String]) -> Result<Self, CheckpointError> {
        let config = folder.join(CONFIG);
        if !config.is_file() {
            return Err(CheckpointError::NotACheckpoint {
                path: folder.to_owned(),
                got: match folder.is_dir() {
                    true => "a folder without config.json".to_owned(),
                    false if folder.exists() => "a file".to_owned(),
                    false => "nothing: it does not exist".to_owned(),
                },
            });
        }
        // It is needed only for scoring and training; a broken file is refused here already.
        let generation = folder.join(GENERATION);
        if generation.is_file() {
            settings::read_object(&generation)?;
        }
        let adapter = folder.join(ADAPTER);
        if adapter.is_file() {
            return Err(CheckpointError::Adapter { path: adapter });
        }
        let settings = Settings::read(&config, ignored)?;
        let weights = Weights::find(folder)?;
        let mut notes = Vec::new();
        if folder.join(weights::SINGLE).is_file() && folder.join(weights::INDEX).is_file() {
            notes.push(format!(
                "{} and {} both exist: the first is taken, as in Transformers",
                weights::SINGLE,
                weights::INDEX
            ));
        }
        let quantisation = Quantisation::of(&settings)?;
        let (settings, mut weights, left_out) = multimodal::unwrap(settings, weights)?;
        notes.extend(left_out);
        if let Some(quantisation) = quantisation {
            notes.push(quantisation.attach(&mut weights)?);
        }
        Ok(Self {
            folder: folder.to_owned(),
            settings: settings.bounded(size_bounds::Bounds::of(&weights)),
            weights,
            notes,
        })
    }

    /// The `model_type`.
    pub fn family(&self) -> Option<&str> {
        self.settings.text_if("model_type").ok().flatten()
    }

    /// The decoder that the checkpoint describes.
    ///
    /// # Errors
    /// When the family is unknown, or a setting is unknown or not supported.
    pub fn decoder(&self) -> Result<Decoder, CheckpointError> {
        families::describe(&self.settings, Some(&self.weights))
    }

    /// The files beside the weights that a reference needs, as far as they exist.
    pub fn companions(&self) -> Vec<PathBuf> {
        let paths = COMPANIONS.iter().map(|name| self.folder.join(name));
        paths.filter(|path| path.is_file()).collect()
    }

    /// SHA-256, in hexadecimal, over everything that an export depends on: the configuration, companions and weights,
    /// each preceded by its name and size; and the ignored settings.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn fingerprint(&self) -> Result<String, CheckpointError> {
        let mut files = vec![self.settings.path().to_owned()];
        files.extend(self.companions());
        files.extend(self.weights.files().iter().cloned());
        let mut hash = Sha256::new();
        for path in files {
            let read = |source| CheckpointError::Read {
                path: path.clone(),
                source,
            };
            let mut file = rho_files::open_named(&path).map_err(read)?;
            let size = file.metadata().map_err(read)?.len();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            hash.update(format!("{name} {size}\n"));
            copy(&mut file, &mut hash).map_err(read)?;
        }
        for name in self.settings.ignored() {
            hash.update(format!("ignored {name}\n"));
        }
        let bytes = hash.finalize();
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn copy(from: &mut impl Read, hash: &mut Sha256) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_beside_the_weights_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), "{}").unwrap();
        std::fs::write(folder.path().join(ADAPTER), "{}").unwrap();
        let error = Checkpoint::open(folder.path()).unwrap_err();
        assert!(matches!(error, CheckpointError::Adapter { .. }), "{error}");
    }

    #[test]
    fn a_broken_generation_config_is_refused_before_anything_is_made_of_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(CONFIG), "{}").unwrap();
        std::fs::write(folder.path().join(GENERATION), "{").unwrap();
        let error = Checkpoint::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains(GENERATION), "{error}");
    }
}
