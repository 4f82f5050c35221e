//! Reads the summary.json of a masks folder. `score` and `select` write it last, from their own types.

use std::{collections::BTreeMap, io, path::Path};

use anyhow::Context as _;
use serde::Deserialize;

use crate::metadata::lenient;

/// The file name.
const NAME: &str = "summary.json";

/// The summary of a finished folder. Fields that are missing or have another type are read as unknown.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct SummaryFile {
    #[serde(deserialize_with = "lenient")]
    pub(crate) shards: Option<u64>,
    /// The number of shards that ended early.
    #[serde(deserialize_with = "lenient")]
    pub(crate) broken_shards: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) documents: Option<u64>,
    /// The number of rows without a document that could be scored.
    #[serde(deserialize_with = "lenient")]
    pub(crate) rejected: Option<u64>,
    /// The number of documents without a target token, which are left out.
    #[serde(deserialize_with = "lenient")]
    pub(crate) untargeted: Option<u64>,
    /// The kept scores of each mask, by its name without `mask_`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) kept: BTreeMap<String, Kept>,
    /// The device of the run.
    #[serde(deserialize_with = "lenient")]
    pub(crate) device: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) speed: Speed,
}

/// The scores that a mask keeps.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    /// `from`: scores at or above the threshold are kept; `up to`: those at or below it.
    #[serde(deserialize_with = "lenient")]
    pub(crate) side: Option<String>,
    /// The lowest and the highest threshold of all scopes.
    #[serde(deserialize_with = "lenient")]
    pub(crate) threshold: Option<(f64, f64)>,
    /// For a band: the same for the lower threshold.
    #[serde(deserialize_with = "lenient")]
    pub(crate) lowest: Option<(f64, f64)>,
}

/// The speed of the run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Speed {
    #[serde(deserialize_with = "lenient")]
    pub(crate) tokens_per_second: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) seconds: Option<Seconds>,
}

/// The time of the run: `score` records it by stage, `select` only the total.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Seconds {
    All(f64),
    Stages { total: f64 },
}

impl Seconds {
    /// The total.
    pub(crate) fn total(&self) -> f64 {
        match self {
            Self::All(total) | Self::Stages { total } => *total,
        }
    }
}

impl SummaryFile {
    /// Reads the summary of a folder; none if the folder is not finished.
    ///
    /// # Errors
    /// If it cannot be read, or is not JSON.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(NAME);
        let bytes = match rho_files::read_named(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.with_context(|| format!("{}: cannot be read", path.display()))?,
        };
        let summary = serde_json::from_slice(&bytes);
        summary
            .map(Some)
            .with_context(|| format!("{}: expected JSON", path.display()))
    }
}
