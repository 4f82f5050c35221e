//! A Hugging Face checkpoint: what its configuration says, and where its tensors lie. Reads no weights.
//!
//! ```text
//! config.json ─────────────────────────► Settings: typed, every error names file, setting, expected and got
//! model.safetensors, or its index ─────► Weights:  name ► file, offset, element type, axes
//! all of them, byte by byte ───────────► fingerprint
//! ```
//!
//! What the settings mean is left to [`crate::families`].

mod settings;
mod tokenizer;
mod weights;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::ExportError;

pub use settings::Settings;
pub(crate) use tokenizer::highest_token;
pub use weights::{Stored, Weights};

/// The configuration's name.
pub const CONFIG: &str = "config.json";

/// Files that go with a model into its new folder, where they are there.
pub(crate) const COMPANIONS: [&str; 4] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];

/// A checkpoint whose configuration and headers have been read.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The folder.
    pub folder: PathBuf,
    /// config.json.
    pub settings: Settings,
    /// The tensors.
    pub weights: Weights,
}

impl Checkpoint {
    /// Whether a folder looks like one: a configuration and safetensors.
    pub fn is_in(folder: &Path) -> bool {
        folder.join(CONFIG).is_file()
            && [weights::SINGLE, weights::INDEX]
                .iter()
                .any(|name| folder.join(name).is_file())
    }

    /// Reads configuration and headers, and refuses what cannot be read whole.
    pub fn open(folder: &Path) -> Result<Self, ExportError> {
        if !folder.join(CONFIG).is_file() {
            return Err(ExportError::NotACheckpoint {
                path: folder.to_owned(),
                got: match folder.is_dir() {
                    true => "a folder without config.json".to_owned(),
                    false if folder.exists() => "a file".to_owned(),
                    false => "nothing: it does not exist".to_owned(),
                },
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            settings: Settings::read(&folder.join(CONFIG))?,
            weights: Weights::find(folder)?,
        })
    }

    /// Its `model_type`.
    pub fn family(&self) -> Option<&str> {
        self.settings.text_if("model_type").ok().flatten()
    }

    /// The files beside the weights that a reference needs, where they are there.
    pub(crate) fn companions(&self) -> Vec<PathBuf> {
        let paths = COMPANIONS.iter().map(|name| self.folder.join(name));
        paths.filter(|path| path.is_file()).collect()
    }

    /// SHA-256, in hexadecimal, over everything that an export follows from: configuration, companions, weights, each
    /// with its name and size before it.
    pub fn fingerprint(&self) -> Result<String, ExportError> {
        let mut files = vec![self.settings.path().to_owned()];
        files.extend(self.companions());
        files.extend(self.weights.files().iter().cloned());
        let mut hash = Sha256::new();
        for path in files {
            let read = |source| ExportError::Read {
                path: path.clone(),
                source,
            };
            let mut file = File::open(&path).map_err(read)?;
            let size = file.metadata().map_err(read)?.len();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            hash.update(format!("{name} {size}\n"));
            copy(&mut file, &mut hash).map_err(read)?;
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
