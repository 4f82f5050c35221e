//! The summary.json of a masks folder, as its readers need it. `score` and `select` write it last, from types of their own.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::Context as _;
use serde::Deserialize;

use crate::metadata::lenient;

/// Its name in the folder.
const NAME: &str = "summary.json";

/// What is known of a finished folder. Fields that are missing, or of another type, read as unknown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct SummaryFile {
    #[serde(deserialize_with = "lenient")]
    pub(crate) shards: Option<u64>,
    /// Shards that ended early.
    #[serde(deserialize_with = "lenient")]
    pub(crate) broken_shards: Option<u64>,
    /// Rows without a document that could be scored.
    #[serde(deserialize_with = "lenient")]
    pub(crate) rejected: Option<u64>,
    /// What each mask keeps, by its name without `mask_`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) kept: BTreeMap<String, Kept>,
    /// Where it was computed.
    #[serde(deserialize_with = "lenient")]
    pub(crate) device: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) speed: Speed,
}

/// What a mask keeps.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    /// Which scores are kept: those `from` the threshold on, or those `up to` it.
    #[serde(deserialize_with = "lenient")]
    pub(crate) side: Option<String>,
    /// The last score kept, in the scope where it was lowest and where it was highest.
    #[serde(deserialize_with = "lenient")]
    pub(crate) threshold: Option<(f64, f64)>,
    /// Of a band: the lowest score kept, in the same way.
    #[serde(deserialize_with = "lenient")]
    pub(crate) lowest: Option<(f64, f64)>,
}

/// How fast it was.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Speed {
    #[serde(deserialize_with = "lenient")]
    pub(crate) tokens_per_second: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) seconds: Option<Seconds>,
}

/// The time that it took: of `score` by stage, of `select` in all.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Seconds {
    All(f64),
    Stages { total: f64 },
}

impl Seconds {
    /// All of it.
    pub(crate) fn total(&self) -> f64 {
        match self {
            Self::All(total) | Self::Stages { total } => *total,
        }
    }
}

impl SummaryFile {
    /// Reads that of a folder; none where the folder is not finished.
    ///
    /// # Errors
    /// Where it cannot be read, or is no JSON.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(NAME);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("{}: cannot be read", path.display()))?,
        };
        let summary = serde_json::from_slice(&bytes);
        summary
            .map(Some)
            .with_context(|| format!("{}: expected JSON", path.display()))
    }
}
