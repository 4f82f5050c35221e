//! What scoring and training need to know about a model besides its graph or weights: token ids and lengths from
//! config.json and generation_config.json. Works for any model, including families that this crate does not describe.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{CheckpointError, settings::read_object};

/// Token ids and lengths of a model. Any of them may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Longest input the model was trained for.
    pub max_positions: Option<usize>,
    /// Number of logits per position.
    pub vocabulary: Option<usize>,
    /// Id of the beginning-of-sequence token.
    pub bos: Option<u32>,
    /// Id of the end-of-sequence token; the first if there are several.
    pub eos: Option<u32>,
}

impl Outline {
    /// Reads several files; for each value, the first file that has it takes precedence.
    ///
    /// # Errors
    /// When a file cannot be read or is not a JSON object.
    pub fn of_files<'a>(
        files: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<Self, CheckpointError> {
        let mut outline = Self::default();
        for file in files {
            outline.read(file)?;
        }
        Ok(outline)
    }

    /// Fills missing values from a file; existing values stay.
    ///
    /// # Errors
    /// When the file cannot be read or is not a JSON object.
    pub fn read(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let json = read_object(path)?;
        // Multimodal models keep the language model's settings one level down.
        let empty = Map::new();
        let inside = json.get("text_config").and_then(Value::as_object);
        let levels = [&json, inside.unwrap_or(&empty)];
        let number = |names: &[&str]| {
            let found = names.iter().find_map(|name| {
                let mut levels = levels.into_iter();
                levels.find_map(|level| level.get(*name)?.as_u64())
            });
            found.and_then(|n| usize::try_from(n).ok())
        };
        let token = |name: &str| {
            let value = levels.into_iter().find_map(|level| level.get(name))?;
            let first = value.as_array().map_or(Some(value), |all| all.first())?;
            first.as_u64().and_then(|n| u32::try_from(n).ok())
        };
        let positions = [
            "max_position_embeddings",
            "n_positions",
            "n_ctx",
            "max_seq_len",
            "seq_length",
        ];
        self.max_positions = self.max_positions.or_else(|| number(&positions));
        self.vocabulary = self.vocabulary.or_else(|| number(&["vocab_size"]));
        self.bos = self.bos.or_else(|| token("bos_token_id"));
        self.eos = self.eos.or_else(|| token("eos_token_id"));
        Ok(())
    }
}
