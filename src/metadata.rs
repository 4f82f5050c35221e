//! The metadata of mask files: how the masks were created. `score` and `dynamics` write it, `select` and `convert` add
//! to it, and everything that reads masks reads it.
//!
//! One type serves both ways. A field that is missing, or of another type than here, reads as unknown: what needs it
//! refuses the masks by name. Programs that pass metadata on keep the JSON, so that fields of other versions survive.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The version of the layout of mask files that is written and read.
pub(crate) const FORMAT_VERSION: u64 = 1;

/// The metadata of a mask file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Metadata {
    /// See [`FORMAT_VERSION`].
    #[serde(deserialize_with = "lenient")]
    pub(crate) format_version: Option<u64>,
    /// The reference, or several and how their scores are combined.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<Reference>,
    /// The base, if it scored too.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) base: Option<Model>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) tokenizer: Tokenizer,
    /// Where it was computed: `cpu` or `cuda`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) provider: Option<String>,
    /// Type of the numbers that the reference computed in.
    #[serde(deserialize_with = "lenient")]
    pub(crate) precision: Option<String>,
    /// Tokens that a model sees at once.
    #[serde(deserialize_with = "lenient")]
    pub(crate) context: Option<usize>,
    /// Tokens of context that a later window repeats.
    #[serde(deserialize_with = "lenient")]
    pub(crate) overlap: Option<usize>,
    /// Tokens before each text.
    #[serde(deserialize_with = "lenient")]
    pub(crate) bos: SpecialTokens,
    /// Tokens after each text.
    #[serde(deserialize_with = "lenient")]
    pub(crate) eos: SpecialTokens,
    /// The rule of each column that was selected.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) selections: Option<Vec<Selection>>,
    /// Among which tokens was ranked.
    #[serde(flatten)]
    pub(crate) scope: Scope,
    /// The field that documents name their source in.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) source_field: Option<String>,
    /// What `verify` found about the models: one result, or a list.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) verified: Option<Value>,
    /// What `dynamics` describes tokens by.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) dynamics: Option<Dynamics>,
}

impl Metadata {
    /// Reads what is known of some metadata.
    pub(crate) fn of(metadata: &Value) -> Self {
        serde_json::from_value(metadata.clone()).unwrap_or_default()
    }

    /// The number of tokens that the reference knows.
    pub(crate) fn vocabulary(&self) -> Option<usize> {
        self.reference.as_ref()?.vocabulary
    }
}

/// The reference of masks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Reference {
    /// Its name and commit on the Hub. Names of folders may change and are not kept.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// SHA-256 of its files.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// The size of its vocabulary.
    #[serde(deserialize_with = "lenient")]
    pub(crate) vocabulary: Option<usize>,
    /// Settings of its checkpoint that were ignored on request.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored_settings: Vec<String>,
    /// Of several references: each of them.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) models: Option<Vec<Model>>,
    /// Of several references: how their scores become one.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) combine: Option<String>,
}

/// One of several models that scored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Model {
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
    /// SHA-256 of its files.
    #[serde(deserialize_with = "lenient")]
    pub(crate) fingerprint: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) vocabulary: usize,
    #[serde(deserialize_with = "lenient")]
    pub(crate) precision: String,
    /// The columns of its scores.
    #[serde(deserialize_with = "lenient")]
    pub(crate) columns: Vec<String>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Vec::is_empty")]
    pub(crate) ignored_settings: Vec<String>,
}

/// The tokenizer of masks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Tokenizer {
    /// SHA-256; none where the corpus was token ids.
    #[serde(deserialize_with = "lenient")]
    pub(crate) fingerprint: Option<String>,
    /// SHA-256 of the files beside it that added to it.
    #[serde(
        deserialize_with = "lenient",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub(crate) files: BTreeMap<String, String>,
}

/// Tokens that were put around each text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SpecialTokens {
    /// The option: `auto`, `always` or `never`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) rule: Option<String>,
    /// None where the metadata does not say.
    #[serde(deserialize_with = "lenient")]
    pub(crate) tokens: Option<Vec<u32>>,
}

/// Among which tokens was ranked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Scope {
    /// `document`, `batch` or `corpus`; null where nothing was ranked, and missing in the files of `dynamics`.
    #[serde(
        rename = "scope",
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) name: Option<Option<String>>,
    /// Of `batch`: how many tokens.
    #[serde(
        rename = "scope_tokens",
        deserialize_with = "lenient",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) tokens: Option<u64>,
}

/// The rule of a column that was selected. Fields that a rule has not are missing; a bound or a temperature that it could
/// have is null.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Selection {
    /// The column that it made.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<String>,
    /// The score: a column, `excess` or `random`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// The columns whose difference the score is.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) difference: Option<[String; 2]>,
    /// Of `random`.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<u64>,
    /// Of `random`: the column that says which tokens are scored. In the scope `corpus`: how many are.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) scored: Option<Scored>,
    /// The kept share of the scored tokens: at random, of the lowest, of the highest scores.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep_lowest: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep_highest: Option<f64>,
    /// Of a band: the dropped shares.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) drop_lowest: Option<f64>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) drop_highest: Option<f64>,
    /// Bounds of the kept scores, in nats.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) at_least: Option<Option<f32>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) at_most: Option<Option<f32>>,
    /// The formula of weights.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) weights: Option<String>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) temperature: Option<Option<f64>>,
    /// The range of weights.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) least: Option<f32>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) most: Option<f32>,
    /// The columns that both, or one of them, keep.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) and: Option<Vec<String>>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) or: Option<Vec<String>>,
    /// In the scope `corpus`: how many tokens are kept, and between which scores.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<u64>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) lowest_kept: Option<Option<f32>>,
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) highest_kept: Option<Option<f32>>,
}

/// See [`Selection::scored`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scored {
    Column(String),
    Tokens(u64),
}

/// What the files of `dynamics` are about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Dynamics {
    #[serde(deserialize_with = "lenient")]
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// What x is: `index` or `step`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) x: String,
    /// The loss that divides high from low, in nats.
    #[serde(deserialize_with = "lenient")]
    pub(crate) threshold: f64,
    /// The names of the codes in column `category`.
    #[serde(deserialize_with = "lenient")]
    pub(crate) categories: Vec<String>,
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<ScoringModel>,
    /// With a reference: the share of tokens that a checkpoint would select.
    #[serde(deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub(crate) keep: Option<f64>,
}

/// A checkpoint whose losses `dynamics` compares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Checkpoint {
    #[serde(flatten)]
    pub(crate) model: ScoringModel,
    /// The training step after which it was saved.
    #[serde(deserialize_with = "lenient")]
    pub(crate) step: Option<u64>,
    /// Its position.
    #[serde(deserialize_with = "lenient")]
    pub(crate) x: f64,
}

/// A model of `dynamics`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ScoringModel {
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
    /// SHA-256 of its files.
    #[serde(deserialize_with = "lenient")]
    pub(crate) fingerprint: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) precision: String,
    /// The column of its losses.
    #[serde(deserialize_with = "lenient")]
    pub(crate) column: String,
}

/// A value of this type; its default where it is another.
pub(crate) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// A value that may be null, which is not the same as missing.
fn present<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(Some(serde_json::from_value(value).ok()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is written is read back, and written again it is the same JSON.
    #[track_caller]
    fn is_kept(value: &Value) {
        let read: Metadata = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(&serde_json::to_value(read).unwrap(), value);
    }

    #[test]
    fn nothing_that_is_known_is_lost() {
        let common = json!({
            "format_version": 1, "provider": "cpu", "precision": "f32", "context": 128, "overlap": 32,
            "tokenizer": {"fingerprint": "ab", "files": {"tokenizer_config.json": "cd"}},
            "bos": {"rule": "auto", "tokens": [1]}, "eos": {"rule": "never", "tokens": []},
            "scope": "batch", "scope_tokens": 16384, "source_field": "meta.source",
            "reference": {"name": "a/b@c", "fingerprint": "ef", "vocabulary": 2048, "ignored_settings": ["x"]},
            "selections": [
                {"column": "mask_loss", "by": "loss", "keep_lowest": 0.7},
                {"column": "mask_random", "by": "random", "seed": 3, "scored": "loss", "keep": 0.5},
                {"column": "mask_band", "by": "loss", "drop_lowest": 0.1, "drop_highest": 0.2},
                {"column": "mask_some", "by": "loss", "at_least": null, "at_most": 2.5},
                {"column": "weight_excess", "by": "excess", "difference": ["base_loss", "loss"],
                 "weights": "rank", "temperature": null, "least": 0.0, "most": 1.0},
                {"column": "mask_intersection", "and": ["mask_loss", "mask_entropy"]},
                {"column": "mask_loss", "by": "loss", "keep_lowest": 0.7, "scored": 10, "kept": 7, "highest_kept": 1.5},
            ],
        });
        is_kept(&common);
        let mut several = common;
        several["scope"] = json!(null);
        let model = json!({"name": "a", "fingerprint": "b", "vocabulary": 9, "precision": "f32", "columns": ["loss_1"]});
        several["reference"] = json!({"models": [model], "combine": "mean", "vocabulary": 9});
        several["base"] = model;
        several["verified"] = json!({"documents": 3});
        is_kept(&several);
    }

    #[test]
    fn what_is_no_metadata_reads_as_unknown() {
        let damaged = json!({"format_version": "one", "tokenizer": 3, "eos": {"tokens": "x"}, "selections": {}, "new": 1});
        let read = Metadata::of(&damaged);
        assert_eq!(read, Metadata::default());
        assert_eq!(Metadata::of(&json!([1])), Metadata::default());
    }
}
