//! What scoring and training need of a model besides its graph or weights: the parts of config.json and
//! generation_config.json that speak of token ids and lengths. Also of a model that nothing here describes.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{CheckpointError, settings::read_object};

/// All may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Longest input the model was made for.
    pub max_positions: Option<usize>,
    /// Width of the logits.
    pub vocabulary: Option<usize>,
    /// Beginning of sequence.
    pub bos: Option<u32>,
    /// End of sequence; the first where several are named.
    pub eos: Option<u32>,
}

impl Outline {
    /// What some files say, the first that says a thing first.
    pub fn of_files<'a>(
        files: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Result<Self, CheckpointError> {
        let mut outline = Self::default();
        for file in files {
            outline.read(file)?;
        }
        Ok(outline)
    }

    /// Adds what a file says; what was said before stays.
    pub fn read(&mut self, path: &Path) -> Result<(), CheckpointError> {
        let json = read_object(path)?;
        // Models that also see pictures keep the language model's numbers one level down.
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
